"""Metrics in the conventions of published tables: to compare with those, not with each other.

A config names them by their place, `recsys.metrics.published_variants:recall_capped`; a reproduction by their name
alone.
"""

import numpy as np

from recsys.maths import inequality
from recsys.metrics._hits import count_hits, sum_rank_weights_of_hits
from recsys.metrics._shared import count_test_positives, discounts, divide_or_nan, make_catalogue_metric
from recsys.types import Evaluation, PerCatalogue, PerUser
from recsys.types.arrays import Doubles

__all__ = ["gini_diversity", "ndcg_full_ideal", "recall_capped"]

_AVERAGED_OVER = "mean over users with held-out positives, an empty slate counts 0"


def ndcg_full_ideal(evaluation: Evaluation, k: int) -> PerUser:
    """`ndcg` whose ideal slate holds all held-out positives, not the first k: users with more than k cannot reach 1.

    Ferrari Dacrema et al. 2021 divide so.
    """
    positives = count_test_positives(evaluation)
    best = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(positives.max(initial=0)) + 2.0))])
    values = divide_or_nan(sum_rank_weights_of_hits(evaluation, discounts(k)), best[positives])
    return PerUser(values, f"binary gain, 1/log2(rank + 1), ideal of all held-out positives; {_AVERAGED_OVER}", 1)


def recall_capped(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over min(k, held-out positives), in [0, 1] (Liang et al. 2018)."""
    values = divide_or_nan(count_hits(evaluation, k), np.minimum(count_test_positives(evaluation), k))
    return PerUser(values, f"hits / min(k, held-out positives); {_AVERAGED_OVER}", 1)


def gini_diversity(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How evenly items are shown, in (0, 1]: 2 sum_j (I + 1 - j) / (I + 1) p_(j), with shares p ascending.

    1 - Gini index, up to a factor of I / (I + 1) and a constant of that order.
    """
    return make_catalogue_metric(
        evaluation, k, _compute_evenness, "2 sum_j (I + 1 - j) / (I + 1) p_(j), p ascending", 1
    )


def _compute_evenness(counts: Doubles) -> Doubles:
    n = counts.shape[-1]
    weights = (n - np.arange(n)) / (n + 1.0)
    return np.asarray(2.0 * (np.sort(inequality.normalize_counts(counts), axis=-1) @ weights))
