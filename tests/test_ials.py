import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys.models import ALS, IALS, MostPopular, als_solver
from recsys.models.factor_model import compute_loss
from recsys.models.registry import find_model
from recsys.types import RecsysError, SideInformation


def log(seed: int = 0, users: int = 70, items: int = 45) -> sparse.csr_array:
    """Likes of two communities; user 7 and item 3 have nothing."""
    rng = np.random.default_rng(seed)
    same = (np.arange(users)[:, None] < users // 2) == (np.arange(items) < items // 2)
    dense = (rng.random((users, items)) < np.where(same, 0.4, 0.05)).astype(np.float32)
    dense[7], dense[:, 3] = 0, 0
    return sparse.csr_array(dense)


def declined(train: sparse.csr_array, seed: int = 1) -> SideInformation:
    free = (np.random.default_rng(seed).random(train.shape) < 0.1) & (train.toarray() == 0)
    return SideInformation(dislikes=sparse.csr_array(free.astype(np.float32) * 2))


def ridges(model: IALS, dense: np.ndarray) -> np.ndarray:
    return model.regularization * (dense.sum(axis=1) + model.unobserved * dense.shape[1]) ** model.nu


def solved(model: IALS, likes: np.ndarray, dislikes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The slow half step: a dense least-squares problem for each row."""
    found = np.zeros((len(likes), other.shape[1]))
    for row, ridge in enumerate(ridges(model, likes)):
        if likes[row].any():
            weight = model.unobserved + likes[row] + model.disliked * dislikes[row]
            left = other.T @ (weight[:, None] * other) + ridge * np.eye(other.shape[1])
            found[row] = np.linalg.solve(left, likes[row] @ other)
    return found


def dense_loss(model: IALS, likes: np.ndarray, dislikes: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[float]:
    scores = x @ y.T
    observed = (likes * (1 - scores) ** 2).sum() + model.disliked * (dislikes * scores**2).sum()
    length = (ridges(model, likes) * (x**2).sum(axis=1)).sum() + (ridges(model, likes.T) * (y**2).sum(axis=1)).sum()
    return [observed, model.unobserved * (scores**2).sum(), length]


SETTINGS = [
    IALS(factors=6, unobserved=0.2, regularization=0.05, iterations=4),
    IALS(factors=9, unobserved=0.7, regularization=1.3, nu=0.0, iterations=3, disliked=2.0),
    IALS(factors=60, unobserved=0.1, regularization=0.02, nu=0.5, iterations=3, disliked=0.5),  # d > items
]


@pytest.fixture(params=SETTINGS, ids=lambda m: f"d={m.factors},nu={m.nu}")
def world(request):
    train = log()
    side = declined(train)
    likes, dislikes = train.toarray().astype(np.float64), (side.dislikes.toarray() > 0).astype(np.float64)
    return request.param, train, side, likes, dislikes


def test_user_factors_solve_the_normal_equations(world):
    model, train, side, likes, dislikes = world
    found = model.fit(train, side).factors
    wanted = solved(model, likes, dislikes, found.item_factors.astype(np.float64))
    liked = likes.any(axis=1)
    assert np.abs(found.user_factors[liked] - wanted[liked]).max() < 1e-5 * np.abs(wanted).max()
    np.testing.assert_allclose(found.mean_user_factor, wanted[liked].mean(axis=0), atol=1e-5 * np.abs(wanted).max())
    assert (found.user_factors[7] == found.mean_user_factor).all()
    assert (found.item_factors[3] == 0).all()


def test_an_epoch_run_to_convergence_is_the_dense_reference(world, monkeypatch):
    model, train, side, likes, dislikes = world
    monkeypatch.setattr(als_solver, "_CG_APPROXIMATE", (300, 1e-7))
    start = model.fit(train, side)
    items = solved(model, likes.T, dislikes.T, solved(model, likes, dislikes, start.factors.item_factors.astype(float)))
    users = solved(model, likes, dislikes, items)
    found = replace(model, iterations=1).fit(train, side, start=start).factors
    scores = found.user_factors.astype(np.float64) @ found.item_factors.T
    liked = likes.any(axis=1)
    np.testing.assert_allclose(scores[liked], (users @ items.T)[liked], atol=2e-5)


def test_loss_parts_are_those_of_the_objective(world):
    model, train, side, likes, dislikes = world
    fitted = model.fit(train, side)
    x, y = fitted.factors.user_factors.astype(np.float64), fitted.factors.item_factors.astype(np.float64)
    x[7] = 0  # who has no likes is not trained on
    wanted = dense_loss(model, likes, dislikes, x, y)
    found = compute_loss(fitted.factors, train, side)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.total == pytest.approx(sum(wanted))
    # Those of the record stand before the last half step over users: hardly larger after a nearly exact epoch.
    after = fitted.losses.sum(axis=1)
    assert len(after) == model.iterations
    assert found.total <= after[-1]


def test_reported_losses_are_those_of_the_epochs(monkeypatch):
    model, train = IALS(factors=5, unobserved=0.3, regularization=0.02, iterations=3), log()
    caught = []
    exact = als_solver.HalfStep.solve_exactly

    def catching(half, own, other):
        caught.append(dense_loss(model, train.toarray(), np.zeros(train.shape), own.astype(float), other.astype(float)))
        return exact(half, own, other)

    monkeypatch.setattr(als_solver.HalfStep, "solve_exactly", catching)
    np.testing.assert_allclose(model.fit(train, validate=lambda fitted: len(caught)).losses, caught, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 300])
def test_loss_never_rises(world, monkeypatch, steps):
    model, train, side, *_ = world
    monkeypatch.setattr(als_solver, "_CG_APPROXIMATE", (steps, 1e-6))
    totals = replace(model, iterations=25).fit(train, side).losses.sum(axis=1)
    assert (np.diff(totals) <= 2e-6 * totals[0]).all()
    assert totals[-1] < 0.95 * totals[0]


def test_gradient_vanishes_at_the_end():
    train = log()
    likes, none = train.toarray().astype(np.float64), np.zeros(train.shape)
    model = IALS(factors=4, unobserved=0.3, regularization=0.05, iterations=800)
    found = model.fit(train).factors
    x, y = found.user_factors.astype(np.float64), found.item_factors.astype(np.float64)
    x[7] = 0
    weight = likes + model.unobserved
    for own, other, matrix in ((x, y, likes), (y, x, likes.T)):
        w = weight if matrix is likes else weight.T
        gradient = (w * (own @ other.T)) @ other - matrix @ other + ridges(model, matrix)[:, None] * own
        assert np.abs(gradient).max() < 1e-3 * np.abs(matrix @ other).max()
    assert np.allclose(solved(model, likes.T, none.T, x), y, atol=1e-3 * np.abs(y).max())


def test_warm_start_continues(monkeypatch):
    train, model = log(), IALS(factors=6, iterations=3)
    first = model.fit(train)
    kept = first.factors.user_factors.copy(), first.factors.item_factors.copy()
    more = model.fit(train, start=first)
    assert more.losses.sum(axis=1)[0] < compute_loss(first.factors, train).total
    assert (first.factors.user_factors == kept[0]).all()
    assert (first.factors.item_factors == kept[1]).all()
    monkeypatch.setattr(als_solver, "_CG_APPROXIMATE", (300, 1e-7))
    half = model.fit(train, start=model.fit(train))
    whole = replace(model, iterations=6).fit(train)
    users = np.arange(70, dtype=np.int32)
    np.testing.assert_allclose(half.score(users), whole.score(users), atol=1e-4)


def test_the_best_by_validation_is_kept_and_patience_ends_training():
    train, model, values = log(), IALS(factors=4, iterations=30, patience=2), iter([0.1, 0.3, 0.2, 0.3, 0.9])
    seen = []
    best = model.fit(train, validate=lambda fitted: seen.append(fitted) or next(values))
    assert len(seen) == 4
    assert best is seen[1]
    two = IALS(factors=4, iterations=2).fit(train)
    assert (best.factors.item_factors == two.factors.item_factors).all()
    assert (best.factors.user_factors == two.factors.user_factors).all()
    assert (best.losses == two.losses).all()


def test_without_patience_all_epochs_are_run():
    seen = []
    best = IALS(factors=4, iterations=6).fit(log(), validate=lambda fitted: seen.append(fitted) or -len(seen))
    assert len(seen) == 6
    assert best is seen[0]


PRINT_BITS = """
import hashlib, numpy as np
from scipy import sparse
from recsys.models import IALS
dense = np.random.default_rng(0).random((1100, 120)) < np.linspace(0.3, 0.02, 120)
train = sparse.csr_array(dense.astype(np.float32))
for threads in (1, 3):
    fitted = IALS(factors=33, iterations=2).fit(train, n_threads=threads)
    parts = (fitted.factors.user_factors, fitted.factors.item_factors, fitted.losses)
    print(*(hashlib.sha256(part.tobytes()).hexdigest() for part in parts))
"""


def test_same_seed_same_bits_whatever_the_number_of_threads():
    lines = []
    for threads in ("1", "3"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-W", "error", "-c", PRINT_BITS]
        lines += subprocess.check_output(command, text=True, env={**os.environ, **limits}).splitlines()
    assert len(lines) == 4
    assert len(set(lines)) == 1
    assert len(set(lines[0].split())) == 3


def test_another_seed_gives_other_factors():
    one, other = (IALS(factors=4, iterations=1, seed=seed).fit(log()).factors for seed in (0, 1))
    assert (one.item_factors != other.item_factors).any()


def test_folding_in_a_history_gives_the_scores_of_its_user(world):
    model, train, side, *_ = world
    fitted = replace(model, disliked=0.0).fit(train, side)
    users = np.array([0, 7, 31], dtype=np.int32)
    np.testing.assert_allclose(fitted.fold(train[users]), fitted.score(users), atol=1e-5)


def test_dislikes_lower_the_scores_where_they_are():
    train = log()
    side = declined(train)
    users, cells = np.arange(70, dtype=np.int32), side.dislikes.nonzero()
    model = IALS(factors=8)
    without = model.fit(train, side).score(users)
    assert (without == model.fit(train).score(users)).all()
    assert np.median(replace(model, disliked=5.0).fit(train, side).score(users)[cells]) < np.median(without[cells])


def test_with_nu_0_it_is_the_loss_of_als():
    train, alpha0 = log(), 0.3
    alpha = 1 + 1 / alpha0
    theirs = ALS(factors=5, alpha=alpha, regularization=3.0).fit(train)
    scale = np.float32(np.sqrt(1 + alpha0))
    ours = replace(
        theirs.factors,
        user_factors=theirs.factors.user_factors / scale,
        item_factors=theirs.factors.item_factors / scale,
        unobserved_weight=alpha0,
        observed_weight=1.0,
        target_weight=1.0,
        regularization=3.0 / alpha,
    )
    # Equal up to a factor, but for the constants: a like costs alpha at score 0 there, and 1 here.
    there, here = (
        compute_loss(theirs.factors, train).total - alpha * train.nnz,
        compute_loss(ours, train).total - train.nnz,
    )
    assert here == pytest.approx(there * alpha0 / (1 + alpha0) ** 2, rel=1e-5)
    best = IALS(factors=5, unobserved=alpha0, regularization=3.0 / alpha, nu=0.0, iterations=100).fit(train)
    assert compute_loss(best.factors, train).total <= compute_loss(ours, train).total * 1.0001


def test_any_layout_of_the_log_gives_the_same():
    train, model = log(), IALS(factors=4, iterations=2)
    wide = sparse.csr_array((train.data, train.indices.astype(np.int64), train.indptr.astype(np.int64)), train.shape)
    weighted = sparse.csr_array(train * 3.0)  # positives are positives
    wanted = model.fit(train).factors.user_factors
    for other in (wide, weighted):
        assert (model.fit(other).factors.user_factors == wanted).all()


def test_its_name_in_a_config():
    assert find_model("ials") is IALS


def test_what_cannot_be_meant_is_refused():
    train = log()
    for settings in (
        {"factors": 0},
        {"unobserved": 0.0},
        {"regularization": -1},
        {"nu": float("nan")},
        {"patience": -1},
    ):
        with pytest.raises(RecsysError, match=f"ials: {next(iter(settings))} is "):
            IALS(**settings)
    with pytest.raises(RecsysError, match="found no positives"):
        IALS().fit(sparse.csr_array(train.shape, dtype=np.float32))
    with pytest.raises(RecsysError, match=r"start: found \(70, 4, 45\) .* expected \(70, 5, 45\)"):
        IALS(factors=5).fit(train, start=IALS(factors=4, iterations=1).fit(train))
    with pytest.raises(RecsysError, match="start: found a model without factors"):
        IALS(factors=5).fit(train, start=MostPopular().fit(train))
    with pytest.raises(RecsysError, match="validate: found nan"):
        IALS(factors=4).fit(train, validate=lambda fitted: float("nan"))
