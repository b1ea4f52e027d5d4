"""Worlds of papers, and bandits, against slow loops over users and published formulas."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.special import expit, softmax
from synthetic import make_split, write_tables

import recsys as rs
from recsys.simulation import (
    AttributeProfiles,
    AverageTaste,
    ContentRecommender,
    DriftOracle,
    HiddenTypes,
    Log,
    Offer,
    PartlyKnownUtilities,
    RandomItems,
    Recommender,
    ReinforcedInterests,
    ThompsonSampling,
    UpperConfidenceBound,
    simulate,
)
from recsys.simulation.bandits import RunningBandit
from recsys.simulation.records import Consumption, start_log
from recsys.simulation.worlds.accepted_ratings import AcceptedRatings, build_rating_world
from recsys.simulation.worlds.partly_known import draw_betas
from recsys.support import rng
from recsys.types import RecsysError
from recsys.types.arrays import Csr


def list_shown(offer, user):
    return [int(i) for i in offer.items[user] if i >= 0]


def test_partly_known_utilities_are_chosen_as_in_the_paper():
    world = PartlyKnownUtilities(users=6, items=40, new_items=4, attributes=3, deviation=0.02)
    people = world.start(2)
    log = start_log(people)
    running = RandomItems(k=12).start(people, 2)
    from_slate = 0
    for number in range(8):
        offer = running.recommend(log, number)
        taken = people.consume(offer, log.met, number)
        for user in range(6):
            item, place = consume_slowly(world, people, list_shown(offer, user), user, number)
            assert (taken.items[user, 0], taken.places[user, 0]) == (item, place)
            assert taken.utilities[user, 0] == people.get_utilities()[user, item]
            assert not log.met[user, item]
            from_slate += place >= 0
        log.record(offer, taken)
    assert 5 < from_slate < 43


def consume_slowly(world, people, shown, user, number):
    """Build the list that a user sees item by item, and look at its ranks from 1 on."""
    assert all(item // world.new_items < number for item in shown)
    new = [item for item in range(world.items) if item // world.new_items == number]
    shares = rng.draw_uniforms(2, "places of new items", number, user, new)
    queue = sorted(zip(shares, new, strict=True))
    seen = []
    for place in range(len(shown) + 1):
        seen += [item for share, item in queue if int(share * (len(shown) + 1)) == place]
        seen += shown[place : place + 1]
    values = [rank**-0.8 * people.known[user, item] for rank, item in enumerate(seen, start=1)]
    best = seen[int(np.argmax(values))]
    return best, shown.index(best) if best in shown else -1


def test_betas_have_the_mean_and_the_deviation_that_are_asked():
    """Footnote 3 of the paper: alpha = ((1 - m) / s^2 - 1 / m) m^2."""
    found = draw_betas(np.repeat([[0.2], [0.9]], 20_000, axis=1), 0.05, 0, "test")
    assert found.mean(axis=1) == pytest.approx([0.2, 0.9], abs=0.002)
    assert found.std(axis=1) == pytest.approx([0.05, 0.05], abs=0.002)
    known = PartlyKnownUtilities(users=50, items=300).start(0)
    some = known.utilities > 1e-3
    assert some.any() and known.known[some] / known.utilities[some] == pytest.approx(0.98, abs=1e-4)


def test_interests_move_by_clicks_and_nothing_else():
    world = ReinforcedInterests(users=5, items=12, step=0.2, first_items=6, new_items=0.5)
    people = world.start(1)
    log = start_log(people)
    running, expected = RandomItems(k=3).start(people, 1), people.first_interests.copy()
    for number in range(6):
        offer = running.recommend(log, number)
        assert offer.items.max() < 6 + 0.5 * number
        found = people.consume(offer, log.met, number)
        for user in range(5):
            for place, item in enumerate(offer.items[user]):
                luck = rng.draw_uniforms(1, "clicks", number, user, item)
                assert found.liked[user, place] == (luck < expit(expected[user, item]))
                expected[user, item] += 0.2 if found.liked[user, place] else -0.2
        log.record(offer, found)
    assert people.interests == pytest.approx(expected)
    assert people.get_utilities() == pytest.approx(expit(expected))


def test_what_is_consumed_again_makes_nobody_more_alike():
    """Users have in common what both consumed, however often each did."""
    world = ReinforcedInterests(users=8, items=10, step=0.2)
    found = simulate(world, RandomItems(k=4), rounds=5, measures=["homogeneity"])
    for number in range(5):
        of = [{*found.consumed[: number + 1, u].ravel().tolist()} for u in range(8)]
        shared = np.mean([len(of[a] & of[b]) for a in range(8) for b in range(a)])
        expected = shared / np.mean([len(one) for one in of])
        assert found.get_values("homogeneity")[number] == pytest.approx(expected)
    alike = simulate(world, AverageTaste(k=10), rounds=3, measures=["homogeneity"])
    assert alike.get_values("homogeneity") == pytest.approx(1.0)


def test_clicks_have_the_chance_of_their_interest_and_resets_undo():
    people = ReinforcedInterests(users=20_000, items=1).start(0)
    people.interests[:] = 0.7
    shown = Offer(np.zeros((20_000, 1), dtype=np.int32))
    assert people.consume(shown, np.zeros((20_000, 1), dtype=bool), 0).liked.mean() == pytest.approx(
        expit(0.7), abs=0.01
    )
    again = ReinforcedInterests(users=20_000, items=1, reset_probability=0.3).start(0)
    again.consume(shown, np.zeros((20_000, 1), dtype=bool), 0)
    assert (again.interests == again.first_interests).mean() == pytest.approx(0.3, abs=0.01)


def test_types_click_by_a_multinomial_logit_and_see_candidates_alone():
    world = HiddenTypes(users=4000, items=30, candidates=7, affinity_deviation=0.0, quality_deviation=0.0)
    people = world.start(0)
    hidden = people.find_closed(np.zeros(people.shape, dtype=bool), 3)
    assert ((~hidden).sum(axis=1) == 7).all()
    worth = {}
    for group in range(2):
        for topic in range(2):
            affinity, quality = ((0.1, 0.7), (0.7, 0.1))[group][topic], (0.8, 0.2)[topic]
            worth[group, topic] = np.exp(affinity) + np.exp(quality)
    slate = [int(np.flatnonzero(people.regions == topic)[0]) for topic in (0, 1)]
    found = people.consume(Offer(np.tile(np.array(slate, dtype=np.int32), (4000, 1))), hidden, 3)
    for group in range(2):
        own = found.items[people.groups == group, 0]
        chances = softmax([worth[group, 0], worth[group, 1], 5.0])
        assert [(own == item).mean() for item in slate] == pytest.approx(chances[:2], abs=0.04)
    assert (people.groups == 0).mean() == pytest.approx(0.3, abs=0.03)


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratings")
    write_tables(folder)
    dataset = rs.read_dataset(folder / "ratings.csv", items=folder / "items.csv", item_columns={"features": "genres"})
    return build_rating_world(dataset, {f"u{n}": "many" if n % 3 else "few" for n in range(60)})


def test_ratings_are_accepted_by_rank_and_follow_the_user(ratings):
    people, users = ratings.start(0), np.arange(60)
    met = np.zeros(people.shape, dtype=bool)
    accepted = np.zeros(10)
    for number in range(60):
        slates = np.stack([np.roll(np.arange(40, dtype=np.int32), user + number)[:10] for user in users])
        found = people.consume(Offer(slates), met, number)
        assert np.array_equal(found.items[found.places >= 0], slates[found.places >= 0])
        accepted += (found.items >= 0).mean(axis=0) / 60
    assert accepted == pytest.approx(np.exp(-0.1 * np.arange(1, 11)), abs=0.04)
    one = replace(ratings, one_item=True).start(0)
    slates, places = np.tile(np.arange(10, dtype=np.int32), (60, 1)), np.zeros(10)
    for number in range(60):
        found = one.consume(Offer(slates), met, number)
        assert ((found.items >= 0).sum(axis=1) == 1).all()
        places += (found.items >= 0).mean(axis=0) / 60
    assert places == pytest.approx(softmax(-0.1 * np.arange(10)), abs=0.025)
    pairs = users.repeat(40), np.tile(np.arange(40), 60)
    stars = people.rate(*pairs).reshape(60, 40)
    slow = [
        [ratings.user_means[u] + ratings.user_deviations[u] / 10 * ratings.item_means[i] for i in range(40)]
        for u in range(60)
    ]
    assert people.get_utilities() == pytest.approx(np.array(slow))
    assert (stars - slow).mean() == pytest.approx(0, abs=0.08)
    assert set(np.unique(ratings.groups)) == {0, 1} and ratings.group_names.tolist() == ["few", "many"]


def test_a_rating_world_refuses_a_user_without_a_group(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(RecsysError, match=r"^accepted_ratings: user u1 has no group, expected one$"):
        build_rating_world(rs.read_dataset(tmp_path / "ratings.csv"), {"u0": "few"})


def make_trial():
    """Return a world of two topics, and a log in which each of two users was shown three items and clicked one."""
    people = HiddenTypes(users=2, items=6, candidates=6).start(0)
    people.regions[:], people.qualities[:] = [0, 0, 0, 1, 1, 1], [3, 1, 2, 1, 2, 3]
    log = start_log(people)
    offer = Offer(np.array([[0, 1, 3], [3, 4, 5]], dtype=np.int32))
    clicked = np.array([[1], [4]], dtype=np.int32)
    log.record(offer, Consumption(clicked, np.array([[1], [1]]), np.ones((2, 1), dtype=bool), np.ones((2, 1))))
    return people, log


def test_a_bandit_counts_what_was_shown_and_shows_the_best_of_the_best_topic():
    people, log = make_trial()
    running = RunningBandit(UpperConfidenceBound(k=4, arms="regions", width=0.5), people, 0)
    shown = running.recommend(log, 1).items
    assert (running.tried.tolist(), running.liked.tolist()) == ([[2, 1], [0, 3]], [[1, 0], [0, 1]])
    limits = [1 / 2 + 0.5 * np.sqrt(2 * np.log(3) / 2), 0 / 1 + 0.5 * np.sqrt(2 * np.log(3) / 1)]
    assert limits[0] > limits[1]
    assert shown.tolist() == [[0, 2, 1, 5], [0, 2, 1, 5]]  # the second user never saw the first topic


def test_thompson_sampling_draws_from_the_posterior():
    liked, tried = np.full((4000, 1), 3.0), np.full((4000, 1), 10.0)
    found = ThompsonSampling().value(liked, tried, 0, 0)
    assert found.mean() == pytest.approx(4 / 12, abs=0.01)
    assert found.var() == pytest.approx(4 * 8 / (12**2 * 13), rel=0.1)


def test_oracles_know_what_they_say_and_no_more():
    people = ReinforcedInterests(users=3, items=8).start(0)
    people.interests += rng.draw_normals(0, "test", np.arange(3)[:, None], np.arange(8))
    grown, step = np.empty((3, 8)), people.world.step
    for user in range(3):
        for item in range(8):
            now, first = people.interests[user, item], people.first_interests[user, item]
            up = expit(now)
            outcomes = up * (now + step - first) ** 2 + (1 - up) * (now - step - first) ** 2
            grown[user, item] = outcomes - (now - first) ** 2
    shown = DriftOracle(k=8).start(people, 0).recommend(Log((3, 8)), 0).items
    assert np.array_equal(shown, np.argsort(-grown, axis=1))
    typed = HiddenTypes(users=9, items=40, candidates=40).start(0)
    shown = AverageTaste(k=40).start(typed, 0).recommend(Log((9, 40)), 0).items
    assert (shown == np.argsort(-typed.get_utilities().mean(axis=0))).all()


def test_attribute_profiles_are_non_negative_least_squares():
    attributes = np.random.default_rng(0).dirichlet([0.3] * 4, 25)
    histories = Csr((np.random.default_rng(1).random((7, 25)) < 0.3).astype(np.float32))
    fitted = AttributeProfiles(attributes).fit(histories)
    slow = np.stack([nnls(attributes, history)[0] for history in histories.toarray()])
    assert fitted.profiles == pytest.approx(slow, abs=1e-5)
    assert (slow == 0).any()
    users = np.arange(7, dtype=np.int32)
    assert fitted.score(users) == pytest.approx(slow @ attributes.T, abs=1e-5)
    assert np.array_equal(fitted.fold(histories), fitted.score(users))
    assert fitted.fold(Csr((1, 25), dtype=np.float32))[0] == pytest.approx(slow.mean(axis=0) @ attributes.T, abs=1e-5)


def test_a_recommender_shows_nothing_that_is_not_there():
    world = PartlyKnownUtilities(users=8, items=60, new_items=5, attributes=3)
    for policy in (Recommender("item_knn", k=6, pool=60), ContentRecommender(k=6, pool=60)):
        found = simulate(world, policy, rounds=9, measures=["welfare"])
        for number in range(1, 9):
            shown = found.shown[number]
            assert shown.max() < 5 * number
            assert (shown[:, 0] >= 0).all()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: PartlyKnownUtilities(known_share=1.0), "partly_known_utilities: known_share is 1.0, expected a number above 0"),
        (lambda: ReinforcedInterests(reset_probability=2.0), "reinforced_interests: reset_probability is 2.0, expected a number from 0 to 1"),
        (lambda: ReinforcedInterests(items=5, first_items=6), "reinforced_interests: first_items is 6, expected a whole number from 0 to 5"),
        (lambda: HiddenTypes(topic_shares=3), "hidden_types: topic_shares is 3, expected a list of shares"),
        (lambda: HiddenTypes(type_shares=((0.5, 0.5),)), "hidden_types: type_shares is ((0.5, 0.5),), expected a list"),
        (lambda: HiddenTypes(topic_shares=(0.5, 0.3, 0.2)), "hidden_types: affinities are (2, 2), expected (2, 3): types and topics"),
        (lambda: ThompsonSampling(arms="region"), "policy: unknown arms 'region': did you mean 'regions'?"),
        (lambda: simulate(PartlyKnownUtilities(users=2, items=4, new_items=2), "none", rounds=3),
         "partly_known_utilities: a user sees no item in round 3, expected more items"),
        (lambda: simulate(PartlyKnownUtilities(users=2, items=2), "none", rounds=3), "rounds is 3, expected at most 2"),
        (lambda: simulate(HiddenTypes(), "drift_oracle", rounds=1), "policy drift_oracle: this world has no interests"),
        (lambda: simulate(HiddenTypes(), "random", rounds=1, measures=["interest_shift"]), "measure interest_shift: this world has no interests"),
        (lambda: simulate(HiddenTypes(), "content", rounds=1), "policy content: the items of this world have no attributes"),
        (lambda: AttributeProfiles(np.ones((3, 2))).fit(make_split().train), "attribute_profiles: attributes of 3 items, expected those of 40"),
        (lambda: AcceptedRatings(make_split(), *[np.ones(30)] * 4, np.array(["all"]), decay=-1.0),
         "accepted_ratings: decay is -1.0, expected a number from 0 on"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(make, line):
    with pytest.raises(RecsysError) as error:
        make()
    assert str(error.value).startswith(line)
