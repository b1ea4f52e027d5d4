"""Switches of a fitted world, each alone: what it does, against slow loops, and that off is as if it were not there."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from synthetic import make_taste_world

import recsys as rs
from recsys.simulation import (
    Arrivals,
    Behaviour,
    HiddenTypes,
    Log,
    Offer,
    PartlyKnownUtilities,
    RandomItems,
    Recommender,
    ReinforcedInterests,
    TasteFlips,
    simulate,
)
from recsys.simulation.records import begin_round, start_log
from recsys.types import RecsysError

ROUNDS = 6
KNN = rs.models.ItemKNN()


@pytest.fixture(scope="module")
def world():
    return make_taste_world(organic_share=0.5)


def play(world, rounds=ROUNDS, policy="most_liked"):
    """Yield what a population is like, is offered and consumes in each round."""
    people = world.start(0)
    log = start_log(people)
    running = {"most_liked": rs.simulation.MostLiked, "random": RandomItems}[policy](5).start(people, 0)
    for number in range(rounds):
        begin_round(people, number)
        offer = running.recommend(log, number)
        met = log.met.copy()
        eaten = people.consume(offer, met, number)
        yield number, people, offer, eaten, met
        log.record(offer, eaten)


def assert_equal(one, other):
    for name in ("values", "consumed", "shown"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "values")


@pytest.mark.parametrize(
    "off",
    [
        {"flips": TasteFlips(share=0.0)},
        {"arrivals": Arrivals(rounds=3)},
        {"behaviour": Behaviour(organic_share=0.5, drift=0.0, satiation=0.0, satiation_memory=0.3, known_share=1.0)},
    ],
)
def test_a_switch_that_is_off_changes_no_bit(world, off):
    """What is taken, shown and measured is that of a world without the switch, whatever its other settings."""
    policy = Recommender(KNN, k=5, pool=20, retrain_every=2)
    assert_equal(simulate(world, policy, rounds=3), simulate(replace(world, **off), policy, rounds=3))


def test_users_who_flip_have_the_tastes_of_others_from_the_round_on(world):
    flipped = replace(world, flips=TasteFlips(round=2, share=0.4))
    n = world.split.shape[0]
    for number, people, _, eaten, _ in play(flipped, 4):
        users, sources = people.flip.users, people.flip.sources
        assert len(users) == round(0.4 * n)
        assert sorted(users) == sorted(sources) and (users != sources).all()
        taste = world.like_logits.copy()
        if number >= 2:
            taste[users] = world.like_logits[sources]
        assert people.get_utilities() == pytest.approx(expit(taste))
        user, place = np.nonzero(eaten.items >= 0)
        assert eaten.utilities[user, place] == pytest.approx(expit(taste[user, eaten.items[user, place]]), rel=1e-6)
    whole, before = (simulate(of, "most_liked", rounds=2) for of in (flipped, world))
    assert np.array_equal(whole.consumed, before.consumed)


def test_slates_are_held_against_old_and_new_tastes_as_slow_loops_do(world):
    flipped = replace(world, flips=TasteFlips(round=2, share=0.4))
    found = simulate(flipped, RandomItems(5), rounds=ROUNDS, measures=["escape_potential", "rounds_to_forget"])
    people = flipped.start(0)
    old, new = ([share_taste(world, u) for u in of] for of in (people.flip.users, people.flip.sources))
    waited = dict.fromkeys(people.flip.users)
    for number in range(ROUNDS):
        following, rounds = [], []
        for u, before, after in zip(people.flip.users, old, new, strict=True):
            slate = [world.regions[i] for i in found.shown[number, u] if i >= 0]
            mix = [slate.count(z) / len(slate) for z in range(6)]
            following.append((apart(mix, before) - apart(mix, after)) / apart(before, after))
            if number >= 2 and waited[u] is None and following[-1] > 0:
                waited[u] = number - 2
            rounds.append(number - 1 if waited[u] is None else waited[u])
        assert found.get_values("escape_potential")[number] == pytest.approx(np.mean(following))
        expected = np.mean(rounds) if number >= 2 else np.nan
        assert found.get_values("rounds_to_forget")[number] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(simulate(world, "random", rounds=2, measures=["escape_potential", "rounds_to_forget"]).values).all()


def share_taste(world, user):
    worth = expit(world.like_logits[user].astype(float))
    above = [max(0.0, one - np.mean(worth)) for one in worth]
    return [sum(a for a, r in zip(above, world.regions, strict=True) if r == z) / sum(above) for z in range(6)]


def apart(one, other):
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2


def test_an_oracle_follows_a_flip_and_a_model_that_is_not_trained_again_does_not(world):
    """Slates of the round of the flip are made before it. Both begin nearer to the old tastes."""
    flipped = replace(world, flips=TasteFlips(round=1, share=0.5))
    of = [simulate(flipped, one, rounds=5, measures=["escape_potential"]).get_values("escape_potential")
          for one in ("oracle", Recommender(KNN, k=5, pool=20, retrain_every=0))]  # fmt: skip
    assert of[0][0] < 0 < of[0][2:].min() - 0.05
    assert of[1].max() < 0


def test_users_find_only_what_they_are_aware_of(world):
    """Known are the first items of each user's race, what was met, and whatever was ever shown."""
    aware = replace(world, behaviour=Behaviour(organic_share=1.0, known_share=0.3))
    n_users, n_items = world.split.shape
    noise = rs.support.rng.draw_uniforms(0, "races", np.arange(n_users)[:, None], np.arange(n_items))
    times = np.log(-np.log(noise)) - world.log_rates
    known = [{*np.argsort(times[u])[: round(0.3 * n_items)].tolist()} for u in range(n_users)]
    found_shown = 0
    for number, people, offer, eaten, met in play(aware):
        if number == 0:
            known = [of | {*people.history.seen[[u]].indices.tolist()} for u, of in enumerate(known)]
            first = [set(of) for of in known]
        for u in range(n_users):
            known[u] |= {int(i) for i in offer.items[u] if i >= 0}
            item, open_items = int(eaten.items[u, 1]), known[u] - {*np.flatnonzero(met[u])}
            assert item < 0 or item in open_items
            found_shown += item >= 0 and item not in first[u]
        assert [{*np.flatnonzero(row).tolist()} for row in people.known] == known
    assert found_shown > 0
    everything = [eaten.items[:, 1] for *_, eaten, _ in play(replace(world, behaviour=Behaviour(organic_share=1.0)), 1)]
    assert any(int(i) not in known[u] for u, i in enumerate(everything[0]))


def test_who_is_not_there_yet_is_shown_nothing_takes_nothing_and_counts_nowhere(world):
    late = replace(world, arrivals=Arrivals(users=0.3, items=0.4, rounds=4))
    people = late.start(0)
    users, items = people.arrivals.users, people.arrivals.items
    n_users, n_items = world.split.shape
    assert ((users > 0).sum(), (items > 0).sum()) == (round(0.3 * n_users), round(0.4 * n_items))
    assert users.max() <= 4 and items.max() <= 4
    seen = people.history.seen.toarray() > 0
    assert not seen[users > 0].any() and not seen[:, items > 0].any()
    early = (users == 0)[:, None] & (items == 0)
    assert np.array_equal(seen[early], (world.start(0).history.seen.toarray() > 0)[early])
    for policy in ("random", Recommender(KNN, k=5, pool=10, retrain_every=2)):
        found = simulate(late, policy, rounds=ROUNDS, measures=["welfare", "slate_utility"])
        for number, (shown, consumed) in enumerate(zip(found.shown, found.consumed, strict=True)):
            for made in (shown, consumed):
                assert (made[users > number] < 0).all()
                assert (items[made[made >= 0]] <= number).all()
            assert (shown[users <= number] >= 0).all()
            worth = [expit(world.like_logits[u, shown[u]]).mean() for u in np.flatnonzero(users <= number)]
            assert found.get_values("slate_utility")[number] == pytest.approx(np.mean(worth))
            eaten = [
                expit(world.like_logits[u, consumed[u][consumed[u] >= 0]]).sum()
                for u in np.flatnonzero(users <= number)
            ]
            assert found.get_values("welfare")[number] == pytest.approx(np.mean(eaten))
        assert (items[found.shown[found.shown >= 0]] > 0).any()


class ShowsAll:
    def start(self, population, seed):
        return self

    def recommend(self, log, number):
        return Offer(np.tile(np.arange(log.met.shape[1], dtype=np.int32), (len(log.met), 1)))


MANY = HiddenTypes(users=30, items=24, candidates=8, no_click=1.0)
REINFORCED = ReinforcedInterests(users=30, items=24, step=0.4)
PARTLY = PartlyKnownUtilities(users=30, items=40, new_items=4, attributes=3)


@pytest.mark.parametrize("plain", [MANY, REINFORCED, PARTLY])
def test_users_of_every_world_that_has_flips_take_over_what_others_would_click(plain):
    flipped = replace(plain, flips=TasteFlips(round=2, share=0.4))
    slates = []
    for number, people, offer, eaten, _ in play(flipped, 4, "random"):
        users, sources = people.flip.users, people.flip.sources
        assert len(users) == 12 and (users != sources).all()
        if number < 2:
            before = people.get_utilities().copy()
        elif number == 2:
            others = plain.start(0)
            log = start_log(others)
            for earlier, shown in enumerate(slates):
                log.record(shown, others.consume(shown, log.met, earlier))
            unflipped, kept = others.get_utilities(), np.setdiff1d(np.arange(30), users)
            if plain is not REINFORCED:  # whose interests have moved by what was shown in this round
                assert np.array_equal(people.get_utilities()[users], unflipped[sources])
                assert np.array_equal(people.get_utilities()[kept], before[kept])
            user, column = np.nonzero(eaten.items >= 0)
            item, source = eaten.items[user, column], np.arange(30)
            source[users] = sources
            assert eaten.utilities[user, column] == pytest.approx(unflipped[source[user], item])
        slates.append(offer)
    early = [simulate(of, RandomItems(5), rounds=2).consumed for of in (plain, flipped)]
    assert np.array_equal(*early)


@pytest.mark.parametrize("plain", [MANY, REINFORCED])
def test_users_and_items_of_every_world_that_has_arrivals_come_later(plain):
    late = replace(plain, arrivals=Arrivals(users=0.3, items=0.5, rounds=3))
    there = late.start(0).arrivals
    assert ((there.users > 0).sum(), (there.items > 0).sum()) == (9, 12)
    found = simulate(late, RandomItems(5), rounds=5, measures=["welfare"])
    for number, (shown, consumed) in enumerate(zip(found.shown, found.consumed, strict=True)):
        absent = there.users > number
        assert (shown[absent] < 0).all() and (consumed[absent] < 0).all()
        assert (there.items[shown[shown >= 0]] <= number).all()
        assert (shown[~absent, 0] >= 0).all()
    assert (there.items[found.shown[found.shown >= 0]] > 0).any()
    assert_equal(
        *(simulate(of, RandomItems(5), rounds=3) for of in (plain, replace(plain, arrivals=Arrivals(rounds=2))))
    )


def test_items_that_grow_in_number_come_when_both_settings_let_them():
    """An item of the second half comes by the later of its two rounds."""
    grown = ReinforcedInterests(users=4, items=24, first_items=12, new_items=3.0)
    both = replace(grown, arrivals=Arrivals(items=0.5, rounds=3)).start(0).arrivals.items
    own, drawn = grown.start(0).arrivals.items, Arrivals(items=0.5, rounds=3).draw_rounds((4, 24), 0).items
    assert both.tolist() == [max(pair) for pair in zip(own, drawn, strict=True)]
    assert (both != own).any() and (both != drawn).any()


def test_both_tastes_of_a_flip_are_those_of_the_round_before_it():
    """Tastes that drift until they flip are not those of the first round."""
    moving = replace(make_taste_world(drift=1.5), flips=TasteFlips(round=3, share=0.5))
    found = simulate(moving, RandomItems(5), rounds=5, measures=["escape_potential"])
    for number, people, *_ in play(moving, 5, "random"):
        if number == 1:  # after what was consumed in it: the tastes that the slates of the next round meet
            worth, slates, regions = people.get_utilities().astype(float), found.shown, people.regions
            taste = [[max(0, one - np.mean(row)) for one in row] for row in worth]
            shares = [[sum(a for a, r in zip(row, regions, strict=True) if r == z) / sum(row) for z in range(6)]
                      for row in taste]  # fmt: skip
    for number in (3, 4):
        following = []
        for u, v in zip(people.flip.users, people.flip.sources, strict=True):
            slate = [regions[i] for i in slates[number, u] if i >= 0]
            mix = [slate.count(z) / len(slate) for z in range(6)]
            following.append((apart(mix, shares[u]) - apart(mix, shares[v])) / apart(shares[u], shares[v]))
        assert found.get_values("escape_potential")[number] == pytest.approx(np.mean(following))


def test_who_is_not_there_yet_makes_nobody_else_less_alike(world):
    late = replace(world, arrivals=Arrivals(users=0.5, rounds=4))
    there = late.start(0).arrivals.users
    found = simulate(late, "most_liked", rounds=ROUNDS, measures=["homogeneity"])
    for number, alike in enumerate(found.get_values("homogeneity")):
        eaten = [{int(i) for i in found.consumed[: number + 1, u].ravel() if i >= 0} for u in range(len(there))]
        present = [eaten[u] for u in np.flatnonzero(there <= number)]
        shared = [len(one & other) for n, one in enumerate(present) for other in present[:n]]
        assert alike == pytest.approx(np.mean(shared) / np.mean([len(one) for one in present]))


def test_an_item_that_is_not_there_yet_cannot_be_shown(world):
    late = replace(world, arrivals=Arrivals(items=0.4, rounds=4))
    with pytest.raises(
        RecsysError, match=r"^simulate: an offer shows the item \d+ in round 1, expected items that are"
    ):
        simulate(late, ShowsAll(), rounds=1)


def test_groups_choose_by_models_of_their_own(world):
    """One group by cascade, the other by a logit: each chooses as it does where all choose so."""
    of = {"multinomial": Behaviour(), "cascade": Behaviour(choice="cascade", no_choice=0.5, position_exponent=0.4)}
    mixed = replace(world, behaviour=of["multinomial"], group_behaviours={"few": of["cascade"]})
    alone = {name: replace(world, behaviour=one) for name, one in of.items()}
    taken = {}
    for name, made in {"mixed": mixed, **alone}.items():
        people = made.start(0)
        offer = RandomItems(5).start(people, 0).recommend(Log(people.shape, people.history), 0)
        taken[name] = people.consume(offer, people.history.seen.toarray() > 0, 0).places[:, 0]
    assert not np.array_equal(taken["multinomial"], taken["cascade"])
    few = world.groups == 1
    assert np.array_equal(taken["mixed"], np.where(few, taken["cascade"], taken["multinomial"]))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: TasteFlips(round=0), "flips: round is 0, expected a whole number from 1"),
        (lambda: TasteFlips(share=1.5), "flips: share is 1.5, expected"),
        (lambda: TasteFlips(share=0.2).draw_users(5, 0), "flips: share is 0.2, expected two of the 5 users or more"),
        (lambda: TasteFlips(share=0.01).draw_users(5, 0), "flips: share is 0.01, expected two of the 5 users or more"),
        (lambda: Arrivals(users=1.0), "arrivals: users is 1.0, expected"),
        (lambda: Arrivals(rounds=0), "arrivals: rounds is 0, expected a whole number from 1"),
        (lambda: Behaviour(known_share=1.2), "behaviour: known_share is 1.2, expected"),
    ],
)  # fmt: skip
def test_a_switch_out_of_range_is_one_line(make, line):
    with pytest.raises(RecsysError) as error:
        make()
    assert str(error.value).startswith(line)
