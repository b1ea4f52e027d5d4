"""How many held-out positives are in the slate, and how high.

Everywhere: a slate shorter than k is filled with misses, an empty one counts as 0, and users without held-out
positives are NaN (left out of the mean).
"""

import numpy as np

from recsys.metrics.picks import divide, hit_matrix, n_test
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Doubles

_WHO = "mean over users with held-out positives, an empty slate counts 0"


def ndcg(evaluation: Evaluation, k: int) -> PerUser:
    """Discounted gain of the hits over the best there could be (Järvelin and Kekäläinen 2002), in [0, 1].

    Gains are 0 or 1, rank r is worth 1 / log2(r + 1), and the ideal slate has min(k, positives) hits.
    """
    worth = 1.0 / np.log2(np.arange(k) + 2.0)
    best = np.concatenate([[0.0], np.cumsum(worth)])
    values = divide(hit_matrix(evaluation, k) @ worth, best[np.minimum(n_test(evaluation), k)])
    return PerUser(values, f"binary gain, 1/log2(rank + 1), ideal of min(k, positives) hits; {_WHO}", 1)


def recall(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over the number of held-out positives, in [0, 1]."""
    values = divide(_count(evaluation, k), n_test(evaluation))
    return PerUser(values, f"hits / all held-out positives; {_WHO}", 1)


def precision(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over k, however short the slate, in [0, 1]."""
    return PerUser(_tested(evaluation, np.asarray(_count(evaluation, k) / k)), f"hits / k; {_WHO}", 1)


def hit_rate(evaluation: Evaluation, k: int) -> PerUser:
    """1 for users with a hit, 0 for those without."""
    found = np.asarray(hit_matrix(evaluation, k).any(axis=1), dtype=np.float64)
    return PerUser(_tested(evaluation, found), f"1 with at least one hit, else 0; {_WHO}", 1)


def mrr(evaluation: Evaluation, k: int) -> PerUser:
    """1 over the rank of the first hit within k, 0 without one (mean reciprocal rank), in [0, 1]."""
    found = hit_matrix(evaluation, k)
    values = np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1.0), 0.0)
    return PerUser(_tested(evaluation, values), f"1 / rank of the first hit within k, 0 without one; {_WHO}", 1)


def _count(evaluation: Evaluation, k: int) -> Doubles:
    return np.asarray(hit_matrix(evaluation, k).sum(axis=1), dtype=np.float64)


def _tested(evaluation: Evaluation, values: Doubles) -> Doubles:
    return np.asarray(np.where(n_test(evaluation) > 0, values, np.nan))
