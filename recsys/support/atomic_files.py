"""Files and folders that are written whole or not at all, even if a run is killed.

A file or folder is written in a temporary folder beside its target, and the writing process holds a lock on that. The
lock ends with the process: whoever writes to the same place next removes temporary folders that nobody has locked.
Those of other machines, and on file systems without locks, are removed after a day.
"""

import ctypes
import errno
import io
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from recsys.types.errors import RecsysError, restore_interrupts

if sys.platform != "win32":
    import fcntl

PART_PREFIX = ".part-"  # of temporary folders; earlier versions had files too
REPLACED_PREFIX = (
    ".replaced-"  # of a folder that is being replaced, where the system cannot exchange two folders at once
)
_LOCK_NAME = "lock"
_DAY_SECONDS = 86_400.0
_MAX_TRIES = 100  # of two processes that replace the same folder at once, one may have to go after the other


def exists_at(path: Path, kind: Callable[[Path], bool] = Path.exists) -> bool:
    """Return whether a file, or what `kind` asks for (`Path.is_dir`), is at `path`.

    No file is at a path that the system refuses: one that is too long, or has a NUL in it.

    >>> exists_at(Path("no" * 500)), exists_at(Path("."), Path.is_dir)
    (False, True)
    """
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix); rename it over `path` when the block ends well.

    When the block fails, `path` is as it was. A full disk or a read-only folder is one clear line.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    with _shorten_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with make_temporary_folder(path.parent) as folder:
            temporary = folder / f"new{path.suffix}"
            temporary.touch()
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replace_folder(path: Path, own: Collection[str] | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; put it in the place of `path` when the block ends well.

    With `own`, the names of what is written, all else that `path` holds stays in it.

    An existing folder is exchanged for the new one in one step where the system can (Linux, macOS): at each moment
    `path` is a whole folder. Elsewhere the existing folder has another name for a moment, from which `recover_folder`
    brings it back. When the block fails, `path` is as it was.

    Raises:
        RecsysError: if the parent folder cannot be written.
    """
    with _shorten_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_folder(path)
        with make_temporary_folder(path.parent) as temporary:
            made = temporary / "new"
            made.mkdir()
            yield made
            if own is not None:
                _copy_others(path, made, own)
            _move_into_place(made, path)


@contextmanager
def _shorten_write_errors(path: Path) -> Iterator[None]:
    """Say in one line that `path` cannot be written; NumPy tells a short write by two counts of its own.

    An interrupt stays one, also where what was half-written could not be closed.
    """
    try:
        with restore_interrupts():
            yield
    except OSError as error:
        raise RecsysError(f"cannot write {path}: {error.strerror or f'{error}: is the disk full?'}") from error


@contextmanager
def make_temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, removed at the end, or by the next run if this one is killed or interrupted."""
    remove_leftovers(parent)
    made, lock = _make_locked_folder(parent)
    try:
        yield made
    finally:
        with suppress(OSError):
            _remove_path(made)
        if lock is not None:
            lock.close()
            shutil.rmtree(made, ignore_errors=True)  # NFS keeps a file until it is closed


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there, and hold it: until the block ends, or this process, no other process gets it.

    It stays as it is left. One that holds nothing at the end is removed.

    Raises:
        RecsysError: if another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_for_lock(folder / _LOCK_NAME, 0o600)
    except OSError as error:
        raise RecsysError(f"cannot write {folder}: {error.strerror or error}") from None
    with lock:
        _lock_at_once(lock, folder)
        try:
            yield
        finally:
            with suppress(OSError):
                if {entry.name for entry in os.scandir(folder)} <= {_LOCK_NAME}:
                    _remove_path(folder)


def clear_folder(folder: Path) -> None:
    """Remove what is in a folder that `hold_folder` holds."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != _LOCK_NAME:
                _remove_path(Path(entry.path), entry.is_dir(follow_symlinks=False))


def recover_folder(path: Path) -> None:
    """Bring back the folder `path` if a process was killed while it replaced it."""
    aside = _get_replaced_path(path)
    with suppress(OSError, ValueError):  # ValueError: no path has a NUL in it
        there = aside.lstat()
        if os.path.lexists(path):
            _remove_path(aside, stat.S_ISDIR(there.st_mode))
        else:
            aside.rename(path)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes in `folder`; those of living processes stay."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if entry.name.startswith(PART_PREFIX)]:
            with suppress(OSError):
                _remove_if_abandoned(Path(entry.path))


def _copy_others(path: Path, made: Path, own: Collection[str]) -> None:
    """Copy what a folder holds, if it is there, to another one: all but the names that are its own."""
    if not path.is_dir():
        return
    for one in path.iterdir():
        if one.name not in own and one.is_dir() and not one.is_symlink():
            shutil.copytree(one, made / one.name, symlinks=True)
        elif one.name not in own:
            shutil.copy2(one, made / one.name, follow_symlinks=False)


def _move_into_place(made: Path, path: Path) -> None:
    """Give a folder its name, in the place of one that has it already."""
    for left in reversed(range(_MAX_TRIES)):
        try:
            if not os.path.lexists(path):
                made.rename(path)
                return
            if _exchange_paths(made, path):
                return
            recover_folder(path)
            path.rename(_get_replaced_path(path))
            made.rename(path)
            recover_folder(path)
            return
        except OSError:
            recover_folder(path)
            if not left:
                raise
            time.sleep(0.001)


def _get_replaced_path(path: Path) -> Path:
    return path.parent / f"{REPLACED_PREFIX}{sha256(path.name.encode()).hexdigest()[:16]}"


def _exchange_paths(one: Path, other: Path) -> bool:
    """Exchange the names of two files or folders in one step; return False where the system cannot."""
    call, flag = _find_exchange_call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM):
        return False  # the file system, or an older kernel
    raise OSError(number, os.strerror(number))


@cache
def _find_exchange_call() -> tuple[Any, int]:
    """Return the system call that exchanges two paths, and its flag; None where there is none."""
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            rename, here = library.renameat2, -100  # AT_FDCWD
            rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
            return lambda one, other, flag: rename(here, one, here, other, flag), 2  # RENAME_EXCHANGE
        if sys.platform == "darwin":
            rename = library.renamex_np
            rename.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return rename, 2  # RENAME_SWAP
    return None, 0


def open_for_lock(path: Path, mode: int, make: bool = True) -> io.FileIO:
    """Open a file to lock it and to write it; make it with the bits of `mode` if it is not there.

    The lock ends when the file is closed, or nothing refers to it: an interrupt loses no lock that is held for good.
    """
    flags = os.O_RDWR | (os.O_CREAT if make else 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return io.FileIO(path, "r+", opener=lambda name, _: os.open(name, flags, mode))


def _make_locked_folder(parent: Path) -> tuple[Path, io.FileIO | None]:
    """Return a new folder and the file in it that is locked, None where there are no locks."""
    while True:
        made = parent / f"{_get_part_prefix()}{secrets.token_hex(6)}"
        made.mkdir(0o700)
        try:
            lock = open_for_lock(made / _LOCK_NAME, 0o600)
        except FileNotFoundError:
            continue  # removed as a leftover before it was locked
        if not _lock_file(lock):
            lock.close()
            return made, None
        if (made / _LOCK_NAME).exists():
            return made, lock
        lock.close()


def _remove_if_abandoned(path: Path) -> None:
    """Remove a temporary folder if the process that wrote it is gone."""
    there = path.lstat()
    folder = stat.S_ISDIR(there.st_mode)
    if folder and sys.platform != "win32" and path.name.startswith(_get_part_prefix()):
        try:
            lock = open_for_lock(path / _LOCK_NAME, 0o600, make=False)
        except FileNotFoundError:
            with suppress(OSError):
                path.rmdir()  # it has no lock yet, or no longer: then it is empty
        else:
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_path(path)
                    return
                except BlockingIOError:
                    return  # it is being written
                except OSError:
                    pass  # a file system without locks
    if time.time() - there.st_mtime > _DAY_SECONDS:
        _remove_path(path, folder)


def _remove_path(path: Path, folder: bool = True) -> None:
    """Remove a file or folder, its lock last: what a killed process leaves of it can be removed later."""
    if not folder:
        path.unlink(missing_ok=True)
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != _LOCK_NAME:
                Path(entry.path).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _lock_file(file: io.FileIO) -> bool:
    """Lock an opened file until it is closed, or its process ends; return False where there are no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _lock_at_once(file: io.FileIO, folder: Path) -> None:
    """Lock an opened file, where there are locks, and refuse to wait for it."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecsysError(f"{folder}: another process works in it, expected to be alone") from None
    except OSError:
        return  # a file system without locks


@cache
def _get_part_prefix() -> str:
    """Return how names of temporary folders begin on this machine, until it starts anew: their locks are seen here."""
    try:
        told = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        import platform

        told = platform.node().encode()
    return f"{PART_PREFIX}{sha256(told).hexdigest()[:8]}-"
