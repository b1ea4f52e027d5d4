"""Times, parsed in the format that all values of a column fit: an epoch in some unit, a calendar, ISO 8601."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.parsing import parse_numbers, refuse_bad_rows
from recsys.data.settings import CALENDAR_UNITS, EPOCH_UNITS, TableSettings
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Bools, Doubles, Longs
from recsys.types.errors import Setting, SettingError

if TYPE_CHECKING:
    from pandas import Series

PLAUSIBLE_FROM, PLAUSIBLE_UNTIL = 315_532_800, 4_102_444_800  # 1980 and 2100, in seconds: times that are plausible
USUAL_FROM = -2_208_988_800  # 1900: earlier dates are unusual even where they are written out
MIN_SECONDS, MAX_SECONDS = -62_135_596_800, 253_402_300_800  # the years 1 to 9999
MIN_NOTED_SECONDS = 10_000  # numbers below are steps, not moments: nothing is said of them
_DATE_FORMATS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%m %d, %Y", "%d %b %Y",
    "%b %d, %Y", "%d/%m/%y", "%m/%d/%y",
)  # fmt: skip
_HOUR_FORMATS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M")
_OTHER_FORMATS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z")
ADVISED_FORMATS = (
    *(day + hour for day in _DATE_FORMATS for hour in _HOUR_FORMATS),
    *_OTHER_FORMATS,
)  # those that errors advise


def parse_times(
    values: "Series[Any]",
    rows: Longs,
    place: str,
    settings: TableSettings | None = None,
    notes: list[str] | None = None,
) -> Longs:
    """Return seconds since 1970-01-01 UTC, fractions cut off; `notes` gets a line where values are unusual.

    Numbers are seconds, ms, us or ns since then: that unit in which they lie from 1980 to 2100. They are years,
    yyyymm, yyyymmdd, yyyymmddhhmm or yyyymmddhhmmss if all of them are; and steps, kept as seconds, if all lie below
    1980 in seconds. Text is such a number or ISO 8601. Times without a zone are UTC. `settings` say otherwise
    (time_unit, time_format).

    Raises:
        RecsysError: for values that are no times, and where they do not agree on what they are.
    """
    import pandas as pd

    settings, notes = settings or TableSettings(), [] if notes is None else notes
    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    if settings.time_format is not None:
        return _parse_formatted_times(values, rows, place, settings.time_format)
    _refuse_non_times(values, rows, place)
    if not pd.api.types.is_datetime64_any_dtype(values):
        numbers = parse_numbers(values)
        usable = np.abs(numbers) < 2.0**63
        if pd.api.types.is_numeric_dtype(values) or 2 * usable.sum() > len(usable) or settings.time_unit:
            refuse_bad_rows(~usable, values, rows, place, "a time")
            return _parse_numeric_times(
                _keep_exact_integers(values, numbers), values, rows, place, settings.time_unit, notes
            )
    moments = _parse_datetimes(values)
    bad = moments.isna().to_numpy()
    if bad.any():
        _advise_time_format(values[bad], rows[bad], place, bool(bad.all()))
    refuse_bad_rows(bad, values, rows, place, "epoch seconds or an ISO 8601 time")
    made = _convert_to_seconds(moments)
    _note_unusual_times((made < USUAL_FROM) | (made >= PLAUSIBLE_UNTIL), values, rows, notes)
    return made


def _refuse_non_times(values: "Series[Any]", rows: Longs, place: str) -> None:
    import datetime

    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("boolean", "timedelta", "timedelta64", "time") or kind.startswith("mixed"):
        wrong = (bool, np.bool_, datetime.timedelta, datetime.time)
        bad = values.map(lambda one: isinstance(one, wrong)).to_numpy(bool)
        refuse_bad_rows(bad, values, rows, place, "a time (a moment, no truth value and no span)")


def _keep_exact_integers(values: "Series[Any]", numbers: Doubles) -> Longs | Doubles:
    """Return whole numbers as such: in nanoseconds a float is too coarse."""
    import pandas as pd

    found = pd.to_numeric(values, errors="coerce")
    if pd.api.types.is_signed_integer_dtype(found.dtype) and not found.isna().any():
        return np.asarray(found, dtype=np.int64)
    return numbers


def _parse_numeric_times(
    numbers: Longs | Doubles, values: "Series[Any]", rows: Longs, place: str, unit: str | None, notes: list[str]
) -> Longs:
    unit = unit or _detect_time_unit(numbers, values, rows, place, notes)
    if unit in CALENDAR_UNITS:
        made, valid, _ = _parse_calendar_numbers(numbers, unit)
        refuse_bad_rows(~valid, values, rows, place, f"a time as {unit}")
        return made
    per = EPOCH_UNITS[unit]
    exact = numbers.dtype.kind == "i" and per >= 1
    moments = np.asarray(numbers // int(per) if exact else np.floor(numbers / per), dtype=np.float64)
    bad = (moments < MIN_SECONDS) | (moments >= MAX_SECONDS)
    refuse_bad_rows(bad, values, rows, place, f"a time in {unit} since 1970, up to the year 9999")
    return moments.astype(np.int64)


def _detect_time_unit(
    numbers: Longs | Doubles, values: "Series[Any]", rows: Longs, place: str, notes: list[str]
) -> str:
    """Return the one unit in which values are plausible times; seconds where they are steps from 0."""
    for name, digits in CALENDAR_UNITS.items():
        if 2 * ((numbers >= 19 * 10 ** (digits - 2)) & (numbers < 2101 * 10 ** (digits - 4))).sum() < len(numbers):
            continue
        _, valid, usual = _parse_calendar_numbers(numbers, name)
        if usual.all() or (2 * usual.sum() >= len(usual) and valid.all() and name != "year"):
            _note_unusual_times(~usual, values, rows, notes)
            notes += [f"{values.name} is read as {name}"] if name != "yyyymmdd" else []
            return name
        if 2 * usual.sum() >= len(usual):
            raise _make_time_unit_error(values, rows, place, {name: usual, "": ~usual})
    fits = {
        unit: (numbers >= PLAUSIBLE_FROM * per) & (numbers < PLAUSIBLE_UNTIL * per)
        for unit, per in EPOCH_UNITS.items()
        if per >= 1
    }
    found = {unit: fit for unit, fit in fits.items() if fit.any()}
    if len(found) > 1:
        raise _make_time_unit_error(values, rows, place, found)
    size = np.abs(numbers).max(initial=0)
    if found or size < PLAUSIBLE_FROM:
        unit = next(iter(found), "s")
        if found:
            _note_unusual_times(~fits[unit], values, rows, notes)
        elif size >= MIN_NOTED_SECONDS:
            notes.append(
                f"{values.name} holds no time from 1980 to 2100: read as seconds since 1970 (time_unit decides)"
            )
        return unit
    raise _make_time_unit_error(values, rows, place, {"": np.abs(numbers) >= PLAUSIBLE_FROM})


def _make_time_unit_error(values: "Series[Any]", rows: Longs, place: str, fits: Mapping[str, Bools]) -> SettingError:
    """Return the error for values of several units, by the first value of each; "" is that of none."""
    told = []
    for unit, fit in list(fits.items())[:2]:
        first = int(np.flatnonzero(fit)[0])
        what = (
            f"a usual time in {unit}" if unit else "no usual time in that unit" if len(fits) > 1 else "none in any unit"
        )
        told.append(f"row {int(rows[first]) + 1:,} is {values.iloc[first]}, {what}")
    units = [unit for unit in fits if unit][:2]
    units = units if len(units) > 1 else [*units, "s"] if units else ["s", "ms"]
    settings = (Setting("time_unit", unit) for unit in units)
    return SettingError(f"{place}: {values.name}: {'; '.join(told)}: ", *settings, after=" decides")


def _note_unusual_times(unusual: Bools, values: "Series[Any]", rows: Longs, notes: list[str]) -> None:
    if unusual.any():
        first = int(np.flatnonzero(unusual)[0])
        notes.append(
            f"{int(unusual.sum()):,} values of {values.name} are unusual times "
            f"(row {int(rows[first]) + 1:,}: {values.iloc[first]}): kept"
        )


def _parse_calendar_numbers(numbers: Longs | Doubles, unit: str) -> tuple[Longs, Bools, Bools]:
    """Return the seconds of numbers whose digits are dates, which of them are dates, and which lie in 1900 to 2100."""
    whole = np.equal(numbers, np.floor(numbers)) & (numbers > 0) & (numbers < 10 ** CALENDAR_UNITS[unit])
    rest = np.where(whole, numbers, 0).astype(np.int64)
    parts = [np.ones_like(rest), np.ones_like(rest), *(np.zeros_like(rest) for _ in range(3))]
    for place in reversed(range((CALENDAR_UNITS[unit] - 4) // 2)):
        rest, parts[place] = rest // 100, rest % 100
    month, day, hour, minute, second = parts
    year, months = rest, (rest - 1970) * 12 + month - 1
    days: Anys = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    right = (days.astype("datetime64[M]").astype(np.int64) == months) & (month >= 1) & (month <= 12) & (year >= 1)
    valid = whole & right & (hour < 24) & (minute < 60) & (second < 60)
    made = days.astype("datetime64[s]").astype(np.int64) + 3600 * hour + 60 * minute + second
    return made, valid, valid & (year >= 1900) & (year <= 2100)


def _parse_formatted_times(values: "Series[Any]", rows: Longs, place: str, form: str) -> Longs:
    import pandas as pd

    written = (
        values.astype(object).where(values.notna(), None).map(lambda one: one if one is None else str(one).strip())
    )
    try:
        moments = pd.to_datetime(written, format=form, utc=True, errors="coerce")
    except (ValueError, TypeError) as error:
        raise RecsysError(f"{place}: time_format {form!r}: {error}") from error
    refuse_bad_rows(moments.isna().to_numpy(), values, rows, place, f"a time as {form}")
    return _convert_to_seconds(moments)


def _advise_time_format(values: "Series[Any]", rows: Longs, place: str, every: bool) -> None:
    """Refuse times that are not ISO 8601 with the formats that fit all of the first ones."""
    import pandas as pd

    some = values[values.notna()].astype(str).str.strip().iloc[:1000]
    if not every or not len(some):
        return
    share = {
        form: pd.to_datetime(some, format=form, errors="coerce", utc=True).notna().mean() for form in ADVISED_FORMATS
    }
    fitting = [form for form in ADVISED_FORMATS if share[form] == max(share.values()) and share[form] >= 0.5]
    if fitting:
        raise SettingError(
            f"{place}: row {int(rows[0]) + 1:,}: {values.name} is {values.iloc[0]!r}, which is no ISO 8601 time: ",
            *(Setting("time_format", form) for form in fitting[:2]), after=" reads it",
        )  # fmt: skip


def _convert_to_seconds(moments: "Series[Any]") -> Longs:
    return np.asarray(moments.dt.as_unit("s").astype("int64").to_numpy(), dtype=np.int64)


def _parse_datetimes(values: "Series[Any]") -> "Series[Any]":
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
    if values.dtype == object:
        values = values.map(lambda one: str(one) if isinstance(one, int | float) else one)
    return pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
