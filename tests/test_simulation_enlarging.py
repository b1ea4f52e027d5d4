"""New people for a fitted world: they have the tastes of its users, and are none of them."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_split

from recsys.simulation import FittedTastes, TasteFit, enlarge_fit
from recsys.simulation.policies import make_split as make_empty_split
from recsys.simulation.worlds import enlarging
from recsys.types import RecsysError


@pytest.fixture(scope="module")
def world():
    split = make_split()
    rng = np.random.default_rng(0)
    people, items = rng.normal(size=(split.shape[0], 5)), rng.normal(size=(5, split.shape[1]))
    tastes = (people @ items + rng.normal(size=split.shape[1])).astype(np.float32)
    regions, groups = (np.arange(split.shape[1]) % 6).astype(np.int32), (np.arange(split.shape[0]) % 2).astype(np.int32)
    return FittedTastes(split, tastes, 0.5 * tastes - 1, regions, groups, np.array(["even", "odd"]))


def test_new_people_have_the_mean_and_the_covariance_of_the_users(world):
    made = enlarging.draw_people(world, 20_000, seed=3)
    assert made.shape == (20_000, world.shape[1])
    deviation = world.log_rates.std(axis=0)
    gap = (made.log_rates.mean(axis=0) - world.log_rates.mean(axis=0)) / deviation
    assert np.abs(gap).max() < 0.05
    one, other = (np.cov((of.log_rates / deviation).T) for of in (world, made))
    assert other == pytest.approx(one * (world.shape[0] - 1) / world.shape[0], abs=0.06)


def test_what_is_met_and_what_is_liked_stay_of_one_person(world):
    made = enlarging.draw_people(world, 50, seed=1)
    assert made.like_logits == pytest.approx(0.5 * made.log_rates - 1, abs=1e-4)


def test_activity_and_group_are_those_of_the_start_and_ids_are_new(world):
    made = enlarging.draw_people(world, 300, seed=1)
    starts = enlarging.draw_starts(world.shape[0], 300, 1)
    lengths = np.diff(world.split.seen.indptr)[starts]
    assert np.array_equal(np.diff(made.generate_log(0).seen.indptr), lengths)
    assert np.array_equal(made.groups, world.groups[starts])
    assert len(set(made.split.user_ids)) == 300
    assert len(np.unique(starts)) > world.shape[0] / 2


def test_the_first_people_of_a_larger_world_are_a_smaller_one(world, monkeypatch):
    monkeypatch.setattr(enlarging, "_BLOCK", 7)
    some, more = (enlarging.draw_people(world, n, seed=2) for n in (20, 33))
    assert more.log_rates[:20] == pytest.approx(some.log_rates, abs=1e-5)
    assert not np.allclose(enlarging.draw_people(world, 20, seed=4).log_rates, some.log_rates)


def test_more_smoothing_puts_people_farther_from_users_and_copies_are_refused(world, monkeypatch):
    tastes, found = np.random.default_rng(1).normal(size=(400, 8)), []
    nobody = make_empty_split((400, 8))
    fitted = replace(world, split=nobody, log_rates=tastes, like_logits=tastes, groups=np.zeros(400, np.int32))
    starts = enlarging.draw_starts(400, 1000, 0)
    for smoothing in (0.02, 0.4, 1.0):
        monkeypatch.setattr(enlarging, "SMOOTHING", smoothing)
        people = enlarging.smooth_users(fitted, starts, 0)
        found.append(enlarging.compare_distances(tastes, people.log_rates, starts))
    assert not any(one.holds for one in found[0])
    for some, more, most in zip(*found, strict=True):
        assert some.generated < 0.5 * more.generated < more.generated < most.generated


def test_a_world_of_copies_is_refused_by_name(world, monkeypatch):
    monkeypatch.setattr(enlarging, "SMOOTHING", 0.02)
    monkeypatch.setattr(enlarging, "compare_logs", lambda *_, **__: [])
    monkeypatch.setattr(enlarging, "compare_histories", lambda *_: enlarging.WorldCheck("same", 1, 1, 1, 1))
    fit = enlarge_fit(TasteFit(world, 1.0), 200, factors=3)
    with pytest.raises(RecsysError, match=r"^world w is not like its log: new people: distance of tastes .* refused$"):
        fit.check_world("w")


def test_as_many_people_as_the_log_has_users_are_held_against_it(world, monkeypatch):
    asked = []
    real = enlarging.compare_logs
    monkeypatch.setattr(
        enlarging, "compare_logs", lambda made, *a, **s: (asked.append((made, s)), real(made, *a, **s))[1]
    )
    for users in (12, 200):
        checks = enlarge_fit(TasteFit(world, 1.0), users, factors=3).checks
        assert all(one.name.startswith("new people: ") for one in checks)
    assert [made.shape for made, _ in asked] == [world.shape] * 2
    assert all(said["real"] is world.split for _, said in asked)


def test_the_distance_to_another_of_the_same_start():
    people = np.array([[0.0], [5.0], [1.0], [9.0], [3.0]], dtype=np.float32)
    found = enlarging.find_sibling_distance(people, np.array([4, 0, 4, 7, 4]))
    assert found.tolist() == [1.0, np.inf, 2.0, np.inf, 3.0]


def test_the_nearest_history_against_a_slow_loop(world):
    likes = world.generate_log(0).train
    rows = likes.toarray()
    best = [
        max(a @ b / np.sqrt(max(a.sum() * b.sum(), 1)) for m, b in enumerate(rows) if m != n)
        for n, a in enumerate(rows)
    ]
    assert enlarging.measure_nearest_history(likes) == pytest.approx(np.mean(best), abs=1e-6)


@pytest.mark.parametrize("users", [9, 10.5, "many"])
def test_fewer_people_than_ten_are_one_line(world, users):
    with pytest.raises(RecsysError, match=r"^world: users is .*, expected a whole number from 10 on$"):
        enlarging.draw_people(world, users)
