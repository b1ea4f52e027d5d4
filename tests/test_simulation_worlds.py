"""Worlds of closed loops against slow, obvious references and published numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from recsys.simulation import Behaviour, NoRecommender, Offer, RandomItems, RingBeliefs, simulate
from recsys.simulation.policies import make_split
from recsys.simulation.records import build_pairs
from recsys.simulation.worlds import fitting
from recsys.simulation.worlds.races import draw_races, fit_log_rates
from recsys.simulation.worlds.ring_beliefs import Beliefs
from recsys.types import RecsysError

TOLD = ("nothing", "common_values", "utilities")
NOTHING_MET = np.zeros((1, 4), dtype=bool)


def test_beliefs_of_the_published_example_of_four_items():
    """Aridor et al. 2020: deviation 1, correlation 1/2, prior mean 0, and the first item turns out to be worth 1/2."""
    believed = Beliefs(np.zeros((1, 4)), RingBeliefs(1, 4, 0.5).covariance)
    believed.condition(np.array([0]), np.array([0.5]))
    assert believed.means == pytest.approx(np.array([[0.5, 0.25, 0.125, 0.25]]))
    assert believed.variances == pytest.approx(np.array([[0.0, 0.75, 0.9375, 0.75]]))


@pytest.mark.parametrize(("aversion", "second"), [(1.3, 2), (1.4, 1)])
def test_who_is_averse_enough_stays_near_a_disappointment(aversion, second):
    """At -1/2 a neighbour is chosen where risk aversion is above 4/3, else the item on the other side of the ring."""
    world = RingBeliefs(1, 4, 0.5, common_weight=0.0, risk_aversion=aversion, prior_variance=0.0)
    people = world.start(0)
    people.own[:] = people.get_utilities()[:] = [[-0.5, 0.0, 0.0, 0.0]]
    met, offer = NOTHING_MET.copy(), Offer(np.empty((1, 0), dtype=np.int32))
    assert people.consume(offer, met, 0).items.tolist() == [[0]]
    met[0, 0] = True
    assert people.consume(offer, met, 1).items.tolist() == [[second]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.0, 0.3, 0.9]))
def test_beliefs_are_conditional_gaussians(seed, n, correlation):
    rng = np.random.default_rng(seed)
    covariance = RingBeliefs(1, 9, correlation, deviation=1.5).covariance
    mean, values = rng.normal(size=9), rng.normal(size=9)
    learned = rng.permutation(9)[:n]
    believed = Beliefs(mean[None], covariance)
    for item in learned:
        believed.condition(np.array([item]), values[[item]])
    gain = covariance[:, learned] @ np.linalg.inv(covariance[np.ix_(learned, learned)])
    assert believed.means[0] == pytest.approx(mean + gain @ (values[learned] - mean[learned]), abs=1e-9)
    assert believed.variances[0] == pytest.approx(np.diag(covariance - gain @ covariance[learned]), abs=1e-9)


@pytest.mark.parametrize(("items", "correlation"), [(8, 0.0), (9, 0.5), (40, 0.9)])
def test_values_of_a_ring_have_its_covariance(items, correlation):
    world = RingBeliefs(users=40_000, items=items, correlation=correlation, deviation=1.3, prior_variance=0.0)
    assert np.cov(world.start(0).own.T) == pytest.approx(world.covariance, abs=0.06)


@pytest.mark.parametrize("told", TOLD)
def test_a_ring_consumes_as_the_paper_says(told):
    world = RingBeliefs(users=6, items=15, correlation=0.6, common_weight=1.5, risk_aversion=0.8)
    found = simulate(world, NoRecommender(told), rounds=8, measures=["welfare"], seed=3).consumed[:, :, 0]
    people = world.start(3)
    for user in range(6):
        assert found[:, user].tolist() == consume_slowly(world, people, user, told, 8)


def consume_slowly(world, people, user, told, rounds):
    """Condition on everything consumed anew in each round, with inverses of whole matrices."""
    utilities, common = people.get_utilities()[user], people.common
    weight, mean, signal = 1.0, people.means[user] + common, people.own[user] + common
    if told == "nothing":
        weight, mean = 1.0 + world.common_weight**2, people.means[user]
    covariance, eaten = weight * world.covariance, []
    for _ in range(rounds):
        value = utilities.copy()
        if told != "utilities":
            value, variance = mean.copy(), np.diag(covariance).copy()
            if eaten:
                gain = covariance[:, eaten] @ np.linalg.inv(covariance[np.ix_(eaten, eaten)])
                value = mean + gain @ (signal[eaten] - mean[eaten])
                variance = np.diag(covariance - gain @ covariance[eaten])
            value = value - world.risk_aversion / 2 * variance
        value[eaten] = -np.inf
        eaten.append(int(value.argmax()))
    return eaten


def test_users_of_a_ring_choose_from_a_slate_alone():
    found = simulate(RingBeliefs(users=30, items=40), RandomItems(k=3), rounds=5, measures=["welfare"])
    for number in range(5):
        assert all(np.isin(found.consumed[number, user, 0], found.shown[number, user]) for user in range(30))


def test_a_race_counts_as_many_as_asked_and_prefers_by_rates():
    rates = np.tile(np.log([1.0, 2.0, 4.0, 8.0]), (4000, 1))
    first = draw_races(rates.astype(np.float32), np.ones(4000, dtype=int), seed=0)
    assert (first.sum(axis=1) == 1).all()
    assert first.mean(axis=0) == pytest.approx(np.array([1, 2, 4, 8]) / 15, abs=0.03)
    more = draw_races(rates.astype(np.float32), np.full(4000, 3), seed=0)
    assert (more >= first).all()
    assert (more.sum(axis=1) == 3).all()


def test_fitted_rates_expect_the_counts_that_are_given():
    rng = np.random.default_rng(0)
    tastes, users, items = rng.normal(size=(40, 25)), rng.integers(2, 12, 40), np.zeros(25)
    items[:] = users.sum() / 25
    items[:5] *= 2
    items *= users.sum() / items.sum()
    rate, time = fit_log_rates(tastes, users, items, n_rounds=200)
    met = 1 - np.exp(-np.exp(time)[:, None] * np.exp(tastes + rate))
    assert met.sum(axis=1) == pytest.approx(users, rel=1e-3)
    assert met.sum(axis=0) == pytest.approx(items, rel=1e-2)


def test_choices_have_the_chances_of_a_multinomial_logit():
    behaviour = Behaviour(sharpness=0.7, no_choice=0.4, position_exponent=0.8)
    n, logits = 20_000, np.array([0.5, 1.5, -1.0])
    slates = np.tile(np.array([4, 7, 1], dtype=np.int32), (n, 1))
    found = behaviour.choose(np.tile(logits, (n, 1)), slates, np.arange(n), 0, 0)
    weights = softmax([0.4, *(0.7 * logits - 0.8 * np.log([1, 2, 3]))])
    assert np.bincount(found + 1, minlength=4) / n == pytest.approx(weights, abs=0.012)


def test_a_cascade_takes_the_first_that_is_looked_at_and_liked():
    behaviour = Behaviour(choice="cascade", position_decay=0.5)
    n, logits = 20_000, np.array([-0.5, 0.5])
    slates = np.tile(np.array([4, 7], dtype=np.int32), (n, 1))
    found = behaviour.choose(np.tile(logits, (n, 1)), slates, np.arange(n), 0, 0)
    first = expit(-0.5)
    second = (1 - first) * expit(0.5) * np.exp(-0.5)
    assert np.bincount(found + 1, minlength=3) / n == pytest.approx([1 - first - second, first, second], abs=0.012)


def test_an_item_meets_the_same_luck_in_every_slate():
    behaviour = Behaviour(choice="cascade")
    users = np.arange(500)
    one, other = (np.tile(np.array(items, dtype=np.int32), (500, 1)) for items in ([3, 5], [5, 8]))
    taken = behaviour.choose(np.zeros((500, 2)), one, users, 0, 2) == 1
    assert (behaviour.choose(np.zeros((500, 2)), other, users, 0, 2)[taken] == 0).all()
    assert taken.any()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: RingBeliefs(correlation=1.0), "ring_beliefs: correlation is 1.0, expected a number from 0 on and below 1"),
        (lambda: RingBeliefs(users=0), "ring_beliefs: users is 0, expected a whole number from 1"),
        (lambda: Behaviour(organic_share=1.2), "behaviour: organic_share is 1.2, expected a number from 0 to 1"),
        (lambda: Behaviour(choice="cascad"), "behaviour: unknown choice 'cascad': did you mean 'cascade'?"),
        (lambda: NoRecommender("values"), "policy none: unknown told 'values'"),
        (lambda: RandomItems(k=0), "policy: k is 0, expected a whole number from 1"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_one_line(make, line):
    with pytest.raises(RecsysError) as error:
        make()
    assert str(error.value).startswith(line)


class SameItem:
    """A policy that shows everybody the first item in each round."""

    def start(self, population, seed):
        self.offer = Offer(np.zeros((population.shape[0], 1), dtype=np.int32))
        return self

    def recommend(self, log, number):
        return self.offer


def test_a_ring_of_which_everything_that_is_shown_is_met_is_one_line():
    with pytest.raises(
        RecsysError, match=r"^ring_beliefs: a user has met all that is offered in round 2, expected more$"
    ):
        simulate(RingBeliefs(users=2, items=4), SameItem(), rounds=2)


@pytest.mark.parametrize(("n_disliked", "known"), [(0, False), (1, False), (60, True), (199, False)])
def test_likes_are_learned_where_held_out_pairs_have_both(n_disliked, known):
    """One dislike, or one like, is not enough for a regression."""
    user, item = np.divmod(np.arange(200), 10)
    order = np.argsort((7 * user + 3 * item) % 11, kind="stable")
    bad, good = order[:n_disliked], order[n_disliked:]
    train, negatives = (build_pairs(user[of], item[of], (20, 10)) for of in (good, bad))
    split = replace(make_split((20, 10)), train=train, train_negatives=negatives)
    likes = fitting._LikeModel(split, 2, 0)
    assert likes.knows_dislikes == known
    assert not known or np.isfinite(likes.predict(np.zeros((20, 10)), np.zeros(10))).all()


def make_log(rows):
    """Return the split of 12 users and 12 items of which these pairs are liked."""
    user, item = np.array(rows).T
    return replace(make_split((12, 12)), train=build_pairs(user, item, (12, 12)))


def test_a_log_of_which_no_model_can_learn_is_one_line():
    """Every user likes one item: there is none to be found by the others."""
    with pytest.raises(RecsysError, match=r"^world: no user of the log has two likes, expected some: a model is to"):
        fitting.fit_tastes(make_log([(u, u) for u in range(12)]), factors=2, n_regions=2)


def test_a_log_too_small_to_hold_pairs_out_knows_no_dislikes(monkeypatch):
    monkeypatch.setattr(fitting, "TEST_SHARE", 0.0)
    assert not fitting._LikeModel(make_log([(0, 0), (0, 1)]), 2, 0).knows_dislikes
