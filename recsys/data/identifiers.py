"""Ids as names: always strings, in an order that does not depend on the file's."""

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.types.arrays import Bools, Ints, Longs, Strings
from recsys.types.identifiers import sort_ids

if TYPE_CHECKING:
    from pandas import Series

_WHOLE_AS_FLOAT = re.compile(r"(-?\d+)\.0+")


def normalize_id(value: Any) -> str:
    """Return an id as text: 50, 50.0, "50" and "50.0" are all "50"; "" where there is none.

    >>> normalize_id(50.0), normalize_id("50.0"), normalize_id(" 007 "), normalize_id(float("nan"))
    ('50', '50', '007', '')
    """
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    text = str(value).replace("\0", "").strip()
    whole = _WHOLE_AS_FLOAT.fullmatch(text) if ".0" in text else None
    return whole.group(1) if whole else text


def encode_ids(values: "Series[Any]") -> tuple[Ints, Strings]:
    """Return the code of each value, (R,) with -1 where there is none, and the ids that codes point to, in order."""
    import pandas as pd

    raw, uniques = pd.factorize(values)
    names = [normalize_id(value) for value in uniques.tolist()]
    ids = sort_ids(name for name in names if name)
    place = {one: code for code, one in enumerate(ids)}
    codes = np.asarray([*(place.get(name, -1) for name in names), -1], dtype=np.int32)
    return codes[raw], make_string_array(ids)


def look_up_ids(names: Strings, known_ids: Strings) -> tuple[Longs, Bools]:
    """Return the place of each name among the known ones, (R,), and whether it is one of them: if not, any place."""
    if not len(names) or not len(known_ids):
        return np.zeros(len(names), np.int64), np.zeros(len(names), bool)
    order = np.argsort(known_ids, kind="stable")
    at = order[np.minimum(np.searchsorted(known_ids, names, sorter=order), len(known_ids) - 1)]
    return at, np.asarray(known_ids[at] == names)


def make_string_array(texts: Iterable[str]) -> Strings:
    """Return texts as an array, also when there are none."""
    return np.asarray(list(texts), dtype=np.str_)
