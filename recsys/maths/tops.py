"""The best columns of each row of scores, exactly, equal ones in a given order."""

import numpy as np

from recsys.types.arrays import Bools, Floats, Ints, Longs

NEVER = np.float32(-3.0e38)  # finite, below every score


def top(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return the n best columns of each row, best first, ties by `ties`; -1 and 0 where the score is NEVER."""
    last = scores.shape[1] - n
    best = np.argpartition(scores, last, axis=1)[:, last:] if last else _all_columns(scores)
    edge = np.take_along_axis(scores, best, axis=1).min(axis=1)
    tied = (scores >= edge[:, None]).sum(axis=1) > n
    for row in np.flatnonzero(tied & (edge > NEVER)):
        reach = np.flatnonzero(scores[row] >= edge[row])
        best[row] = reach[np.lexsort((ties[reach], -scores[row, reach]))[:n]]
    return _in_order(best, np.take_along_axis(scores, best, axis=1), ties)


def reached(scores: Floats, outside: Bools, n: int, reserved: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return n columns of each row as `top` does: the best `reserved` that are `outside`, and the best of the rest."""
    kept = top(np.where(outside, scores, NEVER), reserved, ties)[0]
    rest, there = scores.copy(), kept >= 0
    rest[np.nonzero(there)[0], kept[there]] = NEVER
    more = top(rest, n, ties)[0]
    free = n - there.sum(axis=1, keepdims=True)
    both = np.concatenate([kept, np.where(np.arange(n) < free, more, -1)], axis=1)
    found = np.where(both >= 0, np.take_along_axis(scores, both, axis=1), NEVER)
    items, found = _in_order(both, found, ties)
    return items[:, :n], found[:, :n]


def _in_order(columns: Longs, found: Floats, ties: Longs) -> tuple[Ints, Floats]:
    order = np.lexsort((ties[columns], -found), axis=1)
    items = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    found = np.take_along_axis(found, order, axis=1)
    nobody: Bools = found <= NEVER
    return np.where(nobody, np.int32(-1), items), np.where(nobody, np.float32(0), found)


def _all_columns(scores: Floats) -> Longs:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
