"""Numbers of items that [likelihood] names: columns of an item table, and the catalogue's own years and features."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recsys.configs import Config
from recsys.data.columns import ITEM_FIELDS
from recsys.data.identifiers import normalize_id
from recsys.data.mapped_tables import MappedTable, read_mapped_file
from recsys.likelihoods.columns import ID_COLUMN, join_item_columns
from recsys.likelihoods.records import list_feature_names
from recsys.types import Items, RecsysError, Split, make_unknown_name_error
from recsys.types.errors import rephrase_setting_errors

YEAR = "year"
WHERE, NAMED = "[likelihood] items", "[likelihood] columns"


@dataclass(frozen=True, eq=False)
class ItemColumns:
    """Numbers of all items of a split by name, beside their `item_id`: the `items` of `recsys.fit_likelihood`."""

    table: Mapping[str, Sequence[Any]]  # None where a number is missing

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name in self.table if name != ID_COLUMN)

    @cached_property
    def digest(self) -> str:
        """Twenty characters that depend on ids, names and numbers."""
        return hashlib.sha256(repr(sorted(self.table.items())).encode()).hexdigest()[:20]


def read_item_columns(config: Config, split: Split) -> ItemColumns | None:
    """Return the columns that [likelihood] names, None where it names neither columns nor items.

    A name is looked for in the table of [likelihood] items, or of [data] items where there is none; then it is the
    catalogue's `year`, or one of its features, 1 for items that have it and 0 for others.

    Raises:
        RecsysError: if the table cannot be read, a name is nowhere, or a column holds something that is no number.
    """
    section = config.likelihood
    if section is None or (section.columns is None and section.items is None):
        return None
    table = _read_item_table(section.items, config)
    others = [] if table is None else [str(name) for name in table.frame.columns if name != table.columns[ID_COLUMN]]
    names = section.columns or others
    made = {ID_COLUMN: split.item_ids.tolist(), **dict(_iter_columns(names, others, table, split.items))}
    try:
        join_item_columns(made, split.item_ids, list_feature_names())
    except RecsysError as error:
        said = str(error).removeprefix("likelihood: items: ").removeprefix("likelihood: items ")
        raise RecsysError(f"{WHERE if section.items else NAMED}: {said}") from None
    return ItemColumns(made)


def _read_item_table(path: str | None, config: Config) -> MappedTable | None:
    """Return the table of items that a config names, None where it names none."""
    is_own = path is not None
    place, chosen = (WHERE, {}) if is_own else ("[data] items", dict(config.data.item_columns))
    path = path if path is not None else config.data.items
    if path is None:
        return None
    named = {name: column for name, column in chosen.items() if name == ID_COLUMN}
    with rephrase_setting_errors("table" if is_own else "config"):
        table = read_mapped_file(Path(path), {ID_COLUMN: ITEM_FIELDS[ID_COLUMN]}, (), named, setting="item_columns")
    if ID_COLUMN not in table.columns:
        found = ", ".join(map(str, table.frame.columns))
        raise RecsysError(f"{place}: {path} has the columns {found}, expected item_id among them")
    return table


def _iter_columns(
    names: Sequence[str], others: Sequence[str], table: MappedTable | None, items: Items
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each name with its numbers, one for each item of the catalogue, None where it is missing."""
    known = [*others, YEAR, *items.feature_names]
    rows = {} if table is None else _find_rows(table, items)
    for name in names:
        if name not in known:
            usable = dict.fromkeys(one for one in known if one not in others or _holds_numbers(table, one))
            raise make_unknown_name_error("column", name, usable, where=NAMED)
        if table is not None and name in others:
            cells = [_parse_cell(cell) for cell in table.frame[name].tolist()]
            yield name, [cells[rows[code]] if code in rows else None for code in range(len(items.ids))]
        elif name == YEAR:
            yield name, [year or None for year in items.years.tolist()]
        else:
            f = items.feature_names.index(name)
            yield name, np.asarray(items.features[:, [f]].toarray()[:, 0], dtype=np.float64).tolist()


def _holds_numbers(table: MappedTable | None, name: str) -> bool:
    """Return whether a column of a table holds numbers or empty cells alone."""
    return table is None or not any(isinstance(_parse_cell(cell), str) for cell in table.frame[name].tolist())


def _parse_cell(cell: Any) -> Any:
    """Return the number that a cell holds, None for an empty one; a text that is no number stays as it is."""
    try:
        return None if cell is None or not str(cell).strip() else float(cell)
    except (TypeError, ValueError):
        return cell


def _find_rows(table: MappedTable, items: Items) -> dict[int, int]:
    """Return the row of each item that the table has, by code.

    Raises:
        RecsysError: if an item is there twice, or none is there.
    """
    codes = {name: code for code, name in enumerate(items.ids.tolist())}
    rows: dict[int, int] = {}
    for row, cell in enumerate(table.frame[table.columns[ID_COLUMN]].tolist()):
        code = codes.get(normalize_id(cell))
        if code in rows:
            raise RecsysError(f"{table.place} holds the item {cell} twice, expected each once")
        if code is not None:
            rows[code] = row
    if not rows:
        raise RecsysError(f"{table.place} holds none of the items of the split, expected their ids")
    return rows
