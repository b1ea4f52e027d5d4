"""The best columns of each row of scores, exactly, equal ones in a given order."""

import numpy as np

from recsys.types.arrays import Bools, Floats, Ints, Longs

NEVER = np.float32(-3.0e38)  # finite, below every score
GROUPS = 4  # groups of columns for each of the n best: the fewer, the more cells are above the bound
MOST = 2 * GROUPS  # cells above the bound for each of the n best: a row with more of them is full of ties


def top(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return the n best columns of each row, best first, ties by `ties`; -1 and 0 where the score is NEVER.

    Columns are dealt into 4 n groups. The n-th largest of the groups' best is reached by at least n columns and seldom
    by many more: these alone are sorted. So every score is looked at twice, and none is moved.
    """
    if scores.shape[1] < 2 * GROUPS * n:
        return _partitioned(scores, n, ties)
    bound = _bound(scores, n)
    row, column = np.divmod(np.flatnonzero(scores >= bound[:, None]), scores.shape[1])
    counts = np.bincount(row, minlength=len(scores))
    fits = (counts >= n) & (counts <= MOST * n)
    if not fits.all():
        row, column = row[fits[row]], column[fits[row]]
    slot = np.arange(len(row)) - np.searchsorted(row, row)
    width = max(n, int(slot.max(initial=-1)) + 1)
    columns = np.zeros((len(scores), width), dtype=np.int64)
    found = np.full((len(scores), width), NEVER, dtype=scores.dtype)
    columns[row, slot], found[row, slot] = column, scores[row, column]
    items, found = in_order(columns, found, ties)
    items, found = items[:, :n], found[:, :n]
    if not fits.all():
        items[~fits], found[~fits] = _partitioned(scores[~fits], n, ties)
    return items, found


def _bound(scores: Floats, n: int) -> Floats:
    """Return a score that at least n columns of each row reach, (B,); infinity where n are not known to be there."""
    groups = GROUPS * n
    height = scores.shape[1] // groups
    best = scores[:, : height * groups].reshape(len(scores), height, groups).max(axis=1)
    bound = np.partition(best, groups - n, axis=1)[:, groups - n]
    return np.where(bound > NEVER, bound, np.asarray(np.inf, dtype=scores.dtype))


def _partitioned(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return what `top` does, from a partition of every row."""
    last = scores.shape[1] - n
    best = np.argpartition(scores, last, axis=1)[:, last:] if last else _all_columns(scores)
    edge = np.take_along_axis(scores, best, axis=1).min(axis=1)
    tied = (scores >= edge[:, None]).sum(axis=1) > n
    for row in np.flatnonzero(tied & (edge > NEVER)):
        reach = np.flatnonzero(scores[row] >= edge[row])
        best[row] = reach[np.lexsort((ties[reach], -scores[row, reach]))[:n]]
    return in_order(best, np.take_along_axis(scores, best, axis=1), ties)


def reached(scores: Floats, outside: Bools, n: int, reserved: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return n columns of each row as `top` does: the best `reserved` that are `outside`, and the best of the rest."""
    kept = top(np.where(outside, scores, NEVER), reserved, ties)[0]
    rest, there = scores.copy(), kept >= 0
    rest[np.nonzero(there)[0], kept[there]] = NEVER
    more = top(rest, n, ties)[0]
    free = n - there.sum(axis=1, keepdims=True)
    both = np.concatenate([kept, np.where(np.arange(n) < free, more, -1)], axis=1)
    found = np.where(both >= 0, np.take_along_axis(scores, both, axis=1), NEVER)
    items, found = in_order(both, found, ties)
    return items[:, :n], found[:, :n]


def in_order(columns: Ints | Longs, found: Floats, ties: Longs) -> tuple[Ints, Floats]:
    """Return each row of columns and scores best first, ties by `ties`; -1 and 0 where the score is NEVER."""
    order = np.argsort(-found, axis=1)
    after = np.take_along_axis(found, order, axis=1)
    tied = ((after[:, 1:] == after[:, :-1]) & (after[:, 1:] > NEVER)).any(axis=1)
    order[tied] = np.lexsort((ties[columns[tied]], -found[tied]), axis=1)
    items = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    nobody: Bools = after <= NEVER
    return np.where(nobody, np.int32(-1), items), np.where(nobody, np.float32(0), after)


def _all_columns(scores: Floats) -> Longs:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
