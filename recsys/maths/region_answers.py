"""Answers about regions: a region that a user likes, or not, is one more row of the user's least squares."""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are used

from recsys.maths.fold_in import cholesky_factor, make_normal_matrix, sum_targets
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Longs, make_empty_matrix
from recsys.types.models import Factors

# What an answer weighs in units of `target_weight`, of somebody with likes and of somebody without any: chosen on
# validation by benchmarks/ask_regions.py.
REGION_WEIGHT, REGION_WEIGHT_WITHOUT_LIKES = 0.3, 30.0
DISLIKED_BELOW = 0.5  # of everybody's share of a region
_USERS = 4096  # whose shares of regions are computed at once


class RegionAnswers(NamedTuple):
    """A regions that a user answered about."""

    rows: Doubles  # (A, d) the mean factor of each region's items
    scatter: Doubles  # (A,) how far scores of its items lie from their mean, as a variance in units of noise
    liked: Bools  # (A,) whether the answer is a like; else it is a dislike


def answer_by_shares(shares: Doubles, usual: Doubles) -> Longs:
    """Return what somebody whose likes have these shares of regions (..., Z) answers: 1 like, -1 dislike, 0 neither.

    A region is liked where its share is above everybody's, `usual` (Z,), and disliked where it is below half of that.

    >>> answer_by_shares(np.array([0.5, 0.3, 0.1]), np.array([0.4, 0.4, 0.4])).tolist()
    [1, 0, -1]
    """
    return np.where(shares > usual, 1, np.where(shares < DISLIKED_BELOW * usual, -1, 0)).astype(np.int64)


def count_region_answers(train: Csr, shares: Csr) -> Doubles:
    """Return how many users have likes that make an answer about each region, (Z,), by `answer_by_shares`.

    `train` (U, I) are everybody's likes, `shares` (I, Z) those of items over regions.
    """
    counts = np.bincount(train.indices, minlength=train.shape[1])
    usual = np.asarray(shares.T @ counts, dtype=np.float64) / max(train.nnz, 1)
    there = np.flatnonzero(np.diff(train.indptr))
    answered = np.zeros(shares.shape[1])
    for start in range(0, len(there), _USERS):
        rows = Csr(train[there[start : start + _USERS]])
        likes = Csr((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        own = (likes @ shares).toarray() / np.diff(rows.indptr)[:, None]
        answered += (answer_by_shares(own, usual) != 0).sum(axis=0)
    return answered


def compute_region_rows(
    factors: Factors, common: Doubles, shares: Csr, prior_variances: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the mean factor of each region's items, (Z, d), and how far their scores lie apart, (Z,).

    The latter is the variance of the items' scores about the region's mean, for a user of whom nothing is known, in
    units of noise. `shares` (I, Z) are those of items over regions, `prior_variances` (I,) are of
    `compute_prior_variances`, and `common` is the `gram` of the factors. Both are 0 in a region without items.
    """
    sizes = np.maximum(np.asarray(shares.sum(axis=0), dtype=np.float64).ravel(), np.finfo(np.float64).tiny)
    rows = np.asarray(shares.T @ factors.item_factors.astype(np.float64)) / sizes[:, None]
    lower = cholesky_factor(factors, common, make_empty_matrix((1, len(factors.item_factors))), 0)
    of_mean = (scipy.linalg.solve_triangular(lower, rows.T, lower=True) ** 2).sum(axis=0)
    return rows, np.maximum(np.asarray(shares.T @ prior_variances) / sizes - of_mean, 0.0)


def weigh_regions(factors: Factors, scatter: Doubles, has_likes: bool) -> Doubles:
    """Return the weight of an answer about each region, (Z,): t / (1 + t scatter), less where items lie far apart.

    The answer is an observation of the mean score of the region. Its variance is 1 / t, t = `REGION_WEIGHT` times
    `target_weight`, plus the variance of scores within the region.
    """
    weight = (REGION_WEIGHT if has_likes else REGION_WEIGHT_WITHOUT_LIKES) * factors.target_weight
    return np.asarray(weight / (1.0 + weight * scatter))


def cholesky_factor_with_regions(
    factors: Factors, common: Doubles, likes: Csr, dislikes: Csr | None, answers: RegionAnswers
) -> Doubles:
    """Return the lower Cholesky factor (d, d) of the normal matrix of one user, answers about regions included.

    `likes` and `dislikes` (1, I) are the user's, and `common` is the `gram` of the factors.
    """
    matrix = _add_rows(factors, make_normal_matrix(factors, common, likes, 0, dislikes), answers, likes.nnz > 0)
    return np.asarray(scipy.linalg.cholesky(matrix, lower=True))


def solve_with_regions(
    factors: Factors, common: Doubles, likes: Csr, dislikes: Csr | None, answers: RegionAnswers
) -> Floats:
    """Return the factor of one user, (d,), with a row of target 1 for each liked region and of target 0 for a disliked.

    Without likes the least squares are drawn to `mean_user_factor` in the place of 0: with no answers that is the
    factor. The other arguments are those of `cholesky_factor_with_regions`.
    """
    matrix, has_likes = make_normal_matrix(factors, common, likes, 0, dislikes), likes.nnz > 0
    right = sum_targets(factors, likes, 0) if has_likes else matrix @ factors.mean_user_factor.astype(np.float64)
    right = right + sum_region_targets(factors, answers, has_likes)
    solver = scipy.linalg.cho_factor(_add_rows(factors, matrix, answers, has_likes), lower=True)
    return np.asarray(scipy.linalg.cho_solve(solver, right), dtype=np.float32)


def sum_region_targets(factors: Factors, answers: RegionAnswers, has_likes: bool) -> Doubles:
    """Return what liked regions add to the right-hand side of a user's normal equations, (d,)."""
    return np.asarray((weigh_regions(factors, answers.scatter, has_likes) * answers.liked) @ answers.rows)


def _add_rows(factors: Factors, matrix: Doubles, answers: RegionAnswers, has_likes: bool) -> Doubles:
    weights = weigh_regions(factors, answers.scatter, has_likes)
    return np.asarray(matrix + (answers.rows.T * weights) @ answers.rows)
