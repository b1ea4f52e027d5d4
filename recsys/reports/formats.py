"""Numbers as text: the same number reads the same in charts, tables and sentences."""

from collections.abc import Mapping
from typing import Any

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ARROWS = {1: "\N{UPWARDS ARROW}", -1: "\N{DOWNWARDS ARROW}", 0: "\N{LEFT RIGHT ARROW}"}
BETTER = {1: "more is better", -1: "less is better", 0: "neither end is better"}


def format_number(value: float | None, signed: bool = False) -> str:
    """Return a number with about four digits, an en dash for None.

    >>> format_number(0.30218), format_number(1234567.0), format_number(12.0), format_number(-0.00004)
    ('0.3022', '1,234,567', '12', '\N{MINUS SIGN}0.00004')
    """
    if value is None:
        return MISSING
    if value == int(value):
        text = f"{int(value):{'+' if signed else ''},}"
    elif abs(value) < 0.001:
        text = f"{value:{'+' if signed else ''}.5f}".rstrip("0")
        text = text if text.strip("+-0.") else f"{value:{'+' if signed else ''}.1e}"
    else:
        digits = 4 if abs(value) < 1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
        text = f"{value:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS)


def format_percent(fraction: float | None, signed: bool = True) -> str:
    """Return a fraction in per cent.

    >>> format_percent(0.0312), format_percent(-0.0004), format_percent(12.0), format_percent(0.0), format_percent(None)
    ('+3.1 %', '\N{MINUS SIGN}0.04 %', '+1,200 %', '0.0 %', '\N{EN DASH}')
    """
    if fraction is None:
        return MISSING
    if fraction == 0:
        return "0.0 %"
    digits = 0 if abs(fraction) >= 10 else 1 if abs(fraction) >= 0.001 else 2 if abs(fraction) >= 0.0001 else 3
    return f"{100 * fraction:{'+' if signed else ''},.{digits}f} %".replace("-", MINUS)


def format_interval(low: float | None, high: float | None, signed: bool = False) -> str:
    """Return an interval in the units of the value, "" where an end is missing."""
    return "" if low is None or high is None else f"{format_number(low, signed)} to {format_number(high, signed)}"


def format_percent_interval(low: float | None, high: float | None) -> str:
    """Return an interval of fractions in per cent, "" where an end is missing."""
    return "" if low is None or high is None else f"{format_percent(low).removesuffix(' %')} to {format_percent(high)}"


def format_change(row: Mapping[Any, Any]) -> tuple[str, str]:
    """Return a difference from the base as text, and its 95 % interval ("" where there is none).

    Both are in per cent of the base's value where that says something; in the units of the metric where the base is 0
    or not known, and where only the interval of the difference itself is defined. `row` is a row of differences, in
    which None and NaN are missing.

    >>> row = {"difference": 0.01, "ci_low": 0.005, "ci_high": 0.015, "relative": 0.1}
    >>> format_change({**row, "relative_low": 0.05, "relative_high": 0.15})
    ('+10.0 %', '+5.0 to +15.0 %')
    >>> format_change({**row, "relative_low": None, "relative_high": None})
    ('+0.0100', '+0.0050 to +0.0150')
    """
    names = ("difference", "ci_low", "ci_high", "relative", "relative_low", "relative_high")
    difference, low, high, relative, *ends = (None if row[name] != row[name] else row[name] for name in names)
    if relative is None or (ends[0] is None and low is not None):
        return format_number(difference, signed=True), format_interval(low, high, signed=True)
    return format_percent(relative), format_percent_interval(*ends)


def format_duration(seconds: float | None) -> str:
    """Return seconds with a unit.

    >>> format_duration(0.0042), format_duration(3.14159), format_duration(75.0)
    ('4.2 ms', '3.14 s', '75.0 s')
    """
    if seconds is None:
        return MISSING
    return f"{1000 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def format_mean_count(count: float | None, label: str = "") -> str:
    """Return a count with its label; a count that is not whole is a mean over maps, and the text says so.

    >>> format_mean_count(57.0, "hits"), format_mean_count(25.29, "hits"), format_mean_count(1676.2)
    ('57 hits', '25.3 hits per map', '1,676 per map')
    """
    if count is None:
        return MISSING
    whole, noun = count == int(count), f" {label}" if label else ""
    return f"{count:,.0f}{noun}" if whole else f"{count:,.{1 if abs(count) < 100 else 0}f}{noun} per map"


def format_direction(direction: float | None) -> str:
    """Return the arrow of a direction, "" where unknown."""
    return "" if direction is None else ARROWS[int(direction)]
