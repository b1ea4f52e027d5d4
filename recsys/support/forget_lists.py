"""Forget lists: append-only files that say which rows of a log may no longer be used, and which topics are stopped.

A file has a header line with a salt, then one line of JSON for each forget, stop or undo. Ids are hashed with the salt,
so that the file alone names nobody. Each line is a checked one (`recsys.support.checked_lines`): a changed byte, a lost
line or two lines in another order are noticed. A last line without its end was written by a process that was killed:
its forget has not begun, and the next one is written in its place.
"""

import hashlib
import io
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from recsys.support.atomic_files import open_for_lock
from recsys.support.checked_lines import format_line, looks_checked, parse_line
from recsys.types.errors import RecsysError
from recsys.types.moments import MAX_MOMENT, format_moment
from recsys.types.paths import check_path

if sys.platform != "win32":
    import fcntl

FORMAT = "recsys forget list 1"
Kind = Literal["interaction", "item", "person", "topic"]
_FIELDS: Mapping[str, tuple[str, ...]] = {  # what a line of each kind says beside its moment and its end
    "interaction": ("user", "item"),
    "item": ("item",),
    "person": ("user",),
    "topic": ("user", "topic"),
}
_HASH = re.compile(r"[0-9a-f]{32}")
_SALT = re.compile(r"[0-9a-f]{64}")


class ForgetLine(NamedTuple):
    """A line that is no undo: whose or which rows are forgotten, or which topic of whom is stopped."""

    number: int  # from 1, that of the first line after the header
    kind: Kind
    at: int  # seconds since 1970: when it was written
    until: int | None  # the moment from which on it no longer holds; None: for good
    user: str = ""  # the hash of the user's id, "" where everybody's rows are meant
    item: str = ""  # the hash of the item's id, "" where all of them are meant
    topic: str = ""  # its name


class ListPosition(NamedTuple):
    """A place between two lines of the file."""

    bytes: int = 0  # before it
    crc: int = 0  # of the line before it
    lines: int = 0  # before it, without the header
    latest: int = -MAX_MOMENT  # the moment of the last of them


START = ListPosition()


@dataclass(frozen=True, eq=False)
class ForgetList:
    """The content of a forget list up to some line."""

    path: Path
    salt: str = ""  # "" where no line was written yet
    lines: tuple[ForgetLine, ...] = ()  # those that are no undo, in their order
    undone: frozenset[int] = frozenset()  # numbers of the lines that an undo names
    end: ListPosition = START

    def hash_user(self, name: str) -> str:
        """Return the hash of a user's id, as lines have it."""
        return self._hash(b"user", name)

    def hash_item(self, name: str) -> str:
        """Return the hash of an item's id, as lines have it."""
        return self._hash(b"item", name)

    def hash_ids(self, role: Literal["user", "item"], names: Collection[str]) -> dict[str, int]:
        """Return the place of each id by its hash."""
        start = self._start_hash(role.encode())
        found = {}
        for place, name in enumerate(names):
            digest = start.copy()
            digest.update(name.encode("utf-8", "surrogatepass"))
            found[digest.hexdigest()] = place
        return found

    def list_holding(self, now: float | None = None) -> tuple[ForgetLine, ...]:
        """Return the lines that hold `now`, the clock's time by default: not undone, and not at their end."""
        moment = time.time() if now is None else now
        return tuple(
            line
            for line in self.lines
            if line.number not in self.undone and (line.until is None or line.until > moment)
        )

    def keep(self, lines: Collection[ForgetLine]) -> "ForgetList":
        """Return the list with these of its lines alone."""
        return replace(self, lines=tuple(lines))

    @cached_property
    def digest(self) -> str:
        """Sixteen characters that name the salt and the lines, but for when they were written and when they end."""
        told = [self.salt, *sorted({(line.kind, line.user, line.item, line.topic) for line in self.lines})]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def _hash(self, role: bytes, name: str) -> str:
        digest = self._start_hash(role)
        digest.update(name.encode("utf-8", "surrogatepass"))
        return str(digest.hexdigest())

    def _start_hash(self, role: bytes) -> Any:
        return hashlib.blake2b(key=bytes.fromhex(self.salt), person=role, digest_size=16)


def read_forget_list(path: str | PathLike[str], earlier: ForgetList | None = None) -> ForgetList:
    """Return the content of a forget list; `earlier` is what was read of it before: then only new lines are read.

    Raises:
        RecsysError: if there is no such file, a line was changed or is none of a forget list, or the file is no longer
            the one of which `earlier` was read.
    """
    target = check_path("forget list", path, "the path of a file")
    start = ForgetList(target) if earlier is None else earlier
    try:
        with target.open("rb") as file:
            if os.fstat(file.fileno()).st_size < start.end.bytes:
                raise _make_replaced_error(target)
            file.seek(start.end.bytes)
            return _parse_lines(start, file.read())
    except OSError as error:
        raise RecsysError(f"forget list {target}: {error.strerror or error}") from None


def append_forget_line(
    path: str | PathLike[str],
    kind: Kind,
    *,
    user: str = "",
    item: str = "",
    topic: str = "",
    until: int | None = None,
    now: int | None = None,
) -> ForgetList:
    """Write a line to a forget list, which is made if it is not there, and return the list with it.

    The line is on the disk when this returns. Where the list has a line that says the same, and ends no sooner, nothing
    is written. `user` and `item` are ids; `now` is the clock's time by default.

    Raises:
        RecsysError: for an end that is over, a clock that runs backwards, or a file that is none of a forget list, or
            cannot be written or locked.
    """
    with _hold_list(path) as (number, found):
        moment = _check_clock(found, now)
        if until is not None and until <= moment:
            raise RecsysError(
                f"forget list: until is {format_moment(until)}, which is over now ({format_moment(moment)}), "
                "expected a later time"
            )
        hashed = {"user": user and found.hash_user(user), "item": item and found.hash_item(item), "topic": topic}
        told = {name: hashed[name] for name in _FIELDS[kind]}
        line = ForgetLine(found.end.lines + 1, kind, moment, until, **told)
        if any(_covers(one, line) for one in found.list_holding(moment)):
            return found
        ends = {} if until is None else {"until": until}
        return _write_line(number, found, {"kind": kind, **told, "at": moment, **ends})


def append_undo(path: str | PathLike[str], lines: Collection[int], *, now: int | None = None) -> ForgetList:
    """Write an undo of some lines, by their numbers, to a forget list and return the list with it.

    Raises:
        RecsysError: for a line that there is not, or that does not hold, and as `append_forget_line` does.
    """
    with _hold_list(path, make=False) as (number, found):
        moment = _check_clock(found, now)
        holding = {line.number for line in found.list_holding(moment)}
        wrong = sorted(set(lines) - holding)
        if wrong or not lines:
            known = ", ".join(map(str, sorted(holding))) or "none"
            said = f"line {wrong[0]} does not hold" if wrong else "no line to undo"
            raise RecsysError(f"forget list {found.path}: {said}, expected one of those that hold: {known}")
        return _write_line(number, found, {"kind": "undo", "lines": sorted(set(lines)), "at": moment})


def _covers(one: ForgetLine, other: ForgetLine) -> bool:
    """Return whether a line that holds says what another one says, and ends no sooner."""
    same = one[1] == other[1] and one[4:] == other[4:]
    return same and (one.until is None or (other.until is not None and one.until >= other.until))


def _check_clock(found: ForgetList, now: int | None) -> int:
    moment = int(time.time()) if now is None else now
    if moment < found.end.latest:
        raise RecsysError(
            f"forget list {found.path}: now is {format_moment(moment)}, before its last line was written "
            f"({format_moment(found.end.latest)}), expected a clock that does not run backwards"
        )
    return moment


@contextmanager
def _hold_list(path: str | PathLike[str], make: bool = True) -> Iterator[tuple[int, ForgetList]]:
    """Open a forget list, lock it, write its header if it has none, and yield its handle and its content."""
    target = check_path("forget list", path, "the path of a file")
    try:
        with open_for_lock(target, 0o644, make) as file:
            number = file.fileno()
            _lock(number, target)
            found = _parse_lines(ForgetList(target), file.readall())
            if os.fstat(number).st_size > found.end.bytes:
                os.ftruncate(number, found.end.bytes)  # a line that a killed process left
            if not found.salt:
                found = _write_line(number, found, {"format": FORMAT, "salt": secrets.token_hex(32)})
                _sync_folder(target.parent)
            yield number, found
    except OSError as error:
        raise RecsysError(f"forget list {target}: {error.strerror or error}") from None


def _lock(number: int, path: Path) -> None:
    """Lock an opened file until it is closed, or its process ends."""
    if sys.platform == "win32":
        raise RecsysError(f"forget list {path}: this system has no locks of files, expected one that has (flock)")
    fcntl.flock(number, fcntl.LOCK_EX)


def _write_line(number: int, found: ForgetList, told: Mapping[str, Any]) -> ForgetList:
    """Write a line behind the content of a list, onto the disk; one that cannot be written whole is taken back."""
    line, _ = format_line(told, found.end.crc)
    os.lseek(number, found.end.bytes, os.SEEK_SET)
    try:
        if os.write(number, line) < len(line):
            raise OSError(28, "No space left on device")
        os.fsync(number)
    except OSError:
        os.ftruncate(number, found.end.bytes)
        raise
    return _parse_lines(found, line)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _parse_lines(start: ForgetList, content: bytes) -> ForgetList:
    """Return a list with the whole lines of `content`, which stands behind it in the file."""
    salt, end = start.salt, start.end
    lines, undone = list(start.lines), set(start.undone)
    for line in io.BytesIO(content):
        if not line.endswith(b"\n"):
            _check_cut_line(line, start.path)
            break
        where = f"line {end.lines + 1} after the header" if end.bytes else "its first line"
        record, crc = parse_line(line, end.crc, f"forget list {start.path}: {where}")
        if not salt:
            salt = _parse_header(record, start.path)
            end = ListPosition(len(line), crc, 0)
            continue
        number = end.lines + 1
        if record.get("kind") == "undo":
            undone |= _parse_undo(record, number, start.path)
        else:
            lines.append(_parse_forget(record, number, start.path))
        end = ListPosition(end.bytes + len(line), crc, number, record["at"])
    return ForgetList(start.path, salt, tuple(lines), frozenset(undone), end)


def _check_cut_line(line: bytes, path: Path) -> None:
    """Refuse a last line without its end that no killed process leaves: one that goes on behind its checksum."""
    if looks_checked(line[:-1] + b"\n") or not line.startswith(b"{"):
        raise RecsysError(f"forget list {path}: its last line was changed, expected the file as it was written")


def _parse_header(record: Mapping[str, Any], path: Path) -> str:
    salt = record.get("salt")
    if record.get("format") != FORMAT or not isinstance(salt, str) or not _SALT.fullmatch(salt):
        raise RecsysError(
            f"forget list {path}: its format is {record.get('format')!r}, expected '{FORMAT}': a newer recsys reads it"
        )
    return salt


def _parse_forget(record: Mapping[str, Any], number: int, path: Path) -> ForgetLine:
    kind, until = record.get("kind"), record.get("until")
    names = _FIELDS.get(kind, ()) if isinstance(kind, str) else ()
    told = {name: record.get(name) for name in names}
    hashed = all(isinstance(one, str) and _HASH.fullmatch(one) for name, one in told.items() if name != "topic")
    named = "topic" not in told or (isinstance(told["topic"], str) and told["topic"])
    moments = _is_moment(record.get("at")) and (until is None or _is_moment(until))
    if not names or not hashed or not named or not moments or {*record} - {*names, "kind", "at", "until"}:
        raise _make_unknown_line_error(number, path)
    return ForgetLine(number, cast(Kind, kind), record["at"], until, **cast(dict[str, str], told))


def _parse_undo(record: Mapping[str, Any], number: int, path: Path) -> set[int]:
    lines = record.get("lines")
    if not isinstance(lines, list) or not all(type(one) is int and 0 < one < number for one in lines):
        raise _make_unknown_line_error(number, path)
    if not _is_moment(record.get("at")):
        raise _make_unknown_line_error(number, path)
    return set(lines)


def _is_moment(found: Any) -> bool:
    return type(found) is int and -MAX_MOMENT < found < MAX_MOMENT


def _make_unknown_line_error(number: int, path: Path) -> RecsysError:
    kinds = ", ".join(_FIELDS)
    return RecsysError(
        f"forget list {path}: line {number} after the header says what this recsys does not know, "
        f"expected a forget of {kinds}, or an undo"
    )


def _make_replaced_error(path: Path) -> RecsysError:
    return RecsysError(f"forget list {path}: is shorter than it was, expected lines to be added alone")
