"""Context features: numbers of items that a user brings, such as price, recency or stock, joined by id."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsys.data.identifiers import look_up_ids, normalize_id
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.arrays import Doubles, Strings

ID_COLUMN = "item_id"
MAX_SHOWN_CELL = 60  # characters of a cell in an error


def join_item_columns(
    table: Mapping[str, Sequence[Any]] | Any, item_ids: Strings, known_features: Sequence[str]
) -> tuple[dict[str, Doubles], list[str]]:
    """Return each column of an item table as numbers of all items, (I,), by name, and notes on what was missing.

    `table` is a DataFrame or a mapping with `item_id` and columns of numbers. Items that it does not hold, and empty
    cells, get the mean of the others; ids that are not in the catalogue are left out.

    Raises:
        RecsysError: without `item_id` or other columns, for unequal lengths, an id that is there twice, a column of no
            numbers, an infinite one, or one with the name of a feature.
    """
    cells = {str(name): np.asarray(table[name]) for name in table}
    if ID_COLUMN not in cells:
        raise make_unknown_name_error("column", ID_COLUMN, list(cells), where="likelihood: items")
    names = np.array([normalize_id(value) for value in cells.pop(ID_COLUMN).tolist()], dtype=np.str_)
    if not cells:
        raise RecsysError("likelihood: items has no column beside item_id, expected numbers of items")
    if len(np.unique(names)) < len(names):
        raise RecsysError("likelihood: items has an item_id twice, expected each once")
    place, there = look_up_ids(names, item_ids)
    if not there.any():
        raise RecsysError("likelihood: items holds none of the items of the split, expected their ids in item_id")
    joined, notes = {}, []
    for name, values in cells.items():
        if name in known_features:
            raise RecsysError(f"likelihood: items: column '{name}' has the name of a feature, expected another")
        column = np.full(len(item_ids), np.nan)
        column[place[there]] = _convert_to_numbers(name, values, len(names))[there]
        missing = np.isnan(column)
        if missing.all():
            raise RecsysError(f"likelihood: items: column '{name}' is empty, expected numbers")
        column[missing] = column[~missing].mean()
        if missing.any():
            notes.append(f"column '{name}' lacks {missing.sum():,} of {len(column):,} items: they get its mean")
        joined[name] = column
    return joined, notes


def _convert_to_numbers(name: str, values: Any, length: int) -> Doubles:
    place = f"likelihood: items: column '{name}'"
    if values.shape != (length,):
        raise RecsysError(f"{place} has shape {values.shape}, expected one number for each of {length} items")
    try:
        numbers = np.array([_convert_cell(value) for value in values.tolist()], dtype=np.float64)
    except (TypeError, ValueError):
        wrong = next(value for value in values.tolist() if not _is_number(value))
        raise RecsysError(f"{place} holds {repr(wrong)[:MAX_SHOWN_CELL]}, expected numbers") from None
    if np.isinf(numbers).any():
        raise RecsysError(f"{place} holds infinity, expected finite numbers")
    return numbers


def _convert_cell(value: Any) -> Any:
    return np.nan if value is None else value


def _is_number(value: Any) -> bool:
    try:
        float(_convert_cell(value))
    except (TypeError, ValueError):
        return False
    return True
