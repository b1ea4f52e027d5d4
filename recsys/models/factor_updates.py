"""Factor models without some rows: users solved exactly, items in rounds from where they stand, and the error left."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.maths.fold_in import gram, solve_user_factors
from recsys.models import als_solver
from recsys.types.arrays import Csr, Doubles, make_empty_matrix
from recsys.types.forgetting import EXACT, PENDING, SOLVED, ForgottenPart
from recsys.types.models import Factors

_USERS = 256  # whose scores are made at once
_OF_USERS = "the least squares of the remaining rows, given the item factors"
_OF_ITEMS = "the least squares of the remaining rows, given the user factors"


def can_solve_items(factors: Factors) -> bool:
    """Return whether both sides are least squares of the solver here: those of ALS and iALS are, MLlib's are not."""
    if factors.ridge_cells is not None:
        return False
    return factors.regularization > 0 and factors.observed_weight > 0 and (factors.nu == 0 or _is_plain(factors))


def _is_plain(factors: Factors) -> bool:
    return factors.observed_weight == 1.0


def update_factors(
    factors: Factors, after: Csr, dislikes: Csr | None, rounds: int
) -> tuple[Factors, tuple[ForgottenPart, ...]]:
    """Return the factors of the positives `after` (U, I), and what became of both sides.

    The user side is solved exactly. In each of `rounds` it takes turns with the item side, from the factors that are
    there (Untrain-ALS: Xu et al. 2023, continue alternating least squares on the rows that are left). What is left of
    the old rows falls with each round, and slowly. A refit of few rounds ends elsewhere, so that the bound of the item
    side is one on the distance to its own least squares, given the users.
    """
    from threadpoolctl import threadpool_limits

    known = make_empty_matrix(after.shape) if dislikes is None or not factors.disliked_weight else dislikes
    unobserved, disliked, regularization = (
        weight / (factors.observed_weight or 1.0)
        for weight in (factors.unobserved_weight, factors.disliked_weight, factors.regularization)
    )
    target = factors.target_weight / (factors.observed_weight or 1.0)  # the solver's is 1: factors are in proportion
    users, items = factors.user_factors.astype(np.float64), factors.item_factors.astype(np.float64)
    if not rounds:
        return _solve_users_alone(factors, after, known)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        of_users, of_items = als_solver.make_half_steps(
            after, known, unobserved, disliked, regularization, factors.nu, workers
        )
        for _ in range(rounds):
            users = target * of_users.solve_exactly(users / target, items)[0]
            items = target * of_items.solve_exactly(items / target, users)[0]
        items = items.astype(np.float32).astype(np.float64)  # as they are kept
        users = target * of_users.solve_exactly(users / target, items)[0]
    made = replace(_make_factors(factors, after, users, items), predicted=None)
    residual, bound = bound_item_error(made, after, known)
    return made, (
        ForgottenPart("user factors", EXACT, 0.0, _OF_USERS),
        ForgottenPart("item factors", SOLVED, bound, _OF_ITEMS, residual),
    )


def _solve_users_alone(factors: Factors, after: Csr, dislikes: Csr) -> tuple[Factors, tuple[ForgottenPart, ...]]:
    users = solve_user_factors(factors, after, dislikes).astype(np.float64)
    made = _make_factors(factors, after, users, factors.item_factors.astype(np.float64))
    return made, (ForgottenPart("user factors", EXACT, 0.0, _OF_USERS), ForgottenPart("item factors", PENDING))


def _make_factors(factors: Factors, after: Csr, users: Doubles, items: Doubles) -> Factors:
    """Return the factors as float32; a user without likes has the mean factor of those who have some."""
    liked = np.diff(after.indptr) > 0
    users[~liked] = typical = users[liked].mean(axis=0)
    return replace(
        factors,
        user_factors=np.ascontiguousarray(users, dtype=np.float32),
        item_factors=np.ascontiguousarray(items, dtype=np.float32),
        mean_user_factor=np.asarray(typical, dtype=np.float32),
    )


def bound_item_error(factors: Factors, likes: Csr, dislikes: Csr) -> tuple[float, float]:
    """Return the largest residual of items' normal equations, and a bound on any number's distance to their solution.

    With A y = b the equations of an item, given the users, and r = A y - b, the factor y is wrong by A^-1 r, which is
    at most |r| / lambda_min(A) long; lambda_min is at least the item's ridge plus that of a X'X. Items without likes
    are zero, as fits leave them. Likes and dislikes are (U, I).
    """
    users, items = factors.user_factors.astype(np.float64), factors.item_factors.astype(np.float64)
    liked = np.diff(likes.indptr) > 0
    users[~liked] = 0.0  # as in training: the mean factor of a user without likes is no solution
    counts = np.bincount(likes.indices, minlength=likes.shape[1])
    common = gram(replace(factors, item_factors=users.astype(np.float32)))
    ridges = factors.regularization * (counts + factors.unobserved_weight * likes.shape[0]) ** factors.nu
    residuals = items @ common + ridges[:, None] * items
    for part in iter_blocks(likes.shape[0], _USERS):
        scores = users[part] @ items.T
        for known, weight, target in (
            (likes, factors.observed_weight, factors.target_weight),
            (dislikes, factors.disliked_weight, 0.0),
        ):
            rows = known[part]
            values = weight * scores[np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), rows.indices] - target
            residuals += np.asarray(Csr((values, rows.indices, rows.indptr), shape=rows.shape).T @ users[part])
    lengths = np.linalg.norm(residuals, axis=1)[counts > 0]
    smallest = ridges[counts > 0] + max(float(np.linalg.eigvalsh(common)[0]), 0.0)
    return float(lengths.max()), float((lengths / smallest).max())
