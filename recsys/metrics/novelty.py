"""How little known the shown items are, to everybody or to the user.

The expected forms of Vargas and Castells (2011) count hits alone, by their rank; short slates and users without
held-out positives are as in accuracy.
"""

import numpy as np

from recsys import maths
from recsys.metrics.picks import (
    blocks,
    discounts,
    divide,
    n_test,
    n_train,
    over_hits,
    picks,
    popularity,
    test_users,
    tested,
)
from recsys.types import Evaluation, PerUser, Yardstick
from recsys.types.arrays import Doubles

_HITS = "hits alone, 1/log2(rank + 1), over the sum of these for k places; mean over users with held-out positives"


def self_information(evaluation: Evaluation, k: int) -> PerUser:
    """Mean of -log2(n_i / sum n) over the items shown, in bits: EFD without ranks and hits.

    n_i counts training positives; an item without any is given the value of an item with one.

    :Formula: mean over shown items of -log2(n_i / sum n)
    :Range: [0, inf) bits
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    shown = picks(evaluation, k)
    convention = (
        "-log2(count / sum of counts) in bits, unseen items as seen once; mean over the items shown; "
        "mean over users with a slate"
    )
    return PerUser(divide(shown @ _bits(evaluation.yardstick), np.diff(shown.indptr)), convention, 1)


def epc(evaluation: Evaluation, k: int) -> PerUser:
    """Expected popularity complement: how few users know the hits.

    :Formula: sum over hits of disc(r) (1 - n_i / U) / sum of disc(r), disc(r) = 1 / log2(r + 1), r = 1 .. k
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    unknown = 1.0 - popularity(evaluation.yardstick) / n_histories(evaluation)
    return PerUser(_expected(evaluation, k, unknown), f"1 - users / users with a history; {_HITS}", 1)


def efd(evaluation: Evaluation, k: int) -> PerUser:
    """Expected free discovery: the self-information of the hits, in bits.

    An item without training positives is given the value of an item with one.

    :Formula: sum over hits of disc(r) -log2(n_i / sum n) / sum of disc(r), disc(r) = 1 / log2(r + 1), r = 1 .. k
    :Range: [0, inf) bits
    :Better: more
    :Cost: U k
    :Source: Vargas and Castells 2011
    """
    values = _expected(evaluation, k, _bits(evaluation.yardstick))
    return PerUser(values, f"-log2(count / sum of counts) in bits, unseen items as seen once; {_HITS}", 1)


def epd(evaluation: Evaluation, k: int) -> PerUser:
    """Expected profile distance: how far the hits are from what the user knows, on average.

    The distance is 1 - cosine in the co-occurrence space (`recsys.maths.cooccurrence_vectors`); to an item that
    nobody has in train it is 1. NaN for users without history.

    :Formula: sum over hits of disc(r) mean of d(i, j) over the history / sum of disc(r), r = 1 .. k
    :Range: [0, 2]
    :Better: more
    :Cost: U d (T + h), T positives and h history of a user
    :Source: Vargas and Castells 2011
    """
    yardstick = evaluation.yardstick
    far = yardstick.tables.get("profile_distance", lambda: _profile_distance(yardstick))
    values = over_hits(evaluation, far, discounts(k)) / discounts(k).sum()
    defined = (n_test(evaluation) > 0) & (n_train(evaluation) > 0)
    convention = f"mean of 1 - co-occurrence cosine to the history; {_HITS} and a history"
    return PerUser(np.where(defined, values, np.nan), convention, 1)


def n_histories(evaluation: Evaluation) -> int:
    """Return how many users have training positives, at least 1."""
    return max(int(np.count_nonzero(n_train(evaluation))), 1)


def _bits(yardstick: Yardstick) -> Doubles:
    return yardstick.tables.get("self_information", lambda: maths.self_information(yardstick.split.train))


def _expected(evaluation: Evaluation, k: int, of_item: Doubles) -> Doubles:
    worth = of_item[evaluation.yardstick.split.test.indices]
    return tested(evaluation, over_hits(evaluation, worth, discounts(k)) / discounts(k).sum())


def _profile_distance(yardstick: Yardstick) -> Doubles:
    """Return the mean distance of every held-out positive to its user's history, in the order of the test."""
    split, users = yardstick.split, test_users(yardstick)
    vectors = yardstick.tables.get("cooccurrence", lambda: maths.cooccurrence_vectors(split.train))
    far = np.empty(len(users))
    for b in blocks(len(users)):
        owner, row = np.unique(users[b], return_inverse=True)
        profile = maths.mean_profiles(vectors, split.train, owner)
        far[b] = 1.0 - (profile[row] * vectors[split.test.indices[b]]).sum(axis=1)
    return np.clip(far, 0.0, 2.0)
