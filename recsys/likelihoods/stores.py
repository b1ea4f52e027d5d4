"""Likelihoods as files: named arrays, no pickles."""

from pathlib import Path

import numpy as np

from recsys.likelihoods.records import Likelihood
from recsys.support.atomic_files import replace_file
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.stored_arrays import StoreError, read_npz
from recsys.types import RecsysError
from recsys.types.paths import check_path


def save_likelihood(likelihood: Likelihood, path: str | Path) -> Path:
    """Write a likelihood as .npz, whole or not at all, and return the path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    target = check_path("path", path, "the path of a file")
    with replace_file(target) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **flatten_record(likelihood))
    return target


def load_likelihood(path: str | Path) -> Likelihood:
    """Return the likelihood that `save_likelihood` wrote, its arrays checked.

    Raises:
        RecsysError: if it cannot be read, or is no likelihood.
    """
    try:
        return restore_record(Likelihood, read_npz(check_path("path", path, "the path of a file")))
    except (StoreError, RecsysError) as error:
        raise RecsysError(f"{path}: is no likelihood that can be read: {error}") from None
