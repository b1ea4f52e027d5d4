"""Serendipity: hits that are far from the history, new in kind, or not popular.

Unexpectedness without relevance counts nothing (Adamopoulos and Tuzhilin 2014 ask for both): everywhere, hits are
weighed by a surprise from 0 to 1 and summed over k slots, so that misses and short slates add 0.
"""

import numpy as np

from recsys.maths import distributions, embeddings
from recsys.maths.blocks import iter_blocks
from recsys.maths.pmi import cooccurrence_surprise
from recsys.maths.popularity import rank_among_unseen
from recsys.metrics._hits import get_hits_within, sum_over_hits
from recsys.metrics._shared import (
    count_test_positives,
    count_train_positives,
    get_cooccurrence_vectors,
    get_item_popularity,
    get_test_users,
    mask_untested_users,
)
from recsys.metrics.derived_tables import SplitTable
from recsys.types import Evaluation, GroundTruth, PerUser, Split
from recsys.types.arrays import Bools, Doubles, Floats, Longs

USERS_AT_ONCE = 256  # users at a time, sorted by how many held-out positives they have: little is padded

SURPRISE, NPMI_SURPRISE = SplitTable("surprise"), SplitTable("npmi_surprise")
NEW_FEATURE, POPULARITY_STANDING = SplitTable("new_feature"), SplitTable("popularity_standing")
POPULAR_CHANCE = SplitTable("popular_chance")

_WITH_HISTORY = "mean over users with held-out positives and a history, an empty slate counts 0"
_AVERAGED_OVER = "mean over users with held-out positives, an empty slate counts 0"


def serendipity(evaluation: Evaluation, k: int) -> PerUser:
    """Hits that nothing in the history announced: mean over the k slots of hit * (1 - nearest).

    `nearest` is the largest cosine, at least 0, between the item and the user's training positives in the
    co-occurrence space (`recsys.maths.embeddings.max_cosine_to_history`).

    :Formula: sum over hits of 1 - max(0, max over history j of cos(i, j)), over k
    :Range: [0, 1]
    :Better: more
    :Cost: U T h d once, T held-out positives, h history
    :Source: Adamopoulos and Tuzhilin 2014
    """
    truth = evaluation.truth
    worth = SURPRISE.get(truth, lambda: _compute_surprise(truth.split, get_cooccurrence_vectors(truth)))
    convention = f"hit * (1 - largest co-occurrence cosine to the history) summed / k; {_WITH_HISTORY}"
    return PerUser(_average_over_slots(evaluation, k, worth), convention, 1)


def surprise(evaluation: Evaluation, k: int) -> PerUser:
    """Hits that people with the same history do not have: surprise by mutual information, mean over the k slots.

    :Formula: sum over hits of min over history j of (1 - nPMI(i, j)) / 2, over k
    :Range: [0, 1]
    :Better: more
    :Cost: U T h once, T held-out positives, h history, and the co-occurrences of the items held out
    :Source: Kaminskas and Bridge 2017
    """
    truth = evaluation.truth
    split, users = truth.split, get_test_users(truth)
    items = split.test.indices.astype(np.int64)
    worth = NPMI_SURPRISE.get(truth, lambda: cooccurrence_surprise(split.train, users, items))
    convention = f"hit * (1 - largest nPMI to the history) / 2 summed / k; {_WITH_HISTORY}"
    return PerUser(_average_over_slots(evaluation, k, np.nan_to_num(worth)), convention, 1)


def topic_serendipity(evaluation: Evaluation, k: int) -> PerUser:
    """Hits with a feature that nothing in the history has, over k.

    :Formula: hits with a feature outside of the history / k
    :Range: [0, 1]
    :Better: more
    :Cost: U F + U (T + h) f once, T held-out positives, h history, f features of an item
    :Source: Chen et al. 2021
    """
    truth = evaluation.truth
    worth = NEW_FEATURE.get(truth, lambda: _find_new_features(truth).astype(np.float64))
    convention = f"hits with a feature that no training positive has / k; {_WITH_HISTORY}"
    values = _average_over_slots(evaluation, k, worth)
    return PerUser(values if truth.split.items.features.nnz else np.full_like(values, np.nan), convention, 1)


def serendipity_ge(evaluation: Evaluation, k: int) -> PerUser:
    """Hits that a primitive recommender would not have shown, over k.

    The primitive one shows each user the k most popular items that they have not met (of equals the first by item id).
    The source divides by the number of unexpected items, which a slate raises by showing expected ones.

    :Formula: hits outside of the k most popular items not met / k
    :Range: [0, 1]
    :Better: more
    :Cost: U (T + h) log, T held-out positives, h history
    :Source: Ge, Delgado-Battenfeld and Jannach 2010
    """
    truth = evaluation.truth
    standing = POPULARITY_STANDING.get(truth, lambda: _rank_test_items(truth))
    values = sum_over_hits(evaluation, (standing >= k).astype(np.float64), np.ones(k)) / k
    convention = f"hits outside of the k most popular items that the user has not met / k; {_AVERAGED_OVER}"
    return PerUser(mask_untested_users(evaluation, values), convention, 1)


def serendipity_popularity(evaluation: Evaluation, k: int) -> PerUser:
    """Hits ranked higher than by their popularity: the difference of ranks, mean over the k slots.

    Items of equal popularity share a rank, the next ones have the next whole number; an item without training positives
    has no chance of being popular.

    :Formula: sum over hits of max(0, (I + 1 - r) / I - (I + 1 - popularity rank) / I), over k
    :Range: [0, 1]
    :Better: more
    :Cost: U k + I log I
    :Source: after Murakami, Mori and Orihara 2008, without their factor of ranks
    """
    truth = evaluation.truth
    usual = POPULAR_CHANCE.get(truth, lambda: _compute_popularity_chance(get_item_popularity(truth)))
    user, rank, place = get_hits_within(evaluation, k)
    n_items = len(usual)
    more = np.maximum((n_items - rank) / n_items - usual[truth.split.test.indices[place]], 0.0)
    values = np.bincount(user, more, minlength=len(evaluation.items)) / k
    convention = f"hit * max(0, chance by rank - chance by popularity rank, dense) summed / k; {_AVERAGED_OVER}"
    return PerUser(mask_untested_users(evaluation, values), convention, 1)


def _average_over_slots(evaluation: Evaluation, k: int, values: Doubles) -> Doubles:
    defined = (count_test_positives(evaluation) > 0) & (count_train_positives(evaluation) > 0)
    return np.where(defined, sum_over_hits(evaluation, values, np.ones(k)) / k, np.nan)


def _compute_surprise(split: Split, vectors: Floats) -> Doubles:
    """Return 1 - nearest of every held-out positive, in the order of `split.test.indices`."""
    surprise = np.empty(split.test.nnz)
    starts, sizes = split.test.indptr[:-1], np.diff(split.test.indptr)
    order = np.argsort(sizes, kind="stable")
    for first in range(0, len(order), USERS_AT_ONCE):
        users = order[first : first + USERS_AT_ONCE].astype(np.int32)
        slots = np.arange(sizes[users].max())
        real = slots < sizes[users, None]
        place = np.where(real, starts[users, None] + slots, 0)
        if real.any():
            near = embeddings.max_cosine_to_history(
                vectors, split.train, users, split.test.indices[place].astype(np.int64)
            )
            surprise[place[real]] = 1.0 - near[real]
    return surprise


def _find_new_features(truth: GroundTruth) -> Bools:
    """Return which held-out positives have a feature that their user's history has not, in the order of the test."""
    split = truth.split
    features = split.items.features
    new = np.zeros(split.test.nnz, dtype=bool)
    for b in iter_blocks(split.test.shape[0]):
        place = slice(split.test.indptr[b.start], split.test.indptr[b.stop])
        found = features[split.test.indices[place]]
        sizes = np.diff(found.indptr)
        known = distributions.sum_by_region(split.train[b], features) > 0
        entry = np.repeat(np.arange(len(sizes)), sizes)
        fresh = ~known[get_test_users(truth)[place][entry] - b.start, found.indices]
        new[place] = np.bincount(entry[fresh], minlength=len(sizes)) > 0
    return new


def _rank_test_items(truth: GroundTruth) -> Longs:
    """Return how many items that the user has not met are more popular, for every held-out positive."""
    split, users = truth.split, get_test_users(truth)
    n_items = split.shape[1]
    place = np.empty(n_items, dtype=np.int64)
    place[np.lexsort((split.item_ids, -get_item_popularity(truth)))] = np.arange(n_items)
    return rank_among_unseen(place, split.seen, users, split.test.indices)[0]


def _compute_popularity_chance(counts: Doubles) -> Doubles:
    """Return (I + 1 - rank) / I of every item by popularity, 0 without training positives, (I,)."""
    levels = np.unique(counts[counts > 0])
    rank = len(levels) - np.searchsorted(levels, counts)
    return np.where(counts > 0, (len(counts) + 1.0 - rank) / len(counts), 0.0)
