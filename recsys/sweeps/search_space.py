"""Ranges: where a sweep file has `{ float = [0.01, 1.0], log = true }` instead of a number."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_flag, convert_to_float, convert_to_int

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = int | float | str | bool
RANGE_KINDS = ("int", "float", "choice")


@dataclass(frozen=True)
class Range:
    """The range of one setting: from the first to the last of `values`, or one of them for "choice"."""

    path: tuple[str, ...]  # of the setting in the config
    kind: str
    values: tuple[Value, ...]
    log: bool = False

    @property
    def name(self) -> str:
        """The setting as the parameter of a trial, such as "blends.wider.unexplored"."""
        return ".".join(self.path)

    @property
    def ends(self) -> tuple[Value, Value]:
        """The first and the last value."""
        return self.values[0], self.values[-1]

    def suggest(self, trial: "Trial") -> Value:
        """Return the value of a trial."""
        if self.kind == "choice":
            return cast(Value, trial.suggest_categorical(self.name, self.values))
        low, high = (float(end) for end in self.ends)
        if self.kind == "int":
            return trial.suggest_int(self.name, int(low), int(high), log=self.log)
        return trial.suggest_float(self.name, low, high, log=self.log)

    def place(self, share: float) -> Value:
        """Return the value at a share of the range, from 0 up to 1; whole numbers and choices have equal shares.

        >>> Range(("l2",), "float", (1.0, 100.0), log=True).place(0.5)
        10.0
        >>> [Range(("depth",), "int", (1, 3)).place(share) for share in (0.0, 0.34, 0.99)]
        [1, 2, 3]
        """
        if self.kind == "choice":
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = (float(end) for end in self.ends)
        half = 0.5 if self.kind == "int" else 0.0  # a whole number stands for all that are rounded to it
        start, end = low - half, high + half
        value = start * (end / start) ** share if self.log else start + share * (end - start)
        value = min(max(value, low), high)
        return min(max(math.floor(value + 0.5), int(low)), int(high)) if self.kind == "int" else value


def find_ranges(tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Range]:
    """Yield the ranges in nested tables.

    Raises:
        RecsysError: for a table that is nearly a range.
    """
    for key, value in tables.items():
        if not isinstance(value, Mapping):
            continue
        typed = [
            name for name, inner in value.items() if isinstance(inner, list) and get_close_matches(name, RANGE_KINDS)
        ]
        if typed and not {*value} & {*RANGE_KINDS}:
            raise make_unknown_name_error("kind of range", typed[0], RANGE_KINDS, where=".".join((*path, key)))
        if {*value} & {*RANGE_KINDS}:
            yield _parse_range((*path, key), value)
        else:
            yield from find_ranges(value, (*path, key))


def fill_ranges(tables: Mapping[str, Any], values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return the tables with a value for each range: `values` by the names of the ranges."""
    filled: dict[str, Any] = {}
    for key, value in tables.items():
        name = f"{path}{key}"
        if name in values:
            filled[key] = values[name]
        else:
            filled[key] = fill_ranges(value, values, f"{name}.") if isinstance(value, Mapping) else value
    return filled


def _parse_range(path: tuple[str, ...], table: Mapping[str, Any]) -> Range:
    where = f"range of {'.'.join(path)}"
    kinds = [kind for kind in RANGE_KINDS if kind in table]
    extra = [key for key in table if key not in (*kinds[:1], "log")]
    if len(kinds) != 1 or extra or (kinds == ["choice"] and "log" in table):
        raise RecsysError(
            f"{where}: found {dict(table)}, expected one of int, float and choice, and log = true or false"
        )
    kind, values, log = kinds[0], table[kinds[0]], table.get("log", False)
    check_flag(f"{where}: log", log)
    if kind == "choice":
        if not isinstance(values, list) or len({repr(value) for value in values}) < max(2, len(values)):
            raise RecsysError(f"{where}: choice is {values!r}, expected a list of at least two different values")
        if not all(isinstance(value, Value) for value in values):
            raise RecsysError(f"{where}: choice is {values!r}, expected numbers, text or true and false")
        return Range(path, kind, tuple(values))
    convert = convert_to_int if kind == "int" else convert_to_float
    if (
        not isinstance(values, list)
        or len(values) != 2
        or any(convert(value) is None for value in values)
        or not values[0] < values[1]
        or (log and values[0] <= 0)
    ):
        positive = ", the first above 0" if log else ""
        what = "whole numbers" if kind == "int" else "numbers"
        raise RecsysError(f"{where}: {kind} is {values!r}, expected two {what}, the smaller first{positive}")
    return Range(path, kind, tuple(values), log)
