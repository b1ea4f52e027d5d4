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

from scipy import sparse

from recsys.data.cards import Card, Rules, card
from recsys.data.catalogues import add_tags, build_items
from recsys.data.columns import CATALOGUE, LOG
from recsys.data.contents import name_of_file
from recsys.data.events import without_strength
from recsys.data.fingerprints import fingerprint
from recsys.data.frames import names_of_rows, to_frame
from recsys.data.logs import build_log, with_consent
from recsys.data.matrices import columns_of_matrix
from recsys.data.settings import TableSettings
from recsys.data.sheets import NEEDED, Sheet, from_file, from_layout, from_table
from recsys.data.sources import Landed, check_unchanged, fetch, landed
from recsys.data.stores import FORMAT, restore, save
from recsys.types import Dataset, RecsysError
from recsys.types.extras import needs_extra


@needs_extra("recsys.load")
def load(name: str, data_dir: str | Path | None = None, quiet: bool = False) -> Dataset:
    """Return the public dataset called `name` (see `names`), fetched if it is not on this machine.

    Raises:
        RecsysError: if there is no such card, no source gives the files, or the counts are not the card's.
    """
    wanted = card(name)
    folder = fetch(name, data_dir, quiet)
    there = landed(wanted, folder)
    if there is None:
        raise RecsysError(f"{folder}: its files went away while they were read")
    about = _about(wanted, there)
    store = folder / f"validated-{_key(wanted, there)}.npz"
    kept = restore(store, about)
    if kept is not None:
        return kept
    check_unchanged(there, folder)
    log, items, tags = from_layout(folder, wanted.layouts[there.layout])
    made = _built(name, log, items, wanted.rules, about, tags)
    _check(made, len(log.frame), wanted, folder)
    with suppress(RecsysError):  # a folder that cannot be written costs time, not the dataset
        save(made, store)
    return made


@needs_extra("recsys.read")
def read(
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
    weight (finite) or quantity (negative is a return), datetime (see `recsys.data.times.seconds`), event, source,
    consent, and title, features, year of the item. `events` are weights by event, such as {"transaction": 4,
    "view": 1}: rows of other events are left out. `items` is a table of the items, in any of these forms: item_id,
    title, features separated by "|", year. `features` names the columns with features, of that table if there is one.
    `name` is what the dataset is called.

    How a text is written is found out, and refused where it cannot be told; `header`, `delimiter` (" " is any run of
    blanks), `quotes`, `decimal` ("." or ","), `time_unit` ("s", "ms", "us", "ns", "days", "year", "yyyymm", ...) and
    `time_format` ("%d/%m/%Y") decide, for the log alone. With `lists` each line is a user and its items. Names may end
    in .gz, .zst or .bz2. Of a table in memory, `decimal`, `time_unit` and `time_format` can be said.

    >>> data = read([{"userId": 1, "movieId": 50, "rating": 4.0}, {"userId": 2, "movieId": 7, "rating": 2.5}])
    >>> data.interactions.item_ids.tolist(), data.interactions.weight.tolist()
    (['7', '50'], [4.0, 2.5])

    Raises:
        RecsysError: one line with the place, what was found and what was expected.
    """
    called = name or (name_of_file(Path(table)) if _is_path(table) else "table")
    how = TableSettings(header, delimiter, quotes, decimal, time_unit, time_format, lists)
    notes: list[str] = []
    if sparse.issparse(table):
        table, notes = columns_of_matrix(table, user_ids, item_ids, called)
    elif user_ids is not None or item_ids is not None:
        raise RecsysError(f"{called}: user_ids and item_ids are of a sparse matrix, expected it as the table")
    made = _read(called, table, columns, items, item_columns, features, events, how)
    return replace(made, notes=(*notes, *made.notes))


@needs_extra("recsys.data.from_frame")
def from_frame(
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

    >>> data = from_frame({"userId": [1, 1, 2], "movieId": [50, 7, 50], "rating": [4.0, 2.0, 5.0]})
    >>> data.interactions.item_ids.tolist(), data.interactions.item.tolist()
    (['7', '50'], [1, 0, 1])
    """
    how = TableSettings(decimal=decimal, time_unit=time_unit, time_format=time_format)
    return _read(name, frame, columns, items, item_columns, features, events, how)


def _read(
    called: str,
    table: Any,
    columns: Mapping[str, object] | None,
    items: Any,
    item_columns: Mapping[str, object] | None,
    features: str | Iterable[str],
    events: Mapping[Any, float] | None,
    how: TableSettings,
) -> Dataset:
    needed = NEEDED if events is None else (*NEEDED, "event")
    if items is None:
        return _built(called, _sheet(table, LOG, needed, called, columns, features, how), None, events=events)
    log = _sheet(table, LOG, needed, called, columns, (), how)
    place = f"{called}: items"
    catalogue = _sheet(items, CATALOGUE, ("item_id",), place, item_columns, features, TableSettings(), "item_columns")
    return _built(called, log, catalogue, events=events)


def _is_path(table: Any) -> bool:
    return isinstance(table, str | PathLike)


def _sheet(
    table: Any,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    place: str,
    columns: Mapping[str, object] | None,
    features: str | Iterable[str],
    how: TableSettings,
    setting: str = "columns",
) -> Sheet:
    """Return a table of the user's, from a file or from memory; `setting` is where the user names its columns."""
    if columns is not None and not (isinstance(columns, Mapping) and all(isinstance(one, str) for one in columns)):
        raise RecsysError(f'{place}: {setting}: found {columns!r}, expected such as {{"user_id": "client"}}')
    if not isinstance(features, Iterable):
        raise RecsysError(f"{place}: features: found {features!r}, expected names of columns")
    if _is_path(table):
        return from_file(Path(table).expanduser(), fields, needed, columns, features, how, setting)
    for name in ("header", "delimiter", "quotes", "lists"):
        if getattr(how, name) is not None:
            raise RecsysError(f"{place}: {name} is a setting of text in a file, found a table in memory")
    frame, notes = to_frame(table, place), tuple[str, ...]()
    if fields is LOG and not columns and (names := names_of_rows(table, frame)):
        frame, notes = frame.set_axis(names, axis=1), (f"rows without names: read as {', '.join(names)}",)
    sheet = from_table(frame, fields, needed, place, columns, features, how, setting)
    return replace(sheet, notes=(*notes, *sheet.notes))


def _built(
    name: str,
    log: Sheet,
    items: Sheet | None,
    rules: Rules | None = None,
    about: Mapping[str, Any] | None = None,
    tags: Sheet | None = None,
    events: Mapping[Any, float] | None = None,
) -> Dataset:
    rules = rules or Rules()
    interactions, notes = build_log(log, rules, events)
    described = items if items is not None else with_consent(log) if _describes_items(log) else None
    catalogue, more = build_items(described, interactions.item_ids, rules)
    every = [*log.notes, *(items.notes if items is not None else ()), *notes, *(more if items is not None else ())]
    if tags is not None:
        catalogue, more = add_tags(catalogue, tags, rules.tags)
        every += more
    log = log if events is None else without_strength(log)[0]
    about = about or _written(log, items)
    made = fingerprint(interactions, catalogue)
    return Dataset(name, interactions, catalogue, made, about, tuple(every), dict(log.columns))


def _written(log: Sheet, items: Sheet | None) -> dict[str, Any]:
    """Return how a table without a card was read: columns without a use, those of its items, how text is written."""
    used = {*log.columns.values(), *log.features}
    about: dict[str, Any] = {"unused_columns": tuple(name for name in log.frame.columns if name not in used)}
    about |= {"item_columns": dict(items.columns)} if items else {}
    return about | ({"dialect": log.dialect} if log.dialect else {})


def _describes_items(log: Sheet) -> bool:
    return bool(log.features) or any(field in log.columns for field in ("title", "year"))


def _about(wanted: Card, there: Landed) -> dict[str, Any]:
    told = ("title", "about", "licence", "terms", "citation")
    about: dict[str, Any] = {key: getattr(wanted, key) for key in told}
    return about | {
        "expected": dataclasses.asdict(wanted.expected),
        "source": there.source,
        "checksums": dict(there.checksums),
        "checked": there.checked,
    }


def _key(wanted: Card, there: Landed) -> str:
    layout = dataclasses.asdict(wanted.layouts[there.layout])
    content = [FORMAT, layout, dataclasses.asdict(wanted.rules), dict(there.checksums)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _check(made: Dataset, rows: int, wanted: Card, folder: Path) -> None:
    log, expected = made.interactions, wanted.expected
    pairs = {
        "rows": (rows, expected.rows or rows),
        "users": (len(log.user_ids), expected.users),
        "items": (len(log.item_ids), expected.items),
        "interactions": (len(log), expected.interactions),
    }
    wrong = [f"{found:,} {what}, expected {right:,}" for what, (found, right) in pairs.items() if found != right]
    if wrong:
        raise RecsysError(f"{folder}: {'; '.join(wrong)}: not the files of {made.name}, remove the folder")
