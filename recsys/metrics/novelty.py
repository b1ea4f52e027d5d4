"""Novelty: how little known the shown items are, to everybody or to the user.

The expected forms of Vargas and Castells (2011) count hits alone, by their rank; short slates and users without
held-out positives are as in accuracy.
"""

import numpy as np

from recsys.maths import embeddings
from recsys.maths import popularity as item_popularity
from recsys.maths.blocks import iter_blocks
from recsys.metrics._hits import sum_over_hits
from recsys.metrics._shared import (
    count_test_positives,
    count_train_positives,
    discounts,
    divide_or_nan,
    get_cooccurrence_vectors,
    get_item_popularity,
    get_shown_matrix,
    get_test_users,
    mask_untested_users,
)
from recsys.metrics.derived_tables import SplitTable
from recsys.types import Evaluation, GroundTruth, PerUser
from recsys.types.arrays import Doubles

PROFILE_DISTANCE, SELF_INFORMATION = SplitTable("profile_distance"), SplitTable("self_information")

_HITS_CONVENTION = (
    "hits alone, 1/log2(rank + 1), over the sum of these for k places; mean over users with held-out positives"
)


def self_information(evaluation: Evaluation, k: int) -> PerUser:
    """Mean of -log2(n_i / sum n) over the items shown, in bits: EFD without ranks and hits.

    n_i counts training positives; an item without any is given the value of an item with one.

    :Formula: mean over shown items of -log2(n_i / sum n)
    :Range: [0, inf) bits
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    shown = get_shown_matrix(evaluation, k)
    convention = (
        "-log2(count / sum of counts) in bits, unseen items as seen once; mean over the items shown; "
        "mean over users with a slate"
    )
    return PerUser(divide_or_nan(shown @ _get_self_information(evaluation.truth), np.diff(shown.indptr)), convention, 1)


def epc(evaluation: Evaluation, k: int) -> PerUser:
    """Expected popularity complement: how few users know the hits.

    :Formula: sum over hits of disc(r) (1 - n_i / U) / sum of disc(r), disc(r) = 1 / log2(r + 1), r = 1 .. k
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    unknown = 1.0 - get_item_popularity(evaluation.truth) / count_histories(evaluation)
    return PerUser(
        _average_over_hits(evaluation, k, unknown), f"1 - users / users with a history; {_HITS_CONVENTION}", 1
    )


def efd(evaluation: Evaluation, k: int) -> PerUser:
    """Expected free discovery: the self-information of the hits, in bits.

    An item without training positives is given the value of an item with one.

    :Formula: sum over hits of disc(r) -log2(n_i / sum n) / sum of disc(r), disc(r) = 1 / log2(r + 1), r = 1 .. k
    :Range: [0, inf) bits
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    values = _average_over_hits(evaluation, k, _get_self_information(evaluation.truth))
    return PerUser(values, f"-log2(count / sum of counts) in bits, unseen items as seen once; {_HITS_CONVENTION}", 1)


def epd(evaluation: Evaluation, k: int) -> PerUser:
    """Expected profile distance: the mean distance of hits to the user's history.

    The distance is 1 - cosine in the co-occurrence space (`recsys.maths.embeddings.cooccurrence_vectors`); to an item
    that nobody has in train it is 1. NaN for users without history.

    :Formula: sum over hits of disc(r) mean of d(i, j) over the history / sum of disc(r), r = 1 .. k
    :Range: [0, 2]
    :Better: more
    :Cost: U d (T + h), T positives and h history of a user
    :Source: Vargas and Castells 2011
    """
    truth = evaluation.truth
    far = PROFILE_DISTANCE.get(truth, lambda: _compute_profile_distance(truth))
    values = sum_over_hits(evaluation, far, discounts(k)) / discounts(k).sum()
    defined = (count_test_positives(evaluation) > 0) & (count_train_positives(evaluation) > 0)
    convention = f"mean of 1 - co-occurrence cosine to the history; {_HITS_CONVENTION} and a history"
    return PerUser(np.where(defined, values, np.nan), convention, 1)


def count_histories(evaluation: Evaluation) -> int:
    """Return how many users have training positives, at least 1."""
    return max(int(np.count_nonzero(count_train_positives(evaluation))), 1)


def _get_self_information(truth: GroundTruth) -> Doubles:
    return SELF_INFORMATION.get(truth, lambda: item_popularity.item_self_information(truth.split.train))


def _average_over_hits(evaluation: Evaluation, k: int, of_item: Doubles) -> Doubles:
    worth = of_item[evaluation.truth.split.test.indices]
    return mask_untested_users(evaluation, sum_over_hits(evaluation, worth, discounts(k)) / discounts(k).sum())


def _compute_profile_distance(truth: GroundTruth) -> Doubles:
    """Return the mean distance of every held-out positive to its user's history, in the order of the test."""
    split, users = truth.split, get_test_users(truth)
    vectors = get_cooccurrence_vectors(truth)
    far = np.empty(len(users))
    for b in iter_blocks(len(users)):
        owner, row = np.unique(users[b], return_inverse=True)
        profile = embeddings.mean_history_vectors(vectors, split.train, owner)
        far[b] = 1.0 - (profile[row] * vectors[split.test.indices[b]]).sum(axis=1)
    return np.clip(far, 0.0, 2.0)
