"""Fits of gap distributions by group: Newton's method with right censoring, and shrinkage to the groups' parent."""

from typing import NamedTuple

import numpy as np

from recsys.maths.renewals import (
    compute_log_density,
    compute_log_survival,
    differentiate_log_density,
    differentiate_log_survival,
)
from recsys.maths.shrinkage import MAX_KAPPA, MIN_KAPPA
from recsys.types.arrays import Anys, Bools, Doubles, Ints, Longs

MIN_SLOPE, MAX_SLOPE = 0.05, 50.0  # of log gaps: deviations of exp(20) and of 2 %
_TOLERANCE = 1e-9  # of a log likelihood, relative


class GapRows(NamedTuple):
    """Gaps in days, R of them, of G groups: observed, or censored at the end of what is known."""

    log_days: Doubles  # (R,)
    observed: Bools  # (R,) whether the next purchase was seen
    group: Ints | Longs  # (R,) codes below n_groups
    weight: Doubles  # (R,) how much each counts
    n_groups: int


class GroupPrior(NamedTuple):
    """A normal prior of slope and offset of each group, (G,): at the parent's values, worth `kappa` gaps."""

    slope: Doubles
    offset: Doubles
    kappa: float
    information: Doubles  # (3,) of one observed gap: slope-slope, slope-offset, offset-offset


def fit_gap_groups(
    family: int, rows: GapRows, start: tuple[Doubles, Doubles], prior: GroupPrior, iterations: int = 50
) -> tuple[Doubles, Doubles]:
    """Return slope and offset of each group, (G,), of the largest posterior density under right censoring.

    The log likelihood is concave in slope and offset, as Weibull and log-normal have log-concave densities of log t.
    Newton steps of a group are halved until its density grows. A group without gaps keeps the prior's values.
    """
    slope, offset = start[0].copy(), start[1].copy()
    value = np.full(rows.n_groups, -np.inf)
    step = np.zeros((2, rows.n_groups))
    for _ in range(iterations):
        tried = np.clip(slope + step[0], MIN_SLOPE, MAX_SLOPE), offset + step[1]
        found, gradient, curvature = _differentiate_posterior(family, rows, tried, prior)
        better = found >= value - _TOLERANCE * np.abs(found)
        slope, offset = np.where(better, tried[0], slope), np.where(better, tried[1], offset)
        gain = np.where(better, found - np.where(np.isfinite(value), value, found - 1.0), 1.0)
        value = np.where(better, found, value)
        step = np.where(better, _solve_newton_steps(gradient, curvature, slope), 0.5 * step)
        if (np.abs(gain) <= 1e-7 * (1.0 + np.abs(value))).all():
            break
    return slope, offset


def fit_gap_locations(
    family: int, rows: GapRows, slope: Doubles, offset: Doubles, iterations: int = 6
) -> tuple[Doubles, float]:
    """Return the offset of each group, (G,), shrunk to its parent's, and kappa, how many gaps the parent is worth.

    `slope` and `offset` are those of the parent of each group, (G,), and slopes stay. Kappa is a moment estimate of the
    variance between groups (DerSimonian and Laird 1986) at the parent's values, from 1 to 10,000: with scores U and
    information J of groups, Q = sum U^2 / J has the mean M - 1 where groups do not differ.
    """
    score, information = _differentiate_offsets(family, rows, slope, offset)
    events = sum_groups(rows.group, rows.weight * rows.observed, rows.n_groups)
    one = information.sum() / max(events.sum(), 1.0)
    kappa = estimate_kappa(score, information, one)
    fitted = offset.copy()
    for _ in range(iterations):
        step = (score + kappa * one * (offset - fitted)) / np.maximum(information + kappa * one, 1e-12)
        fitted += np.clip(step, -1.0, 1.0)
        if np.abs(step).max(initial=0.0) < 1e-4:
            break
        score, information = _differentiate_offsets(family, rows, slope, fitted)
    return fitted, kappa


def estimate_kappa(score: Doubles, information: Doubles, one: float) -> float:
    """Return how many observed gaps a parent is worth, from scores and information of its groups at its values."""
    used = information > 0
    score, information = score[used], information[used]
    total = information.sum()
    free = total - (information @ information) / max(total, 1e-300)
    if len(score) < 2 or free <= 0.0:
        return MAX_KAPPA
    variance = ((score * score / information).sum() - (len(score) - 1)) / free
    return float(np.clip(1.0 / (one * variance), MIN_KAPPA, MAX_KAPPA)) if variance > 0.0 else MAX_KAPPA


def shrink_gap_groups(family: int, rows: GapRows, slope: Doubles, offset: Doubles) -> tuple[Doubles, Doubles]:
    """Return slope and offset of each group, (G,), shrunk to what groups have in common.

    Log slopes and places of log gaps (-offset / slope) are shrunk apart, each with the variance that the information on
    slope and offset at these values leaves (`shrink_estimates`); what groups of fewer than two gaps say does not count.
    """
    aa, ab, bb = measure_information(family, rows, slope, offset)
    det = aa * bb - ab * ab
    known = (sum_groups(rows.group, rows.weight * rows.observed, rows.n_groups) >= 2.0) & (det > 1e-9 * aa * bb)
    det = np.where(known, det, 1.0)
    of_slope, of_offset, together = bb / det, aa / det, -ab / det
    place, turn = -offset / slope, offset / slope**2
    of_place = turn * turn * of_slope + of_offset / slope**2 - 2.0 * turn * together / slope
    log_slope = shrink_estimates(np.log(slope), np.where(known, of_slope / slope**2, np.inf))
    place = shrink_estimates(place, np.where(known, np.maximum(of_place, 0.0), np.inf))
    return np.exp(log_slope), -np.exp(log_slope) * place


def shrink_estimates(values: Doubles, variances: Doubles) -> Doubles:
    """Return estimates of groups, (G,), shrunk to their mean by their variances and the one between groups.

    The variance between groups is a moment estimate (DerSimonian and Laird 1986), and their mean weighs each group by
    both. An infinite variance is a group of which nothing is known: it gets the mean. Where nothing is known of any,
    values stay.

    >>> shrink_estimates(np.array([0.0, 2.0, 9.0]), np.array([0.5, 0.5, np.inf])).round(2).tolist()
    [0.25, 1.75, 1.0]
    """
    known = np.isfinite(variances)
    if not known.any():
        return values.copy()
    found, weight = values[known], 1.0 / np.maximum(variances[known], 1e-12)
    mean, total = (weight @ found) / weight.sum(), weight.sum()
    free = total - (weight @ weight) / total
    between = max(((weight * (found - mean) ** 2).sum() - (len(found) - 1)) / free, 0.0) if len(found) > 1 else 0.0
    mean = (found / (between + 1.0 / weight)).sum() / (1.0 / (between + 1.0 / weight)).sum()
    kept = np.zeros(len(values))
    kept[known] = between / (between + 1.0 / weight)
    return np.asarray(mean + kept * (values - mean))


def measure_information(family: int, rows: GapRows, slope: Doubles, offset: Doubles) -> Doubles:
    """Return the information on slope and offset of each group at these values, (3, G)."""
    no_prior = GroupPrior(slope, offset, 0.0, np.zeros(3))
    return -_differentiate_posterior(family, rows, (slope, offset), no_prior)[2]


def fit_poisson_gamma_rates(
    counts: Doubles, days: Doubles, group: Ints | Longs, n_groups: int
) -> tuple[Doubles, Doubles]:
    """Return alpha and beta (in days) of the Gamma distribution of rates of each group, (G,), by moments.

    `counts` are purchases after the first one of each pair in `days` since the first. With the rate m = sum k / sum d,
    sum (k - m d)^2 has the mean m sum d + m^2 sum d^2 / alpha; alpha is from 0.05 to 10,000, beta is alpha / m. Groups
    whose moments say nothing (fewer than two purchases again) are NaN.
    """
    events, total = sum_groups(group, counts, n_groups), sum_groups(group, days, n_groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = events / total
        excess = sum_groups(group, (counts - rate[group] * days) ** 2, n_groups) - rate * total
        alpha = rate * rate * sum_groups(group, days * days, n_groups) / excess
        alpha = np.clip(np.where(excess > 0, alpha, MAX_KAPPA), 0.05, MAX_KAPPA)
        known = events >= 2
        return np.where(known, alpha, np.nan), np.where(known, alpha / rate, np.nan)


def sum_groups(group: Ints | Longs, values: Anys, n_groups: int) -> Doubles:
    """Return the sum of the values (R,) of each group, (G,)."""
    return np.bincount(group, values, n_groups).astype(np.float64, copy=False)


def _differentiate_posterior(
    family: int, rows: GapRows, at: tuple[Doubles, Doubles], prior: GroupPrior
) -> tuple[Doubles, Doubles, Doubles]:
    """Return the log posterior density, its gradient (2, G) and curvature (3, G) by slope and offset of each group."""
    slope, offset = at
    x, group, n = rows.log_days, rows.group, rows.n_groups
    z = slope[group] * x + offset[group]
    value, first, second = _differentiate_rows(family, z, rows.observed)
    events = sum_groups(group, rows.weight * rows.observed, n)
    weighted = [rows.weight * one for one in (value, first, second)]
    log_density = sum_groups(group, weighted[0], n) + events * np.log(slope)
    gradient = np.stack([sum_groups(group, weighted[1] * x, n) + events / slope, sum_groups(group, weighted[1], n)])
    squares = [sum_groups(group, weighted[2] * one, n) for one in (x * x, x)]
    curvature = np.stack([squares[0] - events / slope**2, squares[1], sum_groups(group, weighted[2], n)])
    information = prior.kappa * prior.information
    da, db = slope - prior.slope, offset - prior.offset
    log_density -= 0.5 * (information[0] * da * da + 2 * information[1] * da * db + information[2] * db * db)
    gradient -= np.stack([information[0] * da + information[1] * db, information[1] * da + information[2] * db])
    return log_density, gradient, curvature - information[:, None]


def _solve_newton_steps(gradient: Doubles, curvature: Doubles, slope: Doubles) -> Doubles:
    """Return the Newton steps (2, G); no slope is more than doubled, or less than halved, at once."""
    aa, ab, bb = curvature[0] - 1e-9, curvature[1], curvature[2] - 1e-9
    det = aa * bb - ab * ab
    safe = np.where(np.abs(det) > 1e-300, det, 1.0)
    step = -np.stack([bb * gradient[0] - ab * gradient[1], aa * gradient[1] - ab * gradient[0]]) / safe
    step = np.where(np.abs(det) > 1e-300, step, 0.0)
    too_far = np.maximum(np.abs(step[0]) / (0.5 * slope), 1.0)
    return np.asarray(step / too_far)


def _differentiate_offsets(family: int, rows: GapRows, slope: Doubles, offset: Doubles) -> tuple[Doubles, Doubles]:
    z = slope[rows.group] * rows.log_days + offset[rows.group]
    _, first, second = _differentiate_rows(family, z, rows.observed)
    return (
        sum_groups(rows.group, rows.weight * first, rows.n_groups),
        -sum_groups(rows.group, rows.weight * second, rows.n_groups),
    )


def _differentiate_rows(family: int, z: Doubles, observed: Bools) -> tuple[Doubles, Doubles, Doubles]:
    """Return the log density or survival of each row and its derivatives, by whether the gap was observed."""
    seen, open_ = z[observed], z[~observed]
    made = np.empty((3, len(z)))
    made[0, observed], made[0, ~observed] = compute_log_density(family, seen), compute_log_survival(family, open_)
    made[1:, observed] = differentiate_log_density(family, seen)
    made[1:, ~observed] = differentiate_log_survival(family, open_)
    return made[0], made[1], made[2]
