"""Delimited text, parsed: every line is a row or is accounted for."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recsys.data.contents import reading
from recsys.data.dialects import BLANKS, COMMENTS, Dialect, ragged, well_quoted
from recsys.types import RecsysError
from recsys.types.errors import Setting, SettingError

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import Table

BLOCK = 1 << 22  # bytes parsed at once; a line longer than this is parsed again in one block
_UNIT = "\x1f"  # in the place of a delimiter of several characters


@dataclass
class _Parsed:
    table: "Table"
    bad: tuple[int, str] | None  # cells and text of the first line that has another number of cells
    comments: int


def parse(
    data: bytes, dialect: Dialect, place: str, quotes: bool | None, ids: Collection[str], numbers: Collection[str]
) -> tuple["DataFrame", list[str]]:
    """Return the table in a text of this dialect, and notes; cells are text, but for those columns in `numbers` that
    hold numbers alone.

    Quotes count as such if each that opens a cell closes it, unless lines are rows of equal width without them and
    fewer rows with them.

    Raises:
        SettingError: for a line with another number of cells than the others, and for quotes that do not close.
    """
    data, dialect = _with_one_byte(data, dialect, place)
    found, notes = _unambiguous(data, dialect, place, quotes, ids)
    if found.bad is not None:
        cells, text = found.bad
        number = data.count(b"\n", 0, max(data.find(text.encode()), 0)) + 1
        raise ragged(place, number, text.replace(_UNIT, "::"), cells, len(dialect.names), dialect.header)
    table = found.table
    skipped = 0
    while skipped < len(table) and str(table.column(0)[skipped].as_py()).startswith("%"):
        skipped += 1
    if found.comments + skipped:
        notes.append(f"{found.comments + skipped:,} comment lines (that start with # or %): left out")
    table = table.slice(skipped + dialect.header)
    with reading(place):
        for column in numbers:
            at = table.column_names.index(column)
            table = table.set_column(at, column, _numbers(table.column(at)))
        return table.to_pandas(), notes


def _unambiguous(
    data: bytes, dialect: Dialect, place: str, quotes: bool | None, ids: Collection[str]
) -> tuple[_Parsed, list[str]]:
    """Return the text parsed with or without quotes, whichever fits."""
    known_without = dialect.typed or dialect.delimiter == _UNIT
    if b'"' not in data or quotes is False or (quotes is None and known_without):
        return _parsed(data, dialect, place, False, ids), []
    plainly, end = _parsed(data, dialect, place, False, ids), well_quoted(data, dialect.delimiter)
    quoted = plainly
    if end == len(data) or quotes:
        quoted = _parsed(data, dialect, place, True, ids)
        if quoted.bad is not None:  # blanks before quotes are untidy
            quoted = _parsed(_without_blanks(data, dialect.delimiter), dialect, place, True, ids)
        if quotes:
            return quoted, []
    if end < len(data):
        if plainly.bad is None:
            return plainly, ['quotes (") do not enclose cells: they are part of the text']
        line = data.count(b"\n", 0, end) + 1
        text = data[end : end + 200].split(b"\n")[0].decode(errors="replace")
        raise SettingError(
            f"{place}: line {line:,}: a quote opens a cell and does not close it ({text[:60]!r}): mend it, or ",
            Setting("quotes", False), after=" reads quotes as text",
        )  # fmt: skip
    lines = len(plainly.table)
    if plainly.bad is None and len(quoted.table) < lines:
        rows = lines - len(quoted.table)
        return plainly, [
            f'quotes (") are part of the text: as enclosing cells they would join {rows:,} lines to others'
        ]
    return quoted, []


def _without_blanks(data: bytes, delimiter: str) -> bytes:
    """Return a text without the blanks between a delimiter and a quote, if its quotes are then in order."""
    mark = re.escape(delimiter.encode())
    if re.search(mark + rb' +"', data) is None:
        return data
    trimmed = re.sub(rb"(?<=" + mark + rb') +(?=")', b"", data)
    return trimmed if well_quoted(trimmed, delimiter) == len(trimmed) else data


def _parsed(data: bytes, dialect: Dialect, place: str, quotes: bool, ids: Collection[str]) -> _Parsed:
    import pyarrow as pa
    from pyarrow import csv

    seen: list[tuple[int, str]] = []
    comments = [0]

    def on_bad(row: Any) -> str:
        if row.text.startswith(COMMENTS):
            comments[0] += 1
        elif row.text.strip():
            seen.append((row.actual_columns, row.text))
        return "skip" if len(seen) < 1 else "error"

    kinds = {name: pa.dictionary(pa.int32(), pa.string()) if name in ids else pa.string() for name in dialect.names}
    convert = csv.ConvertOptions(
        column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
    )
    how = csv.ParseOptions(
        delimiter=dialect.delimiter, quote_char='"' if quotes else False, double_quote=quotes,
        newlines_in_values=quotes, invalid_row_handler=on_bad,
    )  # fmt: skip

    def read(block: int) -> "Table":
        options = csv.ReadOptions(use_threads=False, column_names=list(dialect.names), block_size=block)
        return csv.read_csv(pa.BufferReader(data), options, how, convert)

    with reading(place):
        table = _whole(read, len(data), seen, pa.table({name: pa.array([], kinds[name]) for name in dialect.names}))
    return _Parsed(table, seen[0] if seen else None, comments[0])


def _whole(read: Callable[[int], "Table"], size: int, seen: Sequence[object], empty: "Table") -> "Table":
    """Return what `read` gives, in one block where a line is too long for several; `empty` once a bad line is seen."""
    import pyarrow as pa

    if not size:
        return empty
    try:
        return read(BLOCK)
    except pa.ArrowInvalid:
        if seen:
            return empty
        if size >= 2**31 - 1 or size < BLOCK:
            raise
        return read(size + 1)


def _with_one_byte(data: bytes, dialect: Dialect, place: str) -> tuple[bytes, Dialect]:
    """Return a text whose delimiter is a single byte and stands between two cells only."""
    mark = dialect.delimiter.encode()
    if dialect.delimiter == BLANKS:
        return re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"[ \t]+", b" ", data)), dialect
    if dialect.trailing:
        data = re.sub(re.escape(mark) + rb" *$", b"", data, flags=re.MULTILINE)
    if len(mark) == 1:
        return data, dialect
    if _UNIT.encode() in data:
        raise RecsysError(f"{place}: holds the control character 1F, expected plain text around '{dialect.delimiter}'")
    return data.replace(mark, _UNIT.encode()), replace(dialect, delimiter=_UNIT)


def _numbers(column: Any) -> Any:
    """Return a column of text as whole numbers, else as numbers, else as it is."""
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(column)
    for kind in (pa.int64(), pa.float64()):
        try:
            made = trimmed.cast(kind)
        except pa.ArrowInvalid:
            continue
        if compute.any(compute.is_nan(made)).as_py():
            return column  # an error shows what is written
        return made
    return column
