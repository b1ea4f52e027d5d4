"""Files of JSON lines that are only appended to, and that notice a changed, lost or moved line."""

import json
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from recsys.types.errors import RecsysError

if sys.platform != "win32":
    import fcntl

_LINE = re.compile(rb'(\{.*,)"crc":(\d{1,10})\}\n', re.DOTALL)
_BLOCK = 1 << 16  # bytes that are read at once where the last line is looked for


class CheckedLines(NamedTuple):
    """The content of a file of checked lines."""

    records: Iterator[dict[str, Any]]
    cut_bytes: int  # of a last line without its end: its process was killed, and it is no record


@contextmanager
def open_to_append(path: Path) -> Iterator[BinaryIO]:
    """Open a file of checked lines, which is made if it is not there, and keep other processes from appending to it.

    Raises:
        RecsysError: if it cannot be read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if sys.platform != "win32":
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            yield file
    except OSError as error:
        raise RecsysError(f"cannot write {path}: {error.strerror or error}") from None


def append_records(file: BinaryIO, records: Sequence[Mapping[str, Any]], place: str) -> None:
    """Append records to a file of `open_to_append` in one write, in the place of a last line that was cut.

    Each line ends in "crc", the CRC-32 of the record that goes on from that of the line before.

    Raises:
        RecsysError: if the last line of the file is no checked line.
    """
    end, crc = _find_end(file, place)
    lines = []
    for record in records:
        line, crc = format_line(record, crc)
        lines.append(line)
    if file.seek(0, os.SEEK_END) > end:
        file.truncate(end)
    file.write(b"".join(lines))
    file.flush()


def read_records(path: Path) -> CheckedLines:
    """Return the records of a file of checked lines, each read when it is asked for.

    Raises:
        RecsysError: if the file cannot be read; when its record is asked for, for a line that was changed, is no
            record, or follows another line than it was written after.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            whole = _find_line_end(file, size)
    except OSError as error:
        raise RecsysError(f"{path}: {error.strerror or error}") from None
    return CheckedLines(_iter_records(path, whole), size - whole)


def _iter_records(path: Path, whole: int) -> Iterator[dict[str, Any]]:
    crc, read = 0, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            read += len(line)
            if read > whole:  # cut, or appended meanwhile
                return
            record, crc = parse_line(line, crc, f"{path}: line {number:,}")
            yield record


def format_line(record: Mapping[str, Any], before: int) -> tuple[bytes, int]:
    """Return the line of a record and its CRC, which goes on from `before`, that of the line before it (at first 0)."""
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)[:-1].encode() + b","
    crc = zlib.crc32(body, before)
    return b'%b"crc":%d}\n' % (body, crc), crc


def looks_checked(line: bytes) -> bool:
    """Return whether bytes have the form of a whole line, whatever its CRC."""
    return _LINE.fullmatch(line) is not None


def parse_line(line: bytes, before: int, place: str) -> tuple[dict[str, Any], int]:
    """Return the record of a line, without its CRC, and the CRC; `before` is that of the line before it.

    Raises:
        RecsysError: naming `place`, if the line is no record, was changed, or follows another line.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise RecsysError(f"{place} is no checked record, expected a JSON object that ends in its crc")
    crc = zlib.crc32(found[1], before)
    if crc != int(found[2]):
        raise RecsysError(f"{place} was changed, or a line before it: expected the file as it was written")
    try:
        record: dict[str, Any] = json.loads(found[1][:-1] + b"}")
    except (ValueError, RecursionError):
        raise RecsysError(f"{place} is no record, expected JSON") from None
    return record, crc


def _find_end(file: BinaryIO, place: str) -> tuple[int, int]:
    """Return where the last whole line ends, and its CRC."""
    end = _find_line_end(file, file.seek(0, os.SEEK_END))
    if not end:
        return 0, 0
    start = _find_line_end(file, end - 1)
    file.seek(start)
    found = _LINE.fullmatch(file.read(end - start))
    if found is None:
        raise RecsysError(f"{place}: its last line is no checked record: nothing is appended to another file")
    return end, int(found[2])


def _find_line_end(file: BinaryIO, before: int) -> int:
    """Return the place after the last end of a line among the first `before` bytes, 0 where there is none."""
    while before > 0:
        start = max(0, before - _BLOCK)
        file.seek(start)
        found = file.read(before - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0
