"""EASE: what it takes, in both precisions, and what that changes."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from recsys import models
from recsys.models import EASE
from recsys.types import RecsysError


def log(users, items, each, *, seed=0, index=np.int32):
    """Return positives of which the first items have most, as in a real log."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, items + 1)
    columns = rng.choice(items, size=users * each, p=chances / chances.sum())
    cells = np.unique(np.repeat(np.arange(users), each) * items + columns)
    start = np.searchsorted(cells // items, np.arange(users + 1))
    train = sparse.csr_array((np.ones(len(cells), np.float32), cells % items, start), shape=(users, items))
    train.indices, train.indptr = train.indices.astype(index), train.indptr.astype(index)
    return train


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("users", "items", "each", "index"),
    [(300, 800, 20, np.int32), (4000, 900, 40, np.int32), (600, 2050, 15, np.int32), (600, 2050, 15, np.int64)],
)
def test_what_is_needed_is_what_is_taken(users, items, each, index, dtype):
    train = log(users, items, each, index=index)
    model = EASE(dtype=dtype)
    model.fit(log(50, 20, 3))  # imports are not counted
    tracemalloc.start()
    try:
        fitted = model.fit(train)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    need = model.estimate_memory(train)
    assert peak <= 1.02 * need.peak
    # The block is counted as full: this log fills it less.
    square = {"float64": 8, "float32": 4}[dtype] * items**2
    assert peak >= need.peak - 16 * min(items**2, 4_000_000) and peak >= square
    assert kept <= 1.05 * need.kept and fitted.weights.nbytes == need.kept


def test_a_large_sparse_catalogue_needs_one_matrix():
    """The size of Gowalla: 30,000 users, 41,000 items, 810,000 positives; X'X has 2.5 % of its cells."""
    train = sparse.csr_array((29_858, 40_981), dtype=np.float32)
    square = 40_981**2
    assert 8 * square <= EASE().estimate_memory(train).peak <= 8 * square + 100e6
    assert 4 * square <= EASE(dtype="float32").estimate_memory(train).peak <= 4 * square + 100e6


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_is_refused_that_fits(dtype, monkeypatch):
    train, model = log(60, 40, 5), EASE(dtype=dtype)
    need = model.estimate_memory(train).peak
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: need)
    assert model.fit(train).weights.shape == (40, 40)
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: need - 1)
    with pytest.raises(RecsysError) as caught:
        model.fit(train)
    line = str(caught.value)
    assert f"ease: 40 items need {need:,} bytes of memory, and {need - 1:,} are available" in line and "\n" not in line
    other = f'use dtype = "float32", which needs {EASE(dtype="float32").estimate_memory(train).peak:,} bytes'
    assert (other in line) == (dtype == "float64")


@pytest.mark.parametrize("items", [1, 2, 3, 40, 511, 512, 513, 700])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_precisions_are_the_ridge_regression(items, dtype):
    train = log(300, items, 6)
    dense = train.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 20.0 * np.eye(items))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    weights = EASE(l2=20.0, dtype=dtype).fit(train).weights
    assert weights.dtype == np.float32 and weights.flags.c_contiguous and not np.diag(weights).any()
    np.testing.assert_allclose(weights, expected, atol=1e-6 if dtype == "float64" else 2e-5)


def test_ratings_are_taken_as_values():
    train = log(200, 90, 8)
    train.data = np.random.default_rng(1).integers(1, 6, train.nnz).astype(np.float32)
    double, single = (EASE(l2=20.0, dtype=dtype).fit(train).weights for dtype in ("float64", "float32"))
    np.testing.assert_allclose(double, single, atol=2e-5)
    assert (double != EASE(l2=20.0).fit(log(200, 90, 8)).weights).any()


@pytest.mark.parametrize("dtype", ["float16", "float", "Float32", "", None, 32, [], np.float32])
def test_another_dtype_is_one_line(dtype):
    with pytest.raises(RecsysError, match="ease: unknown dtype") as caught:
        EASE(dtype=dtype)
    assert "\n" not in str(caught.value)


def test_a_singular_matrix_says_what_helps():
    dense = np.ones((64, 3), np.float32)  # the first two items have the same users
    dense[::2, 2] = 0.0
    dense[::3, :2] = 0.0
    train = sparse.csr_array(dense[dense.any(axis=1)])
    assert np.isfinite(EASE(l2=1e-6).fit(train).weights).all()
    with pytest.raises(RecsysError, match=r'use a larger l2, or dtype = "float64"'):
        EASE(l2=1e-6, dtype="float32").fit(train)
