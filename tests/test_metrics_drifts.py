"""Numbers that are no metrics: displacement of regions, and how far two runs are from each other."""

import itertools
import math

import numpy as np
import pytest
from reference_metrics import make_evaluation
from scipy import sparse, stats

from recsys.maths import blocks
from recsys.maths.distributions import cluster_users, nearby_community_mixes, user_mixes
from recsys.metrics import list_comparison
from recsys.metrics.exposure import compute_region_displacement
from recsys.support import rng
from recsys.types import Evaluation, GroundTruth, TasteMap


@pytest.fixture
def soft():
    """A map whose items lie in several regions; one of them in none."""
    shares = np.random.default_rng(3).random((40, 5)) ** 3
    shares[7] = 0
    return TasteMap("soft", sparse.csr_array(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)), "random")


def mixes(evaluation, taste_map, k):
    """q and e of the users who have both."""
    split = evaluation.truth.split
    own = user_mixes(split.train, taste_map.assignment)
    q = nearby_community_mixes(own, cluster_users(split.train, rng.derive_seed(split.seed, "judge")))
    table = taste_map.assignment.toarray()
    shown = [sum((table[i] for i in row[:k] if i >= 0), np.zeros(5)) for row in evaluation.items]
    return [(a / a.sum(), e / e.sum()) for a, e in zip(q, shown, strict=True) if e.sum() > 0]


@pytest.mark.parametrize("k", [1, 5, 12])
def test_displacement_is_the_mean_of_its_definition(monkeypatch, soft, k):
    evaluation = make_evaluation(k)
    expected = np.zeros((5, 5))
    both = mixes(evaluation, soft, k)
    for q, e in both:
        distance = sum(abs(q - e)) / 2
        for g, h in itertools.product(range(5), range(5)):
            moved = max(0, q[g] - e[g]) * max(0, e[h] - q[h]) / distance
            expected[g, h] += (moved + (min(q[g], e[g]) if g == h else 0)) / len(both)
    assert compute_region_displacement(evaluation, k, soft) == pytest.approx(expected)
    monkeypatch.setattr(blocks.iter_blocks, "__defaults__", (7,))
    assert compute_region_displacement(evaluation, k, soft) == pytest.approx(expected)


def test_displacement_has_the_marginals_and_moves_no_more_than_it_must(soft):
    evaluation = make_evaluation()
    found, both = compute_region_displacement(evaluation, 5, soft), mixes(evaluation, soft, 5)
    assert found.sum(axis=1) == pytest.approx(np.mean([q for q, _ in both], axis=0))
    assert found.sum(axis=0) == pytest.approx(np.mean([e for _, e in both], axis=0))
    assert found.sum() - np.trace(found) == pytest.approx(np.mean([abs(q - e).sum() / 2 for q, e in both]))


def test_displacement_without_slates_is_unknown(soft):
    evaluation = make_evaluation()
    empty = Evaluation(np.full((30, 3), -1, np.int32), evaluation.truth)
    assert np.isnan(compute_region_displacement(empty, 3, soft)).all()


@pytest.fixture
def runs():
    """Two runs of slates of 0 to 8 of ten items, so that they overlap."""
    truth = make_evaluation().truth
    made = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        items = np.argsort(rng.random((30, 10)), axis=1)[:, :8].astype(np.int32)
        items[np.arange(8) >= rng.integers(0, 9, 30)[:, None]] = -1
        made.append(Evaluation(items, GroundTruth(truth.split)))
    return made


def slow(name, run, base, k):
    ours, theirs = ([int(i) for i in row[:k] if i >= 0] for row in (run, base))
    if not ours or not theirs:
        return math.nan
    common = [i for i in ours if i in theirs]
    agreed = [len(set(ours[:r]) & set(theirs[:r])) / r for r in range(1, max(len(ours), len(theirs)) + 1)]
    return {
        "displaced_share": lambda: 1 - len(common) / len(theirs),
        "rank_biased_overlap": lambda: (
            0.1 * sum(0.9**r * a for r, a in enumerate(agreed)) + 0.9 ** len(agreed) * agreed[-1]
        ),
        "kendall_tau": lambda: (
            stats.kendalltau(range(len(common)), [theirs.index(i) for i in common]).statistic
            if len(common) > 1
            else math.nan
        ),
    }[name]()


@pytest.mark.parametrize("k", [1, 3, 8, 11])
@pytest.mark.parametrize("name", ["displaced_share", "rank_biased_overlap", "kendall_tau"])
def test_drift_is_its_definition(monkeypatch, runs, name, k):
    monkeypatch.setattr(list_comparison, "PAIRS", 7)
    expected = [slow(name, run, base, k) for run, base in zip(runs[0].items, runs[1].items, strict=True)]
    assert getattr(list_comparison, name)(*runs, k) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(expected).sum() < 15 or (name == "kendall_tau" and k < 8)


@pytest.mark.parametrize(("name", "same"), [("displaced_share", 0), ("rank_biased_overlap", 1), ("kendall_tau", 1)])
def test_a_run_has_not_drifted_from_itself(runs, name, same):
    found = getattr(list_comparison, name)(runs[0], runs[0], 8)
    assert found[~np.isnan(found)] == pytest.approx(same) and (~np.isnan(found)).sum() > 15


def test_an_order_turned_round_has_a_tau_of_minus_one(runs):
    turned = Evaluation(runs[0].items[:, ::-1].copy(), runs[0].truth)
    found = list_comparison.kendall_tau(turned, runs[0], 8)
    assert found[~np.isnan(found)] == pytest.approx(-1)
