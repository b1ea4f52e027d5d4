"""Delimited text, parsed: every line is a row or is accounted for."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recsys.data.contents import wrap_read_errors
from recsys.data.dialects import BLANKS, COMMENT_MARKS, Dialect, find_quoting_error, make_ragged_line_error
from recsys.types import RecsysError
from recsys.types.errors import Setting, SettingError

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import Table

BLOCK_BYTES = 1 << 22  # bytes parsed at once; a line longer than this is parsed again in one block
_UNIT_SEPARATOR = "\x1f"  # in the place of a delimiter of several characters


@dataclass
class _ParsedText:
    table: "Table"
    first_bad_line: tuple[int, str] | None  # cells and text of the first line that has another number of cells
    n_comments: int


def parse_delimited(
    data: bytes, dialect: Dialect, place: str, quotes: bool | None, ids: Collection[str], numbers: Collection[str]
) -> tuple["DataFrame", list[str]]:
    """Return the table in a text of this dialect, and notes; cells are text, but for those columns in `numbers` that
    hold numbers alone.

    Quotes count as such if each that opens a cell closes it, unless lines are rows of equal width without them and
    fewer rows with them.

    Raises:
        SettingError: for a line with another number of cells than the others, and for quotes that do not close.
    """
    data, dialect = _use_one_byte_delimiter(data, dialect, place)
    found, notes = _parse_with_or_without_quotes(data, dialect, place, quotes, ids)
    if found.first_bad_line is not None:
        cells, text = found.first_bad_line
        number = data.count(b"\n", 0, max(data.find(text.encode()), 0)) + 1
        raise make_ragged_line_error(
            place, number, text.replace(_UNIT_SEPARATOR, "::"), cells, len(dialect.names), dialect.header
        )
    table = found.table
    skipped = 0
    while skipped < len(table) and str(table.column(0)[skipped].as_py()).startswith("%"):
        skipped += 1
    if found.n_comments + skipped:
        notes.append(f"{found.n_comments + skipped:,} comment lines (that start with # or %): left out")
    table = table.slice(skipped + dialect.header)
    with wrap_read_errors(place):
        for column in numbers:
            at = table.column_names.index(column)
            table = table.set_column(at, column, _convert_to_numbers(table.column(at)))
        return table.to_pandas(), notes


def _parse_with_or_without_quotes(
    data: bytes, dialect: Dialect, place: str, quotes: bool | None, ids: Collection[str]
) -> tuple[_ParsedText, list[str]]:
    """Return the text parsed with or without quotes, whichever fits."""
    known_without = dialect.has_recbole_types or dialect.delimiter == _UNIT_SEPARATOR
    if b'"' not in data or quotes is False or (quotes is None and known_without):
        return _parse_text(data, dialect, place, False, ids), []
    plainly, end = _parse_text(data, dialect, place, False, ids), find_quoting_error(data, dialect.delimiter)
    quoted = plainly
    if end == len(data) or quotes:
        quoted = _parse_text(data, dialect, place, True, ids)
        if quoted.first_bad_line is not None:  # blanks before quotes are untidy
            quoted = _parse_text(_strip_blanks_before_quotes(data, dialect.delimiter), dialect, place, True, ids)
        if quotes:
            return quoted, []
    if end < len(data):
        if plainly.first_bad_line is None:
            return plainly, ['quotes (") do not enclose cells: they are part of the text']
        line = data.count(b"\n", 0, end) + 1
        text = data[end : end + 200].split(b"\n")[0].decode(errors="replace")
        raise SettingError(
            f"{place}: line {line:,}: a quote opens a cell and does not close it ({text[:60]!r}): mend it, or ",
            Setting("quotes", False), after=" reads quotes as text",
        )  # fmt: skip
    lines = len(plainly.table)
    if plainly.first_bad_line is None and len(quoted.table) < lines:
        rows = lines - len(quoted.table)
        return plainly, [
            f'quotes (") are part of the text: as enclosing cells they would join {rows:,} lines to others'
        ]
    return quoted, []


def _strip_blanks_before_quotes(data: bytes, delimiter: str) -> bytes:
    """Return a text without the blanks between a delimiter and a quote, if its quotes are then in order."""
    mark = re.escape(delimiter.encode())
    if re.search(mark + rb' +"', data) is None:
        return data
    trimmed = re.sub(rb"(?<=" + mark + rb') +(?=")', b"", data)
    return trimmed if find_quoting_error(trimmed, delimiter) == len(trimmed) else data


def _parse_text(data: bytes, dialect: Dialect, place: str, quotes: bool, ids: Collection[str]) -> _ParsedText:
    import pyarrow as pa
    from pyarrow import csv

    seen: list[tuple[int, str]] = []
    comments = [0]

    def on_bad(row: Any) -> str:
        if row.text.startswith(COMMENT_MARKS):
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

    with wrap_read_errors(place):
        table = _read_in_blocks(
            read, len(data), seen, pa.table({name: pa.array([], kinds[name]) for name in dialect.names})
        )
    return _ParsedText(table, seen[0] if seen else None, comments[0])


def _read_in_blocks(read: Callable[[int], "Table"], size: int, bad_lines: Sequence[object], empty: "Table") -> "Table":
    """Return the table from `read`, in one block where a line is too long for several; `empty` after a bad line."""
    import pyarrow as pa

    if not size:
        return empty
    try:
        return read(BLOCK_BYTES)
    except pa.ArrowInvalid:
        if bad_lines:
            return empty
        if size >= 2**31 - 1 or size < BLOCK_BYTES:
            raise
        return read(size + 1)


def _use_one_byte_delimiter(data: bytes, dialect: Dialect, place: str) -> tuple[bytes, Dialect]:
    """Return a text whose delimiter is a single byte and stands between two cells only."""
    mark = dialect.delimiter.encode()
    if dialect.delimiter == BLANKS:
        return re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"[ \t]+", b" ", data)), dialect
    if dialect.trailing_delimiter:
        data = re.sub(re.escape(mark) + rb" *$", b"", data, flags=re.MULTILINE)
    if len(mark) == 1:
        return data, dialect
    if _UNIT_SEPARATOR.encode() in data:
        raise RecsysError(f"{place}: holds the control character 1F, expected plain text around '{dialect.delimiter}'")
    return data.replace(mark, _UNIT_SEPARATOR.encode()), replace(dialect, delimiter=_UNIT_SEPARATOR)


def _convert_to_numbers(column: Any) -> Any:
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
