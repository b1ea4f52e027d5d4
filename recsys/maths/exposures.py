"""Exposures of users counted, and held against limits, for all users of a pool at once."""

import numpy as np

from recsys.types import ExposureHistories, ExposureLimit
from recsys.types.arrays import Anys, Csr, Longs


def compute_ages(histories: ExposureHistories) -> Longs:
    """Return the seconds since each exposure, (R,), from 0: one after `now` was made by a clock that is ahead."""
    return np.maximum(histories.now - np.asarray(histories.times), 0)


def count_exposures(histories: ExposureHistories, items: Anys, n_items: int, window: int | None = None) -> Longs:
    """Return how often each of `items` (U, N) was shown to the user of its row, (U, N), -1 is no item: 0.

    `histories` are of these U users, items are below `n_items`. With a `window`, in seconds, older ones do not count.
    """
    keys = _make_pair_keys(histories, n_items)
    if window is not None:
        keys = keys[compute_ages(histories) < window]
    asked = np.arange(len(items))[:, None] * n_items + np.maximum(items, 0)
    counts = np.searchsorted(keys, asked, side="right") - np.searchsorted(keys, asked, side="left")
    return np.where(items >= 0, counts, 0).astype(np.int64)


def find_limited_pairs(histories: ExposureHistories, limit: ExposureLimit, n_items: int) -> Csr:
    """Return 1 where a limit excludes an item for a user, (U, n_items): it was shown too often, or dismissed lately."""
    keys, ages = _make_pair_keys(histories, n_items), compute_ages(histories)
    pairs, first = np.unique(keys, return_index=True)
    shown = np.add.reduceat((ages < limit.window).astype(np.int64), first) if len(first) else first
    resting = (np.asarray(histories.dismissed) & (ages < limit.cool_down)).astype(np.int64)
    dismissed = np.add.reduceat(resting, first) if len(first) else first
    closed = pairs[(shown >= limit.max_exposures) | (dismissed > 0)]
    pointers = np.searchsorted(closed, np.arange(len(histories.pointers)) * n_items)
    return Csr(
        (np.ones(len(closed), np.float32), (closed % n_items).astype(np.int32), pointers.astype(np.int32)),
        shape=(len(histories.pointers) - 1, n_items),
    )


def _make_pair_keys(histories: ExposureHistories, n_items: int) -> Longs:
    """Return a number for the user and item of each row, (R,), ascending."""
    pointers = np.asarray(histories.pointers)
    users = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    return users * n_items + np.asarray(histories.items).astype(np.int64)
