"""The order of ids: it does not depend on the order of the rows that they come from."""

import re
from collections.abc import Iterable

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
