"""Purposes of rows: what people allow a row to be used for, a set of names."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.data.identifiers import normalize_id
from recsys.data.parsing import refuse_bad_rows
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Bools, Longs

if TYPE_CHECKING:
    from pandas import Series

MAX_PURPOSES = 64  # a log of people's choices has a few; more are another column
_SEPARATORS = re.compile("[|;,]")
_NO_NAMES = object()  # a cell that holds no names


class PurposeSets(NamedTuple):
    """The distinct sets of purposes of a column."""

    names: tuple[str, ...]  # P names, in order
    members: Bools  # (S, P) which names are in which set


def parse_purposes(values: "Series[Any]", rows: Longs, place: str) -> tuple[Longs, PurposeSets]:
    """Return which set of purposes each row permits, (R,), and these sets; `rows` are places in the file, for errors.

    A cell is a text of names separated by "|", ";" or ",", or a list or set of names; an empty one permits nothing.

    Raises:
        RecsysError: for a cell that is neither, or more than 64 purposes.
    """
    import pandas as pd

    cells = values.map(_freeze_cell) if values.dtype == object else values
    codes, distinct = pd.factorize(cells)
    sets = [_parse_cell(cell) for cell in distinct]
    wrong = np.asarray([one is None for one in sets] + [False], dtype=bool)
    refuse_bad_rows(wrong[codes], values, rows, place, "names separated by '|', or a list of names")
    names = sorted({name for one in sets if one for name in one})
    if len(names) > MAX_PURPOSES:
        found = f"{values.name} holds {len(names):,} purposes, the first of them '{names[0][:40]}'"
        raise RecsysError(f"{place}: {found}, expected at most {MAX_PURPOSES}: is it the column of purposes?")
    members = np.asarray([[name in (one or ()) for name in names] for one in [*sets, None]], dtype=bool)
    codes = np.where(codes < 0, len(sets), codes)
    return codes, PurposeSets(tuple(names), members.reshape(len(sets) + 1, len(names)))


def select_purposes(sets: PurposeSets, codes: Anys) -> tuple[Bools, tuple[str, ...]]:
    """Return which purposes each row permits, (R, P), and their names, without those that no row permits."""
    there = np.bincount(codes, minlength=len(sets.members)) > 0
    held = sets.members[there].any(axis=0)
    return sets.members[:, held][codes], tuple(np.asarray(sets.names, dtype=object)[held].tolist())


def _freeze_cell(cell: Any) -> Any:
    """Return a list of names as their set, so that equal cells are one; everything else as it is."""
    if isinstance(cell, list | tuple | set | frozenset | np.ndarray):
        return _collect_names(cell)
    return cell if np.isscalar(cell) or cell is None else _NO_NAMES


def _parse_cell(cell: Any) -> frozenset[str] | None:
    """Return the names in a cell, None for one that holds something else."""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", errors="replace")
    if not isinstance(cell, frozenset) and cell is not _NO_NAMES:
        cell = _collect_names(_SEPARATORS.split(normalize_id(cell)))
    return cell if isinstance(cell, frozenset) else None


def _collect_names(cells: Iterable[Any]) -> Any:
    """Return the set of the names in `cells`; `_NO_NAMES` where one is none."""
    found = set()
    for cell in cells:
        name = normalize_id(cell) if cell is None or np.isscalar(cell) else "|"
        if _SEPARATORS.search(name) or not name.isprintable():
            return _NO_NAMES
        found.add(name)
    return frozenset(found - {""})
