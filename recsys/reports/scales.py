"""The part of an axis worth looking at: where the blends are, with what lies far off kept at the edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.reports.sheets import Sheet

FENCE = 6.0  # interquartile ranges beyond which a value is far off (Tukey 1977)
NEAR = 0.35  # controls are taken in when they lie this share of the range away
PADDING = 0.06


@dataclass(frozen=True)
class Mark:
    """A value with its interval; controls do not stretch the axis."""

    value: float
    low: float
    high: float
    control: bool = False


@dataclass(frozen=True)
class Domain:
    """The ends of an axis."""

    low: float
    high: float

    def side(self, value: float) -> int:
        """Return -1 or 1 where the value lies below or above the axis, 0 on it."""
        return -1 if value < self.low else 1 if value > self.high else 0

    def clamp(self, value: float) -> float:
        """Return the nearest value on the axis."""
        return min(max(value, self.low), self.high)


def focus(marks: Sequence[Mark], keep: Sequence[float] = ()) -> Domain:
    """Return an axis that holds the intervals of all but far-off marks, and every value of `keep`.

    >>> focus([Mark(0.30, 0.29, 0.31), Mark(0.32, 0.31, 0.33), Mark(0.01, 0.0, 0.02, control=True)])
    Domain(low=0.2876, high=0.3324)
    """
    anchors = [mark for mark in marks if not mark.control] or list(marks)
    low, high = _fences([mark.value for mark in anchors])
    inside = [mark for mark in anchors if low <= mark.value <= high] or anchors
    ends = [*(mark.low for mark in inside), *(mark.high for mark in inside), *keep]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    reach = NEAR * (high - low)
    near = [mark for mark in marks if mark.control and low - reach <= mark.value <= high + reach]
    return _padded(
        min([low, *(max(mark.low, low - reach) for mark in near)]),
        max([high, *(min(mark.high, high + reach) for mark in near)]),
    )


def domain_of(sheet: Sheet, metric: str, keep: tuple[float, ...] = ()) -> Domain:
    """Return the part of a metric's axis where the blends are; the base is always on it."""
    marks = []
    for series in sheet.series:
        for run in series.runs:
            value = sheet.number(run, metric, "value")
            if value is not None and run != sheet.base:
                marks.append(Mark(value, *ends(sheet, run, metric, value), series.kind == "control"))
    base = sheet.number(sheet.base, metric, "value")
    if base is not None:
        keep = (*keep, base, *(() if marks else ends(sheet, sheet.base, metric, base)))
    return focus(marks, keep)


def ends(sheet: Sheet, run: str, metric: str, value: float) -> tuple[float, float]:
    """Return the ends of a run's interval, the value itself where they are missing.

    They are those of its difference from the base, paired by user, around the base's value: two intervals of
    values overlap long before their runs are alike, since the same users are behind both. The base has its own.
    """
    base = sheet.number(sheet.base, metric, "value")
    change = sheet.differences.get((run, metric))
    if change is not None and base is not None and change["ci_low"] is not None:
        return min(value, base + change["ci_low"]), max(value, base + change["ci_high"])
    low, high = sheet.number(run, metric, "ci_low"), sheet.number(run, metric, "ci_high")
    return value if low is None else low, value if high is None else high


def _fences(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return -np.inf, np.inf
    first, median, third = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    spread = max(third - first, 0.1 * abs(median)) or np.inf
    return first - FENCE * spread, third + FENCE * spread


def _padded(low: float, high: float) -> Domain:
    size = max(abs(low), abs(high))
    room = PADDING * (high - low) if high - low > 1e-6 * size else 0.05 * size
    if size < 1e-9:
        room = 0.5
    below = low - room
    if 0 <= low < room:
        below = -room / 3  # a mark at 0 is not cut in half
    return Domain(float(f"{below:.10g}"), float(f"{high + room:.10g}"))
