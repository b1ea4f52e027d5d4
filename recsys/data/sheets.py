"""Tables with their columns named: what the builder makes a dataset of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import File, Layout
from recsys.data.columns import CATALOGUE, LOG, resolve
from recsys.data.frames import check_cells, to_frame
from recsys.data.tables import Form, form_of, read_delimited, read_excel, read_parquet, read_table
from recsys.types import RecsysError, unknown

if TYPE_CHECKING:
    from pandas import DataFrame

NEEDED = ("user_id", "item_id")
_IDS = ("user_id", "item_id")


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table, which column is which field, and what to call it in an error."""

    frame: "DataFrame"
    columns: Mapping[str, str]  # field -> column
    place: str
    features: tuple[str, ...] = ()  # columns with the features of items
    separator: str = "|"
    notes: tuple[str, ...] = ()


def from_file(
    path: Path,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
) -> Sheet:
    """Return the table in a user's file; ids stay as they are written."""
    place = str(path)

    def ids(names: Sequence[str]) -> list[str]:
        found = resolve(names, fields, needed, place, chosen)
        return [found[field] for field in _IDS if field in found]

    frame, form, notes = read_table(path, ids)
    sheet = from_table(frame, fields, needed, place, chosen, features)
    spaced = set(sheet.features) & set(form.several)
    return replace(sheet, separator=" " if spaced else "|", notes=tuple(notes))


def from_table(
    table: Any,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    place: str,
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
) -> Sheet:
    """Return a table in memory (`recsys.data.frames.to_frame`) with its columns named."""
    frame = to_frame(table, place)
    if not len(frame.columns):
        raise RecsysError(f"{place}: the table is empty")
    found = resolve(list(frame.columns), fields, needed, place, chosen)
    if not len(frame):
        raise RecsysError(f"{place}: the table is empty")
    for name in (name for field, name in found.items() if field != "features"):
        cells = frame[name]
        checked = check_cells(cells, place)
        frame = frame if checked is cells else frame.assign(**{name: checked})
    wanted = tuple([features] if isinstance(features, str) else features)
    for column in wanted:
        if column not in frame.columns:
            raise unknown("column", column, frame.columns, place)
    return Sheet(frame, found, place, wanted or tuple(found[key] for key in ("features",) if key in found))


def from_layout(folder: Path, layout: Layout) -> tuple[Sheet, Sheet | None, Sheet | None]:
    """Return the log, the catalogue and the tags of a card's layout, None for a file that it does not have."""
    log = _from_card(folder, layout.interactions, LOG)
    items = None if layout.items is None else _from_card(folder, layout.items, CATALOGUE)
    return log, items, None if layout.tags is None else _from_card(folder, layout.tags, LOG)


def _from_card(folder: Path, file: File, fields: Mapping[str, Sequence[str]]) -> Sheet:
    path = folder / file.name
    if file.format == "excel":
        frame = read_excel(path, file.sheet)
    else:
        frame = read_parquet(path) if file.format == "parquet" else _read_text(path, file)
    if file.flags:
        frame = frame.assign(features=_joined(frame, file))
    columns = {**file.columns, **({"features": "features"} if file.flags else {})}
    only: dict[str, tuple[str, ...]] = dict.fromkeys(fields, ())  # no guessing: a card says every column
    sheet = from_table(frame, only, list(columns), str(path), columns)
    return replace(sheet, separator=file.separator)


def _read_text(path: Path, file: File) -> "DataFrame":
    names = file.header or form_of(path).names
    form = Form(tuple(names), file.delimiter, file.encoding, file.quotes, header=not file.header)
    return read_delimited(path, form)


def _joined(frame: "DataFrame", file: File) -> list[str]:
    flags = frame[list(file.flags)].to_numpy() == 1
    names = np.asarray(file.flags)
    return [file.separator.join(names[row]) for row in flags]
