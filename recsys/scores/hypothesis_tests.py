"""Hypothesis tests of two runs: of a difference against 0 and against a margin.

`benchmarks/errors.py` simulates how often each of them is wrong.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from recsys.scores.records import Score
from recsys.types.arrays import Bools, Doubles
from recsys.types.numbers import check_number

MIN_DIFFERING_USERS = 20  # users that must differ: with fewer, intervals of means hold the truth too rarely
SIGNIFICANCE_LEVEL = 0.05
WORDS = {1: ("better", "worse"), -1: ("better", "worse"), 0: ("higher", "lower")}
SAME, EQUIVALENT, UNDECIDED, UNDEFINED = "no user differs", "equivalent", "undecided", "not defined"


class Contrast(NamedTuple):
    """An estimate of run - ratio * base, its standard error, and that error's degrees of freedom."""

    value: float
    error: float
    degrees_of_freedom: float


def compute_contrast(cell: Score, base: Score, ratio: float) -> Contrast:
    """Return the estimate of cell - ratio * base, with the error of their joint draws."""
    value, draws = cell.value - ratio * base.value, cell.draws - ratio * base.draws
    return Contrast(value, cell.make_interval(value, draws).error, cell.degrees_of_freedom(draws))


def p_positive(estimate: Contrast) -> float:
    """Return the one-sided p-value of "the true value is at most 0": Student's t. NaN without an error.

    >>> round(p_positive(Contrast(1.96, 1.0, 1e9)), 3)
    0.025
    """
    if not estimate.error > 0 or not estimate.degrees_of_freedom > 0:
        return float("nan")
    return float(stdtr(estimate.degrees_of_freedom, -estimate.value / estimate.error))


def p_different(estimate: Contrast) -> float:
    """Return the two-sided p-value of "the true value is 0": Student's t."""
    return 2.0 * p_positive(Contrast(abs(estimate.value), estimate.error, estimate.degrees_of_freedom))


def p_noninferior(cell: Score, base: Score, margin: float) -> float:
    """Return the one-sided p-value of "the loss is at least `margin` of the base's mean".

    Fieller (1954): the hypothesis on the ratio of two means is one on run - (1 - margin) * base, which divides
    by nothing and takes the base's own uncertainty into account; where less is better, on
    (1 + margin) * base - run. NaN where neither is better, or the base is not above 0.
    """
    if not cell.direction or not base.value > 0:
        return float("nan")
    value, error, freedom = compute_contrast(cell, base, 1.0 - cell.direction * margin)
    return p_positive(Contrast(cell.direction * value, error, freedom))


def p_equivalent(cell: Score, base: Score, margin: float) -> float:
    """Return the p-value of "the difference is at least `margin` of the base's mean, up or down".

    The larger of two one-sided ones (TOST, Schuirmann 1987), each as in `p_noninferior`.
    """
    if not base.value > 0:
        return float("nan")
    above, below = (compute_contrast(cell, base, 1.0 + side * margin) for side in (-1.0, 1.0))
    return max(p_positive(above), p_positive(Contrast(-below.value, below.error, below.degrees_of_freedom)))


def compute_user_differences(cell: Score, base: Score) -> Doubles:
    """Return each user's contribution to the difference of two runs, (U,): 0 where values differ by rounding alone."""
    return np.where(
        np.isclose(cell.user_contributions, base.user_contributions, rtol=1e-9, atol=0.0),
        0.0,
        cell.user_contributions - base.user_contributions,
    )


def find_differing_users(cell: Score, base: Score) -> Bools:
    """Return which users' values differ between two runs, (U,); no user's for catalogue-level metrics."""
    return np.asarray(compute_user_differences(cell, base) != 0)


def has_enough_users(users: Bools) -> bool:
    """Return whether so many users differ that limits and tests that rest on an error may be shown."""
    return int(users.sum()) >= MIN_DIFFERING_USERS


def effect_size(cell: Score, base: Score) -> float:
    """Return the paired effect size d_z: mean over standard deviation of the users' differences (Cohen 1988)."""
    change = compute_user_differences(cell, base)[(cell.user_weights > 0) | (base.user_weights > 0)]
    spread = float(change.std(ddof=1)) if len(change) > 1 else 0.0
    return float(change.mean()) / spread if spread > 0 else float("nan")


def adjust_p_values(p_values: Doubles, explore: bool) -> Doubles:
    """Return p-values adjusted for how many of them are not NaN: Holm (1979), or Benjamini and Hochberg (1995)."""
    from scipy.stats import false_discovery_control
    from statsmodels.stats.multitest import multipletests

    adjusted, known = np.full(len(p_values), np.nan), ~np.isnan(p_values)
    if known.any():
        asked = p_values[known]
        adjusted[known] = false_discovery_control(asked) if explore else multipletests(asked, method="holm")[1]
    return adjusted


def decide_verdict(difference: float, direction: int, n_differ: float, p_value: float, p_equivalent: float) -> str:
    """Return the verdict of adjusted p-values: better, worse (higher, lower), equivalent, or undecided.

    Undecided: the data can show neither a difference nor that it is within the margin.

    >>> decide_verdict(-0.01, 1, 300, 0.001, 0.02), decide_verdict(0.01, 1, 300, 0.2, 0.3)
    ('worse, within margin', 'undecided')
    """
    if np.isnan(difference):
        return UNDEFINED
    if n_differ == 0:
        return SAME
    within = p_equivalent <= SIGNIFICANCE_LEVEL
    if p_value <= SIGNIFICANCE_LEVEL:
        word = WORDS[direction][int(difference * (direction or 1) < 0)]
        return f"{word}, within margin" if within else word
    return EQUIVALENT if within else UNDECIDED


def detectable_multiplier(freedom: float) -> float:
    """Return how many standard errors a difference must measure to be seen at 5 % in 80 % of samples.

    >>> round(detectable_multiplier(1e9), 2), round(detectable_multiplier(4.0), 2)
    (2.8, 3.72)
    """
    return float(stdtrit(freedom, 0.975) + stdtrit(freedom, 0.8))


def check_margin(margin: float) -> float:
    """Return the margin.

    Raises:
        RecsysError: if it is not above 0 and below 1.
    """
    return check_number("margin", margin, above=0, below=1, noun="a share of the base's mean")


def count_needed_flips(n: int) -> int:
    """Return how many sign flips n tests need: Holm's first threshold is then met by the smallest p-value."""
    return min(max(2000, 100 * n), 10_000)
