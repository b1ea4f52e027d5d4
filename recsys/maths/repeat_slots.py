"""How many slots of a slate are for what was bought before, and which candidates take them."""

import numpy as np

from recsys.types.arrays import Csr, Doubles, Ints, Longs


def count_repeat_slots(shares: Doubles, k: int) -> Longs:
    """Return how many of k slots are for repeats, (U,): the share of each user, to the nearest whole number.

    >>> count_repeat_slots(np.array([0.0, 0.04, 0.26, 1.0]), 10).tolist()
    [0, 0, 3, 10]
    """
    return np.asarray(np.floor(np.clip(shares, 0.0, 1.0) * k + 0.5), dtype=np.int64)


def pick_repeats(scores: Csr, items: Ints, n: Longs) -> Longs:
    """Return the n items (U,) of each user that have the largest scores among the candidates, (U, max n), -1 is none.

    `scores` (U, I) are above 0 where an item may take a slot, `items` (U, N) are candidates, -1 is none; of equal
    scores the candidate that comes first is taken.
    """
    found = look_up_entries(scores, items)
    width = min(int(n.max(initial=0)), items.shape[1])
    best = np.argsort(-found, axis=1, kind="stable")[:, :width]
    picked = np.take_along_axis(items, best, axis=1).astype(np.int64)
    there = (np.take_along_axis(found, best, axis=1) > 0) & (np.arange(width) < n[:, None])
    return np.where(there, picked, -1)


def look_up_entries(matrix: Csr, items: Ints) -> Doubles:
    """Return the value of each of `items` (U, N) in its user's row of a matrix (U, I); 0 without one, and for -1."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys = rows * matrix.shape[1] + matrix.indices
    order = np.argsort(keys, kind="stable")
    asked = np.arange(len(items), dtype=np.int64)[:, None] * matrix.shape[1] + np.maximum(items, 0)
    place = np.searchsorted(keys[order], asked)
    at = order[np.minimum(place, max(len(keys) - 1, 0))] if len(keys) else np.zeros(asked.shape, np.int64)
    same = (keys[at] == asked) & (items >= 0) if len(keys) else np.zeros(asked.shape, dtype=bool)
    return np.asarray(np.where(same, matrix.data[at] if len(keys) else 0.0, 0.0), dtype=np.float64)
