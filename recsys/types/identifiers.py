"""The order of ids, which does not depend on that of the rows they come from, and the codes of ids that are numbers."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from recsys.types.arrays import Ints

MAX_NUMBERS_PER_ID = 64  # numbers for each id: with more, a table of them is not worth its memory
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
    try:
        numbers = names.astype(np.int64)
    except (ValueError, OverflowError):
        return np.zeros(0, np.int32)
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= MAX_NUMBERS_PER_ID * len(numbers):
        return np.zeros(0, np.int32)
    digits = np.searchsorted(10 ** np.arange(1, 19), numbers, side="right") + 1
    letters = np.ascontiguousarray(names).view(np.uint32)
    if (np.strings.str_len(names) != digits).any() or letters.max() > ord("9"):  # 007, +7, or digits of other scripts
        return np.zeros(0, np.int32)
    codes = np.full(int(numbers.max()) + 1, -1, np.int32)
    codes[numbers] = np.arange(len(numbers))
    return codes
