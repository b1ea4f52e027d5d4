"""Limits of axes: the range of the blends, with distant runs kept at the edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.reports.view import ReportView

FENCE = 6.0  # interquartile ranges beyond which a value is far off (Tukey 1977)
CONTROL_REACH = 0.35  # controls are taken in when they lie this share of the range away
PADDING = 0.06


@dataclass(frozen=True)
class PlottedValue:
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


def choose_domain(marks: Sequence[PlottedValue], keep: Sequence[float] = ()) -> Domain:
    """Return an axis that holds the intervals of all but far-off marks, and every value of `keep`.

    >>> blends = [PlottedValue(0.30, 0.29, 0.31), PlottedValue(0.32, 0.31, 0.33)]
    >>> choose_domain([*blends, PlottedValue(0.01, 0.0, 0.02, control=True)])
    Domain(low=0.2876, high=0.3324)
    """
    anchors = [mark for mark in marks if not mark.control] or list(marks)
    low, high = _compute_fences([mark.value for mark in anchors])
    inside = [mark for mark in anchors if low <= mark.value <= high] or anchors
    ends = [*(mark.low for mark in inside), *(mark.high for mark in inside), *keep]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    reach = CONTROL_REACH * (high - low)
    near = [mark for mark in marks if mark.control and low - reach <= mark.value <= high + reach]
    return _pad_domain(
        min([low, *(max(mark.low, low - reach) for mark in near)]),
        max([high, *(min(mark.high, high + reach) for mark in near)]),
    )


def choose_metric_domain(view: ReportView, metric: str, keep: tuple[float, ...] = ()) -> Domain:
    """Return the part of a metric's axis where the blends are; the base is always on it."""
    marks = []
    for series in view.series:
        for run in series.runs:
            value = view.get_number(run, metric, "value")
            if value is not None and run != view.base:
                marks.append(
                    PlottedValue(value, *compute_interval_ends(view, run, metric, value), series.kind == "control")
                )
    base = view.get_number(view.base, metric, "value")
    if base is not None:
        keep = (*keep, base, *(() if marks else compute_interval_ends(view, view.base, metric, base)))
    return choose_domain(marks, keep)


def compute_interval_ends(view: ReportView, run: str, metric: str, value: float) -> tuple[float, float]:
    """Return the ends of a run's interval, the value itself where they are missing.

    They are those of its difference from the base, paired by user, around the base's value: two intervals of
    values overlap long before their runs are alike, since the same users are behind both. The base has its own.
    """
    base = view.get_number(view.base, metric, "value")
    change = view.differences.get((run, metric))
    if change is not None and base is not None and change["ci_low"] is not None:
        return min(value, base + change["ci_low"]), max(value, base + change["ci_high"])
    low, high = view.get_number(run, metric, "ci_low"), view.get_number(run, metric, "ci_high")
    return value if low is None else low, value if high is None else high


def _compute_fences(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return -np.inf, np.inf
    first, median, third = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    spread = max(third - first, 0.1 * abs(median)) or np.inf
    return first - FENCE * spread, third + FENCE * spread


def _pad_domain(low: float, high: float) -> Domain:
    size = max(abs(low), abs(high))
    room = PADDING * (high - low) if high - low > 1e-6 * size else 0.05 * size
    if size < 1e-9:
        room = 0.5
    below = low - room
    if 0 <= low < room:
        below = -room / 3  # a mark at 0 is not cut in half
    return Domain(float(f"{below:.10g}"), float(f"{high + room:.10g}"))
