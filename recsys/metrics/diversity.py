"""Diversity: how unlike each other the items of one slate are."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.maths.vendi_score import effective_number
from recsys.metrics._hits import make_hit_matrix
from recsys.metrics._shared import discounts, divide_or_nan, get_item_vectors, get_shown_matrix, mask_untested_users
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Bools, Doubles

PAIRS = 512  # users at a time where every pair of items of a slate is looked at

_ILD_CONVENTION = (
    "mean of 1 - cosine over pairs of shown items, pairs without {} skipped; mean over users with at least 2 such items"
)
_EILD_CONVENTION = (
    "pairs of hits, weights 1/log2(rank + 1) and, within a pair, of max(0, j - i - 1); pairs without {} skipped; "
    "mean over users with held-out positives"
)
_VENDI_CONVENTION = "cosine kernel, items without {} skipped; mean over users with at least one such item"


def ild_features(evaluation: Evaluation, k: int) -> PerUser:
    """Intra-list distance by item features: mean of 1 - cosine over the pairs of a slate.

    :Formula: 2 / (n (n - 1)) sum over i < j of 1 - cos(i, j)
    :Range: [0, 1]
    :Better: more
    :Cost: U k F, F features
    :Source: Ziegler et al. 2005
    """
    return PerUser(_compute_ild(evaluation, k, "features"), "item features: " + _ILD_CONVENTION.format("features"), 1)


def ild_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Intra-list distance by shared users: mean of 1 - cosine over the pairs of a slate.

    The space is `recsys.maths.embeddings.cooccurrence_vectors` of the training positives, whatever model made the
    slate.

    :Formula: 2 / (n (n - 1)) sum over i < j of 1 - cos(i, j)
    :Range: [0, 2]
    :Better: more
    :Cost: U k d, d = 64
    :Source: Ziegler et al. 2005
    """
    values = _compute_ild(evaluation, k, "cooccurrence")
    return PerUser(values, "co-occurrence in train: " + _ILD_CONVENTION.format("training users"), 1)


def eild_features(evaluation: Evaluation, k: int) -> PerUser:
    """Expected intra-list distance of the hits, by item features and ranks.

    disc(r) = 1 / log2(r + 2) with ranks i and j from 0; d = 1 - cosine. A single hit has no distance and adds 0.
    NaN where no item has features.

    :Formula: sum over hits i of disc(i) (mean over hits j of d(i, j), by disc(max(0, j - i - 1))) / sum of disc
    :Range: [0, 1]
    :Better: more
    :Cost: U k^2 F, over users with two hits
    :Source: Vargas and Castells 2011
    """
    values = _compute_expected_ild(evaluation, k, "features")
    return PerUser(values, "item features: " + _EILD_CONVENTION.format("features"), 1)


def eild_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Expected intra-list distance of the hits, by shared users and ranks: `eild_features` in the other space.

    :Formula: sum over hits i of disc(i) (mean over hits j of d(i, j), by disc(max(0, j - i - 1))) / sum of disc
    :Range: [0, 2]
    :Better: more
    :Cost: U k^2 d, d = 64, over users with two hits
    :Source: Vargas and Castells 2011
    """
    values = _compute_expected_ild(evaluation, k, "cooccurrence")
    return PerUser(values, "co-occurrence in train: " + _EILD_CONVENTION.format("training users"), 1)


def vendi_features(evaluation: Evaluation, k: int) -> PerUser:
    """Vendi score by item features: the effective number of different items shown.

    1 for n items alike, n for n items that share nothing.

    :Formula: exp(-sum l log l) over the eigenvalues l of K / n, K the cosines of the n items
    :Range: [1, k] items
    :Better: more
    :Cost: U (k F m + m^3), m = min(k, F), on all cores
    :Source: Friedman and Dieng 2023
    """
    values = _compute_vendi(evaluation, k, "features")
    return PerUser(values, "item features: " + _VENDI_CONVENTION.format("features"), 1)


def vendi_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Vendi score by shared users: the effective number of different items shown.

    :Formula: exp(-sum l log l) over the eigenvalues l of K / n, K the cosines of the n items
    :Range: [1, k] items
    :Better: more
    :Cost: U (k d m + m^3), m = min(k, d), d = 64, on all cores
    :Source: Friedman and Dieng 2023
    """
    values = _compute_vendi(evaluation, k, "cooccurrence")
    return PerUser(values, "co-occurrence in train: " + _VENDI_CONVENTION.format("training users"), 1)


def _has_vector(vectors: Doubles) -> Bools:
    return np.asarray(vectors.any(axis=1))


def _compute_ild(evaluation: Evaluation, k: int, space: str) -> Doubles:
    vectors = get_item_vectors(evaluation.truth, space)
    lengths = (vectors**2).sum(axis=1)
    shown = get_shown_matrix(evaluation, k)
    usable = shown @ (lengths > 0).astype(np.float64)
    # sum of cos over pairs = (|sum of vectors|^2 - sum of |vector|^2) / 2: no table of k by k by features.
    squared = np.concatenate([((shown[b] @ vectors) ** 2).sum(axis=1) for b in iter_blocks(shown.shape[0])])
    cosine = divide_or_nan(squared - shown @ lengths, usable * (usable - 1.0))
    return np.asarray(np.clip(1.0 - cosine, 0.0, 2.0))


def _compute_expected_ild(evaluation: Evaluation, k: int, space: str) -> Doubles:
    vectors = get_item_vectors(evaluation.truth, space)
    top, worth = evaluation.get_top_picks(k), discounts(k)
    usable = make_hit_matrix(evaluation, k) & _has_vector(vectors)[top]
    ranks = np.arange(k)
    within = np.where(ranks[:, None] == ranks, 0.0, worth[np.maximum(ranks - ranks[:, None] - 1, 0)])
    values = np.zeros(len(top))
    several = np.flatnonzero(usable.sum(axis=1) > 1)
    for b in iter_blocks(len(several), PAIRS):
        rows = several[b]
        hits = usable[rows]
        some = np.where(hits[:, :, None], vectors[top[rows]], 0.0)
        far = 1.0 - some @ some.swapaxes(1, 2)
        weights = within * hits[:, None, :] * hits[:, :, None]
        mean = (weights * far).sum(axis=2) / np.where(hits, weights.sum(axis=2), 1.0)
        values[rows] = mean @ worth / worth.sum()
    return mask_untested_users(evaluation, np.clip(values, 0.0, 2.0) if vectors.any() else np.full(len(top), np.nan))


def _compute_vendi(evaluation: Evaluation, k: int, space: str) -> Doubles:
    from recsys.kernels import eigenvalues  # compiled: it is slow to load, and few need it

    fill: Any = eigenvalues.fill_eigenvalues  # it has no signature that a checker could read
    vectors, top = get_item_vectors(evaluation.truth, space), evaluation.get_top_picks(k)
    known, values = _has_vector(vectors), np.empty(len(top))

    def work(b: slice) -> None:
        usable = (top[b] >= 0) & known[top[b]]
        n, found = usable.sum(axis=1), np.empty((len(usable), min(k, vectors.shape[1])))
        fill(vectors, np.where(usable, top[b], -1).astype(np.int64), found)
        values[b] = np.where(n > 0, effective_number(found, n), np.nan)

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(work, iter_blocks(len(top), PAIRS)))
    return values
