"""Moments in time: one unit for all values of a column, never the largest one's, and nothing is seconds by accident."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.configs import parse_config
from recsys.data import read_dataset, read_frame
from recsys.data.settings import EPOCH_UNITS, TableSettings
from recsys.data.times import PLAUSIBLE_FROM, PLAUSIBLE_UNTIL, parse_times
from recsys.types import RecsysError

DAY = 1_262_304_000  # 2010-01-01


def read_times(values: Any, **how: Any) -> tuple[list[int], list[str]]:
    notes: list[str] = []
    series = values if isinstance(values, pd.Series) else pd.Series(values, name="ts")
    return parse_times(series, np.arange(len(series)), "x", TableSettings(**how), notes).tolist(), notes


def refused(values: Any, **how: Any) -> str:
    with pytest.raises(RecsysError) as error:
        read_times(values, **how)
    return str(error.value)


@pytest.mark.parametrize(("unit", "per"), [(unit, int(per)) for unit, per in EPOCH_UNITS.items() if per >= 1])
def test_one_value_does_not_decide_the_unit(unit: str, per: int) -> None:
    values = [DAY * per, (DAY + 1) * per, (DAY + 2) * per + per - 1, 0]
    assert read_times(values)[0] == [DAY, DAY + 1, DAY + 2, 0]
    assert read_times(values)[1] == ["1 values of ts are unusual times (row 4: 0): kept"]
    assert read_times(values[:3], time_unit=unit) == ([DAY, DAY + 1, DAY + 2], [])


def test_a_sentinel_stays_where_it_is_and_is_noted() -> None:
    last = 253_402_300_799  # 9999-12-31 23:59:59
    found, notes = read_times([DAY, DAY + 1, last])
    assert found == [DAY, DAY + 1, last]
    assert notes == [f"1 values of ts are unusual times (row 3: {last}): kept"]
    assert "row 2: ts is '300000000000', expected a time in s since 1970" in refused([DAY, 300_000_000_000])
    assert "row 2: ts is '9223372036854775807', expected a time" in refused([DAY, 2**63 - 1])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(PLAUSIBLE_FROM, PLAUSIBLE_UNTIL - 1), min_size=1, max_size=9),
    st.sampled_from([("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]),
)
def test_order_is_never_lost(values: list[int], unit: tuple[str, int]) -> None:
    found, notes = read_times([value * unit[1] for value in values])
    assert found == values
    assert notes == []


def test_values_of_two_units_are_asked_about(tmp_path: Path) -> None:
    line = refused([DAY, DAY * 1000])
    assert line == (
        f"x: ts: row 1 is {DAY}, a usual time in s; row 2 is {DAY * 1000}, a usual time in ms: "
        'time_unit="s" or time_unit="ms" decides'
    )
    assert "row 2: ts is '1262304000000', expected a time in s" in refused([DAY, DAY * 1000], time_unit="s")
    assert "none in any unit" in refused([7_000_000_000, 99_999_999_999])
    assert read_times([7_000_000_000], time_unit="s")[0] == [7_000_000_000]


@pytest.mark.parametrize(
    ("values", "dates", "unit"),
    [
        ([2009, 2010], ["2009-01-01", "2010-01-01"], "year"),
        (["2009", "2010"], ["2009-01-01", "2010-01-01"], "year"),
        ([2009.0, 2010.0], ["2009-01-01", "2010-01-01"], "year"),
        ([200901, 201012], ["2009-01-01", "2010-12-01"], "yyyymm"),
        ([20090131, 20101201], ["2009-01-31", "2010-12-01"], "yyyymmdd"),
        ([200901312359, 201012010000], ["2009-01-31T23:59", "2010-12-01"], "yyyymmddhhmm"),
        ([20090131235958, 20101201000000], ["2009-01-31T23:59:58", "2010-12-01"], "yyyymmddhhmmss"),
    ],
)
def test_calendars_are_read_as_what_they_are(values: list[Any], dates: list[str], unit: str) -> None:
    expected = np.array(dates, dtype="datetime64[s]").astype(np.int64).tolist()
    found, notes = read_times(values)
    assert found == expected
    assert notes == ([] if unit == "yyyymmdd" else [f"ts is read as {unit}"])
    assert read_times(values, time_unit=unit) == (expected, [])


def test_calendars_with_values_that_are_none() -> None:
    assert 'row 2 is 20101301, no usual time in that unit: time_unit="yyyymmdd" or time_unit="s"' in refused(
        [20101201, 20101301, 20101202]
    )
    assert "row 2: ts is '20101301', expected a time as yyyymmdd" in refused([20101201, 20101301], time_unit="yyyymmdd")
    found, notes = read_times([20101201, 99991231, 20101202])
    assert found == [1_291_161_600, 253_402_214_400, 1_291_248_000]
    assert notes == ["1 values of ts are unusual times (row 2: 99991231): kept"]
    assert 'time_unit="year" or time_unit="s"' in refused([2009, 2010, 0])


def test_steps_are_kept_and_large_ones_noted() -> None:
    assert read_times([1, 2, 3000]) == ([1, 2, 3000], [])
    assert read_times([40_148, 40_149]) == (
        [40_148, 40_149],
        ["ts holds no time from 1980 to 2100: read as seconds since 1970 (time_unit decides)"],
    )
    assert read_times([14_610, 14_611], time_unit="days") == ([DAY, DAY + 86400], [])


@pytest.mark.parametrize(
    "values",
    [
        [True, False],
        pd.Series([True, None], name="ts"),
        pd.Series(pd.to_timedelta([1, 2], unit="D"), name="ts"),
        [dt.timedelta(days=1), dt.timedelta(days=2)],
        [dt.time(1, 2)],
        [dt.datetime(2010, 1, 1), True],
    ],
)
def test_what_is_no_moment_is_refused(values: Any) -> None:
    assert re.search(r"row \d: ts is .*, expected a time \(a moment, no truth value and no span\)", refused(values))


def test_unusual_dates_that_are_written_out_are_noted() -> None:
    found, notes = read_times(["2010-01-01", "9999-12-31"])
    assert found == [DAY, 253_402_214_400]
    assert notes == ["1 values of ts are unusual times (row 2: 9999-12-31): kept"]


def test_periods_are_moments() -> None:
    assert read_times(pd.Series(pd.period_range("2010-01", periods=2, freq="M"), name="ts"))[0] == [
        DAY,
        DAY + 31 * 86400,
    ]


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("03/04/2011", ('time_format="%d/%m/%Y"', 'time_format="%m/%d/%Y"')),
        ("23/04/2011", ('time_format="%d/%m/%Y" reads it',)),
        ("04/23/2011 10:20", ('time_format="%m/%d/%Y %H:%M" reads it',)),
        ("09 13, 2009", ('time_format="%m %d, %Y" reads it',)),
        ("31.12.2009 23:59:58", ('time_format="%d.%m.%Y %H:%M:%S" reads it',)),
        ("Fri Feb 13 23:31:30 2009", ('time_format="%a %b %d %H:%M:%S %Y" reads it',)),
    ],
)
def test_days_and_months_are_not_guessed(tmp_path: Path, text: str, formats: tuple[str, ...]) -> None:
    line = refused([text, text])
    assert f"x: row 1: ts is {text!r}, which is no ISO 8601 time: {' or '.join(formats)}" in line
    form = formats[0].split('"')[1]
    assert read_times([text], time_format=form)[0] == [int(pd.Timestamp(dt.datetime.strptime(text, form)).timestamp())]
    (tmp_path / "log.csv").write_text(f'user;item;date\n1;2;"{text}"\n')
    assert read_dataset(tmp_path / "log.csv", time_format=form).interactions.datetime is not None


@pytest.mark.parametrize("form", ["%m-%d", "%d/%m", "%H:%M:%S", "%j", "%%Y-%m-%d", "%d %b at %%y %H:%M", "%B", "%V-%u"])
def test_a_format_without_a_year_is_refused_in_one_line(tmp_path: Path, form: str) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,datetime\na,x,02-03\n")
    asked = (
        lambda: read_dataset(tmp_path / "log.csv", time_format=form),
        lambda: read_dataset({"user_id": ["a"], "item_id": ["x"], "datetime": ["02-03"]}, time_format=form),
        lambda: parse_config({"data": {"path": "log.csv", "time_format": form}, "model": {"kind": "ease"}}),
    )
    for ask in asked:
        with pytest.raises(RecsysError) as error:
            ask()
        line = str(error.value)
        assert f"time_format is {form!r}, which has no year of datetime, expected %Y, %y, " in line
        assert "\n" not in line


@pytest.mark.parametrize(
    ("form", "text", "year"),
    [
        ("%Y-%m-%d", "2020-03-02", 2020), ("%d%m%y", "020320", 2020), ("%G-%V-%u", "2020-10-1", 2020),
        ("%c", "Mon Mar  2 10:00:00 2020", 2020), ("%x", "03/02/20", 2020), ("%j of %Y", "062 of 2020", 2020),
        ("%%%Y-%m-%d", "%2020-03-02", 2020),
    ],
)  # fmt: skip
def test_a_format_with_a_year_reads_that_year(form: str, text: str, year: int) -> None:
    assert pd.Timestamp(read_times([text], time_format=form)[0][0], unit="s").year == year


def test_a_format_reads_numbers_as_written(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,date\n1,2,010210\n1,3,311209\n")
    log = read_dataset(tmp_path / "log.csv", time_format="%d%m%y").interactions
    assert log.datetime is not None
    assert log.datetime.tolist() == [DAY + 31 * 86400, DAY - 86400]
    assert "row 1: ts is '99/99/2010', expected a time as %d/%m/%Y" in refused(["99/99/2010"], time_format="%d/%m/%Y")
    assert "row 2: ts is missing" in refused(["01/01/2010", None], time_format="%d/%m/%Y")


def test_the_unit_of_a_dataset_is_noted() -> None:
    data = read_frame({"user": [1, 2], "item": [1, 2], "year_seen": [2009, 2010]}, {"datetime": "year_seen"})
    assert data.notes == ("year_seen is read as year",)
    table = {"user": [1, 2], "item": [1, 2], "ts": [14_610, 14_611]}
    log = read_frame(table, time_unit="days").interactions
    assert log.datetime is not None
    assert (
        log.datetime.tolist()
        == read_dataset(table, time_unit="days").interactions.datetime.tolist()
        == [DAY, DAY + 86400]
    )  # type: ignore[union-attr]
