"""The order of ids, which does not depend on that of the rows they come from, and the codes of ids that are numbers."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.types.arrays import Ints, Longs

MAX_NUMBERS_PER_ID = 64  # numbers for each id: with more, a table of them is not worth its memory
MAX_DIGITS = 18  # more of them are larger than any catalogue allows
ROWS = 2**14  # names that are read at once: they stay in the cache
_INTEGER = re.compile(r"-?\d{1,18}")


def sort_ids(ids: Iterable[str]) -> list[str]:
    """Return distinct ids in order: by number if all are whole numbers, else by code points.

    >>> sort_ids(["10", "9", "10"]), sort_ids(["10", "9", "a"])
    (['9', '10'], ['10', '9', 'a'])
    """
    distinct = set(ids)
    if all(_INTEGER.fullmatch(one) for one in distinct):
        return sorted(distinct, key=lambda one: (int(one), one))
    return sorted(distinct)


def build_number_codes(ids: Any) -> Ints:
    """Return the code of each number where all ids are whole numbers and not too far apart, () where they are not.

    A number that is no id has -1.

    >>> build_number_codes(np.array(["3", "0"])).tolist(), build_number_codes(np.array(["3", "03"])).tolist()
    ([1, -1, -1, 0], [])
    """
    names = np.asarray(ids)
    if names.dtype.kind != "U" or not names.size or not names.dtype.itemsize:
        return np.zeros(0, np.int32)
    numbers = np.empty(len(names), np.int64)
    letters = np.ascontiguousarray(names).view(np.uint32).reshape(len(names), -1)
    for first in range(0, len(names), ROWS):
        if not _read_numbers(letters[first : first + ROWS], numbers[first : first + ROWS]):
            return np.zeros(0, np.int32)
    if numbers.max() >= MAX_NUMBERS_PER_ID * len(numbers):
        return np.zeros(0, np.int32)
    codes = np.full(int(numbers.max()) + 1, -1, np.int32)
    codes[numbers] = np.arange(len(numbers), dtype=np.int32)
    return codes


def _read_numbers(letters: NDArray[np.uint32], numbers: Longs) -> bool:
    """Fill `numbers` (I,) with the whole numbers that rows of `letters` (I, width), code points and zeros, spell.

    Return whether all do: with digits 0 to 9 alone, no zero before others, and at most 18 of them.
    """
    if letters[:, MAX_DIGITS:].any():
        return False
    columns = np.ascontiguousarray(letters[:, :MAX_DIGITS].T)
    ends, digits = columns == 0, columns - np.uint32(ord("0"))
    if ends[0].any() or ((digits > 9) & ~ends).any() or (ends[:-1] & ~ends[1:]).any():
        return False
    if len(columns) > 1 and ((digits[0] == 0) & ~ends[1]).any():
        return False
    numbers[:] = digits[0]
    for digit, end in zip(digits[1:], ends[1:], strict=True):
        np.copyto(numbers, 10 * numbers + digit, where=~end)
    return True
