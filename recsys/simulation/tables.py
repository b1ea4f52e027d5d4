"""Tables of a simulation: means over seeds, with Student's intervals, and differences within seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from recsys.simulation.loop import Trajectory
from recsys.types.arrays import Doubles, Longs

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95


def build_trajectory_table(runs: Mapping[str, Sequence[Trajectory]]) -> "pd.DataFrame":
    """Return policy, measure, group, round (from 1), mean over seeds, ci_low, ci_high, and the seeds that they are of.

    A seed counts where the measure says something of it in the round; a row of which none does is left out.
    """
    import pandas as pd

    rows = []
    for policy, of in runs.items():
        values = np.stack([one.values for one in of])
        found = (*find_interval(values), count_seeds(values))
        mean = found[0]
        for t, m, g in zip(*np.nonzero(~np.isnan(mean)), strict=True):
            names = (policy, str(of[0].measures[m]), str(of[0].groups[g]), int(t) + 1)
            rows.append((*names, *(one[t, m, g] for one in found)))
    return pd.DataFrame(rows, columns=["policy", "measure", "group", "round", "mean", "ci_low", "ci_high", "seeds"])


def build_difference_table(runs: Mapping[str, Sequence[Trajectory]], base: str) -> "pd.DataFrame":
    """Return the mean over rounds of each measure, its interval over seeds, and the difference from the base's.

    Differences are paired by seed and round, over the rounds in which both say something: policy and base met the same
    population with the same luck. Columns policy, measure, group, mean, ci_low, ci_high, seeds, difference, diff_low,
    diff_high, diff_seeds. A seed counts where the measure says something of it (and of the base, for differences) in
    some round; a row of which none does is left out.
    """
    import pandas as pd

    rows = []
    for policy, made in runs.items():
        pairs = zip(made, runs[base], strict=True)
        means = np.stack([_average(one.values) for one in made])
        gaps = np.stack([_average(one.values - other.values) for one, other in pairs])
        found = [number for values in (means, gaps) for number in (*find_interval(values), count_seeds(values))]
        of = made[0]
        for m, g in zip(*np.nonzero(~np.isnan(found[0])), strict=True):
            rows.append((policy, str(of.measures[m]), str(of.groups[g]), *(one[m, g] for one in found)))
    ends = ["mean", "ci_low", "ci_high", "seeds", "difference", "diff_low", "diff_high", "diff_seeds"]
    return pd.DataFrame(rows, columns=["policy", "measure", "group", *ends])


def find_interval(values: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the mean over seeds, (S, ...), and Student's 95 % interval, over the seeds that are not NaN.

    Of one seed the ends are NaN, of none the mean is too.
    """
    n = count_seeds(values)
    mean = _average(values)
    squares = np.where(np.isnan(values), 0.0, values - mean) ** 2
    deviation = np.sqrt(squares.sum(axis=0) / np.maximum(n - 1, 1))
    half = np.where(
        n > 1, stats.t.ppf((1 + CONFIDENCE) / 2, np.maximum(n - 1, 1)) * deviation / np.sqrt(np.maximum(n, 1)), np.nan
    )
    return mean, mean - half, mean + half


def count_seeds(values: Doubles) -> Longs:
    """Return of how many seeds, (S, ...), something is said: those that are not NaN."""
    return np.asarray((~np.isnan(values)).sum(axis=0))


def _average(values: Doubles) -> Doubles:
    """Return the mean over rounds or seeds, the first axis, of those in which a measure says something."""
    told = ~np.isnan(values)
    count = told.sum(axis=0)
    total = np.where(told, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
