"""`benchmarks/households.py`: clusters of a history, the slate of an account, parts that are folded in, and rows."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from recsys.models import IALS
from recsys.types.arrays import Csr

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return runpy.run_path(str(BENCHMARKS / "households.py"))


def test_clusters_are_the_two_directions_of_a_history(script):
    rng = np.random.default_rng(0)
    taste = rng.permutation(np.repeat([0, 1], [6, 9]))
    vectors = np.eye(4, dtype=np.float32)[taste] + rng.normal(0.0, 0.1, (15, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters, index = script["cut_history"](vectors, 3)
    assert (clusters[0] ^ clusters[1]).all()
    assert (clusters[0] == (taste == taste[np.argmax(clusters[0])])).all()
    centres = np.stack([vectors[some].sum(axis=0) for some in clusters])
    within = np.linalg.norm(centres, axis=1).sum()
    expected = (within - np.linalg.norm(vectors.sum(axis=0))) / ((15 - within) / 13)
    np.testing.assert_allclose(index, expected, rtol=1e-3)
    assert index > 50 > script["cut_history"](vectors[taste == 0], 3)[1]


def test_a_slate_has_the_best_of_any_part_or_slots_by_size(script):
    scores = np.stack([np.linspace(1.0, 0.0, 40), np.linspace(0.0, 0.5, 40)])
    closed = np.array([0, 39])
    assert script["fill_slate"](scores, np.array([6, 4]), closed, "largest").tolist() == list(range(1, 11))
    slots = script["fill_slate"](scores, np.array([6, 4]), closed, "slots").tolist()
    assert slots == [1, 38, 2, 37, 3, 4, 36, 5, 35, 6]  # 6 / 1, 4 / 1, 6 / 3, 4 / 3, 6 / 5, 6 / 7, 4 / 5, ...
    same = script["fill_slate"](scores[[0, 0]], np.array([6, 4]), closed, "slots")
    assert same.tolist() == list(range(1, 11))


def test_a_whole_history_has_the_scores_of_the_model_and_parts_those_of_weighted_histories(script):
    rng = np.random.default_rng(1)
    train = Csr((rng.random((12, 20)) < 0.4).astype(np.float32))
    fitted = IALS(factors=3, iterations=2).fit(train)
    model = script["Model"].of(fitted)
    items = train[[4]].indices
    whole = model.score_parts(items, np.ones((1, len(items)), bool), 1.0)
    np.testing.assert_allclose(whole, fitted.score(np.array([4])), rtol=1e-4, atol=1e-6)
    parts = np.arange(len(items)) % 2 == np.arange(2)[:, None]
    made = model.score_parts(items, parts, 0.3)
    factors = fitted.factors
    y = factors.item_factors.astype(np.float64)
    for part, scores in zip(parts, made, strict=True):
        weights = np.where(part, 1.0, 0.3)
        ridge = factors.regularization * (weights.sum() + factors.unobserved_weight * 20) ** factors.nu
        own = y[items]
        matrix = factors.unobserved_weight * y.T @ y + (own.T * weights) @ own + ridge * np.eye(3)
        expected = y @ np.linalg.solve(matrix, factors.target_weight * own.T @ weights)
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
