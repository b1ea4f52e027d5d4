"""Metrics in the conventions of published tables: to compare with those, not with each other.

A config names them by their place, `recsys.metrics.variants:recall_capped`; a reproduction by their name alone.
"""

from collections.abc import Callable

import numpy as np

from recsys.metrics.picks import divide, hit_matrix, n_test
from recsys.types import Evaluation, PerCatalogue, PerUser
from recsys.types.arrays import Doubles
from recsys.types.evaluations import Direction

__all__ = [
    "average_precision", "gini_diversity", "herfindahl", "mean_inter_list", "ndcg_full_ideal", "recall_capped",
    "shannon_entropy",
]  # fmt: skip

_WHO = "mean over users with held-out positives, an empty slate counts 0"


def ndcg_full_ideal(evaluation: Evaluation, k: int) -> PerUser:
    """`ndcg` whose ideal slate holds all held-out positives, not the first k: users with more than k cannot reach 1.

    Ferrari Dacrema et al. 2021 divide so.
    """
    positives = n_test(evaluation)
    best = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(positives.max(initial=0)) + 2.0))])
    values = divide(hit_matrix(evaluation, k) @ (1.0 / np.log2(np.arange(k) + 2.0)), best[positives])
    return PerUser(values, f"binary gain, 1/log2(rank + 1), ideal of all held-out positives; {_WHO}", 1)


def recall_capped(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over min(k, held-out positives), in [0, 1] (Liang et al. 2018)."""
    values = divide(hit_matrix(evaluation, k).sum(axis=1), np.minimum(n_test(evaluation), k))
    return PerUser(values, f"hits / min(k, held-out positives); {_WHO}", 1)


def average_precision(evaluation: Evaluation, k: int) -> PerUser:
    """Precision at each hit, summed, over min(k, held-out positives), in [0, 1]: the mean over users is MAP."""
    hits = hit_matrix(evaluation, k)
    reached = (hits * np.cumsum(hits, axis=1) / (np.arange(k) + 1.0)).sum(axis=1)
    values = divide(reached, np.minimum(n_test(evaluation), k))
    return PerUser(values, f"sum of the precisions at hits / min(k, held-out positives); {_WHO}", 1)


def mean_inter_list(evaluation: Evaluation, k: int) -> PerCatalogue:
    """1 - the share of items that two users' slates have in common, mean over pairs of users, in [0, 1].

    From item counts alone: 1 - (sum_i c_i^2 - U k) / (k U (U - 1)), exact where every slate has k items.
    """

    def statistic(counts: Doubles) -> Doubles:
        shown = counts.sum(axis=-1)
        return 1.0 - divide((counts**2).sum(axis=-1) - shown, shown * (shown / k - 1.0))

    return _of_counts(evaluation, k, statistic, "1 - items in common / k, mean over pairs of users", 1, (0.0, 1.0))


def herfindahl(evaluation: Evaluation, k: int) -> PerCatalogue:
    """1 - sum over items of the squared share of picks, in [0, 1)."""
    return _of_counts(evaluation, k, _herfindahl, "1 - sum of squared shares of the picks", 1, (0.0, 1.0))


def gini_diversity(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How evenly items are shown, in (0, 1]: 2 sum_j (I + 1 - j) / (I + 1) p_(j), with shares p ascending.

    1 - Gini index, up to a factor of I / (I + 1) and a constant of that order.
    """
    return _of_counts(evaluation, k, _evenness, "2 sum_j (I + 1 - j) / (I + 1) p_(j), p ascending", 1, (0.0, 1.0))


def shannon_entropy(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Entropy of the shares of the picks over all items, in bits."""
    return _of_counts(evaluation, k, _entropy, "-sum p log2 p over items", 1, (0.0, np.inf))


def _of_counts(
    evaluation: Evaluation,
    k: int,
    statistic: Callable[[Doubles], Doubles],
    convention: str,
    direction: Direction,
    span: tuple[float, float],
) -> PerCatalogue:
    n_items = evaluation.yardstick.split.train.shape[1]
    return PerCatalogue(evaluation.top(k), n_items, statistic, convention, direction, span)


def _shares(counts: Doubles) -> Doubles:
    return divide(counts, counts.sum(axis=-1, keepdims=True))


def _herfindahl(counts: Doubles) -> Doubles:
    return np.asarray(1.0 - (_shares(counts) ** 2).sum(axis=-1))


def _evenness(counts: Doubles) -> Doubles:
    n = counts.shape[-1]
    weights = (n - np.arange(n)) / (n + 1.0)
    return np.asarray(2.0 * (np.sort(_shares(counts), axis=-1) @ weights))


def _entropy(counts: Doubles) -> Doubles:
    shares = _shares(counts)
    return np.asarray(-(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=-1))
