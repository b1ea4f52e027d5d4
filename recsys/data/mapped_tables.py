"""Tables with their columns named, from which datasets are built."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.data.columns import resolve_columns, strip_recbole_types
from recsys.data.frames import check_cells, convert_to_frame
from recsys.data.lists import is_wide_table, melt_wide_table, refuse_wide_table
from recsys.data.parsing import normalize_decimal_marks
from recsys.data.settings import TableSettings
from recsys.data.tables import read_table
from recsys.types import RecsysError, make_unknown_name_error

if TYPE_CHECKING:
    from pandas import DataFrame

REQUIRED_FIELDS = ("user_id", "item_id")
LIST_FIELDS = ("features", "purposes")  # fields whose cells may be lists
DECIMAL_FIELDS = ("weight", "quantity", "rank", "score")  # fields whose numbers may have a decimal comma


@dataclass(frozen=True, eq=False)
class MappedTable:
    """A table, which column is which field, and what to call it in an error."""

    frame: "DataFrame"
    columns: Mapping[str, str]  # field -> column
    place: str
    features: tuple[str, ...] = ()  # columns with the features of items
    separator: str = "|"
    notes: tuple[str, ...] = ()
    settings: TableSettings = field(default_factory=TableSettings)
    dialect_summary: str = ""  # how a delimited text is written, in words


def read_mapped_file(
    path: Path,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
    settings: TableSettings | None = None,
    setting: str = "columns",
) -> MappedTable:
    """Return the table in a user's file; ids stay as they are written. `setting` is where the user names columns."""
    place, settings, chosen = str(path), settings or TableSettings(), dict(chosen or {})

    found = read_table(
        path,
        lambda names: resolve_columns(names, fields, needed, place, chosen, setting),
        fields,
        settings,
        tuple(chosen.values()),
    )
    frame = found.frame
    if (
        not found.dialect_summary
        and "user_id" in fields
        and (settings.lists or (not chosen and is_wide_table(strip_recbole_types(frame.columns))))
    ):
        refuse_wide_table(list(frame.columns), place, settings, fields)
        frame = melt_wide_table(frame, place)
    sheet = map_table_columns(frame, fields, needed, place, chosen, features, settings, setting)
    spaced = set(sheet.features) & set(found.multi_value_columns)
    notes = (*found.notes, *sheet.notes)
    return replace(sheet, separator=" " if spaced else "|", notes=notes, dialect_summary=found.dialect_summary)


def map_table_columns(
    table: Any,
    fields: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    place: str,
    chosen: Mapping[str, object] | None = None,
    features: Iterable[str] = (),
    settings: TableSettings | None = None,
    setting: str = "columns",
) -> MappedTable:
    """Return a table in memory (`recsys.data.frames.convert_to_frame`) with its columns named."""
    settings, frame = settings or TableSettings(), convert_to_frame(table, place)
    if not len(frame.columns):
        raise RecsysError(f"{place}: the table is empty")
    found = resolve_columns(list(frame.columns), fields, needed, place, chosen, setting)
    if not len(frame):
        raise RecsysError(f"{place}: the table is empty")
    for name in (name for key, name in found.items() if key not in LIST_FIELDS):
        cells = frame[name]
        checked = check_cells(cells, place)
        frame = frame if checked is cells else frame.assign(**{name: checked})
    notes: list[str] = []
    for column in (found[key] for key in DECIMAL_FIELDS if key in found):
        written, said = normalize_decimal_marks(frame[column], place, settings.decimal)
        if written is not frame[column]:
            frame = frame.assign(**{column: written})
        notes += said
    wanted = tuple([features] if isinstance(features, str) else features)
    for column in wanted:
        if column not in frame.columns:
            raise make_unknown_name_error("column", column, frame.columns, place)
    named = wanted or tuple(found[key] for key in ("features",) if key in found)
    return MappedTable(frame, found, place, named, notes=tuple(notes), settings=settings)
