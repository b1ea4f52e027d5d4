"""Numbers that a user gives, checked, and as Python's own: NumPy's are taken everywhere, and kept nowhere."""

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from operator import index
from typing import Any

import numpy as np

from recsys.types.errors import RecsysError

LARGEST = 1.7976931348623157e308  # of finite numbers in 64 bits


def whole(place: str, found: object, least: int | None = None, most: int | None = None, why: str = "") -> int:
    """Return `found` as an int; `place` says where it stands, `why` what the largest one is.

    >>> whole("slate: k", 10, 1, 200)
    10

    Raises:
        RecsysError: if it is no whole number, or not from `least` to `most`.
    """
    try:
        number = None if isinstance(found, bool | np.bool_) else index(found)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is not None and (least is None or number >= least) and (most is None or number <= most):
        return number
    within = "" if least is None else f" from {least}" + (" on" if most is None else f" to {most}")
    raise RecsysError(f"{place} is {found!r}, expected a whole number{within}{why and ', ' + why}")


def number(place: str, found: object, least: float = 0.0, most: float = math.inf) -> float:
    """Return `found` as a float; `place` says where it stands.

    >>> number("slate: epsilon", np.float32(0.5), most=1)
    0.5

    Raises:
        RecsysError: if it is no finite number from `least` to `most`.
    """
    value = plain(found)
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= min(most, LARGEST):
        return float(value)
    within = f"from {least:g} " + ("on" if most == math.inf else f"to {most:g}")
    raise RecsysError(f"{place} is {found!r}, expected a number {within}")


def plain(value: Any) -> Any:
    """Return a NumPy scalar, or an array of no dimension, as Python's own; everything else as it is.

    >>> plain(np.int64(5)), plain(np.array(0.5)), plain("5")
    (5, 0.5, '5')
    """
    return (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim) else value
    )


def plain_table(content: Any) -> Any:
    """Return nested tables and lists with every value as JSON and TOML say it: arrays are lists, paths are texts.

    >>> plain_table({"k": np.array([5, 10]), "test": np.float64(0.2)})
    {'k': [5, 10], 'test': 0.2}
    """
    if isinstance(content, Mapping):
        return {key: plain_table(value) for key, value in content.items()}
    if isinstance(content, np.ndarray) and content.ndim:
        return content.tolist()
    if isinstance(content, list | tuple):
        return [plain_table(value) for value in content]
    return os.fspath(content) if isinstance(content, os.PathLike) else plain(content)


def make_plain(record: Any) -> None:
    """Put Python's own numbers into the fields of a frozen record that is being made."""
    for one in fields(record):
        object.__setattr__(record, one.name, plain(getattr(record, one.name)))


def share(place: str, text: str | float) -> float:
    """Return the share above 0 and below 1 that "2%" or 0.02 says.

    >>> share("spend", "2 %"), share("spend", 0.05)
    (0.02, 0.05)

    Raises:
        RecsysError: if it says none.
    """
    try:
        number = float(str(text).strip().removesuffix("%")) / (100.0 if str(text).strip().endswith("%") else 1.0)
    except ValueError:
        number = 0.0
    if not 0.0 < number < 1.0:
        raise RecsysError(f"{place} is '{text}', expected a share such as 0.02 or 2%")
    return number
