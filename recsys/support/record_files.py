"""One frozen record as a file of arrays, without a pickle."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from recsys.support.atomic_files import replace_file
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.stored_arrays import StoreError, read_npz
from recsys.types.errors import RecsysError
from recsys.types.paths import check_path

R = TypeVar("R")


def save_record(record: object, path: str | Path) -> Path:
    """Write a dataclass as .npz, whole or not at all, and return the path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    target = check_path("path", path, "the path of a file")
    with replace_file(target) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **flatten_record(record))
    return target


def load_record(kind: type[R], path: str | Path, problem: str) -> R:
    """Return the dataclass that `save_record` wrote, its arrays checked; `problem` says in words what the file is not.

    Raises:
        RecsysError: if it cannot be read, or the file holds something else.
    """
    try:
        return restore_record(kind, read_npz(check_path("path", path, "the path of a file")))
    except (StoreError, RecsysError) as error:
        raise RecsysError(f"{path}: {problem}: {error}") from None
