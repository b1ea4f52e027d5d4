"""Checksums of files."""

import hashlib
from pathlib import Path

from recsys.types import RecsysError


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a file, or refuse it if another was expected."""
    try:
        found = sha256(path)
    except OSError as error:
        raise RecsysError(f"{path.name}: cannot be read: {error.strerror}") from error
    if expected is not None and found != expected:
        raise RecsysError(f"{path.name}: wrong checksum: sha256 is {found[:12]}..., expected {expected[:12]}...")
    return found
