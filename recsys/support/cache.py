"""The cache of computed results, and environments of runs."""

import hashlib
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from recsys.support import provenance
from recsys.support.atomic_files import make_temporary_folder, remove_leftovers, replace_file
from recsys.support.stored_arrays import StoreError, read_npz
from recsys.types import RecsysError
from recsys.types.arrays import Anys

Arrays = Mapping[str, Anys]
ENTRY_NAME = re.compile(r"[a-z]+-[0-9a-f]{20}\.npz")
KEY_PACKAGES = ("recsys-negspace", "numpy", "scipy", "numba", "implicit", "pandas", "scikit-learn")


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheEntry:
    """Arrays by name, and the seconds it took to make them."""

    arrays: Arrays
    seconds: float


@dataclass(frozen=True)
class Cache:
    """A folder of cells, each named by its kind and by the hash of its inputs.

    The hash covers the package's own source and the versions of the packages that compute, so that changed code
    never meets old results. A cell that cannot be read is made again; one that cannot be written is kept in
    memory only, and `unkept` says why.
    """

    folder: Path
    write_errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remove what killed runs left of a cell."""
        remove_leftovers(self.folder)

    def get_or_make(self, kind: str, key: Any, make: Callable[[], CacheEntry]) -> CacheEntry:
        """Return the cell of `key` (anything JSON can say), made by `make` where it is not there yet."""
        text = json.dumps([hash_source(), get_key_versions(), kind, key], sort_keys=True, default=str)
        path = self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.npz"
        found = _read_entry(path)
        if found is not None:
            _log.info("%s: from the cache, %s (%.2f MB)", kind, path.name, _count_megabytes(found))
            return found
        made = make()
        _log.info("%s: made in %.1f s, %s (%.2f MB)", kind, made.seconds, path.name, _count_megabytes(made))
        try:
            with replace_file(path) as temporary:
                np.savez(temporary, allow_pickle=False, **{**made.arrays, "_seconds": np.array(made.seconds)})
        except RecsysError as error:
            self.write_errors.append(str(error))
        return made

    def list_entry_files(self) -> Iterator[Path]:
        """Yield the files of the cells there are; other files in the folder are none of them."""
        return (path for path in sorted(self.folder.glob("*.npz")) if ENTRY_NAME.fullmatch(path.name))

    def clear(self) -> int:
        """Remove every cell, and leftovers of killed runs; return how many cells there were."""
        remove_leftovers(self.folder)
        paths = list(self.list_entry_files())
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise RecsysError(f"cannot clear {self.folder}: {error.strerror}") from None
        return len(paths)


def get_default_cache_folder() -> Path:
    """Return the folder of the cells: `RECSYS_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("RECSYS_CACHE") or user_cache_path("recsys") / "cells")


@cache
def hash_source() -> str:
    """Return a hash of the package's own source files."""
    home = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def get_key_versions() -> dict[str, str]:
    """Return the installed versions of the packages that results depend on."""
    return {name: found for name in KEY_PACKAGES if (found := _get_version(name))}


def describe_environment(seed: int, fingerprint: str) -> dict[str, Any]:
    """Return the content of `environment.json`: versions, BLAS, threads, seed, commit, data, command line.

    The names of user and machine, the home folder and passwords are masked.
    """
    return {
        "python": platform.python_version(),
        "packages": provenance.list_packages(),
        "blas": provenance.list_blas_libraries(),
        "threads": provenance.describe_threads(),
        "seed": seed,
        **provenance.describe_git_state(),
        "data_fingerprint": fingerprint,
        "command_line": provenance.get_command_line(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def require_disk_space(path: Path, size: int) -> None:
    """Refuse, before hours of work, a folder that cannot be written or has less than `size` bytes left."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with make_temporary_folder(path):
            free = shutil.disk_usage(path).free
    except OSError as error:
        raise RecsysError(f"cannot write to {path}: {error.strerror}") from None
    if free < size:
        raise RecsysError(f"{path} has {free:,} bytes left, expected at least {size:,}")


def _count_megabytes(entry: CacheEntry) -> float:
    return sum(array.nbytes for array in entry.arrays.values()) / 1e6


def _read_entry(path: Path) -> CacheEntry | None:
    try:
        arrays = read_npz(path)
        return CacheEntry(arrays, float(arrays.pop("_seconds")))
    except (StoreError, KeyError, ValueError, TypeError):
        return None


def _get_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
