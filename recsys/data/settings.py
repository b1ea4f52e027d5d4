"""Settings of a table's format, which are detected where they are not given."""

import re
from dataclasses import dataclass
from typing import get_args, get_type_hints

from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_flag

EPOCH_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9, "days": 1 / 86400}  # numbers per second since 1970-01-01 UTC
CALENDAR_UNITS = {"year": 4, "yyyymm": 6, "yyyymmdd": 8, "yyyymmddhhmm": 12, "yyyymmddhhmmss": 14}  # digits
YEAR_DIRECTIVES = "YyGcx"  # of strptime: the parts of a format that say a year
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class TableSettings:
    """The settings of `recsys.read_dataset` for one table; None is found out from the file.

    Raises:
        RecsysError: for a value that cannot be.
    """

    header: bool | None = None  # whether the first line holds the names of the columns
    delimiter: str | None = None  # between two cells; a space stands for any run of blanks
    quotes: bool | None = None  # whether a cell that starts with " ends with it and hides what is inside
    decimal: str | None = None  # "." or ","; the other one may group thousands
    time_unit: str | None = None  # of `EPOCH_UNITS`, or of `CALENDAR_UNITS`
    time_format: str | None = None  # such as "%d/%m/%Y", as in `datetime.strptime`
    lists: bool | None = None  # whether each line is a user and its items

    def __post_init__(self) -> None:
        """Check every value."""
        for name, kind in get_type_hints(TableSettings).items():
            value, expected = getattr(self, name), get_args(kind)[0]
            if value is not None and expected is bool:
                object.__setattr__(self, name, check_flag(name, value))
            elif value is not None and not isinstance(value, str):
                raise RecsysError(f"{name} is {value!r}, expected text")
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _parse_delimiter(self.delimiter))
        if self.decimal not in (None, ".", ","):
            raise RecsysError(f"decimal is {self.decimal!r}, expected '.' or ','")
        if self.time_unit is not None and self.time_unit not in {**EPOCH_UNITS, **CALENDAR_UNITS}:
            raise make_unknown_name_error("time_unit", self.time_unit, {**EPOCH_UNITS, **CALENDAR_UNITS})
        if self.time_unit is not None and self.time_format is not None:
            raise RecsysError("found both time_unit and time_format, expected one of them")
        if self.time_format is not None:
            _check_time_format(self.time_format)


def _check_time_format(given: str) -> None:
    """Refuse a format of datetime that names no part of a time, or no year: all rows would lie in 1900."""
    found = re.findall("%(.)", given)  # "%%" is one of them: a percent sign, and no year follows
    if not found:
        raise RecsysError(f"time_format is {given!r}, expected one such as '%d/%m/%Y'")
    if not set(found) & set(YEAR_DIRECTIVES):
        raise RecsysError(
            f"time_format is {given!r}, which has no year of datetime, expected %Y, %y, %c, %x, or %G beside %V and "
            "%u in it, such as '%d/%m/%Y'"
        )


def _parse_delimiter(given: str) -> str:
    value = DELIMITER_NAMES.get(given.lower(), given)
    if not value or len(value) > 8 or set(value) & set('"\r\n') or (len(value) > 1 and " " in value):
        raise RecsysError(f"delimiter is {given!r}, expected one to eight characters, no quote or line end")
    return value
