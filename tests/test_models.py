import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from scipy import sparse

from recsys import models
from recsys.models import ALS, EASE, MostPopular, Random
from recsys.types import RecsysError

MODELS = [ALS(factors=8), EASE(l2=20.0), MostPopular(), Random()]


def communities(seed: int = 0, users: int = 60, items: int = 40) -> sparse.csr_array:
    """Two halves of the users who like two halves of the items, most of the time; user 7 and item 3 have nothing."""
    rng = np.random.default_rng(seed)
    same = (np.arange(users)[:, None] < users // 2) == (np.arange(items) < items // 2)
    dense = (rng.random((users, items)) < np.where(same, 0.4, 0.03)).astype(np.float32)
    dense[7], dense[:, 3] = 0, 0
    return sparse.csr_array(dense)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_scores_are_finite_float32_for_any_users(model):
    train = communities()
    before = train.copy()
    fitted = model.fit(train)
    users = np.array([5, 7, 0, 5], dtype=np.int32)
    scores = fitted.score(users)
    assert scores.shape == (4, 40)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert (scores[0] == scores[3]).all()
    assert fitted.score(users[:0]).shape == (0, 40)
    assert (train != before).nnz == 0


@pytest.mark.parametrize("model", [EASE(l2=20.0), MostPopular(), Random(seed=3)], ids=lambda m: type(m).__name__)
def test_scores_of_a_user_do_not_depend_on_who_else_is_asked_for(model):
    fitted = model.fit(communities())
    together = fitted.score(np.arange(60, dtype=np.int32))
    for user in (0, 17, 59):
        assert (fitted.score(np.array([user], dtype=np.int32))[0] == together[user]).all()


@pytest.mark.parametrize("model", [ALS(factors=8), EASE(l2=20.0)], ids=lambda m: type(m).__name__)
def test_trained_models_tell_two_communities_apart(model):
    scores = model.fit(communities()).score(np.arange(60, dtype=np.int32))
    first, second = scores[:30, :20], scores[:30, 20:]
    known = [u for u in range(30) if u != 7]
    assert (np.median(first[known], axis=1) > np.median(second[known], axis=1)).mean() > 0.95


def test_als_user_factors_solve_the_normal_equations():
    train = communities()
    model = ALS(factors=6, alpha=4.0, regularization=0.7)
    found = model.fit(train).factors
    assert (found.everywhere, found.observed, found.pull, found.regularization) == (1.0, 3.0, 4.0, 0.7)
    items = found.item_factors.astype(np.float64)
    for user, row in enumerate(train.toarray()):
        confidence = np.where(row > 0, 4.0, 1.0)
        left = items.T @ (confidence[:, None] * items) + 0.7 * np.eye(6)
        wanted = np.linalg.solve(left, items.T @ (confidence * row))
        np.testing.assert_allclose(found.user_factors[user], wanted, rtol=1e-5, atol=1e-7)


def test_als_comes_close_to_the_optimum_of_its_loss():
    train = communities()
    fitted = ALS(factors=4, alpha=3.0, regularization=1.0, iterations=60).fit(train).factors
    X, Y = (side.astype(np.float64) for side in (fitted.user_factors, fitted.item_factors))
    dense = train.toarray().astype(np.float64)
    confidence = np.where(dense > 0, 3.0, 1.0)

    def loss():
        return (confidence * (dense - X @ Y.T) ** 2).sum() + (X**2).sum() + (Y**2).sum()

    reached = loss()
    for _ in range(200):
        for i in range(40):
            weighted = X * confidence[:, i : i + 1]
            Y[i] = np.linalg.solve(X.T @ weighted + np.eye(4), weighted.T @ dense[:, i])
        for u in range(60):
            weighted = Y * confidence[u][:, None]
            X[u] = np.linalg.solve(Y.T @ weighted + np.eye(4), weighted.T @ dense[u])
    assert loss() <= reached <= loss() * 1.005


def test_als_gives_nothing_to_who_has_nothing():
    fitted = ALS(factors=8).fit(communities())
    assert (fitted.factors.user_factors[7] == 0).all()
    assert (fitted.score(np.array([7], dtype=np.int32)) == 0).all()
    assert fitted.factors.user_factors.flags.c_contiguous
    assert fitted.factors.item_factors.flags.c_contiguous
    assert fitted.factors.user_factors.dtype == fitted.factors.item_factors.dtype == np.float32


def test_als_same_seed_same_bits_and_a_refit_starts_afresh():
    train, model = communities(), ALS(factors=8, seed=3)
    one, two, other = model.fit(train).factors, model.fit(train).factors, ALS(factors=8, seed=4).fit(train).factors
    assert (one.item_factors == two.item_factors).all()
    assert (one.user_factors == two.user_factors).all()
    assert (one.item_factors != other.item_factors).any()


PRINT_BITS = """
import hashlib, numpy as np
from scipy import sparse
from recsys.models import ALS, EASE
dense = np.random.default_rng(0).random((300, 400)) < np.linspace(0.3, 0.02, 400)
train = sparse.csr_array(dense.astype(np.float32))
factors = ALS(factors=32).fit(train).factors
for part in (factors.user_factors, factors.item_factors, EASE().fit(train).weights):
    print(hashlib.sha256(part.tobytes()).hexdigest())
"""


def test_threads_do_not_change_a_bit():
    printed = []
    for threads in ("1", "3"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-W", "error", "-c", PRINT_BITS]
        printed.append(subprocess.check_output(command, text=True, env={**os.environ, **limits}))
    assert printed[0] == printed[1]
    assert len(set(printed[0].split())) == 3


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    train = communities(users=50, items=12)
    dense = train.toarray().astype(np.float64)
    weights = EASE(l2=3.0).fit(train).weights
    for item in range(12):
        others = np.delete(np.arange(12), item)
        left = dense[:, others].T @ dense[:, others] + 3.0 * np.eye(11)
        wanted = np.linalg.solve(left, dense[:, others].T @ dense[:, item])
        np.testing.assert_allclose(weights[others, item], wanted, atol=1e-6)
    assert (np.diag(weights) == 0).all()
    scores = EASE(l2=3.0).fit(train).score(np.arange(50, dtype=np.int32))
    np.testing.assert_allclose(scores, dense @ weights, atol=1e-5)


def test_ease_says_how_much_memory_is_missing_before_it_starts(monkeypatch):
    monkeypatch.setattr(models.ease, "_available", lambda: 20 * 40**2 - 1)
    with pytest.raises(RecsysError, match=r"ease: 40 items need 32,000 bytes of memory, and 31,999 are available"):
        EASE().fit(communities())
    monkeypatch.setattr(models.ease, "_available", lambda: 20 * 40**2)
    assert EASE().fit(communities()).weights.shape == (40, 40)
    with pytest.raises(RecsysError, match="bytes of memory"):
        EASE().fit(sparse.csr_array((3, 10**9), dtype=np.float32))


def test_most_popular_counts_users():
    train = sparse.csr_array(np.array([[1, 0, 1], [1, 0, 0]], dtype=np.float32))
    assert MostPopular().fit(train).score(np.array([1, 0])).tolist() == [[2, 0, 1], [2, 0, 1]]


def test_random_is_uniform_and_by_seed():
    train = sparse.csr_array((200, 300), dtype=np.float32)
    users = np.arange(200, dtype=np.int32)
    scores = Random(seed=1).fit(train).score(users)
    assert abs(scores.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(scores[:-1].ravel(), scores[1:].ravel())[0, 1]) < 0.02
    assert (scores != Random(seed=2).fit(train).score(users)).mean() > 0.99


@pytest.mark.parametrize("model", [EASE(), MostPopular(), Random()], ids=lambda m: type(m).__name__)
def test_models_without_factors_have_none(model):
    assert model.fit(communities()).factors is None


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_settings_are_frozen(model):
    for field in fields(model):
        with pytest.raises(FrozenInstanceError):
            setattr(model, field.name, 1)


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [(ALS, {"factors": 0}, "als: factors: found 0"), (ALS, {"factors": 1.5}, "als: factors: found 1.5"),
     (ALS, {"iterations": True}, "als: iterations: found True"), (ALS, {"alpha": -1.0}, "als: alpha: found -1.0"),
     (ALS, {"regularization": 0}, "als: regularization: found 0"), (EASE, {"l2": float("nan")}, "ease: l2: found nan"),
     (EASE, {"l2": "many"}, "ease: l2: found 'many'")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(model, setting, message):
    with pytest.raises(RecsysError) as error:
        model(**setting)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_names_in_configs():
    assert models.__all__ == ["ALS", "EASE", "MostPopular", "Random"]
    kinds = {kind: models.named(kind) for kind in ("als", "ease", "most_popular", "random")}
    assert kinds == {"als": ALS, "ease": EASE, "most_popular": MostPopular, "random": Random}
    with pytest.raises(RecsysError, match="unknown model 'mostpopular': did you mean 'most_popular'"):
        models.named("mostpopular")
    for hidden in ("ALS", "re", "__all__", "unknown"):
        with pytest.raises(RecsysError):
            models.named(hidden)
