"""Accuracy: how many held-out positives are in the slate, and how high.

Everywhere: a slate shorter than k is filled with misses, an empty one counts as 0, and users without held-out
positives are NaN (left out of the mean).
"""

import numpy as np

from recsys.metrics._hits import count_hits, get_hits_within, sum_rank_weights_of_hits
from recsys.metrics._shared import count_test_positives, discounts, divide_or_nan, mask_untested_users
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Doubles

PERSISTENCE = 0.8  # of `rbp`: five places are looked at on average

_AVERAGED_OVER = "mean over users with held-out positives, an empty slate counts 0"


def ndcg(evaluation: Evaluation, k: int) -> PerUser:
    """Discounted gain of the hits over the best there could be.

    Gains are 0 or 1, rank r is worth 1 / log2(r + 1), and the ideal slate has min(k, positives) hits.

    :Formula: sum over hits of 1 / log2(r + 1), over the same sum of r = 1 .. min(k, positives)
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Järvelin and Kekäläinen 2002
    """
    best = np.concatenate([[0.0], np.cumsum(discounts(k))])
    values = divide_or_nan(
        sum_rank_weights_of_hits(evaluation, discounts(k)), best[np.minimum(count_test_positives(evaluation), k)]
    )
    return PerUser(values, f"binary gain, 1/log2(rank + 1), ideal of min(k, positives) hits; {_AVERAGED_OVER}", 1)


def recall(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over the number of held-out positives.

    :Formula: hits / positives
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: information retrieval
    """
    values = divide_or_nan(count_hits(evaluation, k), count_test_positives(evaluation))
    return PerUser(values, f"hits / all held-out positives; {_AVERAGED_OVER}", 1)


def precision(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over k, however short the slate.

    :Formula: hits / k
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: information retrieval
    """
    return PerUser(mask_untested_users(evaluation, count_hits(evaluation, k) / k), f"hits / k; {_AVERAGED_OVER}", 1)


def hit_rate(evaluation: Evaluation, k: int) -> PerUser:
    """1 for users with a hit, 0 for those without.

    :Formula: 1 if hits > 0, else 0
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: information retrieval
    """
    found = (count_hits(evaluation, k) > 0).astype(np.float64)
    return PerUser(mask_untested_users(evaluation, found), f"1 with at least one hit, else 0; {_AVERAGED_OVER}", 1)


def mrr(evaluation: Evaluation, k: int) -> PerUser:
    """1 over the rank of the first hit within k, 0 without one (mean reciprocal rank).

    :Formula: 1 / r of the first hit
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Voorhees 1999
    """
    user, rank, _ = get_hits_within(evaluation, k)
    values = np.zeros(len(evaluation.items))
    values[user[::-1]] = 1.0 / (rank[::-1] + 1.0)  # the first hit of a user is written last
    return PerUser(
        mask_untested_users(evaluation, values),
        f"1 / rank of the first hit within k, 0 without one; {_AVERAGED_OVER}",
        1,
    )


def average_precision(evaluation: Evaluation, k: int) -> PerUser:
    """Precision at each hit, summed, over the hits there could be: the mean over users is MAP.

    Others divide by all held-out positives, or by k: `recsys.metrics.presets` has these.

    :Formula: sum over hits of (hits up to r) / r, over min(k, positives)
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: information retrieval
    """
    values = divide_or_nan(sum_precisions_at_hits(evaluation, k), np.minimum(count_test_positives(evaluation), k))
    return PerUser(values, f"sum of the precisions at hits / min(k, held-out positives); {_AVERAGED_OVER}", 1)


def rbp(evaluation: Evaluation, k: int) -> PerUser:
    """Rank-biased precision: the share of hits met by somebody who goes on to the next place with chance p = 0.8.

    There is no ideal slate: k hits are worth 1 - p^k. What lies beyond k could add p^k at most.

    :Formula: (1 - p) sum over hits of p^(r - 1), p = 0.8
    :Range: [0, 1 - 0.8**k]
    :Better: more
    :Cost: U k
    :Source: Moffat and Zobel 2008
    """
    values = sum_rank_weights_of_hits(evaluation, (1.0 - PERSISTENCE) * PERSISTENCE ** np.arange(k, dtype=np.float64))
    return PerUser(
        mask_untested_users(evaluation, values),
        f"(1 - p) p^(rank - 1) summed over hits, p = {PERSISTENCE}; {_AVERAGED_OVER}",
        1,
    )


def sum_precisions_at_hits(evaluation: Evaluation, k: int) -> Doubles:
    """Return the sum of the precisions at the hits, (U,)."""
    user, rank, _ = get_hits_within(evaluation, k)
    so_far = np.arange(len(user)) - np.searchsorted(user, user) + 1
    return np.asarray(np.bincount(user, so_far / (rank + 1.0), len(evaluation.items)), dtype=np.float64)
