"""Values of a column, checked: finite numbers and their decimal marks, consent."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.types import RecsysError
from recsys.types.arrays import Bools, Doubles, Floats, Longs
from recsys.types.errors import Setting, SettingError

if TYPE_CHECKING:
    from pandas import Series

_TRUE_TEXTS, _FALSE_TEXTS = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")


def parse_weights(values: "Series[Any]", rows: Longs, place: str) -> Floats:
    """Return finite numbers as float32; `rows` are the positions in the file, for the error."""
    found = parse_numbers(values)
    with np.errstate(over="ignore", invalid="ignore"):
        result = found.astype(np.float32)
    refuse_bad_rows(~np.isfinite(result), values, rows, place, "a finite number")
    return result


def parse_consents(values: "Series[Any]", rows: Longs, place: str) -> Bools:
    """Return whether each row may be used (`parse_flags`)."""
    return parse_flags(values, rows, place)


def parse_flags(values: "Series[Any]", rows: Longs, place: str) -> Bools:
    """Return truth values: 1, true, yes; 0, false, no; nothing said is no."""
    import pandas as pd

    codes, distinct = pd.factorize(values)
    said = np.asarray([*(str(value).strip().lower() for value in distinct), ""])  # -1, the last: nothing is said
    refuse_bad_rows(~np.isin(said, [*_TRUE_TEXTS, *_FALSE_TEXTS])[codes], values, rows, place, "true or false")
    return np.asarray(np.isin(said, _TRUE_TEXTS)[codes])


def refuse_bad_rows(bad: Bools, values: "Series[Any]", rows: Longs, place: str, expected: str) -> None:
    """Raise a RecsysError that names the first bad row, if there is one."""
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    value = values.iloc[first]
    found = "missing" if bool(values.isna().iloc[first]) or str(value) == "" else f"{str(value)[:40]!r}"
    more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
    raise RecsysError(f"{place}: row {int(rows[first]) + 1}: {values.name} is {found}, expected {expected}{more}")


def parse_numbers(values: "Series[Any]") -> Doubles:
    """Return values as numbers, NaN where one is none."""
    import pandas as pd

    found = pd.to_numeric(values, errors="coerce")
    return np.asarray(found.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def normalize_decimal_marks(values: "Series[Any]", place: str, decimal: str | None) -> tuple["Series[Any]", list[str]]:
    """Return numbers written as text with a point before their decimals and nothing between thousands, and a note.

    The decimal mark is the one under which all values are numbers; the other mark then groups thousands.

    Raises:
        SettingError: if all values are numbers under both marks, such as 1,234.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) or not (
        decimal or values.astype(str).str.contains(",", regex=False).any()
    ):
        return values, []
    texts = values.astype("string").str.strip()
    fits = {mark: bool(texts.str.fullmatch(_build_number_pattern(mark)).fillna(True).all()) for mark in ".,"}
    if decimal is None and all(fits.values()):
        first = values[texts.str.contains(",", regex=False).fillna(False)].iloc[0]
        raise SettingError(
            f"{place}: {values.name} holds {first!r}, a number of thousands or one with decimals: ",
            Setting("decimal", "."), Setting("decimal", ","), after=" decides",
        )  # fmt: skip
    mark = decimal or next((mark for mark, fit in fits.items() if fit), None)
    if mark is None or not fits[mark]:
        return values, []  # a value that is no number: the row is refused with its text
    other = "," if mark == "." else "."
    written = texts.str.replace(other, "", regex=False).str.replace(mark, ".", regex=False)
    said = "a decimal comma" if mark == "," else "commas between thousands"
    return written, [] if decimal else [f"{values.name} is read with {said}"]


def _build_number_pattern(mark: str) -> str:
    other = r"\." if mark == "," else ","
    whole = rf"(?:\d{{1,3}}(?:{other}\d{{3}})+|\d*)"
    return rf"[+-]?(?=[\d{re.escape(mark)}]){whole}(?:{re.escape(mark)}\d*)?(?:[eE][+-]?\d+)?"
