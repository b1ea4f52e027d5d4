"""Intervals of means over random halvings of the users: users, maps and halvings err, and their variances add up."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.special import stdtrit

from recsys.scores.intervals import (
    JACKKNIFE_FREEDOM,
    NO_INTERVAL,
    Interval,
    corrected_jackknife_interval,
    draw_with_replacement,
)
from recsys.scores.replicates import two_level_degrees_of_freedom, two_level_interval
from recsys.scores.runs import bootstrap_interval, jackknife_degrees_of_freedom, mean_degrees_of_freedom
from recsys.types.arrays import Doubles


def choose_interval(
    shape: str, halvings: int, n_users: int, n_judged: int
) -> tuple[Callable[[float, Doubles], Interval], Callable[[Doubles], float]]:
    """Return the functions that make limits, and their degrees of freedom, of a value and its draws.

    With several halvings the last draws are the halvings' own values.
    """
    if shape == "catalogue":
        if halvings > 1:
            return (
                partial(_halved_catalogue_interval, n_halvings=halvings, n_users=n_judged),
                partial(_halved_catalogue_freedom, n_halvings=halvings, n_users=n_judged),
            )
        return partial(corrected_jackknife_interval, n_users=n_judged), jackknife_degrees_of_freedom
    if halvings > 1:
        return (
            partial(two_level_interval, n_replicates=halvings, n_users=n_users),
            partial(two_level_degrees_of_freedom, n_replicates=halvings, n_users=n_users),
        )
    return bootstrap_interval, partial(mean_degrees_of_freedom, n_users=n_users)


def spread_over_halvings(draws: Doubles, halved: Doubles, seed: int) -> Doubles:
    """Return draws (n,) that vary with the halvings, too, and behind them the value of each halving (R,).

    R halvings are drawn with replacement for each draw: what that finds is (R - 1) / R of their variance.
    """
    resampled = halved[draw_with_replacement(seed, "halvings", len(draws), len(halved))].mean(axis=1)
    return np.concatenate([draws + resampled - halved.mean(), halved])


def complete_halving_variance(draws: Doubles, n_halvings: int, seed: int) -> Doubles:
    """Return draws of `spread_over_halvings`, or of a function of some, whose variance is all that of the halvings.

    The halvings' own values (R,) behind them are taken off, and what a bootstrap of R lacks of their variance is added
    to each draw, in the direction in which it drew them. With fewer than two halvings draws stay as they are.
    """
    if n_halvings < 2:
        return draws
    drawn, halved = draws[:-n_halvings], draws[-n_halvings:]
    resampled = halved[draw_with_replacement(seed, "halvings", len(drawn), n_halvings)].mean(axis=1)
    return np.asarray(drawn + (np.sqrt(n_halvings / (n_halvings - 1.0)) - 1.0) * (resampled - halved.mean()))


def draw_map_deviations(map_values: Sequence[Doubles], n: int, seed: int) -> Doubles:
    """Return the deviation of the mean over maps drawn with replacement, the same ones in each fold, (n,)."""
    total: Doubles = np.zeros(n)
    for values in map_values:
        if len(values) > 1:
            total += values[draw_with_replacement(seed, "maps", n, len(values))].mean(axis=1) - values.mean()
    return total / max(len(map_values), 1)


def _halved_catalogue_interval(value: float, draws: Doubles, n_halvings: int, n_users: int) -> Interval:
    users, between = _split_catalogue_variance(value, draws, n_halvings, n_users)
    error = float(np.sqrt(users + between))
    if not np.isfinite(error):
        return NO_INTERVAL
    freedom = _halved_catalogue_freedom(draws, n_halvings, n_users)
    reach = float(stdtrit(freedom, 0.975)) * error
    return Interval(value - reach, value + reach, error)


def _halved_catalogue_freedom(draws: Doubles, n_halvings: int, n_users: int) -> float:
    """Return Satterthwaite's degrees of freedom of the jackknife over users and the variance between halvings."""
    users, between = _split_catalogue_variance(0.0, draws, n_halvings, n_users)
    shape = users**2 / JACKKNIFE_FREEDOM + between**2 / (n_halvings - 1)
    return float((users + between) ** 2 / shape) if shape > 0 else float(JACKKNIFE_FREEDOM)


def _split_catalogue_variance(value: float, draws: Doubles, n_halvings: int, n_users: int) -> tuple[float, float]:
    if len(draws) <= n_halvings:
        return float("nan"), float("nan")
    replicates, halved = draws[:-n_halvings], draws[-n_halvings:]
    users = corrected_jackknife_interval(value, replicates, n_users).error ** 2
    return users, float(halved.var(ddof=1)) / n_halvings
