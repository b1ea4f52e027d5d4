"""Repeats and explored items apart: which part of a slate's hits, and of what was to be found, was met in training.

A held-out positive is a repeat where the user has it in training too, which a split holds only where its held-out
parts have repeats (`recsys.splits.hold_out_repeats`); all others are explored. Slates shorter than k are filled with
misses.
"""

import numpy as np

from recsys.metrics._hits import get_hits_within
from recsys.metrics._shared import divide_or_nan, expand_row_indices, get_test_users, mask_untested_users
from recsys.metrics.derived_tables import SplitTable
from recsys.types import Evaluation, GroundTruth, PerUser
from recsys.types.arrays import Bools, Doubles, Longs

BOUGHT_BEFORE = SplitTable("bought_before")


def repeat_recall(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over the number of held-out positives, both among what the user has in training.

    NaN for users without such positives.

    :Formula: hits among repeats / held-out repeats
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Li et al. 2023
    """
    hits, wanted = _count_parts(evaluation, k, repeats=True)
    said = "hits / held-out positives, of those met in training; mean over users with such positives"
    return PerUser(divide_or_nan(hits, wanted), f"{said}, an empty slate counts 0", 1)


def explore_recall(evaluation: Evaluation, k: int) -> PerUser:
    """Hits over the number of held-out positives, both among what the user does not have in training.

    NaN for users without such positives. Where a split holds out no repeats, this is `recall`.

    :Formula: hits among others / held-out others
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: Li et al. 2023
    """
    hits, wanted = _count_parts(evaluation, k, repeats=False)
    said = "hits / held-out positives, of those not met in training; mean over users with such positives"
    return PerUser(divide_or_nan(hits, wanted), f"{said}, an empty slate counts 0", 1)


def repeat_precision(evaluation: Evaluation, k: int) -> PerUser:
    """Held-out purchases per slot that are repeats: with `explore_precision` it adds up to `precision`.

    :Formula: hits among repeats / k
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: this project
    """
    hits, _ = _count_parts(evaluation, k, repeats=True)
    said = "hits that were met in training / k; mean over users with held-out positives, an empty slate counts 0"
    return PerUser(mask_untested_users(evaluation, hits / k), said, 1)


def explore_precision(evaluation: Evaluation, k: int) -> PerUser:
    """Held-out purchases per slot that are no repeats: with `repeat_precision` it adds up to `precision`.

    :Formula: hits among others / k
    :Range: [0, 1]
    :Better: more
    :Cost: U k
    :Source: this project
    """
    hits, _ = _count_parts(evaluation, k, repeats=False)
    said = "hits that were not met in training / k; mean over users with held-out positives, an empty slate counts 0"
    return PerUser(mask_untested_users(evaluation, hits / k), said, 1)


def over_advertising(evaluation: Evaluation, k: int) -> PerUser:
    """Share of the items shown that the user owns and that are not due: advertised though bought a short while ago.

    NaN where nothing says what is owned (`GroundTruth.repeats`, of which items are durables).

    :Formula: shown items that are owned and not due / shown items
    :Range: [0, 1]
    :Better: less
    :Cost: U k log R, R owned items
    :Source: this project
    """
    said = "items shown that the user owns and that are not due, over items shown; mean over users with a slate"
    top, repeats = evaluation.get_top_picks(k), evaluation.truth.repeats
    if repeats is None or not repeats.due_from.nnz:
        return PerUser(np.full(len(top), np.nan), said, -1)
    held = repeats.find_held_back()
    keys = expand_row_indices(held) * held.shape[1] + held.indices
    shown = np.arange(len(top))[:, None] * held.shape[1] + np.maximum(top, 0)
    owned = (np.isin(shown, keys) & (top >= 0)).sum(axis=1)
    return PerUser(divide_or_nan(owned, (top >= 0).sum(axis=1)), said, -1)


def _count_parts(evaluation: Evaluation, k: int, repeats: bool) -> tuple[Doubles, Doubles]:
    """Return each user's hits within k and held-out positives that are repeats, or that are none, (U,) each."""
    truth, users = evaluation.truth, len(evaluation.items)
    of_part = _get_bought_before(truth) == repeats
    user, _, place = get_hits_within(evaluation, k)
    hits: Longs = np.bincount(user[of_part[place]], minlength=users)
    wanted: Longs = np.bincount(get_test_users(truth)[of_part], minlength=users)
    return hits.astype(np.float64), wanted.astype(np.float64)


def _get_bought_before(truth: GroundTruth) -> Bools:
    """Return of each held-out positive whether the user has it in training, in the order of `split.test.indices`."""

    def make() -> Bools:
        test, train = truth.split.test, truth.split.train
        held_out, known = (expand_row_indices(one) * test.shape[1] + one.indices for one in (test, train))
        return np.isin(held_out, known)

    return BOUGHT_BEFORE.get(truth, make)
