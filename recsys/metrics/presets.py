"""Metrics in the conventions of other libraries: from the name there to a function of an evaluation and k here.

Only what was held against a worked example whose value in that library is known (`tests/test_metrics_presets.py`).
Libraries differ in who is averaged, in denominators, logarithms and items unseen in train; the convention of each
answer says which.

>>> sorted(lenskit)
['Gini', 'NDCG']
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from recsys import metrics
from recsys.maths import distributions, inequality
from recsys.maths.blocks import iter_blocks
from recsys.maths.popularity import gini, item_self_information
from recsys.metrics._hits import sum_rank_weights_of_hits
from recsys.metrics._shared import (
    count_test_positives,
    discounts,
    divide_or_nan,
    get_item_popularity,
    get_shown_matrix,
    make_catalogue_metric,
    mask_untested_users,
)
from recsys.metrics.accuracy import sum_precisions_at_hits
from recsys.metrics.alpha_ndcg_ideal import ALPHA, compute_ideal_gains
from recsys.metrics.novelty import count_histories
from recsys.metrics.published_variants import recall_capped
from recsys.types import Evaluation, MetricValues, PerCatalogue, PerUser
from recsys.types.arrays import Doubles

Metric = Callable[[Evaluation, int], MetricValues]
PerUserMetric = Callable[[Evaluation, int], PerUser]


def restrict_to_listed(metric: PerUserMetric, evaluation: Evaluation, k: int) -> PerUser:
    """Return a metric averaged over the users who have a slate."""
    answer = metric(evaluation, k)
    listed = (evaluation.get_top_picks(k) >= 0).any(axis=1)
    said = f"{answer.convention}; users without a slate left out"
    return replace(answer, values=np.where(listed, answer.values, np.nan), convention=said)


def ndcg_ideal_k(evaluation: Evaluation, k: int) -> PerUser:
    """Return nDCG whose ideal has k hits, however few held-out positives there are."""
    values = sum_rank_weights_of_hits(evaluation, discounts(k)) / discounts(k).sum()
    said = "binary gain, 1/log2(rank + 1), ideal of k hits; mean over tested users"
    return PerUser(mask_untested_users(evaluation, values), said, 1)


def ndcg_clipped(evaluation: Evaluation, k: int) -> PerUser:
    """Return nDCG with a discount of 1 / log2(max(rank, 2)): the first two places weigh the same."""
    worth = 1.0 / np.log2(np.maximum(np.arange(k) + 1.0, 2.0))
    best = np.concatenate([[0.0], np.cumsum(worth)])
    values = divide_or_nan(
        sum_rank_weights_of_hits(evaluation, worth), best[np.minimum(count_test_positives(evaluation), k)]
    )
    return PerUser(values, "binary gain, 1/log2(max(rank, 2)), ideal of min(k, positives); mean over tested users", 1)


def average_precision_by_positives(evaluation: Evaluation, k: int) -> PerUser:
    """Return average precision over all held-out positives."""
    values = divide_or_nan(sum_precisions_at_hits(evaluation, k), count_test_positives(evaluation))
    return PerUser(values, "sum of the precisions at hits / held-out positives; mean over tested users", 1)


def average_precision_by_k(evaluation: Evaluation, k: int) -> PerUser:
    """Return average precision over k."""
    values = mask_untested_users(evaluation, sum_precisions_at_hits(evaluation, k) / k)
    return PerUser(values, "sum of the precisions at hits / k; mean over tested users", 1)


def inverse_user_frequency(evaluation: Evaluation, k: int) -> PerUser:
    """Return the mean of -log2(users / all users) over the items shown, unseen items as seen once."""
    users = np.maximum(get_item_popularity(evaluation.truth), 1.0)
    shown = get_shown_matrix(evaluation, k)
    values = divide_or_nan(shown @ np.log2(count_histories(evaluation) / users), np.diff(shown.indptr))
    return PerUser(values, "-log2(users / users with a history), unseen items as seen once; mean over shown items", 1)


def self_information_unseen_zero(evaluation: Evaluation, k: int) -> PerUser:
    """Return self-information in bits, unseen items adding 0: per user, as slates of one length make it one mean."""
    counts = get_item_popularity(evaluation.truth)
    bits = np.where(counts > 0, item_self_information(evaluation.truth.split.train), 0.0)
    shown = get_shown_matrix(evaluation, k)
    values = divide_or_nan(shown @ bits, np.diff(shown.indptr))
    return PerUser(values, "-log2(count / sum of counts) in bits, unseen items 0; mean over shown items", 1)


def ild_hamming(evaluation: Evaluation, k: int) -> PerUser:
    """Return the mean number of features in which two shown items differ; 0 for a single item."""
    features, shown = evaluation.truth.split.items.features, get_shown_matrix(evaluation, k)
    n = np.diff(shown.indptr).astype(np.float64)
    apart = np.empty(len(n))
    for b in iter_blocks(len(n)):
        having = distributions.sum_by_region(shown[b], features)
        apart[b] = (having * (n[b, None] - having)).sum(axis=1)  # c of n items tell c (n - c) pairs apart
    values = np.where(n == 1, 0.0, divide_or_nan(apart, n * (n - 1.0) / 2.0))
    return PerUser(values, "differing features, mean over pairs, 0 for one item; mean over users with a slate", 1)


def serendipity_mean_shown(evaluation: Evaluation, k: int) -> PerUser:
    """Return `serendipity_popularity` as a mean over the items shown, 0 for users without held-out positives."""
    total = np.nan_to_num(metrics.serendipity_popularity(evaluation, k).values) * k
    values = divide_or_nan(total, (evaluation.get_top_picks(k) >= 0).sum(axis=1))
    said = "hit * max(0, chance by rank - chance by popularity rank, dense), mean over shown items"
    return PerUser(values, f"{said}; mean over users with a slate, held-out positives or not", 1)


def alpha_ndcg_ideal_k_plus_1(evaluation: Evaluation, k: int) -> PerUser:
    """Return alpha-nDCG whose ideal slate has k + 1 places: with more than k positives nobody reaches 1."""
    answer = metrics.alpha_ndcg(evaluation, k)
    worth = compute_ideal_gains(evaluation.truth, k + 1) * discounts(k + 1)
    values = answer.values * divide_or_nan(worth[:, :k].sum(axis=1), worth.sum(axis=1))
    said = f"alpha = {ALPHA}, hits alone, 1/log2(rank + 1), greedy ideal of k + 1 places; mean over tested users"
    return PerUser(values, said, 1)


def coverage_of_train_items(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Return distinct items shown over the items of train: above 1 where unseen items are shown."""
    n_seen = max(int(np.count_nonzero(get_item_popularity(evaluation.truth))), 1)

    def statistic(shown: Doubles) -> Doubles:
        return np.asarray((shown > 0).sum(axis=-1) / n_seen)

    return make_catalogue_metric(evaluation, k, statistic, "items shown to anybody / items of train", 1, (0.0, np.inf))


def distinct_items(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Return how many different items are shown."""
    return make_catalogue_metric(evaluation, k, _count_distinct, "number of different items shown", 1, (0.0, np.inf))


def evenness_n_minus_1(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Return 1 - the Gini index with denominator I - 1, in [0, 1]."""
    return make_catalogue_metric(evaluation, k, _evenness_n_minus_1, "1 - Gini index, denominator I - 1", 1)


def gini_padded(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Return the Gini index over the catalogue and one more item that is never shown, in [0, 1]."""
    return make_catalogue_metric(evaluation, k, _padded_gini, "Gini index over I + 1 items, denominator I + 1", -1)


def entropy_per_item(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Return the entropy of the picks in nats over the number of different items shown."""
    return make_catalogue_metric(
        evaluation, k, _entropy_per_item, "-sum p ln p / different items shown", 1, (0.0, np.inf)
    )


def _count_distinct(shown: Doubles) -> Doubles:
    return np.asarray((shown > 0).sum(axis=-1), dtype=np.float64)


def _evenness_n_minus_1(shown: Doubles) -> Doubles:
    n = shown.shape[-1]
    return np.asarray(1.0 - gini(shown) * n / (n - 1.0))


def _padded_gini(shown: Doubles) -> Doubles:
    return gini(np.concatenate([shown, np.zeros((*shown.shape[:-1], 1))], axis=-1))


def _entropy_per_item(shown: Doubles) -> Doubles:
    return divide_or_nan(inequality.entropy_bits(shown) * np.log(2.0), _count_distinct(shown))


ranksys: Mapping[str, Metric] = {
    "NDCG": metrics.ndcg,
    "Precision": metrics.precision,
    "EPC": metrics.epc,
    "EFD": metrics.self_information,  # without relevance and discount
    "EILD": partial(restrict_to_listed, metrics.eild_features),
    "AlphaNDCG": partial(restrict_to_listed, alpha_ndcg_ideal_k_plus_1),
    "AggregateDiversity": distinct_items,
    "GiniIndex": evenness_n_minus_1,
    "Entropy": metrics.shannon_entropy,
}
rectools: Mapping[str, Metric] = {
    "HitRate": metrics.hit_rate,
    "MRR": metrics.mrr,
    "NDCG": ndcg_ideal_k,
    "NDCG(divide_by_achievable=True)": metrics.ndcg,
    "Precision": metrics.precision,
    "Precision(r_precision=True)": recall_capped,
    "Recall": metrics.recall,
    "MAP": average_precision_by_positives,
    "MAP(divide_by_k=True)": average_precision_by_k,
    "MeanInvUserFreq": inverse_user_frequency,
    "IntraListDiversity": ild_hamming,
    "Serendipity": serendipity_mean_shown,
    "AvgRecPopularity": metrics.arp,
    "CatalogCoverage": distinct_items,
    "CatalogCoverage(normalize=True)": metrics.coverage,
}
recbole: Mapping[str, Metric] = {
    "ndcg": metrics.ndcg,
    "giniindex": gini_padded,
    "shannonentropy": entropy_per_item,
}
lenskit: Mapping[str, Metric] = {
    "NDCG": ndcg_clipped,  # users without a slate as 0
    "Gini": metrics.gini,
}
elliot: Mapping[str, Metric] = {
    "EPC": partial(restrict_to_listed, metrics.epc),
    "Gini": evenness_n_minus_1,
    "SEntropy": metrics.shannon_entropy,
}
recommenders: Mapping[str, Metric] = {
    "ndcg_at_k": metrics.ndcg,
    "precision_at_k": partial(restrict_to_listed, metrics.precision),
    "recall_at_k": partial(restrict_to_listed, metrics.recall),
    "map_at_k": partial(restrict_to_listed, metrics.average_precision),
    "novelty": self_information_unseen_zero,
    "catalog_coverage": coverage_of_train_items,
    "distributional_coverage": metrics.shannon_entropy,
}
