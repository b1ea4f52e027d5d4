"""Closed loops: replay, the same luck for every policy, conservation, and measures against slow loops."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from synthetic import make_maps
from synthetic import make_taste_world as make_world

import recsys as rs
from recsys.simulation import Behaviour, MostLiked, Offer, Oracle, RandomItems, Recommender, simulate
from recsys.simulation.measures import OF_MAPS, STANDARD, PerGroup
from recsys.simulation.policies import select_unmet
from recsys.simulation.worlds.races import draw_first_items, draw_races
from recsys.support.rng import draw_uniforms
from recsys.types import RecsysError

ROUNDS = 6
SMOOTHING = 0.01


@pytest.fixture(scope="module")
def world():
    return make_world(organic_share=0.3, position_exponent=0.8)


@pytest.fixture(scope="module")
def changing():
    return make_world(organic_share=0.3, drift=0.4, satiation=0.3)


def assert_equal(one, other):
    for name in ("values", "consumed", "shown"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "values")


@pytest.mark.parametrize(
    "policy", ["none", "random", "most_liked", "oracle", Recommender(rs.models.ItemKNN(), k=5, pool=20)]
)
def test_a_seed_replays_bit_for_bit_and_another_one_does_not(changing, policy):
    first = simulate(changing, policy, rounds=ROUNDS, seed=1)
    assert_equal(first, simulate(changing, policy, rounds=ROUNDS, seed=1))
    assert not np.array_equal(first.consumed, simulate(changing, policy, rounds=ROUNDS, seed=2).consumed)


def test_nothing_is_consumed_twice_and_nothing_met_is_shown(changing):
    for policy in ("random", Recommender(rs.models.ItemKNN(), k=5, pool=20, retrain_every=3)):
        found = simulate(changing, policy, rounds=ROUNDS)
        met = changing.start(0).history.seen.toarray() > 0
        for shown, consumed in zip(found.shown, found.consumed, strict=True):
            for user in range(len(met)):
                assert not met[user, shown[user][shown[user] >= 0]].any()
                for item in consumed[user][consumed[user] >= 0]:
                    assert not met[user, item]
                    met[user, item] = True


def test_retraining_what_learns_nothing_changes_nothing(world):
    """Without drift and satiation a random order is the same however often it is made: nothing else moves tastes."""
    once, often = (Recommender(rs.models.Random(), k=5, pool=20, retrain_every=m) for m in (0, 1))
    assert_equal(simulate(world, once, rounds=ROUNDS), simulate(world, often, rounds=ROUNDS))


def test_tastes_stay_where_nothing_changes_them_and_move_where_something_does(world, changing):
    for of, moves in ((world, False), (changing, True)):
        people = of.start(0)
        before = people.get_utilities().copy()
        offer = RandomItems(5).start(people, 0).recommend(rs.simulation.Log(people.shape, people.history), 0)
        consumed = people.consume(offer, people.history.seen.toarray() > 0, 0)
        assert (consumed.items >= 0).any()
        assert np.array_equal(before, people.get_utilities()) != moves


def test_changed_tastes_are_interest_less_satiation():
    world = make_world(drift=0.4, satiation=0.3, satiation_memory=0.5)
    people, log = world.start(0), None
    log = rs.simulation.Log(people.shape, people.history)
    interest, satiation = np.zeros((people.shape[0], 6)), np.zeros((people.shape[0], 6))
    for number in range(3):
        offer = RandomItems(5).start(people, 0).recommend(log, number)
        found = people.consume(offer, log.met, number)
        log.record(offer, found)
        satiation *= 0.5
        for user, item, liked in zip(range(people.shape[0]), found.items[:, 0], found.liked[:, 0], strict=True):
            if item >= 0:
                satiation[user, world.regions[item]] += 1
                interest[user, world.regions[item]] += 0.4 if liked else -0.4
    expected = expit(world.like_logits + (interest - 0.3 * satiation)[:, world.regions])
    assert people.get_utilities() == pytest.approx(expected)


@pytest.mark.parametrize(
    "moving",
    [
        make_world(organic_share=0.3, drift=0.9, satiation=0.8),
        replace(make_world(drift=0.5), flips=rs.simulation.TasteFlips(round=2, share=0.5)),
        rs.simulation.ReinforcedInterests(users=12, items=20, step=0.8),
    ],
)
def test_slates_are_judged_by_the_tastes_that_they_meet(moving):
    """An oracle knows tastes as they are when it shows a slate: whatever changes by it, none is better."""
    found = simulate(moving, Oracle(4), rounds=5, measures=["true_precision", "true_ndcg", "slate_utility"])
    other = simulate(moving, RandomItems(4), rounds=5, measures=["true_precision"])
    for name in ("true_precision", "true_ndcg"):
        assert found.get_values(name) == pytest.approx(1.0)
    assert other.get_values("true_precision").max() < 1
    people, log = moving.start(0), rs.simulation.records.start_log(moving.start(0))
    for number in range(5):
        rs.simulation.records.begin_round(people, number)
        offer = rs.simulation.Offer(found.shown[number])
        worth = np.take_along_axis(people.get_utilities(), offer.items, axis=1).mean()
        assert found.get_values("slate_utility")[number] == pytest.approx(worth)
        log.record(offer, people.consume(offer, log.met, number))


def test_policies_meet_the_same_people_with_the_same_luck(world):
    """What is taken from different slates is liked alike, and who looks elsewhere finds the same."""
    people = [world.start(4) for _ in range(2)]
    assert (people[0].history.train != people[1].history.train).nnz == 0
    users = people[0].shape[0]
    met = people[0].history.seen.toarray() > 0
    first = np.array(
        [
            [np.flatnonzero(~met[u])[0], np.flatnonzero(~met[u])[n]]
            for u, n in zip(range(users), [1, 2] * users, strict=False)
        ]
    )
    slates = [first.astype(np.int32), first[:, ::-1].astype(np.int32)[:, 1:]]
    one, other = (of.consume(rs.simulation.Offer(slate), met, 3) for of, slate in zip(people, slates, strict=True))
    both = (one.items[:, 0] == other.items[:, 0]) & (one.items[:, 0] >= 0)
    assert 5 < both.sum() < users
    assert np.array_equal(one.liked[both, 0], other.liked[both, 0])
    found = (one.items[:, 1] >= 0) & (other.items[:, 1] >= 0)
    assert found.any() and np.array_equal(one.items[found, 1], other.items[found, 1])


def test_groups_choose_by_their_own_behaviour(world):
    still = replace(world, group_behaviours={"few": Behaviour(no_choice=50.0)})
    found = simulate(still, RandomItems(5), rounds=3, measures=["welfare"])
    assert (found.consumed[:, world.groups == 1] < 0).all()
    assert (found.consumed[:, world.groups == 0] >= 0).any()
    with pytest.raises(RecsysError, match=r"^world: unknown group 'fw': did you mean 'few'"):
        replace(world, group_behaviours={"fw": Behaviour()})


def test_a_recommender_ranks_as_the_library_does(world):
    model, blend = rs.models.ItemKNN(), {"relevance": 1.0, "mmr": 0.4}
    found = simulate(world, Recommender(model, blend, k=5, pool=20, retrain_every=0), rounds=1, measures=["welfare"])
    split = world.start(0).history
    pool = rs.candidates(model.fit(split.train, split.side_information), split, n=20)
    assert np.array_equal(found.shown[0], rs.rerank(pool, blend, 5).items)


def test_measures_are_those_of_slow_loops(changing):
    policy = Recommender(rs.models.ItemKNN(), k=5, pool=20, retrain_every=2)
    found = simulate(changing, policy, rounds=ROUNDS)
    slow = list(measure_slowly(changing, found))
    assert set(STANDARD) - set(slow[0]) == {"escape_potential", "rounds_to_forget"}  # held against loops of their own
    for name in slow[0]:
        expected = [[by_name[name]["all"], by_name[name].get("many", np.nan), by_name[name].get("few", np.nan)]
                    for by_name in slow]  # fmt: skip
        for g, group in enumerate(("all", "many", "few")):
            assert found.get_values(name, group) == pytest.approx([row[g] for row in expected], nan_ok=True), name


def measure_slowly(world, run):
    """Yield the measures of each round, by loops over users and items."""
    people = world.start(0)
    regions, n_regions = world.regions, 6
    log = rs.simulation.Log(people.shape, people.history)
    users, items = people.shape
    first_shares = [sum(bool(log.met[u, i]) for u in range(users)) / users for i in range(items)]
    before = [[int(i) for i in np.flatnonzero(log.met[u])] for u in range(users)]
    since = [[] for _ in range(users)]
    ever_shown = [set() for _ in range(users)]
    reached = [set() for _ in range(users)]
    majority = [u for u in range(users) if world.groups[u] == 0]
    usual = [np.mean([np.mean([regions[i] == z for i in before[u]]) for u in majority]) for z in range(n_regions)]
    running = Recommender(rs.models.ItemKNN(), k=5, pool=20, retrain_every=2).start(people, 0)
    for number in range(ROUNDS):
        worth = people.get_utilities()
        offer = running.recommend(log, number)
        eaten = people.consume(offer, log.met, number)
        found = {name: [] for name in STANDARD}
        for u in range(users):
            slate = [int(i) for i in offer.items[u] if i >= 0]
            ate = [int(i) for i in eaten.items[u] if i >= 0]
            liked = [int(i) for i, like in zip(eaten.items[u], eaten.liked[u], strict=True) if like]
            found["welfare"].append(sum(eaten.utilities[u]))
            found["slate_utility"].append(np.mean([worth[u, i] for i in slate]))
            best = sorted((i for i in range(items) if not log.met[u, i]), key=lambda i: (-worth[u, i], i))[:5]
            found["true_precision"].append(np.mean([i in best for i in slate]))
            gain = [max(0.0, worth[u, i] - np.mean(worth[u])) for i in range(items)]
            shown_gain, best_gain = (sum(gain[i] / np.log2(r + 2) for r, i in enumerate(of)) for of in (slate, best))
            found["true_ndcg"].append(shown_gain / best_gain)
            likes = sorted(range(items), key=lambda i: (-worth[u, i], i))[: round(0.1 * items)]
            reached[u] |= {*slate} & {*likes}
            found["shown_width"].append(count_effectively([regions[i] for i in slate]))
            touched = {regions[i] for i in before[u] + since[u]}
            found["true_discovery"].append(sum(regions[i] not in touched for i in liked))
            since[u] += ate
            ever_shown[u] |= {*slate, *ate}
            found["consumed_width"].append(count_effectively([regions[i] for i in since[u]]))
            found["within_user_diversity"].append(chance_of_two_regions(*2 * [[regions[i] for i in since[u]]]))
            above = [max(0.0, worth[u, i] - np.mean(worth[u])) for i in range(items)]
            hidden = [above[i] for i in range(items) if i not in ever_shown[u] and i not in before[u]]
            found["missed_utility"].append(sum(hidden) / sum(above))
            taste = [sum(above[i] for i in range(items) if regions[i] == z) / sum(above) for z in range(n_regions)]
            mixes = [
                [sum(regions[i] == z for i in of) / len(of) for z in range(n_regions)]
                for of in (before[u] + since[u], before[u])
            ]
            found["region_deficit"].append(sum(max(0.0, t - m) for t, m in zip(taste, mixes[0], strict=True)))
            now, start = ([(1 - SMOOTHING) * share + SMOOTHING / n_regions for share in mix] for mix in mixes)
            found["taste_drift"].append(sum(p * np.log(p / q) for p, q in zip(now, start, strict=True)))
            found["shown_popularity"].append(np.mean([first_shares[i] for i in slate]))
        labels = [[regions[i] for i in of] for of in since]
        for u in range(users):
            mixes = [[sum(regions[i] == z for i in of) / len(of) for z in range(n_regions)]
                     for of in (before[u], before[u] + since[u])]  # fmt: skip
            began, by_now = (sum(abs(a - b) for a, b in zip(mix, usual, strict=True)) / 2 for mix in mixes)
            found["majority_drift"].append(began - by_now)
        crowds = {"all": range(users)} | {
            name: [u for u in range(users) if world.groups[u] == g] for g, name in enumerate(("many", "few"))
        }
        of_crowds = {
            name: {}
            for name in (
                "homogeneity", "between_user_diversity", "consumption_gini", "catalog_coverage", "discoverable_corpus",
            )
        }  # fmt: skip
        for name, crowd in crowds.items():
            apart = [
                chance_of_two_regions(labels[u], labels[v])
                - (chance_of_two_regions(labels[u], labels[u]) + chance_of_two_regions(labels[v], labels[v])) / 2
                for u in crowd for v in crowd if v < u and since[u] and since[v]
            ]  # fmt: skip
            of_crowds["between_user_diversity"][name] = np.mean(apart) if apart else np.nan
            pairs = [len({*since[u]} & {*since[v]}) for u in crowd for v in crowd if v < u]
            counts = sorted(sum(i in since[u] for u in crowd) for i in range(items))
            of_crowds["homogeneity"][name] = np.mean(pairs) / np.mean([len(since[u]) for u in crowd])
            gap = sum(abs(a - b) for a in counts for b in counts)
            of_crowds["consumption_gini"][name] = gap / (2 * items * sum(counts))
            of_crowds["catalog_coverage"][name] = len({int(i) for u in crowd for i in offer.items[u] if i >= 0}) / items
            of_crowds["discoverable_corpus"][name] = len(set().union(*(reached[u] for u in crowd))) / items
        yield average_groups(found, world.groups) | of_crowds
        log.record(offer, eaten)


def chance_of_two_regions(labels, others):
    """Return how often an item of one list and one of another are of different regions, both drawn anew."""
    if not labels or not others:
        return np.nan
    return 1 - sum(labels.count(z) * others.count(z) for z in set(labels)) / len(labels) / len(others)


def average_groups(found, groups):
    def average(values):
        told = [value for value in values if not np.isnan(value)]
        return np.mean(told) if told else np.nan

    return {
        name: {
            "all": average(values),
            "many": average([v for v, g in zip(values, groups, strict=True) if g == 0]),
            "few": average([v for v, g in zip(values, groups, strict=True) if g == 1]),
        }
        for name, values in found.items()
        if values
    }


def count_effectively(labels):
    shares = [labels.count(one) / len(labels) for one in set(labels)]
    return np.exp(-sum(p * np.log(p) for p in shares)) if labels else np.nan


class TellsMaps:
    """Shows items at random, and has other maps from the third round on."""

    def __init__(self, early, late):
        self.early, self.late = early, late

    def start(self, population, seed):
        self.random = RandomItems(5).start(population, seed)
        return self

    def recommend(self, log, number):
        return replace(self.random.recommend(log, number), make_maps=lambda: self.late if number >= 2 else self.early)


def test_widths_by_maps_count_all_by_those_of_the_last_training(world):
    maps = make_maps(world.split, 4)
    found = simulate(world, TellsMaps(maps[:1], maps[1:]), rounds=4, measures=OF_MAPS)
    for name, made, seen in zip(OF_MAPS, (found.shown, found.consumed), (1, 4), strict=True):
        for number in range(4):
            widths = []
            for user in range(world.split.shape[0]):
                items = [i for i in made[max(0, number + 1 - seen) : number + 1, user].ravel() if i >= 0]
                known = [
                    [one.hard_regions[i] for i in items if one.hard_regions[i] >= 0]
                    for one in (maps[1:] if number >= 2 else maps[:1])
                ]
                told = [count_effectively(labels) for labels in known if labels]
                widths += [np.mean(told)] if told else []
            assert found.get_values(name)[number] == pytest.approx(np.mean(widths)), name
    assert np.isnan(simulate(world, "random", rounds=2, measures=OF_MAPS).values).all()


def test_a_recommender_has_the_maps_of_its_last_training(world, monkeypatch):
    made = []

    def note(train):
        made.append(train.nnz)
        return make_maps(world.split, 2, seed=len(made))

    monkeypatch.setattr(rs.maps, "objective_maps", note)
    simulate(world, Recommender(rs.models.ItemKNN(), k=5, pool=20, retrain_every=2), rounds=5, measures=OF_MAPS)
    assert len(made) == 3
    assert made == sorted(set(made))


def test_an_oracle_is_worth_most_and_likes_make_popular(world):
    of = {
        name: simulate(world, make(5), rounds=ROUNDS)
        for name, make in (("o", Oracle), ("r", RandomItems), ("m", MostLiked))
    }
    assert of["o"].get_values("slate_utility").mean() > of["r"].get_values("slate_utility").mean() + 0.1
    assert of["m"].get_values("shown_popularity").mean() > of["r"].get_values("shown_popularity").mean()


@pytest.mark.parametrize("shape", [(40, 60), (60,)])
def test_slates_are_the_best_unmet_items_by_a_slow_sort(shape):
    rng = np.random.default_rng(3)
    scores, met = rng.integers(0, 9, shape).astype(np.float64), rng.random((40, 60)) < 0.5
    scores[..., 7], met[0], met[1, 3:] = -np.inf, True, True
    for found, row, gone in zip(select_unmet(scores, met, 4), np.broadcast_to(scores, met.shape), met, strict=True):
        best = sorted((i for i in range(60) if np.isfinite(row[i]) and not gone[i]), key=lambda i: (-row[i], i))[:4]
        assert found.tolist() == best + [-1] * (4 - len(best))


def test_compiled_draws_are_those_of_the_library():
    users, items = np.arange(40), np.arange(60)
    rng = np.random.default_rng(3)
    rates, met = rng.normal(size=(40, 60)).astype(np.float32), rng.random((40, 60)) < 0.5
    met[0] = True
    noise = draw_uniforms(5, "finds", 2, users[:, None], items)
    arrivals = np.where(met, np.inf, np.log(-np.log(noise)) - rates)
    assert draw_first_items(rates, met, users[::2], 5, 2).tolist() == [-1, *arrivals.argmin(axis=1)[2::2]]
    delays = np.log(-np.log(draw_uniforms(5, "races", users[:, None], items))) - rates
    assert np.array_equal(draw_races(rates, users, 5), delays.argsort().argsort() < users[:, None])
    order = np.where(met, 2.0, -draw_uniforms(5, "random items", 2, users[:, None], items)).argsort()[:, :3]
    log = rs.simulation.Log((40, 60))
    log.met = met
    assert np.array_equal(RandomItems(3).start(make_world().start(0), 5).recommend(log, 2).items[1:], order[1:])


class ShowsTwice:
    def start(self, population, seed):
        return self

    def recommend(self, log, number):
        return rs.simulation.Offer(np.zeros((len(log.met), 2), dtype=np.int32))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"policy": "orakle"}, "unknown policy 'orakle': did you mean 'oracle'?"),
        ({"policy": "none", "measures": ["welfar"]}, "unknown measure 'welfar': did you mean 'welfare'?"),
        ({"policy": "none", "rounds": 0}, "simulate: rounds is 0, expected a whole number from 1"),
        ({"policy": 3}, "simulate: found a int, expected a policy: recsys.simulation.policies"),
        ({"policy": ShowsTwice()}, "simulate: an offer shows an item twice to a user, expected each once"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(world, settings, line):
    with pytest.raises(RecsysError) as error:
        simulate(world, **settings)
    assert str(error.value).startswith(line)


class Returns:
    """A world, or a policy, that returns what it is given."""

    def __init__(self, found):
        self.found = found

    def start(self, *_):
        return self

    def recommend(self, log, number):
        return self.found

    def observe(self, now):
        return self.found


def find_three(population, log):
    return Returns(np.ones(3))


def find_text(population, log):
    return Returns("much")


def find_three_groups(population, log):
    return Returns(PerGroup(np.ones(4)))


def find_no_end(population, log):
    return Returns(np.inf)


class StartsNothing:
    def start(self, population, seed):
        return 3


find_three.observe = find_text.observe = find_three_groups.observe = find_no_end.observe = (
    None  # what tells a measure from a function
)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"world": Returns(None)}, "world: Returns.start returned a Returns without 'shape', expected a population"),
        ({"policy": Returns(None)}, "simulate: a policy returned NoneType, expected an Offer of an array of item"),
        ({"policy": Returns(Offer([[0]]))}, "simulate: a policy returned Offer whose items are list, expected"),
        ({"policy": StartsNothing()}, "policy: StartsNothing.start returned a int without 'recommend', expected a"),
        ({"measures": [f"{__name__}:find_no_end"]}, f"measure '{__name__}:find_no_end' found an infinite number"),
        ({"measures": ["builtins:len"]}, "measure 'builtins:len' has no 'observe', expected a class with one"),
        ({"measures": [f"{__name__}:find_three"]}, f"measure '{__name__}:find_three' found float64 of shape (3,)"),
        ({"measures": [f"{__name__}:find_text"]}, f"measure '{__name__}:find_text' found <U4 of shape ()"),
        ({"measures": [f"{__name__}:find_three_groups"]}, f"measure '{__name__}:find_three_groups' found float64"),
    ],
)  # fmt: skip
def test_a_part_of_ones_own_that_is_none_is_one_line(world, settings, line):
    with pytest.raises(RecsysError) as error:
        simulate(**{"world": world, "policy": "random", "rounds": 1, "measures": ["welfare"]} | settings)
    assert str(error.value).startswith(line)


def test_slates_are_random_until_own_maps_can_be_made():
    world, random = rs.simulation.RingBeliefs(users=12, items=30), RandomItems(k=4)
    policy = Recommender(rs.models.ALS(factors=2, iterations=1), {"relevance": 1.0, "unexplored": 0.2}, k=4, pool=10)
    shown, plain = (simulate(world, one, rounds=4, measures=["welfare"]).shown for one in (policy, random))
    assert (shown[:2] == plain[:2]).all() and (shown[3] != plain[3]).any()
