"""Gaps between purchases of one item by one user: Weibull, log-normal and modified Poisson-Gamma, in days.

Weibull and log-normal gaps are location-scale families of log t, with z = slope log t + offset: a Weibull of shape k
and scale L has slope k and offset -k log L, a log-normal of mean mu and deviation s of log t has 1 / s and -mu / s. A
share of buyers buys again at all, so that P(no purchase until t) = 1 - share F(t).

A modified Poisson-Gamma rate is (count + alpha) / (span + 2 |mean_gap - t| + beta) until twice the mean gap, and
(count + alpha) / (span + t + beta) after it: low right after a purchase, largest at the mean gap (Bhagat,
Muralidharan, Lobzhanidze and Vishwanath, "Buy it again", KDD 2018). `count` are the purchases after the first one,
`span` the days from the first to the last, t the days since then.
"""

import numpy as np
from scipy.special import log_ndtr, ndtri

from recsys.types.arrays import Doubles

FAMILIES = ("weibull", "log_normal", "poisson_gamma")
WEIBULL, LOG_NORMAL, POISSON_GAMMA = range(3)
_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)


def compute_log_survival(family: int, z: Doubles) -> Doubles:
    """Return log(1 - F) of standardised log gaps, at most 0: Weibull -exp(z), log-normal log Phi(-z)."""
    return np.asarray(-np.exp(np.minimum(z, 700.0)) if family == WEIBULL else log_ndtr(-z))


def compute_log_density(family: int, z: Doubles) -> Doubles:
    """Return the log density of standardised log gaps; that of the gap t itself adds log(slope) - log(t)."""
    if family == WEIBULL:
        return np.asarray(z - np.exp(np.minimum(z, 700.0)))
    return np.asarray(-0.5 * z * z - _HALF_LOG_TWO_PI)


def differentiate_log_survival(family: int, z: Doubles) -> tuple[Doubles, Doubles]:
    """Return the first and second derivative of `compute_log_survival` by z, both at most 0."""
    if family == WEIBULL:
        first = -np.exp(np.minimum(z, 700.0))
        return first, first
    mills = np.exp(-0.5 * z * z - _HALF_LOG_TWO_PI - log_ndtr(-z))
    return -mills, -mills * np.maximum(mills - z, 0.0)


def differentiate_log_density(family: int, z: Doubles) -> tuple[Doubles, Doubles]:
    """Return the first and second derivative of `compute_log_density` by z."""
    if family == WEIBULL:
        raised = np.exp(np.minimum(z, 700.0))
        return 1.0 - raised, -raised
    return -z, np.full(np.shape(z), -1.0)


def compute_quantile(family: int, share: Doubles, slope: Doubles, offset: Doubles) -> Doubles:
    """Return the gap in days that a share of gaps is below."""
    z = np.log(-np.log1p(-share)) if family == WEIBULL else ndtri(share)
    return np.asarray(np.exp((z - offset) / slope))


def cumulate_hazard(family: int, days: Doubles, slope: Doubles, offset: Doubles, share: Doubles) -> Doubles:
    """Return -log(1 - share F(t)), the hazard of a purchase summed over t days since the last one, from 0 on."""
    log_survival = compute_log_survival(family, standardize_gaps(days, slope, offset))
    return -_compute_log_left(log_survival, share)


def compute_log_hazard(family: int, days: Doubles, slope: Doubles, offset: Doubles, share: Doubles) -> Doubles:
    """Return log(share f(t) / (1 - share F(t))), the log rate of a purchase per day at t days above 0."""
    z = standardize_gaps(days, slope, offset)
    log_density = compute_log_density(family, z) + np.log(slope) - np.log(days)
    return np.asarray(np.log(share) + log_density - _compute_log_left(compute_log_survival(family, z), share))


def _compute_log_left(log_survival: Doubles, share: Doubles) -> Doubles:
    """Return log(1 - share F), which is log(1 - F) itself where all buy again."""
    some = np.log1p(np.minimum(share, 1.0 - 1e-12) * np.expm1(log_survival))
    return np.asarray(np.where(np.asarray(share) >= 1.0, log_survival, some))


def standardize_gaps(days: Doubles, slope: Doubles, offset: Doubles) -> Doubles:
    """Return slope log(days) + offset, -infinity where there is no day."""
    with np.errstate(divide="ignore"):
        return np.asarray(slope * np.log(days) + offset)


def cumulate_poisson_gamma(
    days: Doubles, count: Doubles, span: Doubles, alpha: Doubles, beta: Doubles, mean_gap: Doubles
) -> Doubles:
    """Return the modified Poisson-Gamma rate summed over t days since the last purchase, from 0 on.

    In closed form: each of the three pieces of the rate is (count + alpha) over a linear function of t.
    """
    base = span + beta
    first = np.log((base + 2.0 * mean_gap) / (base + 2.0 * (mean_gap - np.minimum(days, mean_gap))))
    second = np.log((base + 2.0 * (np.clip(days, mean_gap, 2.0 * mean_gap) - mean_gap)) / base)
    third = np.log((base + np.maximum(days, 2.0 * mean_gap)) / (base + 2.0 * mean_gap))
    return np.asarray((count + alpha) * (0.5 * (first + second) + third))


def compute_log_poisson_gamma(
    days: Doubles, count: Doubles, span: Doubles, alpha: Doubles, beta: Doubles, mean_gap: Doubles
) -> Doubles:
    """Return the log of the modified Poisson-Gamma rate per day, t days since the last purchase."""
    near = np.where(days < 2.0 * mean_gap, 2.0 * np.abs(mean_gap - days), days)
    return np.asarray(np.log(count + alpha) - np.log(span + beta + near))


def compute_poisson_gamma_quantile(share: Doubles, alpha: Doubles, beta: Doubles, mean_gap: Doubles) -> Doubles:
    """Return the days after a first purchase until which a share of buyers have bought again, by the modified rate."""
    wanted = -np.log1p(-share) / alpha  # the sum of the three logarithms above, halves of the first two
    half = 0.5 * np.log1p(2.0 * mean_gap / beta)
    early = mean_gap + 0.5 * beta - 0.5 * (beta + 2.0 * mean_gap) * np.exp(-2.0 * wanted)
    middle = mean_gap + 0.5 * beta * np.expm1(2.0 * np.clip(wanted - half, 0.0, half))
    late = (beta + 2.0 * mean_gap) * np.exp(np.clip(wanted - 2.0 * half, 0.0, 600.0)) - beta
    return np.asarray(np.where(wanted <= half, early, np.where(wanted <= 2.0 * half, middle, late)))


def compute_window_probability(before: Doubles, after: Doubles, rate: Doubles | float = 1.0) -> Doubles:
    """Return the probability of a purchase in a window, from the summed hazard at its beginning and at its end.

    It is 1 - exp(-rate (after - before)): with rate 1, (F(t + h) - F(t)) / (1 - F(t)). `rate` multiplies the hazard.
    """
    return np.asarray(-np.expm1(-rate * np.maximum(after - before, 0.0)))
