"""Likelihoods as files: named arrays, no pickles."""

from pathlib import Path

from recsys.likelihoods.records import Likelihood
from recsys.support.record_files import load_record, save_record


def save_likelihood(likelihood: Likelihood, path: str | Path) -> Path:
    """Write a likelihood as .npz, whole or not at all, and return the path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    return save_record(likelihood, path)


def load_likelihood(path: str | Path) -> Likelihood:
    """Return the likelihood that `save_likelihood` wrote, its arrays checked.

    Raises:
        RecsysError: if it cannot be read, or is no likelihood.
    """
    return load_record(Likelihood, path, "is no likelihood that can be read")
