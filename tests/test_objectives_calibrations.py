"""Calibration to recent histories, and to how popular a history is."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, make_split

from recsys import data, splits
from recsys.kernels.reference import compute_gains
from recsys.maths.distributions import kl, user_mixes
from recsys.maths.popularity import group_by_popularity
from recsys.maths.time_decay import apply_time_decay, get_positive_times
from recsys.objectives import calibration, popularity_calibration
from recsys.retrieval.candidates import candidates
from recsys.types import RecsysError

K = 4
DAY = 24 * 60 * 60.0


@pytest.fixture
def timed(split):
    """The split of the other tests, with times up to two years apart; one positive at the moment 0."""
    times = split.train.astype(np.float64)
    times.data = np.random.default_rng(4).uniform(1e9, 1e9 + 700 * DAY, times.nnz)
    times.data[3] = 0.0
    return replace(split, train_times=times)


def named(groups):
    assert (groups.sum(axis=1) == 1).all()
    return "".join("HMT"[g] for g in groups.toarray().argmax(axis=1))


@pytest.mark.parametrize(
    ("users", "head", "tail", "expected"),
    [
        ((10, 5, 2, 1, 1, 1), 0.2, 0.2, "HMMTTT"),  # 20 interactions: 10 pass 4; 10 + 5 + 2 = 17 pass 16
        ((10, 5, 2, 1, 1, 1), 0.51, 0.1, "HHMMMM"),  # 10 do not reach 10.2; 17 do not reach 18
        ((10, 5, 2, 1, 1, 1), 0.5, 0.15, "HMMTTT"),  # 10 reach 10; 17 reach 17
        ((10, 5, 2, 1, 1, 1), 0.5, 0.14, "HMMMMM"),  # 17 < 17.2
        ((4, 4, 1, 0), 0.2, 0.2, "HHTT"),  # items with equally many users stay together
        ((3, 3, 3), 0.2, 0.2, "HHH"),
    ],
)
def test_groups_are_cut_at_shares_of_all_interactions(users, head, tail, expected):
    assert named(group_by_popularity(np.array(users, dtype=float), head, tail)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any), st.sampled_from([0.125, 0.25, 0.5]))
def test_groups_are_those_of_a_walk_down_the_catalogue(users, share):
    group = dict.fromkeys(range(len(users)), "T")
    for letter, limit in (("M", (1 - share) * sum(users)), ("H", share * sum(users))):
        reached = 0
        for level in sorted({*users} - {0}, reverse=True):
            if reached >= limit:
                break
            here = [i for i, n in enumerate(users) if n == level]
            group.update(dict.fromkeys(here, letter))  # the head comes second: it has the last word
            reached += level * len(here)
    assert named(group_by_popularity(np.array(users, dtype=float), share, share)) == "".join(group.values())


def test_popularity_calibration_is_the_fall_of_the_divergence(split, model):
    pool = candidates(model, split, n=20)
    term = popularity_calibration(pool, K, head=0.3, tail=0.4, alpha=0.05)
    groups = group_by_popularity(split.train.sum(axis=0), 0.3, 0.4).toarray()
    for u in (0, 7, 22):
        history = split.train.toarray()[u] > 0
        p, slate = groups[history].mean(axis=0), [7, 0, 3, 9]
        total = sum(compute_gains(term, u, slate[:s], 12)[i] for s, i in enumerate(slate))
        q = groups[pool.items[u, slate]].mean(axis=0)
        assert total == pytest.approx(kl(p, 0.05 * p) - kl(p, 0.95 * q + 0.05 * p), rel=1e-5)


def test_the_published_divergence_has_no_greedy_bound_and_this_form_has():
    """On subsets of six items with shares p = (.5, .3, .2): monotone, and gains fall as the slate grows."""
    p, groups = np.array([0.5, 0.3, 0.2]), np.eye(3)[[0, 0, 1, 1, 2, 2]]

    def published(chosen):
        if not chosen:
            return -np.log(2)
        q = groups[list(chosen)].mean(axis=0)
        return -(kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2

    def ours(chosen):
        q = groups[list(chosen)].sum(axis=0) / K
        return -float(kl(p, 0.99 * q + 0.01 * p))

    def violations(value):
        falls = grows = 0
        for small in (s for n in range(3) for s in combinations(range(6), n)):
            for more in set(range(6)) - set(small):
                for item in set(range(6)) - {*small, more}:
                    gain = value((*small, item)) - value(small)
                    falls += gain < -1e-9
                    grows += value((*small, more, item)) - value((*small, more)) > gain + 1e-9
        return falls, grows

    assert violations(ours) == (0, 0)
    assert min(violations(published)) > 0


def test_weights_halve_from_each_users_own_last_positive():
    train = sparse.csr_array(np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], dtype=np.float32))
    times = sparse.csr_array(np.array([[9, 0, 5, 1], [0, 0, 0, 0], [0, 100, 0, 98]]) * DAY)
    assert apply_time_decay(train, times, 2.0).toarray().tolist() == [
        [1, 0, 0.25, 0.0625],
        [0, 0, 0, 0],
        [0, 1, 0, 0.5],
    ]
    assert apply_time_decay(train, times, 1e-6).toarray()[0, 3] == 2.0**-100


def test_times_are_found_wherever_they_stand_and_zero_is_a_time(timed):
    shuffled = sparse.csr_array(timed.train_times.tocoo())
    shuffled.eliminate_zeros()
    assert shuffled.nnz == timed.train.nnz - 1
    assert (get_positive_times(timed.train, shuffled) == timed.train_times.data).all()


@pytest.mark.parametrize("objective", [calibration, popularity_calibration])
def test_a_short_half_life_is_the_last_positive_and_an_endless_one_the_history(timed, model, objective):
    pool = candidates(model, timed, n=20)
    plain, endless, short = (objective(pool, K, half_life=h) for h in (np.inf, 1e12, 1e-9))
    assert (plain.need == user_mixes(timed.train, plain.coverage)).all()
    np.testing.assert_allclose(endless.need, plain.need, rtol=1e-6)
    times = timed.train_times.toarray()
    shares = plain.coverage.toarray()
    for u in range(30):
        last = shares[np.where(timed.train.toarray()[u] > 0, times[u], -1).argmax()]
        if last.any():
            np.testing.assert_allclose(short.need[u], last, atol=1e-6)


def test_calibration_to_a_recent_history_is_the_fall_of_its_divergence(timed, model):
    pool = candidates(model, timed, n=20)
    term = calibration(pool, K, half_life=90)
    features = timed.items.features.toarray()
    shares = features / np.maximum(features.sum(axis=1, keepdims=True), 1)
    times, slate = timed.train_times.toarray(), [7, 0, 3, 9]
    for u in (1, 8, 19):
        met = np.flatnonzero(timed.train.toarray()[u])
        weights = 2.0 ** ((times[u, met] - times[u, met].max()) / (90 * DAY))
        p = weights @ shares[met]
        p /= p.sum()
        total = sum(compute_gains(term, u, slate[:s], 12)[i] for s, i in enumerate(slate))
        q = shares[pool.items[u, slate]].mean(axis=0)
        assert total == pytest.approx(kl(p, 0.01 * p) - kl(p, 0.99 * q + 0.01 * p), rel=1e-5)


def test_calibration_to_a_shrunk_mix_is_the_fall_of_its_divergence(split, model):
    pool, kappa = candidates(model, split, n=20), 4.0
    term = calibration(pool, K, kappa=kappa)
    features = split.items.features.toarray()
    shares = features / np.maximum(features.sum(axis=1, keepdims=True), 1)
    mass = split.train.toarray() @ shares
    usual = mass.sum(axis=0) / mass.sum()
    slate = [7, 0, 3, 9]
    for u in (1, 8, 19):
        p = (mass[u] + kappa * usual) / (mass[u].sum() + kappa)
        total = sum(compute_gains(term, u, slate[:s], 12)[i] for s, i in enumerate(slate))
        q = shares[pool.items[u, slate]].mean(axis=0)
        assert total == pytest.approx(kl(p, 0.01 * p) - kl(p, 0.99 * q + 0.01 * p), rel=1e-5)
    np.testing.assert_array_equal(calibration(pool, K, kappa=0.0).need, calibration(pool, K).need)
    with pytest.raises(RecsysError, match=r"^calibration: kappa is -1.0, expected a number from 0 on"):
        calibration(pool, K, kappa=-1.0)


def test_times_of_the_log_reach_the_objective():
    log = {
        "user_id": [u for u in range(9) for _ in range(6)],
        "item_id": [(u + i) % 8 for u in range(9) for i in range(6)],
        "datetime": np.datetime64("2020-01-01") + np.arange(54).astype("timedelta64[D]"),
    }
    split = splits.per_user_time(data.read_frame(log), test=0.2).test_view()
    pool = candidates(RandomFactorModel(split), split, n=2)
    assert pool.context.times is split.train_times
    assert (popularity_calibration(pool, 2, half_life=1.0).need != popularity_calibration(pool, 2).need).any()


@pytest.mark.parametrize(
    ("objective", "wrong", "line"),
    [
        (calibration, {"half_life": 0.0}, "calibration: half_life is 0.0, expected a number of days above 0"),
        (calibration, {"half_life": float("nan")}, "calibration: half_life is nan, expected a number of days above 0"),
        (
            popularity_calibration,
            {"half_life": 30.0},
            "popularity_calibration: half_life needs to know when each positive was, and this data has no times",
        ),
        (
            popularity_calibration,
            {"head": 0.7, "tail": 0.4},
            "popularity_calibration: head is 0.7 and tail is 0.4, expected at most 1 together",
        ),
        (popularity_calibration, {"head": float("nan")}, "head is nan, expected a share above 0 and below 1"),
        (
            popularity_calibration,
            {"alpha": 1.0},
            "popularity_calibration: alpha is 1.0, expected a number above 0 and below 1",
        ),
    ],
)
def test_what_cannot_be_is_one_line(objective, wrong, line):
    split = make_split()
    with pytest.raises(RecsysError) as caught:
        objective(candidates(RandomFactorModel(split), split, n=5), K, **wrong)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
