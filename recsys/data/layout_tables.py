"""Tables of a card's layout: its log, in one or several files, its items and their tags."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.data.cards import File, Layout
from recsys.data.columns import ITEM_FIELDS, LOG_FIELDS
from recsys.data.contents import decode_text, read_content
from recsys.data.delimited import parse_delimited
from recsys.data.dialects import BLANKS, Dialect, detect_dialect, sample_lines
from recsys.data.lists import read_item_lists
from recsys.data.mapped_tables import MappedTable, map_table_columns
from recsys.data.settings import TableSettings
from recsys.data.tables import ID_FIELDS, read_excel, read_parquet
from recsys.types import RecsysError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_layout_tables(folder: Path, layout: Layout) -> tuple[MappedTable, MappedTable | None, MappedTable | None]:
    """Return the log, the catalogue and the tags of a card's layout, None for a file that it does not have."""
    log = _join_logs(
        [_read_card_file(folder, one, LOG_FIELDS) for one in (layout.interactions, *layout.more_interactions)]
    )
    items = None if layout.items is None else _read_card_file(folder, layout.items, ITEM_FIELDS)
    tags = None if layout.tags is None else _read_card_file(folder, layout.tags, LOG_FIELDS)
    if tags is not None and layout.tag_names is not None:
        tags = _name_tags(tags, _read_card_file(folder, layout.tag_names, ITEM_FIELDS))
    return log, items, tags


def _join_logs(tables: Sequence[MappedTable]) -> MappedTable:
    """Return one table of the rows of all, whose fields are the same."""
    import pandas as pd

    first, *others = tables
    if not others:
        return first
    frames = [first.frame, *(one.frame.rename(columns=_match_columns(one, first)) for one in others)]
    named = list(first.columns.values())
    frame = pd.concat([one[named] for one in frames], ignore_index=True)
    return replace(first, frame=frame, notes=tuple(note for one in tables for note in one.notes))


def _match_columns(table: MappedTable, like: MappedTable) -> dict[str, str]:
    return {column: like.columns[field] for field, column in table.columns.items()}


def _name_tags(tags: MappedTable, names: MappedTable) -> MappedTable:
    """Return the tags with the names of their numbers; a number without a name is no tag, and a note counts these."""
    known = names.frame.set_index(names.columns["item_id"])[names.columns["title"]].astype(str)
    column = tags.columns["features"]
    named = tags.frame[column].astype(str).map(known[~known.index.duplicated()].rename(index=str))
    lost = int(named.isna().sum())
    notes = (*tags.notes, f"{lost:,} rows of tags without a name: left out") if lost else tags.notes
    frame = tags.frame.assign(**{column: named})[named.notna()].reset_index(drop=True)
    return replace(tags, frame=frame, notes=notes, separator="\n")  # a name is one tag, whatever is in it


def _read_card_file(folder: Path, file: File, fields: Mapping[str, Sequence[str]]) -> MappedTable:
    path, notes = folder / file.name, list[str]()
    if file.format == "excel":
        frame = read_excel(path, file.sheet)
    elif file.format == "parquet":
        frame = read_parquet(path)
    elif file.format == "lists":
        data, _ = decode_text(read_content(path), str(path), file.encoding)
        how = TableSettings(header=False, delimiter=file.delimiter, lists=True)
        frame, notes = read_item_lists(data, sample_lines(data), str(path), how, fields)
    elif file.format == "matrix":
        frame = _read_matrix(path, file)
    else:
        frame = _read_card_text(path, file)
    if file.row_numbers is not None:
        frame = frame.assign(**{file.row_numbers: [str(row) for row in range(len(frame))]})
    if file.source is not None:
        frame = frame.assign(source=file.source)
    if file.flags:
        frame = frame.assign(features=_join_flags(frame, file))
    columns = {
        **file.columns,
        **({"features": "features"} if file.flags else {}),
        **({"source": "source"} if file.source is not None else {}),
    }
    only: dict[str, tuple[str, ...]] = dict.fromkeys(fields, ())  # no guessing: a card says every column
    sheet = map_table_columns(frame, only, list(columns), str(path), columns)
    return replace(sheet, separator=file.separator, notes=(*sheet.notes, *notes))


def _read_matrix(path: Path, file: File) -> "DataFrame":
    """Return user_id, item_id and value of the numbers other than 0; users and items are numbered from 0."""
    import pandas as pd

    data, _ = decode_text(read_content(path), str(path), file.encoding)
    mark = None if file.delimiter == BLANKS else file.delimiter
    lines = [line.split(mark) for line in data.decode().splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise RecsysError(f"{path}: line {number} has {len(line)} numbers, expected {len(lines[0])}")
    try:
        values = np.array(lines, dtype=np.float64)
    except ValueError as error:
        raise RecsysError(f"{path}: {error}, expected a line of numbers for each user") from None
    if not values.size or not np.isfinite(values).all():
        raise RecsysError(f"{path}: expected finite numbers, a line for each user")
    users, items = np.nonzero(values)
    return pd.DataFrame({"user_id": users.astype(str), "item_id": items.astype(str), "value": values[users, items]})


def _read_card_text(path: Path, file: File) -> "DataFrame":
    place = str(path)
    data, _ = decode_text(read_content(path), place, file.encoding)
    if file.header:
        dialect = Dialect(file.delimiter, False, file.header)
    else:
        dialect = detect_dialect(sample_lines(data), place, TableSettings(True, file.delimiter, file.quotes), {})
    ids = {file.columns[key] for key in ID_FIELDS if key in file.columns}
    numbers = {file.columns[key] for key in ("weight", "quantity", "datetime") if key in file.columns}
    frame, _ = parse_delimited(data, dialect, place, file.quotes, ids, sorted({*numbers, *file.flags} - ids))
    return frame


def _join_flags(frame: "DataFrame", file: File) -> list[str]:
    flags = frame[list(file.flags)].to_numpy() == 1
    names = np.asarray(file.flags)
    return [file.separator.join(names[row]) for row in flags]
