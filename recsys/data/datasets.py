"""Datasets from a card, from a user's files, or from memory: all of them through one builder."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from recsys.data.card_files import read_card
from recsys.data.cards import Card, CleaningRules
from recsys.data.columns import EXPOSURE_FIELDS, ITEM_FIELDS, LOG_FIELDS
from recsys.data.contents import get_base_name
from recsys.data.events import drop_weight_columns
from recsys.data.exposures import EXPOSURE_REQUIRED_FIELDS, build_exposures
from recsys.data.fingerprints import compute_fingerprint
from recsys.data.frames import convert_to_frame, name_positional_columns
from recsys.data.interactions import (
    ParsedRows,
    describe_repeated_pairs,
    drop_duplicates,
    keep_consented_rows,
    make_interactions,
    parse_rows,
)
from recsys.data.items import add_tags, build_items, describe_rows
from recsys.data.layout_tables import read_layout_tables
from recsys.data.mapped_tables import (
    REQUIRED_FIELDS,
    MappedTable,
    map_table_columns,
    read_mapped_file,
)
from recsys.data.matrices import convert_matrix_to_columns
from recsys.data.readers import Reader, check_dataset, is_reader, name_reader, resolve_reader
from recsys.data.settings import TableSettings
from recsys.data.sources import FetchedFiles, check_files_unchanged, fetch_dataset, find_fetched_files
from recsys.data.stores import STORE_FORMAT, restore_dataset, save_dataset
from recsys.maths.catalogues import build_described_items
from recsys.types import Dataset, Exposures, Interactions, Items, RecsysError, RowDescriptions
from recsys.types.extras import needs_extra


@needs_extra("recsys.load_dataset")
def load_dataset(
    name: str | PathLike[str] | Card | Reader, data_dir: str | Path | None = None, quiet: bool = False, **settings: Any
) -> Dataset:
    """Return a public dataset, or one of a card or reader of one's own, fetched if it is not on this machine.

    `name` is that of a card (`recsys.data.list_datasets`), the path of a card in a TOML file, a `Card`, or a reader: a
    function, or "package.module:function", that takes `settings` and returns a `Dataset` or whatever
    `recsys.read_dataset` reads.

    Raises:
        RecsysError: if there is no such card or reader, no source gives the files, the counts are not the card's, or
            a reader does not take the settings or returns something else.
    """
    if is_reader(name):
        return _read_with(name, settings)  # type: ignore[arg-type]
    if settings:
        raise RecsysError(
            f"{name}: found settings {', '.join(settings)}, which a card does not take: expected a reader"
        )
    wanted = read_card(name)  # type: ignore[arg-type]
    folder = fetch_dataset(wanted, data_dir, quiet)
    there = find_fetched_files(wanted, folder)
    if there is None:
        raise RecsysError(f"{folder}: its files went away while they were read")
    about = _describe_source(wanted, there)
    store = folder / f"validated-{_make_store_key(wanted, there)}.npz"
    kept = restore_dataset(store, about)
    if kept is not None:
        return kept
    check_files_unchanged(there, folder)
    log, items, tags = read_layout_tables(folder, wanted.layouts[there.layout])
    made = _build_dataset(wanted.name, log, items, wanted.rules, about, tags, keeps_descriptions=False)
    _check_counts(made, len(log.frame), wanted, folder)
    if made.descriptions is None:  # a store has none: such a log is read anew
        with suppress(RecsysError):  # a folder that cannot be written costs time, not the dataset
            save_dataset(made, store)
    return made


def _read_with(reader: str | Reader, settings: Mapping[str, Any]) -> Dataset:
    called = name_reader(reader)
    made = resolve_reader(reader, settings, called)()
    return check_dataset(called, made) if isinstance(made, Dataset) else read_dataset(made, name=called)


@needs_extra("recsys.read_dataset")
def read_dataset(
    table: Any,
    columns: Mapping[str, object] | None = None,
    *,
    items: Any = None,
    item_columns: Mapping[str, object] | None = None,
    features: str | Iterable[str] = (),
    events: Mapping[Any, float] | None = None,
    user_ids: Sequence[Any] | None = None,
    item_ids: Sequence[Any] | None = None,
    name: str | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    quotes: bool | None = None,
    decimal: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
    lists: bool | None = None,
) -> Dataset:
    """Return the dataset in a table of your own, one interaction per row: a file, or whatever holds a table in memory.

    A file is delimited text, JSON lines, Parquet or Excel. In memory: a pandas, Polars or Arrow table, record batches,
    a DuckDB relation (anything with Arrow's C stream); columns by name; a list of rows, which are dicts or tuples; a
    structured array. Rows without names, of two to four values, are user_id, item_id, weight, datetime. A sparse matrix
    (U, I) has the weights as entries, and `user_ids` and `item_ids` are the names of its rows and columns (numbers from
    0 without).

    Columns are found by the names that common libraries use; `columns` says otherwise, for instance
    {"user_id": "client", "weight": "stars"}, or by position, {"user_id": 0}. Fields: user_id, item_id; optionally
    weight (finite) or quantity (negative is a return), datetime (see `recsys.data.times.parse_times`), event, source,
    consent, purposes (names separated by "|", ";" or ",", or a list of them), and title, features, year of the item.
    `events` are weights by event, such as {"transaction": 4, "view": 1}: rows of other events are left out. `items` is
    a table of the items, in any of these forms: item_id, title, features separated by "|", year. `features` names the
    columns with features, of that table if there is one.
    `name` is what the dataset is called.

    How a text is written is found out, and refused where it cannot be told; `header`, `delimiter` (" " is any run of
    blanks), `quotes`, `decimal` ("." or ","), `time_unit` ("s", "ms", "us", "ns", "days", "year", "yyyymm", ...) and
    `time_format` ("%d/%m/%Y") decide, for the log alone. With `lists` each line is a user and its items. Names may end
    in .gz, .zst or .bz2. Of a table in memory, `decimal`, `time_unit` and `time_format` can be said.

    >>> data = read_dataset([{"userId": 1, "movieId": 50, "rating": 4.0}, {"userId": 2, "movieId": 7, "rating": 2.5}])
    >>> data.interactions.item_ids.tolist(), data.interactions.weight.tolist()
    (['7', '50'], [4.0, 2.5])

    Raises:
        RecsysError: one line with the place, what was found and what was expected.
    """
    called = name or (get_base_name(Path(table)) if _is_path(table) else "table")
    how = TableSettings(header, delimiter, quotes, decimal, time_unit, time_format, lists)
    notes: list[str] = []
    if sparse.issparse(table):
        table, notes = convert_matrix_to_columns(table, user_ids, item_ids, called)
    elif user_ids is not None or item_ids is not None:
        raise RecsysError(f"{called}: user_ids and item_ids are of a sparse matrix, expected it as the table")
    made = _read_tables(called, table, columns, items, item_columns, features, events, how)
    return replace(made, notes=(*notes, *made.notes))


@needs_extra("recsys.data.read_frame")
def read_frame(
    frame: Any,
    columns: Mapping[str, object] | None = None,
    items: Any = None,
    *,
    item_columns: Mapping[str, object] | None = None,
    features: str | Iterable[str] = (),
    events: Mapping[Any, float] | None = None,
    name: str = "frame",
    decimal: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
) -> Dataset:
    """Return the dataset in a pandas frame, or in a mapping of columns: what `read` does with these.

    >>> data = read_frame({"userId": [1, 1, 2], "movieId": [50, 7, 50], "rating": [4.0, 2.0, 5.0]})
    >>> data.interactions.item_ids.tolist(), data.interactions.item.tolist()
    (['7', '50'], [1, 0, 1])
    """
    how = TableSettings(decimal=decimal, time_unit=time_unit, time_format=time_format)
    return _read_tables(name, frame, columns, items, item_columns, features, events, how)


@needs_extra("recsys.read_exposures")
def read_exposures(
    table: Any,
    columns: Mapping[str, object] | None = None,
    *,
    name: str | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    quotes: bool | None = None,
    decimal: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
) -> Exposures:
    """Return the log of what was shown in a table of your own, one row for each item of each slate.

    A table is anything that `read_dataset` reads but a sparse matrix, and settings mean what they mean there. Fields:
    user_id, item_id, datetime; optionally slot (its place, from 1), policy, seed, clicked and dismissed (true or false;
    nothing said is no), consent: rows without are left out, and purposes: whoever reads the log leaves out the rows
    that permit none, or not each of those asked (`recsys.splits.select_permitted_exposures`). Every row counts, also
    where several are alike.

    >>> shown = read_exposures([{"user": 1, "item": 50, "timestamp": 1_700_000_000, "dismissed": True}])
    >>> shown.item_ids.tolist(), shown.dismissed.tolist()
    (['50'], [True])

    Raises:
        RecsysError: one line with the place, what was found and what was expected.
    """
    called = name or (get_base_name(Path(table)) if _is_path(table) else "shown")
    how = TableSettings(header, delimiter, quotes, decimal, time_unit, time_format)
    return build_exposures(
        read_mapped_table(table, EXPOSURE_FIELDS, EXPOSURE_REQUIRED_FIELDS, called, columns, (), how)
    )


def _read_tables(
    name: str,
    table: Any,
    columns: Mapping[str, object] | None,
    items: Any,
    item_columns: Mapping[str, object] | None,
    features: str | Iterable[str],
    events: Mapping[Any, float] | None,
    settings: TableSettings,
) -> Dataset:
    needed = REQUIRED_FIELDS if events is None else (*REQUIRED_FIELDS, "event")
    if items is None:
        return _build_dataset(
            name, read_mapped_table(table, LOG_FIELDS, needed, name, columns, features, settings), None, events=events
        )
    log = read_mapped_table(table, LOG_FIELDS, needed, name, columns, (), settings)
    place = f"{name}: items"
    catalogue = read_mapped_table(
        items, ITEM_FIELDS, ("item_id",), place, item_columns, features, TableSettings(), "item_columns"
    )
    return _build_dataset(name, log, catalogue, events=events)


def _is_path(table: Any) -> bool:
    return isinstance(table, str | PathLike)


def read_mapped_table(
    table: Any,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    place: str,
    columns: Mapping[str, object] | None,
    features: str | Iterable[str],
    settings: TableSettings,
    setting: str = "columns",
) -> MappedTable:
    """Return a table of the user's, from a file or from memory; `setting` is where the user names its columns."""
    if columns is not None and not (isinstance(columns, Mapping) and all(isinstance(one, str) for one in columns)):
        raise RecsysError(f'{place}: {setting}: found {columns!r}, expected such as {{"user_id": "client"}}')
    if not isinstance(features, Iterable):
        raise RecsysError(f"{place}: features: found {features!r}, expected names of columns")
    if _is_path(table):
        return read_mapped_file(Path(table).expanduser(), fields, needed, columns, features, settings, setting)
    for name in ("header", "delimiter", "quotes", "lists"):
        if getattr(settings, name) is not None:
            raise RecsysError(f"{place}: {name} is a setting of text in a file, found a table in memory")
    frame, notes = convert_to_frame(table, place), tuple[str, ...]()
    if fields is LOG_FIELDS and not columns and (names := name_positional_columns(table, frame)):
        frame, notes = frame.set_axis(names, axis=1), (f"rows without names: read as {', '.join(names)}",)
    sheet = map_table_columns(frame, fields, needed, place, columns, features, settings, setting)
    return replace(sheet, notes=(*notes, *sheet.notes))


def _build_dataset(
    name: str,
    log: MappedTable,
    items: MappedTable | None,
    rules: CleaningRules | None = None,
    about: Mapping[str, Any] | None = None,
    tags: MappedTable | None = None,
    events: Mapping[Any, float] | None = None,
    keeps_descriptions: bool = True,
) -> Dataset:
    rules = rules or CleaningRules()
    rows = drop_duplicates(parse_rows(log, rules, events))
    interactions = make_interactions(rows)
    notes = [*rows.notes, *describe_repeated_pairs(interactions)]
    described = None
    if items is None and _has_item_columns(log) and _has_permission_columns(log):
        catalogue, described = _build_items_of_rows(rows, interactions, rules)
        more: list[str] = []
    else:
        table = items if items is not None else keep_consented_rows(log) if _has_item_columns(log) else None
        catalogue, more = build_items(table, interactions.item_ids, rules)
        if items is None and _has_item_columns(log) and keeps_descriptions:
            described = _build_items_of_rows(rows, interactions, rules)[1]  # a forget list can leave rows out
    every = [*log.notes, *(items.notes if items is not None else ()), *notes, *(more if items is not None else ())]
    if tags is not None:
        catalogue, more = add_tags(catalogue, tags, rules.tags)
        every += more
    log = log if events is None else drop_weight_columns(log)[0]
    about = about or _describe_table(log, items)
    made = compute_fingerprint(interactions, catalogue, described)
    return Dataset(name, interactions, catalogue, made, about, tuple(every), dict(log.columns), described)


def _has_permission_columns(log: MappedTable) -> bool:
    """Return whether a table has columns by which a filter can leave rows out."""
    return "source" in log.columns or "purposes" in log.columns


def _build_items_of_rows(rows: ParsedRows, log: Interactions, rules: CleaningRules) -> tuple[Items, RowDescriptions]:
    """Return the catalogue as the rows describe it that may be used, and what each row says.

    These are the rows of the log, so that a filter can take out those it leaves out (`recsys.splits.permissions`).
    """
    table = replace(rows.table, frame=rows.table.frame.iloc[rows.columns["row"]])
    described = describe_rows(table, rules)
    item = np.where(log.find_usable_rows(), log.item, -1).astype(np.int32)
    return build_described_items(item, log.item_ids, described), described


def _describe_table(log: MappedTable, items: MappedTable | None) -> dict[str, Any]:
    """Return how a table without a card was read: columns without a use, those of its items, how text is written."""
    used = {*log.columns.values(), *log.features}
    about: dict[str, Any] = {"unused_columns": tuple(name for name in log.frame.columns if name not in used)}
    about |= {"item_columns": dict(items.columns)} if items else {}
    return about | ({"dialect": log.dialect_summary} if log.dialect_summary else {})


def _has_item_columns(log: MappedTable) -> bool:
    return bool(log.features) or any(field in log.columns for field in ("title", "year"))


def _describe_source(dataset_card: Card, fetched: FetchedFiles) -> dict[str, Any]:
    told = ("title", "about", "licence", "terms", "citation")
    about: dict[str, Any] = {key: getattr(dataset_card, key) for key in told}
    return about | {
        "expected": dataclasses.asdict(dataset_card.expected),
        "source": fetched.source,
        "checksums": dict(fetched.checksums),
        "checked": fetched.checks_summary,
    }


def _make_store_key(dataset_card: Card, fetched: FetchedFiles) -> str:
    layout = dataclasses.asdict(dataset_card.layouts[fetched.layout])
    said = [dataclasses.asdict(part) for part in (dataset_card.rules, dataset_card.expected)]
    content = [STORE_FORMAT, layout, *said, dict(fetched.checksums)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _check_counts(dataset: Dataset, rows: int, dataset_card: Card, folder: Path) -> None:
    log, expected = dataset.interactions, dataset_card.expected
    pairs = {
        "rows": (rows, expected.rows or rows),
        "users": (len(log.user_ids), expected.users),
        "items": (len(log.item_ids), expected.items),
        "interactions": (len(log), expected.interactions or len(log)),
    }
    wrong = [f"{found:,} {what}, expected {right:,}" for what, (found, right) in pairs.items() if found != right]
    if wrong:
        advice = "remove the folder to fetch them anew, or correct [expected] of a card of your own"
        raise RecsysError(f"{folder}: {'; '.join(wrong)}: not the files of {dataset.name}, {advice}")
