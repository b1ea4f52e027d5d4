"""Paths that callers give: checked before any work begins."""

import os
from collections.abc import Callable
from difflib import get_close_matches
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


def check_outside(path: Path, folder: Path, whose: str) -> Path:
    """Return a path that does not lie in a folder: what is written there would become a part of `whose`.

    >>> check_outside(Path("ranker/slates"), Path("ranker"), "the ranker")
    Traceback (most recent call last):
    recsys.types.errors.RecsysError: out: ranker/slates lies in the folder of the ranker, expected one outside of it

    Raises:
        RecsysError: if it is in it.
    """
    if path.resolve() != folder.resolve() and path.resolve().is_relative_to(folder.resolve()):
        raise RecsysError(f"out: {path} lies in the folder of {whose}, expected one outside of it")
    return path


def suggest_beside(path: Path, is_one: Callable[[Path], bool]) -> str:
    """Return the end of an error about a path that is not there: what `is_one` beside it has the nearest name.

    >>> suggest_beside(Path("."), Path.is_dir)
    ''
    """
    if os.path.lexists(path) or not path.parent.is_dir():
        return ""
    close = get_close_matches(path.name, [one.name for one in path.parent.iterdir() if is_one(one)], n=1, cutoff=0.5)
    return f": did you mean '{path.parent / close[0]}'?" if close else ""
