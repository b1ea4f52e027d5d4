"""The least squares of a user's factor, for users and histories that a model has not seen."""

import numpy as np
import scipy  # its parts load when they are used: a ranker without exploration never needs them

from recsys.types.arrays import Csr, Doubles, Floats
from recsys.types.models import Factors


def gram(factors: Factors) -> Doubles:
    """Return `unobserved_weight` Y'Y, the part of the normal equations that all users share, (d, d)."""
    items = factors.item_factors.astype(np.float64)
    return np.asarray(factors.unobserved_weight * items.T @ items)


def cholesky_factor(factors: Factors, common: Doubles, likes: Csr, user: int, dislikes: Csr | None = None) -> Doubles:
    """Return the lower Cholesky factor (d, d) of the matrix that row `user` of `likes` (and `dislikes`) makes.

    Its inverse is the posterior covariance of the user's factor, in units of the noise variance.
    """
    return np.asarray(scipy.linalg.cholesky(_make_normal_matrix(factors, common, likes, user, dislikes), lower=True))


def solve_user_factors(
    factors: Factors, likes: Csr, dislikes: Csr | None = None, common: Doubles | None = None
) -> Floats:
    """Return the factor of each row of `likes` (B, I), (B, d), exactly; `mean_user_factor` for a row without any.

    `common` is the `gram` of the factors, where it is at hand.
    """
    if common is None and likes.nnz:  # a catalogue of millions takes a while
        common = gram(factors)
    found = np.empty((likes.shape[0], factors.item_factors.shape[1]), np.float32)
    for user in range(likes.shape[0]):
        liked = _get_history_factors(factors, likes, user)
        if not len(liked) or common is None:
            found[user] = factors.mean_user_factor
            continue
        solver = scipy.linalg.cho_factor(_make_normal_matrix(factors, common, likes, user, dislikes), lower=True)
        found[user] = scipy.linalg.cho_solve(solver, factors.target_weight * liked.sum(axis=0))
    return found


def _make_normal_matrix(factors: Factors, common: Doubles, likes: Csr, user: int, dislikes: Csr | None) -> Doubles:
    liked = _get_history_factors(factors, likes, user)
    n_items, d = factors.item_factors.shape
    ridge = factors.regularization * (len(liked) + factors.unobserved_weight * n_items) ** factors.nu
    matrix = common + factors.observed_weight * liked.T @ liked + ridge * np.eye(d)
    if dislikes is not None and factors.disliked_weight:
        disliked = _get_history_factors(factors, dislikes, user)
        matrix = matrix + factors.disliked_weight * disliked.T @ disliked
    return np.asarray(matrix)


def _get_history_factors(factors: Factors, history: Csr, user: int) -> Doubles:
    items = history.indices[history.indptr[user] : history.indptr[user + 1]]
    return factors.item_factors[items].astype(np.float64)
