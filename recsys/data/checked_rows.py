"""The rows that `recsys data check` looks at: of a table as it is, duplicates included, or of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.card_files import list_datasets, read_card
from recsys.data.cards import Card, CleaningRules
from recsys.data.columns import LOG_FIELDS
from recsys.data.contents import get_base_name
from recsys.data.datasets import read_mapped_table
from recsys.data.interactions import ParsedRows, parse_rows
from recsys.data.layout_tables import read_layout_tables
from recsys.data.mapped_tables import REQUIRED_FIELDS, MappedTable
from recsys.data.purposes import PurposeSets
from recsys.data.readers import is_reader, name_reader, resolve_reader
from recsys.data.settings import TableSettings
from recsys.data.sources import check_files_unchanged, fetch_dataset, find_fetched_files
from recsys.types import Dataset, RecsysError, make_unknown_name_error
from recsys.types.arrays import Bools, Floats, Ints, Longs, Strings


@dataclass(frozen=True, eq=False)
class CheckedRows:
    """R rows of a log, coded; a column that the log does not have is None."""

    name: str
    user: Ints  # (R,) codes into user_ids
    item: Ints  # (R,) codes into item_ids
    user_ids: Strings
    item_ids: Strings
    weight: Floats  # (R,)
    datetime: Longs | None  # (R,) seconds since 1970-01-01 UTC
    source: Ints | None  # (R,) codes into source_names
    source_names: Strings
    consent: Bools | None  # (R,)
    purposes: Longs | None  # (R,) codes of sets
    purpose_sets: PurposeSets | None
    duplicate: Bools | None  # (R,) whether a row repeats another one; None where duplicates are left out already
    columns: Mapping[str, str]  # field -> column
    has_events: bool = False  # whether weights are those of events
    left_out: tuple[tuple[str, int], ...] = ()  # rows that are no interactions, by rule
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return R."""
        return len(self.user)


def read_checked_rows(
    table: Any,
    columns: Mapping[str, object] | None = None,
    events: Mapping[Any, float] | None = None,
    name: str | None = None,
    data_dir: str | Path | None = None,
    quiet: bool = False,
    settings: Mapping[str, Any] | None = None,
    reading: TableSettings | None = None,
) -> CheckedRows:
    """Return the rows of a card's dataset, of a reader with its `settings`, of a `Dataset`, or of a table.

    A table is whatever `recsys.read_dataset` takes but a sparse matrix, read as it does; `columns`, `events`, `name`
    and `reading` are its.

    Raises:
        RecsysError: for whatever is wrong with it, in one line.
    """
    if isinstance(table, Card) or (isinstance(table, str | PathLike) and _is_card(str(table))):
        return _read_card_rows(read_card(table), data_dir, quiet)
    if is_reader(table):
        called = name_reader(table)
        made = resolve_reader(table, settings or {}, called)()
        return read_checked_rows(made, columns, events, name or called, reading=reading)
    if settings:
        raise RecsysError(
            f"setting '{next(iter(settings))}' is of a reader, expected one such as package.module:function"
        )
    if isinstance(table, Dataset):
        return _take_dataset_rows(table)
    is_path = isinstance(table, str | PathLike)
    if is_path and not Path(table).suffix and len(Path(table).parts) == 1 and not Path(table).exists():
        raise make_unknown_name_error("dataset", str(table), list_datasets())
    needed = REQUIRED_FIELDS if events is None else (*REQUIRED_FIELDS, "event")
    called = name or (get_base_name(Path(table)) if is_path else "table")
    mapped = read_mapped_table(table, LOG_FIELDS, needed, called, columns, (), reading or TableSettings())
    return _take_parsed_rows(called, mapped, parse_rows(mapped, CleaningRules(), events), events is not None)


def _is_card(name: str) -> bool:
    return name in list_datasets() or name.endswith(".toml")


def _read_card_rows(card: Card, data_dir: str | Path | None, quiet: bool) -> CheckedRows:
    folder = fetch_dataset(card, data_dir, quiet)
    there = find_fetched_files(card, folder)
    if there is None:
        raise RecsysError(f"{folder}: its files went away while they were read")
    check_files_unchanged(there, folder)
    log, _, _ = read_layout_tables(folder, card.layouts[there.layout])
    return _take_parsed_rows(card.name, log, parse_rows(log, card.rules), has_events=False)


def _take_parsed_rows(name: str, mapped: MappedTable, rows: ParsedRows, has_events: bool) -> CheckedRows:
    found = rows.columns
    return CheckedRows(
        name=name,
        user=found["user"],
        item=found["item"],
        user_ids=rows.user_ids,
        item_ids=rows.item_ids,
        weight=found["weight"],
        datetime=found.get("datetime"),
        source=found.get("source"),
        source_names=rows.source_names,
        consent=found.get("consent"),
        purposes=found.get("purposes"),
        purpose_sets=rows.purpose_sets,
        duplicate=rows.duplicate,
        columns=dict(mapped.columns),
        has_events=has_events,
        left_out=rows.left_out,
        notes=(*mapped.notes, *rows.notes),
    )


def _take_dataset_rows(dataset: Dataset) -> CheckedRows:
    log = dataset.interactions
    names, sets, chosen = np.zeros(0, dtype=np.str_), None, None
    codes: Ints | None = None
    if log.source is not None:
        names, places = np.unique(log.source, return_inverse=True)
        codes = places.astype(np.int32)
    if log.purposes is not None:
        members, chosen = np.unique(log.purposes, axis=0, return_inverse=True)
        sets = PurposeSets(log.purpose_names, members)
    return CheckedRows(
        name=dataset.name,
        user=log.user,
        item=log.item,
        user_ids=log.user_ids,
        item_ids=log.item_ids,
        weight=log.weight,
        datetime=log.datetime,
        source=codes,
        source_names=names,
        consent=log.consent,
        purposes=chosen,
        purpose_sets=sets,
        duplicate=None,
        columns=dict(dataset.columns),
        notes=dataset.notes,
    )
