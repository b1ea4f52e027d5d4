"""Popularity of the shown items, also compared with the user's own history.

Popularity n_i counts training positives. Items of equal popularity are on the same side of every border.
"""

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.maths.distributions import jensen_shannon
from recsys.maths.popularity import find_tail_items, group_by_popularity
from recsys.metrics._shared import count_train_positives, divide_or_nan, get_item_popularity, get_shown_matrix
from recsys.metrics.derived_tables import SplitTable
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Doubles

POPULARITY_GROUPS, TAIL = SplitTable("popularity_groups"), SplitTable("tail")

_WITH_SLATE = "mean over users with a slate"
_WITH_HISTORY_AND_SLATE = "mean over users with a history and a slate"
_TAIL_CONVENTION = "tail: items outside of the smallest head with 80 % of the training positives, ties in the head"


def arp(evaluation: Evaluation, k: int) -> PerUser:
    """Average recommendation popularity: the mean number of training positives of the items shown.

    :Formula: mean over shown items of n_i
    :Range: [0, U] users
    :Better: less
    :Cost: U k
    :Source: Yin et al. 2012
    """
    return PerUser(
        _average_over_shown(evaluation, k, get_item_popularity(evaluation.truth)),
        f"count, unseen items 0; {_WITH_SLATE}",
        -1,
    )


def aplt(evaluation: Evaluation, k: int) -> PerUser:
    """Share of the shown items that lie in the long tail.

    The head is the smallest set of most popular items with 80 % of the training positives, and all items as popular as
    its last one; the tail is the rest.

    :Formula: shown items in the tail / shown items
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Abdollahpouri, Burke and Mobasher 2019
    """
    return PerUser(
        _average_over_shown(evaluation, k, _get_tail_indicator(evaluation)),
        f"share of shown items; {_TAIL_CONVENTION}; {_WITH_SLATE}",
        1,
    )


def aclt(evaluation: Evaluation, k: int) -> PerUser:
    """Number of shown items that lie in the long tail of `aplt`.

    :Formula: shown items in the tail
    :Range: [0, k] items
    :Better: more
    :Cost: U k
    :Source: Abdollahpouri, Burke and Mobasher 2019
    """
    shown = get_shown_matrix(evaluation, k)
    values = np.where(np.diff(shown.indptr) > 0, shown @ _get_tail_indicator(evaluation), np.nan)
    return PerUser(values, f"number of shown items; {_TAIL_CONVENTION}; {_WITH_SLATE}", 1)


def popularity_lift(evaluation: Evaluation, k: int) -> PerUser:
    """How much more popular slates are than histories, relative to histories; 0 is no over_exposure.

    A user's value is the difference of the two means over the mean of all users' histories, so that the mean over users
    is the lift of the group of all users.

    :Formula: (mean of n_i over the slate - the same over the history) / mean over users of the latter
    :Range: (-inf, inf)
    :Better: neither
    :Cost: U (k + h), h history of a user
    :Source: Abdollahpouri et al. 2019
    """
    counts, train = get_item_popularity(evaluation.truth), evaluation.truth.split.train
    own = divide_or_nan(train @ counts, count_train_positives(evaluation))
    more = _average_over_shown(evaluation, k, counts) - own
    usual = np.where(np.isnan(more), 0.0, own).sum() / max(np.count_nonzero(~np.isnan(more)), 1)
    convention = (
        "(mean count of the slate - of the history) / mean of the latter over users, one group; "
        f"{_WITH_HISTORY_AND_SLATE}"
    )
    return PerUser(more / max(usual, 1.0), convention, 0)  # whoever has a history has items with a count of 1 or more


def upd(evaluation: Evaluation, k: int) -> PerUser:
    """User popularity deviation: how far the slate's mix of head, middle and tail is from the history's, in bits.

    The head has the first 20 % of the training positives, the tail the last 20 %. All users are one group; the
    source takes the mean over groups of users, which segments show one by one.

    :Formula: JS(history || slate) over {head, middle, tail}
    :Range: [0, 1] bits
    :Better: less
    :Cost: U (k + h), h history of a user
    :Source: Abdollahpouri et al. 2021
    """
    truth, shown = evaluation.truth, get_shown_matrix(evaluation, k)
    train = truth.split.train
    groups = POPULARITY_GROUPS.get(truth, lambda: group_by_popularity(get_item_popularity(truth)))
    parts = [
        jensen_shannon(distributions.user_mixes(train[b], groups), distributions.user_mixes(shown[b], groups))
        for b in iter_blocks(shown.shape[0])
    ]
    defined = (count_train_positives(evaluation) > 0) & (np.diff(shown.indptr) > 0)
    convention = (
        "Jensen-Shannon in bits between the mixes of head (20 %), middle and tail (20 %), one group; "
        f"{_WITH_HISTORY_AND_SLATE}"
    )
    return PerUser(np.where(defined, np.concatenate(parts), np.nan), convention, -1)


def _get_tail_indicator(evaluation: Evaluation) -> Doubles:
    truth = evaluation.truth
    return TAIL.get(truth, lambda: find_tail_items(get_item_popularity(truth)).astype(np.float64))


def _average_over_shown(evaluation: Evaluation, k: int, of_item: Doubles) -> Doubles:
    shown = get_shown_matrix(evaluation, k)
    return divide_or_nan(shown @ of_item, np.diff(shown.indptr))
