"""Files out of zip archives that are not trusted: nothing climbs out of the folder, nothing grows absurd."""

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from recsys.types import RecsysError

MAX_UNPACK_RATIO = 100  # how many times its own size an archive may unpack to
MIN_UNPACK_LIMIT = 64 * 2**20  # what any archive may unpack to, in bytes
MAX_UNPACK_LIMIT = 8 * 2**30  # what no archive may exceed, in bytes

_SPECIAL_FILES = (
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISSOCK, "socket"),
)
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def refuse_special_file(path: Path) -> None:
    """Refuse a pipe, a device and a socket: reading one may never end.

    Raises:
        RecsysError: for these, and where the path cannot be looked at; a path that does not exist passes.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RecsysError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    kind = next((name for is_kind, name in _SPECIAL_FILES if is_kind(mode)), None)
    if kind is not None:
        raise RecsysError(f"{path}: is a {kind}, expected a file: write the table to a file first")


def list_archive_members(path: Path) -> list[str]:
    """Return the names of the files in a zip archive.

    Raises:
        RecsysError: if it is damaged, if a member climbs out of the folder or is a link, or if the sizes that it
            declares are absurd.
    """
    refuse_special_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _ZIP_ERRORS as error:
        raise RecsysError(f"{path.name}: not a zip archive, or a damaged one ({error})") from error
    for member in members:
        _refuse_path_traversal(member, path)
    _refuse_zip_bomb(sum(member.file_size for member in members), path)
    return [member.filename for member in members if not member.is_dir()]


def extract_members(path: Path, members: Sequence[str], folder: Path) -> list[Path]:
    """Unpack `members` into `folder`, without their own folders, and return where they are.

    Sizes are counted while unpacking too: what an archive declares need not be true.
    """
    list_archive_members(path)
    written, made = 0, []
    with zipfile.ZipFile(path) as archive:
        for name in members:
            target = folder / PurePosixPath(name).name
            with _open_member(archive, name, path) as stream, target.open("wb") as out:
                for chunk in _iter_member_chunks(stream, name, path):
                    written += len(chunk)
                    _refuse_zip_bomb(written, path)
                    out.write(chunk)
            made.append(target)
    return made


def _refuse_path_traversal(member: zipfile.ZipInfo, path: Path) -> None:
    parts = PurePosixPath(member.filename.replace("\\", "/"))
    drive = re.match(r"[A-Za-z]:", member.filename)
    if ".." in parts.parts or parts.is_absolute() or drive or stat.S_ISLNK(member.external_attr >> 16):
        raise RecsysError(f"{path.name}: member {member.filename!r} points outside the archive: refused")


def compute_unpack_limit(packed_size: int) -> int:
    """Return to how many bytes an archive of `packed` bytes may unpack."""
    return min(max(MAX_UNPACK_RATIO * packed_size, MIN_UNPACK_LIMIT), MAX_UNPACK_LIMIT)


def _refuse_zip_bomb(size: int, path: Path) -> None:
    limit = compute_unpack_limit(path.stat().st_size)
    if size > limit:
        raise RecsysError(f"{path.name}: unpacks to more than {limit:,} bytes: refused")


def _open_member(archive: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    try:
        return archive.open(name)
    except _ZIP_ERRORS as error:
        raise RecsysError(f"{path.name}: {name} is damaged ({error})") from error


def _iter_member_chunks(stream: IO[bytes], name: str, path: Path) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(1 << 20)
        except _ZIP_ERRORS as error:
            raise RecsysError(f"{path.name}: {name} is damaged ({error})") from error
        if not chunk:
            return
        yield chunk


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_checksum(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a file, or refuse it if another was expected."""
    try:
        found = hash_file(path)
    except OSError as error:
        raise RecsysError(f"{path.name}: cannot be read: {error.strerror}") from error
    if expected is not None and found != expected:
        raise RecsysError(f"{path.name}: wrong checksum: sha256 is {found[:12]}..., expected {expected[:12]}...")
    return found
