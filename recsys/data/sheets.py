"""Tables with their columns named: what the builder makes a dataset of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import File, Layout
from recsys.data.columns import CATALOGUE, LOG, resolve, untyped
from recsys.data.contents import decode, read_content
from recsys.data.delimited import parse
from recsys.data.dialects import Dialect, sample_of, settle
from recsys.data.frames import check_cells, to_frame
from recsys.data.lists import melt, refuse_wide, wide
from recsys.data.settings import TableSettings
from recsys.data.tables import IDS, read_excel, read_parquet, read_table
from recsys.data.values import with_points
from recsys.types import RecsysError, unknown

if TYPE_CHECKING:
    from pandas import DataFrame

NEEDED = ("user_id", "item_id")
DECIMALS = ("weight", "quantity", "rank", "score")  # fields whose numbers may have a decimal comma


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table, which column is which field, and what to call it in an error."""

    frame: "DataFrame"
    columns: Mapping[str, str]  # field -> column
    place: str
    features: tuple[str, ...] = ()  # columns with the features of items
    separator: str = "|"
    notes: tuple[str, ...] = ()
    settings: TableSettings = field(default_factory=TableSettings)
    dialect: str = ""  # how a delimited text is written, in words


def from_file(
    path: Path,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
    settings: TableSettings | None = None,
    setting: str = "columns",
) -> Sheet:
    """Return the table in a user's file; ids stay as they are written. `setting` is where the user names columns."""
    place, settings, chosen = str(path), settings or TableSettings(), dict(chosen or {})

    found = read_table(
        path,
        lambda names: resolve(names, fields, needed, place, chosen, setting),
        fields,
        settings,
        tuple(chosen.values()),
    )
    frame = found.frame
    if not found.dialect and "user_id" in fields and (settings.lists or (not chosen and wide(untyped(frame.columns)))):
        refuse_wide(list(frame.columns), place, settings, fields)
        frame = melt(frame, place)
    sheet = from_table(frame, fields, needed, place, chosen, features, settings, setting)
    spaced = set(sheet.features) & set(found.several)
    notes = (*found.notes, *sheet.notes)
    return replace(sheet, separator=" " if spaced else "|", notes=notes, dialect=found.dialect)


def from_table(
    table: Any,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    place: str,
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
    settings: TableSettings | None = None,
    setting: str = "columns",
) -> Sheet:
    """Return a table in memory (`recsys.data.frames.to_frame`) with its columns named."""
    settings, frame = settings or TableSettings(), to_frame(table, place)
    if not len(frame.columns):
        raise RecsysError(f"{place}: the table is empty")
    found = resolve(list(frame.columns), fields, needed, place, chosen, setting)
    if not len(frame):
        raise RecsysError(f"{place}: the table is empty")
    for name in (name for key, name in found.items() if key != "features"):
        cells = frame[name]
        checked = check_cells(cells, place)
        frame = frame if checked is cells else frame.assign(**{name: checked})
    notes: list[str] = []
    for column in (found[key] for key in DECIMALS if key in found):
        written, said = with_points(frame[column], place, settings.decimal)
        if written is not frame[column]:
            frame = frame.assign(**{column: written})
        notes += said
    wanted = tuple([features] if isinstance(features, str) else features)
    for column in wanted:
        if column not in frame.columns:
            raise unknown("column", column, frame.columns, place)
    named = wanted or tuple(found[key] for key in ("features",) if key in found)
    return Sheet(frame, found, place, named, notes=tuple(notes), settings=settings)


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
    place = str(path)
    data, _ = decode(read_content(path), place, file.encoding)
    if file.header:
        dialect = Dialect(file.delimiter, False, file.header)
    else:
        dialect = settle(sample_of(data), place, TableSettings(True, file.delimiter, file.quotes), {})
    ids = {file.columns[key] for key in IDS if key in file.columns}
    numbers = {file.columns[key] for key in ("weight", "quantity", "datetime") if key in file.columns}
    frame, _ = parse(data, dialect, place, file.quotes, ids, sorted({*numbers, *file.flags} - ids))
    return frame


def _joined(frame: "DataFrame", file: File) -> list[str]:
    flags = frame[list(file.flags)].to_numpy() == 1
    names = np.asarray(file.flags)
    return [file.separator.join(names[row]) for row in flags]
