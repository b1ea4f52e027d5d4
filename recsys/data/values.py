"""Values of a column, checked: finite numbers, moments in time, consent."""

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.types import RecsysError
from recsys.types.arrays import Bools, Doubles, Floats, Longs

if TYPE_CHECKING:
    from pandas import Series

# The largest absolute value that is still read in a unit, and the unit's number per second. 1e11 s is the year 5138.
_UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (2.0**63, 10**9))
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")


def weights(values: "Series[Any]", rows: Longs, place: str) -> Floats:
    """Return finite numbers as float32; `rows` are the positions in the file, for the error."""
    found = _numbers(values)
    with np.errstate(over="ignore", invalid="ignore"):
        result = found.astype(np.float32)
    refuse(~np.isfinite(result), values, rows, place, "a finite number")
    return result


def seconds(values: "Series[Any]", rows: Longs, place: str) -> Longs:
    """Return seconds since 1970-01-01 UTC, fractions cut off.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since then, by the magnitude of the largest
    (1e11, 1e14, 1e17 are the limits), or dates such as 20091201 if all lie in 19000101 to 21001231 and are dates.
    Text is a number or ISO 8601. Times without a zone are UTC.
    """
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(values):
        numbers = _numbers(values)
        usable = np.abs(numbers) < _UNITS[-1][0]
        if pd.api.types.is_numeric_dtype(values) or 2 * usable.sum() > len(usable):
            refuse(~usable, values, rows, place, "a time")
            return _from_numbers(numbers)
    moments = _moments(values)
    refuse(moments.isna().to_numpy(), values, rows, place, "epoch seconds or an ISO 8601 time")
    return np.asarray(moments.dt.as_unit("s").astype("int64").to_numpy(), dtype=np.int64)


def consents(values: "Series[Any]", rows: Longs, place: str) -> Bools:
    """Return whether each row may be used: 1, true, yes; 0, false, no; nothing said is no."""
    said = np.asarray([text.strip().lower() for text in texts(values)])
    refuse(~np.isin(said, [*_TRUE, *_FALSE]), values, rows, place, "true or false")
    return np.isin(said, _TRUE)


def texts(values: "Series[Any]") -> list[str]:
    """Return each value as text, "" where there is none."""
    return ["" if absent else str(value) for value, absent in zip(values, values.isna(), strict=True)]


def refuse(bad: Bools, values: "Series[Any]", rows: Longs, place: str, expected: str) -> None:
    """Raise a RecsysError that names the first bad row, if there is one."""
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    value = values.iloc[first]
    found = "missing" if bool(values.isna().iloc[first]) or str(value) == "" else f"{str(value)[:40]!r}"
    more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
    raise RecsysError(f"{place}: row {int(rows[first]) + 1}: {values.name} is {found}, expected {expected}{more}")


def _numbers(values: "Series[Any]") -> Doubles:
    import pandas as pd

    found = pd.to_numeric(values, errors="coerce")
    return np.asarray(found.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _from_numbers(numbers: Doubles) -> Longs:
    import pandas as pd

    if len(numbers) and numbers.min() >= 19000101 and numbers.max() <= 21001231:
        days = pd.to_datetime(pd.Series(numbers.astype(np.int64).astype(str)), format="%Y%m%d", errors="coerce")
        if days.notna().all():
            return np.asarray(days.dt.as_unit("s").astype("int64").to_numpy(), dtype=np.int64)
    largest = float(np.abs(numbers).max(initial=0.0))
    unit = next(per_second for limit, per_second in _UNITS if largest < limit)
    return np.floor(numbers / unit).astype(np.int64)


def _moments(values: "Series[Any]") -> "Series[Any]":
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
    written = [str(value) if isinstance(value, int | float) else value for value in values]
    return pd.to_datetime(pd.Series(written, dtype=object), format="ISO8601", utc=True, errors="coerce")
