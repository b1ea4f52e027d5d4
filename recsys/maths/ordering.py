"""The best columns of each row of scores, exactly, equal ones in a given order."""

from collections.abc import Callable

import numpy as np

from recsys.types.arrays import Anys, Bools, Floats, Ints, Longs
from recsys.types.errors import RecsysError

LOWEST_SCORE = np.float32(-3.0e38)  # finite, below every score
GROUPS = 4  # groups of columns for each of the n best: the fewer, the more cells are above the bound
MOST = 2 * GROUPS  # cells above the bound for each of the n best: a row with more of them is full of ties


def find_top_n(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return the n best columns of each row, best first, ties by `ties`; -1 and 0 where the score is NEVER.

    Columns are dealt into 4 n groups. The n-th largest of the groups' best is reached by at least n columns and seldom
    by many more: these alone are sorted. So every score is looked at twice, and none is moved.
    """
    if scores.shape[1] < 2 * GROUPS * n:
        return _find_top_n_by_partition(scores, n, ties)
    bound = _find_bound(scores, n)
    row, column = np.divmod(np.flatnonzero(scores >= bound[:, None]), scores.shape[1])
    counts = np.bincount(row, minlength=len(scores))
    fits = (counts >= n) & (counts <= MOST * n)
    if not fits.all():
        row, column = row[fits[row]], column[fits[row]]
    slot = np.arange(len(row)) - np.searchsorted(row, row)
    width = max(n, int(slot.max(initial=-1)) + 1)
    columns = np.zeros((len(scores), width), dtype=np.int64)
    found = np.full((len(scores), width), LOWEST_SCORE, dtype=scores.dtype)
    columns[row, slot], found[row, slot] = column, scores[row, column]
    items, found = sort_best_first(columns, found, ties)
    items, found = items[:, :n], found[:, :n]
    if not fits.all():
        items[~fits], found[~fits] = _find_top_n_by_partition(scores[~fits], n, ties)
    return items, found


def _find_bound(scores: Floats, n: int) -> Floats:
    """Return a score that at least n columns of each row reach, (B,); infinity where n are not known to be there."""
    groups = GROUPS * n
    height = scores.shape[1] // groups
    best = scores[:, : height * groups].reshape(len(scores), height, groups).max(axis=1)
    bound = np.partition(best, groups - n, axis=1)[:, groups - n]
    return np.where(bound > LOWEST_SCORE, bound, np.asarray(np.inf, dtype=scores.dtype))


def _find_top_n_by_partition(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return the top n columns of each row, from a partition of every row."""
    best = find_largest(scores, n, ties, float(LOWEST_SCORE))
    return sort_best_first(best, np.take_along_axis(scores, best, axis=1), ties)


def find_top_n_with_reserve(
    scores: Floats, unexplored: Bools, n: int, reserved: int, ties: Longs
) -> tuple[Ints, Floats]:
    """Return n columns of each row as `top` does: the best `reserved` that are `outside`, and the best of the rest."""
    kept = find_top_n(np.where(unexplored, scores, LOWEST_SCORE), reserved, ties)[0]
    rest, there = scores.copy(), kept >= 0
    rest[np.nonzero(there)[0], kept[there]] = LOWEST_SCORE
    more = find_top_n(rest, n, ties)[0]
    free = n - there.sum(axis=1, keepdims=True)
    both = np.concatenate([kept, np.where(np.arange(n) < free, more, -1)], axis=1)
    found = np.where(both >= 0, np.take_along_axis(scores, both, axis=1), LOWEST_SCORE)
    items, found = sort_best_first(both, found, ties)
    return items[:, :n], found[:, :n]


def find_largest(values: Anys, n: int, ties: Longs, floor: float) -> Longs:
    """Return the columns of the n largest of each row of values (B, I), in any order; equal ones by `ties`.

    Which of equal values `np.argpartition` takes depends on the instructions that a processor has. Among values of at
    most `floor` that does not matter.

    >>> np.sort(find_largest(np.array([[1.0, 3.0, 2.0, 2.0, 2.0]]), 3, np.arange(5), 0.0)).tolist()
    [[1, 2, 3]]
    """
    best = np.argpartition(-values, n - 1, axis=1)[:, :n] if n < values.shape[1] else _list_all_columns(values)
    edge = np.take_along_axis(values, best, axis=1).min(axis=1, initial=np.inf)
    tied = (values >= edge[:, None]).sum(axis=1) > n
    for row in np.flatnonzero(tied & (edge > floor)):
        reach = np.flatnonzero(values[row] >= edge[row])
        best[row] = reach[np.lexsort((ties[reach], -values[row, reach]))[:n]]
    return best


def sort_best_first(columns: Ints | Longs, found: Floats, ties: Longs) -> tuple[Ints, Floats]:
    """Return each row of columns and scores best first, ties by `ties`; -1 and 0 where the score is NEVER."""
    order = np.argsort(-found, axis=1)  # the fastest kind: equal scores are put in order below
    after = np.take_along_axis(found, order, axis=1)
    tied = ((after[:, 1:] == after[:, :-1]) & (after[:, 1:] > LOWEST_SCORE)).any(axis=1)
    order[tied] = np.lexsort((ties[columns[tied]], -found[tied]), axis=1)
    items = np.take_along_axis(columns, order, axis=1).astype(np.int32)
    nobody: Bools = after <= LOWEST_SCORE
    return np.where(nobody, np.int32(-1), items), np.where(nobody, np.float32(0), after)


def _list_all_columns(values: Anys) -> Longs:
    return np.tile(np.arange(values.shape[1]), (len(values), 1))


NUMBER_KINDS = "fiubOUS"  # NumPy's, of what may be numbers
EXACT = 2**53  # whole numbers up to it are numbers of 64 bits with a fraction too


def make_comparable(scores: object, refuse: Callable[[str, int], RecsysError]) -> Anys:
    """Return numbers in the order of the scores, of any shape: float32 as they are, else float64.

    They are the scores themselves, but for whole numbers above 2^53 and Python's own numbers (Decimal, Fraction):
    then places in the order of all of them, from 0. Text is read as a number.

    Raises:
        RecsysError: where scores are not finite numbers of 32 bits, what `refuse` makes of what was found and where it
            stands, counted over all axes, -1 for nowhere.

    >>> make_comparable([2**60 + 1, 2**60, 2**60], RecsysError).tolist()
    [1.0, 0.0, 0.0]
    """
    try:
        array = np.asarray(scores)
        if array.dtype.kind not in NUMBER_KINDS:
            raise refuse(f"type {array.dtype}", -1)
        values = array if array.dtype == np.float32 else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, RecsysError):
            raise
        raise refuse("something that is no number", -1) from None
    if not values.size:
        return values
    low, high = values.min(), values.max()
    if not (low > LOWEST_SCORE and high < -LOWEST_SCORE):  # NaN is neither
        place = int(np.argmin(((values > LOWEST_SCORE) & (values < -LOWEST_SCORE)).reshape(-1)))
        raise refuse(f"{values.reshape(-1)[place]}", place)
    if array.dtype.kind != "O" and (array.dtype == np.float32 or max(-low, high) < EXACT):
        return values
    if array.dtype.kind == "f" and isinstance(scores, np.ndarray):
        return values
    return _rank_exactly(array if array.dtype.kind in "iu" else np.asarray(scores, dtype=object), refuse)


def _rank_exactly(array: Anys, refuse: Callable[[str, int], RecsysError]) -> Anys:
    """Return the place of each number among the distinct ones, ascending, compared exactly."""
    try:
        places = np.unique(array, return_inverse=True)[1]
    except TypeError:
        raise refuse("numbers that cannot be compared", -1) from None
    return np.asarray(places.reshape(array.shape), dtype=np.float64)


def argsort_descending(values: Anys) -> Longs:
    """Return the order of values (N,), the largest first; equal ones keep theirs."""
    order: Longs = np.argsort(-values, kind="stable")
    return order


def rank_values(values: Anys) -> Longs:
    """Return the place of each value in ascending order along the last axis, from 0; equal ones in theirs."""
    ranks: Longs = np.argsort(np.argsort(values, axis=-1, kind="stable"), axis=-1, kind="stable")
    return ranks
