"""Tables of a simulation: means over seeds, with Student's intervals, and differences within seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from recsys.simulation.loop import Trajectory
from recsys.types.arrays import Doubles

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95


def build_trajectory_table(runs: Mapping[str, Sequence[Trajectory]]) -> "pd.DataFrame":
    """Return policy, measure, group, round (from 1), mean over seeds, ci_low, ci_high; what is NaN is left out."""
    import pandas as pd

    rows = []
    for policy, of in runs.items():
        mean, low, high = find_interval(np.stack([one.values for one in of]))
        for t, m, g in zip(*np.nonzero(~np.isnan(mean)), strict=True):
            names = (policy, str(of[0].measures[m]), str(of[0].groups[g]), int(t) + 1)
            rows.append((*names, mean[t, m, g], low[t, m, g], high[t, m, g]))
    return pd.DataFrame(rows, columns=["policy", "measure", "group", "round", "mean", "ci_low", "ci_high"])


def build_difference_table(runs: Mapping[str, Sequence[Trajectory]], base: str) -> "pd.DataFrame":
    """Return the mean over rounds of each measure, its interval over seeds, and the difference from the base's.

    Differences are paired by seed and round, over the rounds in which both say something: policy and base met the same
    population with the same luck. Columns policy, measure, group, mean, ci_low, ci_high, difference, diff_low,
    diff_high; what is NaN in all rounds of a seed is left out.
    """
    import pandas as pd

    rows = []
    for policy, made in runs.items():
        mean, low, high = find_interval(np.stack([_average_rounds(one.values) for one in made]))
        pairs = zip(made, runs[base], strict=True)
        gaps = [_average_rounds(one.values - other.values) for one, other in pairs]
        gap, gap_low, gap_high = find_interval(np.stack(gaps))
        of = made[0]
        for m, g in zip(*np.nonzero(~np.isnan(mean)), strict=True):
            found = (mean, low, high, gap, gap_low, gap_high)
            rows.append((policy, str(of.measures[m]), str(of.groups[g]), *(one[m, g] for one in found)))
    names = ["policy", "measure", "group", "mean", "ci_low", "ci_high", "difference", "diff_low", "diff_high"]
    return pd.DataFrame(rows, columns=names)


def find_interval(values: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the mean over seeds, (S, ...), and Student's 95 % interval; NaN ends for fewer than two seeds."""
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def _average_rounds(values: Doubles) -> Doubles:
    """Return the mean over rounds, (M, G), of those in which a measure says something."""
    told = ~np.isnan(values)
    count = told.sum(axis=0)
    total = np.where(told, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
