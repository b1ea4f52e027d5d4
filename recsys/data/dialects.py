"""Dialects of delimited text: every candidate is tried on the first lines, and the one that fits all of them wins."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from recsys.data.columns import normalize_name, strip_recbole_types
from recsys.data.headers import RECBOLE_TYPE, count_field_names, has_header
from recsys.data.settings import TableSettings
from recsys.types import RecsysError
from recsys.types.errors import Setting, SettingError

SAMPLE_BYTES = 1 << 18  # bytes
SAMPLE_LINES = 2000
STRONG_DELIMITERS = ("\t", "\x01", "::")  # hardly ever inside of a cell
WEAK_DELIMITERS = (",", ";", "|")
BLANKS = " "  # any run of spaces and tabs
COMMENT_MARKS = ("#", "%")
_QUOTED_CELLS = rb'(?:(?:"(?:[^"]++|"")*+"(?=[D\n]|\Z)|[^"D\n][^D\n]*+|)(?:[D\n]|\Z))*+'  # RFC 4180, D the delimiter
TREC_RUN_SUMMARY = "TREC run, ordered by score"
_TREC_COLUMNS = ("qid", "q0", "doc_id", "place", "score", "tag")  # the order is that of the score, as trec_eval has it


@dataclass(frozen=True)
class Dialect:
    """The format of a delimited text, as its first lines show it."""

    delimiter: str
    header: bool  # whether the first line that is no comment holds names
    names: tuple[str, ...]  # of the columns: those of the header, or their positions
    multi_value_columns: tuple[str, ...] = ()  # columns whose cells hold several values separated by spaces (RecBole)
    has_recbole_types: bool = False  # whether the header holds RecBole's types: such files know no quotes
    trailing_delimiter: bool = False  # whether every line but the header ends with a delimiter

    @property
    def summary(self) -> str:
        """The dialect in a few words."""
        if self.names == _TREC_COLUMNS:
            return TREC_RUN_SUMMARY
        names = {"\t": "tab", BLANKS: "blanks", "\x01": "control character 01"}
        return f"{names.get(self.delimiter, self.delimiter)} between cells, {'a' if self.header else 'no'} header line"


@dataclass(frozen=True)
class _DelimiterGuess:
    delimiter: str
    rows: list[list[str]]  # cells of each line of the sample

    @cached_property
    def width(self) -> int:
        return Counter(map(len, self.rows)).most_common(1)[0][0]

    @property
    def fits(self) -> bool:
        return self.width > 1 and all(len(row) == self.width for row in self.rows)

    @property
    def usual_width_share(self) -> float:
        return sum(len(row) == self.width for row in self.rows) / len(self.rows) if self.width > 1 else 0.0


def sample_lines(data: bytes) -> list[str]:
    """Return the first lines of a text in UTF-8 that hold something, without the one that the sample cuts."""
    start = data[:SAMPLE_BYTES].decode("utf-8", errors="ignore").split("\n")
    lines = [line for line in (start[:-1] if len(data) > SAMPLE_BYTES and len(start) > 1 else start) if line.strip()]
    return lines[:SAMPLE_LINES]


def convert_escaped_quotes(data: bytes) -> tuple[bytes, list[str]]:
    """Return a text with its backslashes before quotes as doubled quotes, where only so quotes enclose cells."""
    if rb"\"" not in data:
        return data, []
    doubled = data.replace(rb"\"", b'""')
    marks = [mark for mark in (*STRONG_DELIMITERS, *WEAK_DELIMITERS) if len(mark) == 1]
    if any(find_quoting_error(data, mark) == len(data) for mark in marks):
        return data, []
    if not any(find_quoting_error(doubled, mark) == len(doubled) for mark in marks):
        return data, []
    return doubled, ["a backslash before a quote stands for a quote inside of a cell"]


def detect_dialect(
    sample: Sequence[str],
    place: str,
    settings: TableSettings,
    fields: Mapping[str, Sequence[str]],
    user_columns: Sequence[object] = (),
) -> Dialect:
    """Return the dialect of a text, from its first lines, what the user says, and the names that fields go by.

    `called` are the names or positions that the user gives to columns.

    Raises:
        SettingError: where the lines fit several readings or none, with the setting that decides.
    """
    known = {normalize_name(alias) for aliases in fields.values() for alias in aliases}
    lines = [line for line in sample if not line.startswith(COMMENT_MARKS)] or list(sample)
    trial = _choose_delimiter(lines, place, settings, known)
    top, width = trial.rows[0], trial.width
    trailing = len(top) == width - 1 and all(row[-1].strip() == "" for row in trial.rows[1:] if len(row) == width)
    if trailing:
        trial = _DelimiterGuess(trial.delimiter, [top, *(row[:-1] for row in trial.rows[1:])])
    elif len(top) != width:
        raise make_ragged_line_error(
            place, 1 + sample.index(lines[0]), lines[0], len(top), width, count_field_names(top, known) > 0
        )
    rows = (
        [] if trailing else [row for row in _split_cells(sample, trial.delimiter, settings.quotes) if len(row) == width]
    )
    rows = rows or [row for row in trial.rows if len(row) == len(top)]
    while len(rows) > 1 and rows[0][0].startswith("%"):
        rows = rows[1:]
    if "rank" in fields and not user_columns and all(len(row) == 6 and row[1].upper() == "Q0" for row in rows):
        return Dialect(trial.delimiter, False, _TREC_COLUMNS)
    first = [cell.strip() for cell in rows[0]]
    if first[0].startswith("#") and count_field_names([first[0].lstrip("# "), *first[1:]], known) > 1:
        first[0] = first[0].lstrip("# ")
    header = has_header(first, rows[1:], place, settings, known, user_columns)
    names = strip_recbole_types(first if header else range(len(first)))
    names = [name or str(position) for position, name in enumerate(names)]
    several = tuple(name for name, cell in zip(names, first, strict=True) if cell.endswith(":token_seq"))
    typed = header and any(RECBOLE_TYPE.search(cell) for cell in first)
    return Dialect(trial.delimiter, header, tuple(names), several, typed, trailing)


def make_ragged_line_error(place: str, number: int, line: str, found: int, expected: int, header: bool) -> RecsysError:
    """Return the error for a line that has another number of fields than the others."""
    fields = f"{found} field{'s' if found != 1 else ''}"
    told = f"{place}: cannot be read: line {number:,} has {fields}, expected {expected} as in the others: {line[:60]!r}"
    if '"' in line:
        return SettingError(f"{told}: mend it, or ", Setting("quotes", False), after=" reads quotes as text")
    if header:
        return RecsysError(told)
    return SettingError(f"{told}: mend it, or ", Setting("lists", True), after=" reads lines as a user and its items")


def _split_cells(lines: Sequence[str], delimiter: str, quotes: bool | None) -> list[list[str]]:
    plainly = [line.split() if delimiter == BLANKS else line.split(delimiter) for line in lines]
    if quotes is False or len(delimiter) > 1 or not any('"' in line for line in lines):
        return plainly
    try:
        read = csv.reader((line + "\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
        quoted = [row for row in read if row]
    except csv.Error:
        return plainly
    text = "\n".join(lines).encode()
    apart = len(quoted) == len(lines) and find_quoting_error(text, delimiter) == len(text)
    even = len(set(map(len, plainly))) == 1
    return plainly if quotes is None and even and not apart else quoted


def find_quoting_error(data: bytes, delimiter: str) -> int:
    """Return where the first cell starts that breaks the grammar of quoted cells, the length of `data` if none does."""
    found = re.match(_QUOTED_CELLS.replace(b"D", re.escape(delimiter.encode())), data)
    return found.end() if found else 0


def _choose_delimiter(lines: Sequence[str], place: str, settings: TableSettings, aliases: set[str]) -> _DelimiterGuess:
    if settings.delimiter is not None:
        return _DelimiterGuess(settings.delimiter, _split_cells(lines, settings.delimiter, settings.quotes))
    trials = [
        _DelimiterGuess(mark, _split_cells(lines, mark, settings.quotes))
        for mark in (*STRONG_DELIMITERS, *WEAK_DELIMITERS, BLANKS)
    ]
    fitting = [one for one in trials if one.fits]
    named = [one for one in fitting if count_field_names(one.rows[0], aliases)]
    for group in (named, fitting):
        strong = [one for one in group if one.delimiter in STRONG_DELIMITERS]
        middle = [one for one in group if one.delimiter in WEAK_DELIMITERS]
        if strong or (group and not middle):
            return (strong or group)[0]
        if middle:
            return _choose_over_blanks(_choose_leftmost_delimiter(middle, place, lines[0]), trials[-1], place, lines[0])
    uneven = max(trials, key=lambda one: (count_field_names(one.rows[0], aliases) > 1, one.usual_width_share))
    if uneven.usual_width_share > 0.5 or count_field_names(uneven.rows[0], aliases) > 1:
        return uneven  # the parser says which line does not fit
    if max(one.width for one in trials) < 2:
        return _DelimiterGuess(",", [[line] for line in lines])  # one column
    raise SettingError(
        f"{place}: no delimiter gives all lines as many fields (the first is {lines[0][:60]!r}): ",
        Setting("lists", True),
        after=" reads each as a user and its items; with a delimiter given, the line to mend is named",
    )  # fmt: skip


def _choose_leftmost_delimiter(trials: Sequence[_DelimiterGuess], place: str, line: str) -> _DelimiterGuess:
    """Return the reading whose delimiter comes first in every line: behind it a cell may hold what others split at."""
    if len(trials) == 1:
        return trials[0]
    marks = {one.delimiter for one in trials}
    first = [one for one in trials if not any(set(row[0]) & marks for row in one.rows)]
    wider = [one.delimiter for one in trials if len(first) == 1 and one.width > first[0].width]
    if len(first) == 1 and set(wider) <= {"|"}:
        return first[0]
    raise _make_delimiter_error(trials, place, line)


def _choose_over_blanks(trial: _DelimiterGuess, blanks: _DelimiterGuess, place: str, line: str) -> _DelimiterGuess:
    """Return the reading by blanks where these come first in every line and make more cells."""
    behind = all(" " in row[0].strip() for row in trial.rows) and not any(
        set(row[0]) & {*WEAK_DELIMITERS} for row in blanks.rows
    )
    if not blanks.fits or not behind or blanks.width < trial.width:
        return trial
    if blanks.width == trial.width:
        raise _make_delimiter_error((trial, blanks), place, line)
    return blanks


def _make_delimiter_error(trials: Sequence[_DelimiterGuess], place: str, line: str) -> SettingError:
    told = ", ".join(f"{one.width} fields with {one.delimiter!r}" for one in trials)
    return SettingError(
        f"{place}: all lines have {told}: ", *(Setting("delimiter", one.delimiter) for one in trials),
        after=f" decides (the first is {line[:60]!r})",
    )  # fmt: skip
