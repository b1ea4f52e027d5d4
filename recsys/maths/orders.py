"""Scores in whatever numbers they came, and their order before they are rounded to 32 bits."""

from collections.abc import Callable

import numpy as np

from recsys.maths.tops import NEVER
from recsys.types.arrays import Anys, Longs
from recsys.types.errors import RecsysError

KINDS = "fiubOUS"  # NumPy's, of what may be numbers
EXACT = 2**53  # whole numbers up to it are numbers of 64 bits with a fraction too


def comparable(scores: object, refuse: Callable[[str, int], RecsysError]) -> Anys:
    """Return numbers in the order of the scores, of any shape: float32 as they are, else float64.

    They are the scores themselves, but for whole numbers above 2^53 and Python's own numbers (Decimal, Fraction):
    then places in the order of all of them, from 0. Text is read as a number.

    Raises:
        RecsysError: where scores are not finite numbers of 32 bits, what `refuse` makes of what was found and where it
            stands, counted over all axes, -1 for nowhere.

    >>> comparable([2**60 + 1, 2**60, 2**60], RecsysError).tolist()
    [1.0, 0.0, 0.0]
    """
    try:
        array = np.asarray(scores)
        if array.dtype.kind not in KINDS:
            raise refuse(f"type {array.dtype}", -1)
        values = array if array.dtype == np.float32 else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, RecsysError):
            raise
        raise refuse("something that is no number", -1) from None
    if not values.size:
        return values
    low, high = values.min(), values.max()
    if not (low > NEVER and high < -NEVER):  # NaN is neither
        place = int(np.argmin(((values > NEVER) & (values < -NEVER)).reshape(-1)))
        raise refuse(f"{values.reshape(-1)[place]}", place)
    if array.dtype.kind != "O" and (array.dtype == np.float32 or max(-low, high) < EXACT):
        return values
    if array.dtype.kind == "f" and isinstance(scores, np.ndarray):
        return values
    return _places(array if array.dtype.kind in "iu" else np.asarray(scores, dtype=object), refuse)


def _places(array: Anys, refuse: Callable[[str, int], RecsysError]) -> Anys:
    """Return the place of each number among the distinct ones, ascending, compared exactly."""
    try:
        places = np.unique(array, return_inverse=True)[1]
    except TypeError:
        raise refuse("numbers that cannot be compared", -1) from None
    return np.asarray(places.reshape(array.shape), dtype=np.float64)


def best_first(values: Anys) -> Longs:
    """Return the order of values (N,), the largest first; equal ones keep theirs."""
    order: Longs = np.argsort(-values, kind="stable")
    return order
