"""The journal of a search: a file of JSON lines that notices damage, and goes on after a line that was cut."""

import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock

from recsys.types import RecsysError
from recsys.types.errors import restore_interrupts

_CHECKSUM_LINE = re.compile(rb'(.*,"crc":)(\d+)\}\n', re.DOTALL)


class LinePosition(NamedTuple):
    """A place between two lines of the file: after how many bytes, and their CRC-32."""

    bytes: int
    crc: int


class Journal(BaseJournalBackend):
    """Records in a file, one a line, that several processes append to.

    Each line ends in "crc", the CRC-32 of all bytes of the file before that number: a changed byte, a lost line or two
    lines in another order do not agree with it. Optuna's own tools read the file, and may add lines without "crc": the
    next line that has one covers them. A last line without its end was written by a process that was killed; it
    is dropped before the next one is written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        self._path = path
        self._path.touch()
        # The lock is a link to this path. Its age can be read from any folder only if the path is absolute.
        self._lock = JournalFileSymlinkLock(str(path.absolute()))
        self._positions = [LinePosition(0, 0)]  # [n] after n lines

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the records from a number on.

        Raises:
            RecsysError: if a line was changed, or is no record.
        """
        records, place = [], self._positions[log_number_from]
        with self._shorten_errors(), self._path.open("rb") as file:
            file.seek(place.bytes)
            for number, line in enumerate(file, log_number_from):
                if not line.endswith(b"\n"):  # another process is writing it, or was killed
                    break
                records.append(self._parse_record(number, line, place))
                place = _advance_position(place, line)
                if number + 1 == len(self._positions):
                    self._positions.append(place)
        return records

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add records, in the place of a line that was cut."""
        with self._hold_lock():
            self._drop_cut_line()
            place, lines = self._positions[-1], []
            for log in logs:
                text = json.dumps(log, separators=(",", ":"))[:-1].encode() + b',"crc":'
                lines.append(text + b"%d}\n" % zlib.crc32(text, place.crc))
                place = _advance_position(place, lines[-1])
            with self._path.open("ab") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())

    def repair(self) -> str | None:
        """Drop a last line that was cut; return a sentence that says so, None where there is none."""
        with self._hold_lock():
            dropped = self._drop_cut_line()
        if not dropped:
            return None
        return f"{self._path}: line {len(self._positions)} was cut and is dropped ({dropped:,} bytes)"

    def _parse_record(self, number: int, line: bytes, before: LinePosition) -> dict[str, Any]:
        checked = _CHECKSUM_LINE.fullmatch(line)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and (not checked or zlib.crc32(checked[1], before.crc) == int(checked[2])):
            return record
        found = "was changed, or a line before it" if isinstance(record, dict) else "is no record"
        raise RecsysError(
            f"storage {self._path}: line {number + 1} {found}: expected the file as sweeps wrote it; move it away to "
            f"start anew, or keep its first {number:,} lines alone"
        )

    def _drop_cut_line(self) -> int:
        """Read the lines that others have added, drop an incomplete last line; return the number of dropped bytes.

        The lock is held.
        """
        self.read_logs(len(self._positions) - 1)
        end, size = self._positions[-1].bytes, self._path.stat().st_size
        if size > end:
            os.truncate(self._path, end)
        return max(size - end, 0)

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        with self._shorten_errors():
            self._lock.acquire()
            try:
                yield
            finally:
                self._lock.release()

    @contextmanager
    def _shorten_errors(self) -> Iterator[None]:
        """Say in one line that the file cannot be read, written or locked, such as on a full disk.

        Ctrl-C stays Ctrl-C: Optuna's lock covers one that it meets by an error of the lock's file.
        """
        try:
            with restore_interrupts():
                yield
        except (OSError, RuntimeError) as error:  # RuntimeError: Optuna's, of a lock that another process has taken
            raise RecsysError(f"storage {self._path}: {getattr(error, 'strerror', None) or error}") from None


def _advance_position(place: LinePosition, line: bytes) -> LinePosition:
    return LinePosition(place.bytes + len(line), zlib.crc32(line, place.crc))
