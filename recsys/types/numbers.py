"""Numbers that a user gives, checked, and as Python's own: NumPy's are taken everywhere, and kept nowhere."""

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from operator import index
from typing import Any

import numpy as np

from recsys.types.errors import RecsysError

MAX_FLOAT64 = 1.7976931348623157e308  # of finite numbers in 64 bits


def check_int(place: str, found: object, least: int | None = None, most: int | None = None, why: str = "") -> int:
    """Return `found` as an int; `place` says where it stands, `why` what the largest one is.

    >>> check_int("slate: k", 10, 1, 200)
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
    raise RecsysError(f"{place} is {_shorten(found)}, expected a whole number{within}{why and ', ' + why}")


def check_number(place: str, found: object, least: float = 0.0, most: float = math.inf) -> float:
    """Return `found` as a float; `place` says where it stands.

    >>> check_number("slate: epsilon", np.float32(0.5), most=1)
    0.5

    Raises:
        RecsysError: if it is no finite number from `least` to `most`.
    """
    value = convert_to_python(found)
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= min(most, MAX_FLOAT64):
        return float(value)
    within = f"from {least:g} " + ("on" if most == math.inf else f"to {most:g}")
    raise RecsysError(f"{place} is {_shorten(found)}, expected a number {within}")


def convert_to_python(value: Any) -> Any:
    """Return a NumPy scalar, or an array of no dimension, as Python's own; everything else as it is.

    >>> convert_to_python(np.int64(5)), convert_to_python(np.array(0.5)), convert_to_python("5")
    (5, 0.5, '5')
    """
    return (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim) else value
    )


def convert_to_plain_data(content: Any) -> Any:
    """Return nested tables and lists with every value as JSON and TOML say it: arrays are lists, paths are texts.

    >>> convert_to_plain_data({"k": np.array([5, 10]), "test": np.float64(0.2)})
    {'k': [5, 10], 'test': 0.2}
    """
    if isinstance(content, Mapping):
        return {key: convert_to_plain_data(value) for key, value in content.items()}
    if isinstance(content, np.ndarray) and content.ndim:
        return content.tolist()
    if isinstance(content, list | tuple):
        return [convert_to_plain_data(value) for value in content]
    return os.fspath(content) if isinstance(content, os.PathLike) else convert_to_python(content)


def convert_fields_to_python(record: Any) -> None:
    """Put Python's own numbers into the fields of a frozen record that is being made."""
    for one in fields(record):
        object.__setattr__(record, one.name, convert_to_python(getattr(record, one.name)))


def parse_share(place: str, text: str | float) -> float:
    """Return the share above 0 and below 1 that "2%" or 0.02 says.

    >>> parse_share("accuracy_budget", "2 %"), parse_share("accuracy_budget", 0.05)
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


def check_flag(place: str, value: Any) -> None:
    """Refuse what is neither True nor False, of Python or NumPy.

    Raises:
        RecsysError: naming the place.
    """
    if not isinstance(value, bool | np.bool_):
        raise RecsysError(f"{place} is {_shorten(value)}, expected True or False")


def _shorten(value: object) -> str:
    """Return the text of a value that was found, at most 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"
