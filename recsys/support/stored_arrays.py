"""Safe reading of .npy, .npz and JSON files.

A file that cannot be read raises a `StoreError`: caches treat it as a miss, loaders show its one line. Only regular
files are opened (reading a named pipe or /dev/zero would not end), no more memory is allocated than the size of the
file allows, and nothing is evaluated or unpickled.
"""

import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np

from recsys.types.arrays import Anys
from recsys.types.errors import RecsysError

_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"))
_NPY_MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0: that of every array without fields
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufU]\d{1,9})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, )*(?:\d{1,18},?)?)\), \} *\n"
)
_MAX_INFLATION = 1032  # the most that deflate makes of a byte
_CHUNK = 2**20
_OPENS_BY_HANDLE = os.open in os.supports_dir_fd


class StoreError(RecsysError):
    """A file of a store that cannot be read; caches make its content again."""


@dataclass(frozen=True)
class NpyHeader:
    """The type, shape and order of an array, from the header of an .npy file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    offset: int  # bytes before the first value

    @property
    def file_size(self) -> int:
        """The bytes of the whole file."""
        return self.offset + self.dtype.itemsize * prod(self.shape)


class StoredFolder:
    """A folder whose files are read through one handle, so that those of a folder that replaces it are not mixed in."""

    def __init__(self, path: Path, handle: int | None = None, there: os.stat_result | None = None) -> None:
        """Wrap what `open_folder` opens; without a `handle` files are found by the folder's path."""
        self.path, self._handle, self._there = path, handle, there

    @contextmanager
    def open_file(self, name: str) -> Iterator[BinaryIO]:
        """Yield a regular file of the folder, opened for reading.

        Raises:
            StoreError: if there is none, it cannot be opened, or for whatever the block raises: its content is damaged.
        """
        with _wrap_store_errors(self.path / name):
            where = self.path / name if self._handle is None else name
            number = os.open(where, _OPEN_FLAGS, dir_fd=self._handle)
            with os.fdopen(number, "rb") as file:
                if not stat.S_ISREG(os.fstat(number).st_mode):
                    raise OSError("it is no regular file")
                yield file

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file.

        Raises:
            StoreError: if it cannot be read, or is no JSON.
        """
        with self.open_file(name) as file:
            content = file.read(os.fstat(file.fileno()).st_size)
            try:
                return json.loads(content.decode("utf-8"))
            except ValueError:
                raise ValueError("it is not JSON") from None

    @property
    def is_replaced(self) -> bool:
        """Whether another folder is found at the path by now, or none."""
        try:
            return self._there is not None and not os.path.samestat(self.path.stat(), self._there)
        except OSError:
            return True

    @property
    def may_be_mixed(self) -> bool:
        """Whether files that were read may be those of two folders."""
        return self._handle is None and self.is_replaced


@contextmanager
def open_folder(path: Path) -> Iterator[StoredFolder]:
    """Yield a folder to read files from: by a handle where the system knows such, else by its path.

    Raises:
        OSError: if there is no such folder.
    """
    handle = os.open(path, _OPEN_FLAGS | getattr(os, "O_DIRECTORY", 0)) if _OPENS_BY_HANDLE else None
    try:
        yield StoredFolder(path, handle, path.stat() if handle is None else os.fstat(handle))
    finally:
        if handle is not None:
            os.close(handle)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        StoreError: if it cannot be read, or is no JSON.
    """
    return StoredFolder(path.parent).read_json(path.name)


def read_npz(path: Path) -> dict[str, Anys]:
    """Return the arrays of an .npz file, by name.

    Raises:
        StoreError: if it cannot be read, or one of its members is no array of numbers or text.
    """
    with StoredFolder(path.parent).open_file(path.name) as file:
        there = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            return {one.filename.removesuffix(".npy"): _read_member(archive, one, there) for one in archive.infolist()}


def read_npy_header(file: IO[bytes], size: int) -> NpyHeader:
    """Return the header of an .npy file of `size` bytes: such as `numpy.save` writes it for numbers and text.

    Raises:
        ValueError: if it has none, or one of an array of another size.
    """
    start = file.read(len(_NPY_MAGIC) + 2)
    if len(start) != len(_NPY_MAGIC) + 2 or not start.startswith(_NPY_MAGIC):
        raise ValueError("it is no .npy file of version 1.0")
    length = int.from_bytes(start[-2:], "little")
    found = _NPY_HEADER.fullmatch(file.read(length))
    if found is None:
        raise ValueError("its header is not that of an array of numbers or text")
    kind, fortran, shape = (part.decode("ascii") for part in found.groups())
    sides = tuple(int(side) for side in shape.replace(",", " ").split())
    header = NpyHeader(np.dtype(kind), sides, "F" if fortran == "True" else "C", len(start) + length)
    if header.file_size != size:
        raise ValueError(f"it has {size:,} bytes, its header says {header.file_size:,}")
    return header


def map_npy(file: BinaryIO, mode: Literal["r", "c"]) -> Anys:
    """Return the array of an opened .npy file, mapped from it.

    Raises:
        ValueError: as `read_npy_header` does.
    """
    header = read_npy_header(file, os.fstat(file.fileno()).st_size)
    mapped: Anys = np.memmap(file, header.dtype, mode, header.offset, header.shape, header.order)
    return mapped


def hash_open_file(file: BinaryIO) -> str:
    """Return the SHA-256 of a whole file, in hexadecimal; the next read starts at its beginning."""
    file.seek(0)
    found = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    file.seek(0)
    return found


def hash_array(array: Anys) -> str:
    """Return the SHA-256 of the .npy file that `numpy.save` makes of an array, in hexadecimal."""
    told = hashlib.sha256()
    np.lib.format.write_array(cast(Any, _HashWriter(told.update)), array, allow_pickle=False)
    return told.hexdigest()


class _HashWriter(NamedTuple):
    """A file that is hashed in the place of being written."""

    write: Callable[[bytes], None]


def _read_member(archive: zipfile.ZipFile, about: zipfile.ZipInfo, archive_size: int) -> Anys:
    """Return the array that a member of an archive of `there` bytes holds."""
    if about.compress_size > archive_size or about.file_size > _MAX_INFLATION * max(about.compress_size, 1):
        raise ValueError(f"'{about.filename}' is said to be larger than the file")
    with archive.open(about) as stream:
        header = read_npy_header(stream, about.file_size)
        filled = np.empty(header.file_size - header.offset, np.uint8)
        view, at = memoryview(cast(Any, filled)), 0
        while at < len(view):
            chunk = stream.read(min(_CHUNK, len(view) - at))
            if not chunk:
                raise EOFError(f"'{about.filename}' ends early")
            view[at : at + len(chunk)] = chunk
            at += len(chunk)
        stream.read(1)  # at the end, the checksum of the archive is compared
    array: Anys = filled.view(header.dtype) if header.dtype.itemsize else np.zeros(prod(header.shape), header.dtype)
    return array.reshape(header.shape, order=header.order)


@contextmanager
def _wrap_store_errors(path: Path) -> Iterator[None]:
    """Raise a `StoreError` of one line for whatever a damaged file makes zipfile, zlib, json or NumPy raise.

    All of `Exception`: of one flipped bit zipfile alone raises a dozen of them, and the list differs by version.
    """
    try:
        yield
    except RecsysError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{path}: is damaged: {said}") from None
