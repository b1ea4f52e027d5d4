"""The least squares of a user's factor, for users and histories that a model has not seen."""

import numpy as np
import scipy  # its parts load when they are used: a ranker without exploration never needs them

from recsys.types.arrays import Csr, Doubles, Floats, make_empty_matrix
from recsys.types.models import Factors

_ROWS = 4096  # items whose variances are computed at once


def gram(factors: Factors) -> Doubles:
    """Return `unobserved_weight` Y'Y, the part of the normal equations that all users share, (d, d)."""
    fitted = factors.item_factors if factors.predicted is None else factors.item_factors[~factors.predicted]
    items = fitted.astype(np.float64)
    return np.asarray(factors.unobserved_weight * items.T @ items)


def cholesky_factor(factors: Factors, common: Doubles, likes: Csr, user: int, dislikes: Csr | None = None) -> Doubles:
    """Return the lower Cholesky factor (d, d) of the matrix that row `user` of `likes` (and `dislikes`) makes.

    Its inverse is the posterior covariance of the user's factor, in units of the noise variance.
    """
    return np.asarray(scipy.linalg.cholesky(make_normal_matrix(factors, common, likes, user, dislikes), lower=True))


def compute_prior_variances(factors: Factors, common: Doubles) -> Doubles:
    """Return y' A^-1 y of each item, (I,), for the matrix A of a user without history; `common` is the `gram`."""
    n_items = len(factors.item_factors)
    lower = cholesky_factor(factors, common, make_empty_matrix((1, n_items)), 0)
    found = np.empty(n_items)
    for start in range(0, n_items, _ROWS):
        rows = factors.item_factors[start : start + _ROWS].astype(np.float64)
        found[start : start + _ROWS] = (scipy.linalg.solve_triangular(lower, rows.T, lower=True) ** 2).sum(axis=0)
    return found


def solve_user_factors(
    factors: Factors, likes: Csr, dislikes: Csr | None = None, common: Doubles | None = None
) -> Floats:
    """Return the factor of each row of `likes` (B, I), (B, d), exactly; `mean_user_factor` for a row without any.

    `common` is the `gram` of the factors, where it is at hand. Values of `likes` are weights by age, and are read where
    the factors were fitted with such (`Factors.oldest_target_weight`).
    """
    if common is None and likes.nnz:  # a catalogue of millions takes a while
        common = gram(factors)
    found = np.empty((likes.shape[0], factors.item_factors.shape[1]), np.float32)
    for user in range(likes.shape[0]):
        if likes.indptr[user] == likes.indptr[user + 1] or common is None:
            found[user] = factors.mean_user_factor
            continue
        solver = scipy.linalg.cho_factor(make_normal_matrix(factors, common, likes, user, dislikes), lower=True)
        found[user] = scipy.linalg.cho_solve(solver, sum_targets(factors, likes, user))
    return found


def make_normal_matrix(factors: Factors, common: Doubles, likes: Csr, user: int, dislikes: Csr | None) -> Doubles:
    """Return the matrix of the normal equations of row `user` of `likes` and `dislikes`, (d, d)."""
    liked = _get_history_factors(factors, likes, user)
    d = factors.item_factors.shape[1]
    weights = get_history_weights(factors, likes, user)
    size = len(liked) if weights is None else float(weights.sum())
    ridge = factors.compute_ridge(size)
    observed = factors.observed_weight * (liked.T if weights is None else liked.T * weights) @ liked
    matrix = common + observed + ridge * np.eye(d)
    if dislikes is not None and factors.disliked_weight:
        disliked = _get_history_factors(factors, dislikes, user)
        matrix = matrix + factors.disliked_weight * disliked.T @ disliked
    return np.asarray(matrix)


def get_history_weights(factors: Factors, likes: Csr, user: int) -> Doubles | None:
    """Return the weights by age of a row's likes, (h,), None where the factors were fitted without such."""
    if factors.oldest_target_weight is None:
        return None
    return likes.data[likes.indptr[user] : likes.indptr[user + 1]].astype(np.float64)


def compute_target_weights(factors: Factors, weights: Doubles) -> Doubles:
    """Return the target weight of each like by its weight by age, (h,)."""
    oldest = factors.oldest_target_weight or 0.0
    return np.asarray(oldest + (factors.target_weight - oldest) * weights, dtype=np.float64)


def sum_targets(factors: Factors, likes: Csr, user: int) -> Doubles:
    """Return the right-hand side of a row's normal equations, (d,)."""
    liked = _get_history_factors(factors, likes, user)
    weights = get_history_weights(factors, likes, user)
    if weights is None:
        return np.asarray(factors.target_weight * liked.sum(axis=0))
    return np.asarray(compute_target_weights(factors, weights) @ liked)


def _get_history_factors(factors: Factors, history: Csr, user: int) -> Doubles:
    items = history.indices[history.indptr[user] : history.indptr[user + 1]]
    return factors.item_factors[items].astype(np.float64)
