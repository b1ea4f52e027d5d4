"""Published findings, held against what a simulation gives: what does not reproduce is told with its numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from recsys.simulation.tables import CONFIDENCE, find_interval
from recsys.support import rng
from recsys.types.arrays import Bools, Doubles

Expected = Literal["above", "below", "none", "mostly"]  # zero, no difference, or a share of populations
MOSTLY = 0.95  # of populations, for an order that is said to hold
N_DRAWS = 1000


@dataclass(frozen=True)
class Finding:
    """A published statement as a number with a 95 % interval, and what it was said to be."""

    source: str
    statement: str
    value: float
    low: float
    high: float
    expected: Expected  # above 0, below 0, none: within `margin` of 0, or mostly: at least `margin`
    margin: float = 0.0
    cases: int = 0  # of a share

    def describe_expected(self) -> str:
        """Return in words what was published."""
        said = {"none": f"within {self.margin:g} of 0", "mostly": f"at least {self.margin:g}"}
        return {"above": "above 0", "below": "below 0", **said}[self.expected]

    @property
    def verdict(self) -> str:
        """`reproduced`, `contradicted`, or `undecided` where the interval does not tell.

        An order that holds in at least the asked share of the populations is reproduced, if they are so many that one
        exception is allowed: 20 for a share of .95.
        """
        if self.expected == "mostly":
            if self.value >= self.margin and self.cases * (1.0 - self.margin) > 0.999:
                return "reproduced"
            return "contradicted" if self.high < self.margin else "undecided"
        if self.expected == "none":
            if -self.margin <= self.low and self.high <= self.margin:
                return "reproduced"
            return "contradicted" if self.low > self.margin or self.high < -self.margin else "undecided"
        low, high = (self.low, self.high) if self.expected == "above" else (-self.high, -self.low)
        return "reproduced" if low > 0 else "contradicted" if high < 0 else "undecided"


def judge_mean(source: str, statement: str, values: Doubles, expected: Expected, margin: float = 0.0) -> Finding:
    """Return the mean of independent values, (n,), with Student's interval; NaN is left out."""
    mean, low, high = (float(one) for one in find_interval(values[~np.isnan(values)]))
    return Finding(source, statement, mean, low, high, expected, margin)


def judge_share(source: str, statement: str, holds: Bools, least: float = MOSTLY) -> Finding:
    """Return the share of cases, (n,), in which something holds, with the interval of Clopper and Pearson."""
    found = stats.binomtest(int(holds.sum()), len(holds))
    interval = found.proportion_ci(CONFIDENCE, method="exact")
    share, low, high = float(holds.mean()), float(interval.low), float(interval.high)
    return Finding(source, statement, share, low, high, "mostly", least, len(holds))


def judge_slope(
    source: str, statement: str, settings: Doubles, values: Doubles, expected: Expected, margin: float = 0.0
) -> Finding:
    """Return the slope of values, (n,), in a setting by least squares, with Student's interval; NaN is left out."""
    told = ~np.isnan(values)
    fit = stats.linregress(settings[told], values[told])
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, told.sum() - 2) * fit.stderr)
    slope = float(fit.slope)
    return Finding(source, statement, slope, slope - half, slope + half, expected, margin)


def judge_pooled_correlation(
    source: str, statement: str, one: Doubles, other: Doubles, expected: Expected, margin: float = 0.0
) -> Finding:
    """Return the correlation over all cells of two tables, (R, U); its interval draws rows anew, 1,000 times."""
    draws = rng.make_generator(0, "findings", statement).integers(len(one), size=(N_DRAWS, len(one)))
    moments = np.stack([of.mean(axis=1) for of in (one, other, one * other, one**2, other**2)])
    value = float(_correlate(moments.mean(axis=1)))
    low, high = np.quantile(_correlate(moments[:, draws].mean(axis=2)), [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Finding(source, statement, value, float(low), float(high), expected, margin)


def _correlate(moments: Doubles) -> Doubles:
    """Return correlations by the means of x, y, xy, x^2 and y^2, (5, ...)."""
    x, y, both, of_x, of_y = moments
    return np.asarray((both - x * y) / np.sqrt((of_x - x**2) * (of_y - y**2)))
