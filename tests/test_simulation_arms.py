"""Arms of users and items against slow loops and full deployments; the same bits whatever the threads."""

import os

import numpy as np
import pytest
from synthetic import make_taste_world
from threadpoolctl import threadpool_limits

import recsys as rs
from recsys.simulation import (
    MostLiked,
    NoRecommender,
    RandomItems,
    Recommender,
    RingBeliefs,
    run_diverted_experiment,
    simulate,
)
from recsys.simulation.diverted_arms import ARMS, DivertedArms
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError

KNN = rs.models.ItemKNN()


@pytest.fixture(scope="module")
def world():
    return make_taste_world(organic_share=0.3)


class Spy:
    """A policy that keeps what it is told of, beside the slates of another."""

    def __init__(self, policy):
        self.policy, self.seen = policy, []

    def start(self, population, seed):
        self.running = self.policy.start(population, seed)
        return self

    def recommend(self, log, number):
        self.seen.append([getattr(log, name).copy() for name in ("met", "liked", "shown")])
        return self.running.recommend(log, number)


def test_an_arm_has_its_own_items_and_learns_from_its_own_rows(world):
    n_users, n_items = world.split.shape
    users, items = (np.arange(n) % 3 for n in (n_users, n_items))
    spies = Spy(MostLiked(4)), Spy(RandomItems(3))
    found = simulate(world, DivertedArms(*spies, users, items), rounds=4, measures=["welfare"])
    whole = rs.simulation.Log(world.split.shape, world.start(0).history)
    for number in range(4):
        for u in range(n_users):
            slate = [int(i) for i in found.shown[number, u] if i >= 0]
            own = [i for i in range(n_items) if items[i] == users[u]]
            assert len(slate) == min(3 if users[u] == 1 else 4, sum(not whole.met[u, i] for i in own))
            assert {*slate} <= {*own}
            if users[u] == 0:
                likes = [sum(whole.liked[v, i] for v in range(n_users) if users[v] == 0) for i in range(n_items)]
                left = [i for i in own if not whole.met[u, i] and i not in slate]
                assert not left or min(likes[i] for i in slate) >= max(likes[i] for i in left)
        for arm, spy in enumerate(spies):
            seen = spy.seen[2 * number if arm == 0 else number]
            inside = (users == arm)[:, None] & (items == arm)
            for one, all_rows in zip(seen, (whole.met, whole.liked, whole.shown), strict=True):
                assert np.array_equal(one, all_rows & inside)
        people, slates = found.consumed[number], found.shown[number]
        for u in range(n_users):
            whole.shown[u, slates[u][slates[u] >= 0]] = True
            for i in people[u][people[u] >= 0]:
                whole.met[u, i] = True
                whole.liked[u, i] = world.draw_likes(0, np.array([u]), np.array([i]))[0]


def test_an_experiment_of_a_policy_with_itself_that_diverts_users_is_its_full_deployment(world):
    """Users of all arms share the log, so that arms are groups of one deployment: their policies are one."""
    policy = Recommender(KNN, k=5, pool=20, retrain_every=2)
    found = run_diverted_experiment(world, policy, policy, share=0.3, divert="users", rounds=3, measures=["welfare"])
    assert np.array_equal(found.arms.consumed, found.treatment.consumed)
    assert np.array_equal(found.arms.get_values("welfare"), found.control.get_values("welfare"))
    assert found.arms.groups.tolist() == ["all", *ARMS]
    assert found.find_true_lift("welfare") == 0.0
    by_hand = [found.arms.get_values("welfare", arm).mean() for arm in ("treatment", "control")]
    assert found.estimate_lift("welfare") == pytest.approx(by_hand[0] / by_hand[1] - 1)


def test_both_designs_tell_an_oracle_from_chance(world):
    for divert in ("users", "users_and_items"):
        found = run_diverted_experiment(
            world, RandomItems(5), "oracle", share=0.5, divert=divert, rounds=3, measures=["slate_utility"]
        )
        assert found.estimate_lift("slate_utility") > 0.1
        assert found.find_true_lift("slate_utility") > 0.1
        assert np.isnan(found.arms.get_values("slate_utility", "rest")).all()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"share": 0.6}, "experiment: share is 0.6, expected"),
        ({"share": 0.001}, "experiment: share is 0.001, and of "),
        ({"divert": "user"}, "experiment: unknown divert 'user': did you mean 'users'?"),
        ({"treatment": NoRecommender("utilities")}, "experiment: the policy of the arm treatment tells utilities"),
        ({"treatment": "orakle"}, "unknown policy 'orakle': did you mean 'oracle'?"),
    ],
)
def test_an_experiment_that_cannot_be_is_one_line(world, settings, line):
    with pytest.raises(RecsysError) as error:
        run_diverted_experiment(world, "random", **{"treatment": "oracle", "rounds": 1, **settings})
    assert str(error.value).startswith(line)


def test_a_simulation_has_the_same_bits_whatever_the_threads(world, monkeypatch):
    ring = RingBeliefs(users=30, items=900, correlation=0.7)
    als = Recommender(rs.models.ALS(factors=8, iterations=3), {"relevance": 1.0, "mmr": 0.3}, k=5, pool=20)
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        with threadpool_limits(threads):
            found.append([simulate(of, policy, rounds=3) for of, policy in ((world, als), (ring, "none"))])
    for one, other in zip(*found, strict=True):
        for name in ("values", "consumed", "shown"):
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "values")
    with limit_to_one_blas_thread():
        assert np.array_equal(simulate(ring, "none", rounds=3).values, found[1][1].values, equal_nan=True)
