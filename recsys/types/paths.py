"""Paths that callers give: checked before any work begins."""

import os
from pathlib import Path
from typing import Any

from recsys.types.errors import RecsysError


def check_path(place: str, value: Any, expected: str = "the path of a folder") -> Path:
    r"""Return a path that a caller gives.

    >>> check_path("out", None)
    Traceback (most recent call last):
    recsys.types.errors.RecsysError: out is None, expected the path of a folder

    Raises:
        RecsysError: if it is no text and no path, or no system could open it.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or "\0" in text:
        raise RecsysError(f"{place} is {value!r}, expected {expected}")
    return Path(text)
