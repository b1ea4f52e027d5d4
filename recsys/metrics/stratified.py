"""Accuracy and discovery by popularity: hits that count more the fewer users an item has, and thirds of the catalogue.

A held-out positive of item i has the credit n_i^-g. n_i is the number of training users of i, counted as 1 for an item
without any, so that no credit is above 1. g is `GroundTruth.popularity_exponent`: with 0 every hit counts the same,
with 1 every item counts the same whatever the number of its users. A log holds more likes of popular items than users
would give if they saw everything. Steck (2011) models that a like is logged with a probability that grows as a power
of the item's popularity; recall with such credits then estimates recall on the complete data.

Thirds are of training interactions: the *head* is the fewest most popular items that have a third of them, the *tail*
all items outside of the fewest that have two thirds, the *middle* the rest. Equally popular items are on one side of a
border, and items without training users in the tail.
"""

from typing import Literal

import numpy as np

from recsys.maths.popularity import group_by_popularity
from recsys.metrics._hits import (
    MarkedPositives,
    compute_recall_by_map,
    count_marked_positives,
    get_hits_within,
    sum_over_hits,
)
from recsys.metrics._shared import discounts, divide_or_nan, get_item_popularity, get_test_users
from recsys.metrics.derived_tables import MapTable, SplitTable
from recsys.metrics.unexplored_regions import find_unexplored_positives
from recsys.types import Evaluation, GroundTruth, PerMap, PerUser
from recsys.types.arrays import Bools, Doubles, Ints, Longs

Third = Literal["head", "middle", "tail"]
THIRDS: tuple[Third, ...] = ("head", "middle", "tail")

STRATIFIED_ACCURACY = ("stratified_recall", "stratified_ndcg")

_AVERAGED_OVER = "mean over users with held-out positives, an empty slate counts 0"
_AVERAGED_OVER_MAPS = "audit maps; mean over users with such positives, then over maps, an empty slate counts 0"


CREDITS, CREDIT_ORDER, CREDIT_SUMS = SplitTable("credits"), SplitTable("credit_order"), SplitTable("credit_sums")
IDEAL_CREDITS, BEST_UNEXPLORED_CREDITS = SplitTable("ideal_credits"), MapTable("best_unexplored_credits")
THIRD_OF_ITEM, UNEXPLORED_OF_THIRD = SplitTable("third_of_item"), MapTable("unexplored_of_third")


def stratified_recall(evaluation: Evaluation, k: int) -> PerUser:
    """Recall in which a held-out positive counts popularity^-g: popularity-stratified recall.

    With g = 0 it is `recall`. The value is the mean of the users' ratios; the source weights users by the sum of their
    credits.

    :Formula: sum over hits of n_i^-g, over the same sum of all held-out positives; g = 0.5, n_i at least 1
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Steck 2011
    """
    truth = evaluation.truth
    credit = _get_credits(truth)
    total = CREDIT_SUMS.get(truth, lambda: _sum_by_user(truth))
    values = divide_or_nan(sum_over_hits(evaluation, credit, np.ones(k)), total)
    return PerUser(values, f"{_describe_credit(truth)}, hits / all held-out positives; {_AVERAGED_OVER}", 1)


def stratified_ndcg(evaluation: Evaluation, k: int) -> PerUser:
    """Discounted gain in which a held-out positive counts popularity^-g, over the best there could be.

    The ideal slate holds the min(k, positives) positives of the largest credit, the largest first. With g = 0 it is
    `ndcg`.

    :Formula: sum over hits of n_i^-g / log2(r + 1), over the same sum of the ideal slate; g = 0.5, n_i at least 1
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Järvelin and Kekäläinen 2002, credits of Steck 2011
    """
    truth, weights = evaluation.truth, discounts(k)
    ideal = IDEAL_CREDITS.get(truth, lambda: sum_largest_credits(truth, None, weights), k)
    values = divide_or_nan(sum_over_hits(evaluation, _get_credits(truth), weights), ideal)
    convention = (
        f"gain of {_describe_credit(truth)}, 1/log2(rank + 1), ideal of the min(k, positives) largest; {_AVERAGED_OVER}"
    )
    return PerUser(values, convention, 1)


def stratified_discovery(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` in which a held-out positive counts popularity^-g; audit maps.

    With g = 0 it is `discovery`. `counts` are those of `discovery`.

    :Formula: sum over hits in unexplored regions of n_i^-g, over the min(k, positives there) largest; g = 0.5
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project, credits of Steck 2011
    """
    truth, n_users = evaluation.truth, len(evaluation.items)
    positives, credit = find_unexplored_positives(truth, "audit_maps"), _get_credits(truth)
    marked = positives.marked
    best = BEST_UNEXPLORED_CREDITS.get(truth, lambda: _sum_best_by_map(truth, marked, k), k)
    user, _, place = get_hits_within(evaluation, k)
    values = np.empty((len(marked), n_users))
    for m, some in enumerate(marked):
        found = some[place]
        values[m] = divide_or_nan(np.bincount(user[found], credit[place[found]], n_users), best[m])
    _, behind = compute_recall_by_map(evaluation, k, positives, k)
    convention = (
        f"{_describe_credit(truth)}, hits in regions unexplored by train / the min(k, held-out positives there) "
        f"largest; {_AVERAGED_OVER_MAPS}"
    )
    return PerMap(values, convention, 1, behind)


def discovery_head(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` of the most popular items, which have a third of the training interactions; audit maps.

    :Formula: hits in unexplored regions / min(k, held-out positives there), of items of the head, mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery_of_third(evaluation, k, "head")


def discovery_middle(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` of items neither in the head nor in the tail, with about a third of the interactions; audit maps.

    :Formula: hits in unexplored regions / min(k, held-out positives there), of items of the middle, mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery_of_third(evaluation, k, "middle")


def discovery_tail(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` of the least popular items, which have the last third of the training interactions; audit maps.

    :Formula: hits in unexplored regions / min(k, held-out positives there), of items of the tail, mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery_of_third(evaluation, k, "tail")


def sum_largest_credits(truth: GroundTruth, marked: Bools | None, weights: Doubles) -> Doubles:
    """Return each user's sum of the k largest credits times the weights (k,) of their order, largest first, (U,).

    `marked` follows `split.test.indices`; without it all held-out positives count.
    """
    owner, credit = get_test_users(truth), _get_credits(truth)
    order = _get_credit_order(truth)
    order = order if marked is None else order[marked[order]]
    users = owner[order]
    rank = np.arange(len(order)) - np.searchsorted(users, users)
    kept = rank < len(weights)
    sums = np.bincount(users[kept], weights[rank[kept]] * credit[order[kept]], truth.split.test.shape[0])
    return np.asarray(sums, dtype=np.float64)


def group_items_by_thirds(popularity: Doubles) -> Ints:
    """Return the third of each item by its number of training users, (I,): 0 head, 1 middle, 2 tail.

    >>> group_items_by_thirds(np.array([4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0])).tolist()
    [0, 1, 1, 2, 2, 2, 2, 2]
    """
    return np.asarray(group_by_popularity(popularity, head=1 / 3, tail=1 / 3).indices)


def _compute_discovery_of_third(evaluation: Evaluation, k: int, third: Third) -> PerMap:
    positives = _find_unexplored_of_third(evaluation.truth, third)
    values, behind = compute_recall_by_map(evaluation, k, positives, k)
    convention = (
        f"hits in regions unexplored by train / min(k, held-out positives there), items of the {third} of three by "
        f"training interactions, ties on one side; {_AVERAGED_OVER_MAPS}"
    )
    return PerMap(values, convention, 1, behind)


def _find_unexplored_of_third(truth: GroundTruth, third: Third) -> MarkedPositives:
    def make() -> MarkedPositives:
        thirds = THIRD_OF_ITEM.get(truth, lambda: group_items_by_thirds(get_item_popularity(truth)))
        there = thirds[truth.split.test.indices] == THIRDS.index(third)
        return count_marked_positives(truth, find_unexplored_positives(truth, "audit_maps").marked & there)

    return UNEXPLORED_OF_THIRD.get(truth, make, third)


def _get_credits(truth: GroundTruth) -> Doubles:
    """Return n_i^-g of every held-out positive, in the order of `split.test.indices`."""
    return CREDITS.get(truth, lambda: _compute_credits(truth))


def _compute_credits(truth: GroundTruth) -> Doubles:
    of_item = np.maximum(get_item_popularity(truth), 1.0) ** -truth.popularity_exponent
    return np.asarray(of_item[truth.split.test.indices], dtype=np.float64)


def _sum_by_user(truth: GroundTruth) -> Doubles:
    order = _get_credit_order(truth)
    owner, credit = get_test_users(truth)[order], _get_credits(truth)[order]
    return np.asarray(np.bincount(owner, credit, truth.split.test.shape[0]), dtype=np.float64)


def _get_credit_order(truth: GroundTruth) -> Longs:
    """Return the order of held-out positives by user, then credit, largest first: sums do not depend on another."""
    return CREDIT_ORDER.get(truth, lambda: np.lexsort((-_get_credits(truth), get_test_users(truth))))


def _sum_best_by_map(truth: GroundTruth, marked: Bools, k: int) -> list[Doubles]:
    return [sum_largest_credits(truth, some, np.ones(k)) for some in marked]


def _describe_credit(truth: GroundTruth) -> str:
    return f"credit popularity^-{truth.popularity_exponent:g} (training users, at least 1)"
