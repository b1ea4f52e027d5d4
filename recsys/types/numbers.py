"""Numbers that a user gives, checked, and as Python's own: NumPy's are taken everywhere, and kept nowhere."""

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from operator import index
from typing import Any

import numpy as np

from recsys.types.errors import MAX_SHOWN_CHARACTERS, RecsysError

MAX_FLOAT64 = 1.7976931348623157e308  # of finite numbers in 64 bits


def convert_to_int(found: object) -> int | None:
    """Return a whole number of Python or NumPy as an int; None for fractions, bools, texts and everything else.

    >>> convert_to_int(np.int64(5)), convert_to_int(5.0), convert_to_int(np.bool_(True)), convert_to_int("5")
    (5, None, None, None)
    """
    value = convert_to_python(found)
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def convert_to_float(found: object) -> float | None:
    """Return a finite number of Python or NumPy as a float; None for NaN, infinity, bools, texts and everything else.

    >>> convert_to_float(np.float32(0.5)), convert_to_float(2), convert_to_float(True), convert_to_float(math.nan)
    (0.5, 2.0, None, None)
    """
    value = convert_to_python(found)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and -MAX_FLOAT64 <= value <= MAX_FLOAT64 else None


def check_int(place: str, found: object, least: int | None = None, most: int | None = None, why: str = "") -> int:
    """Return `found` as an int; `place` says where it stands, `why` what the largest one is.

    >>> check_int("slate: k", 10, 1, 200)
    10

    Raises:
        RecsysError: if it is no whole number, or not from `least` to `most`.
    """
    number = convert_to_int(found)
    if number is not None and (least is None or number >= least) and (most is None or number <= most):
        return number
    within = "" if least is None else f" from {least}" + (" on" if most is None else f" to {most}")
    raise RecsysError(f"{place} is {_shorten(found)}, expected a whole number{within}{why and ', ' + why}")


def check_number(
    place: str,
    found: object,
    least: float = 0.0,
    most: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
    noun: str = "a number",
) -> float:
    """Return `found` as a float; `place` says where it stands, `noun` what it is.

    It is finite, from `least` to `most`, and where they are given above `above` (which stands instead of `least`) and
    below `below` (instead of `most`).

    >>> check_number("slate: epsilon", np.float32(0.5), most=1)
    0.5
    >>> check_number("margin", 1, above=0, below=1)
    Traceback (most recent call last):
    recsys.types.errors.RecsysError: margin is 1, expected a number above 0 and below 1

    Raises:
        RecsysError: if it is none, or not within these ends.
    """
    number = convert_to_float(found)
    if (
        number is not None
        and (number > above if above is not None else number >= least)
        and (number < below if below is not None else number <= most)
    ):
        return number
    raise RecsysError(f"{place} is {_shorten(found)}, expected {_describe_numbers(noun, least, most, above, below)}")


def check_flag(place: str, found: object) -> bool:
    """Return `found` as a bool: True or False of Python or NumPy, no number.

    >>> check_flag("pool: exclude_seen", np.bool_(False))
    False

    Raises:
        RecsysError: if it is neither.
    """
    value = convert_to_python(found)
    if isinstance(value, bool):
        return value
    raise RecsysError(f"{place} is {_shorten(found)}, expected True or False")


def _shorten(found: object) -> str:
    text = repr(found)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}..."


def _describe_numbers(noun: str, least: float, most: float, above: float | None, below: float | None) -> str:
    if above is None and least == -math.inf:
        return noun.replace("a ", "a finite ", 1)
    low = f"above {above:g}" if above is not None else f"from {least:g}"
    if below is not None:
        return f"{noun} {low}{'' if above is not None else ' on'} and below {below:g}"
    if most < math.inf:
        return f"{noun} {low}{', at most' if above is not None else ' to'} {most:g}"
    return f"{noun} {low}{'' if above is not None else ' on'}"


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
