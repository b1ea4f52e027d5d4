"""Rates of users: how much faster than others each one buys again, over all items, shrunk."""

import numpy as np

from recsys.evidence.gaps import Gaps
from recsys.evidence.hazards import cumulate_hazards
from recsys.maths.renewal_fits import sum_groups
from recsys.maths.shrinkage import MAX_KAPPA
from recsys.types.arrays import Doubles
from recsys.types.repurchases import Repurchases

MIN_USER_KAPPA = 0.1  # purchases that a user is worth who buys as all do


def measure_user_rates(model: Repurchases, gaps: Gaps) -> Doubles:
    """Return the rate that multiplies each user's hazards, (U,): (N + kappa) / (E + kappa), 1 without a kappa.

    N are a user's purchases again, E the hazards of the user's gaps summed: as many as the fit expects of anybody. It
    is the posterior mean of a gamma frailty with mean 1 and variance 1 / kappa (Clayton 1978).
    """
    if not model.user_kappa:
        return np.ones(gaps.n_users)
    again, expected = _count_purchases(model, gaps)
    return (again + model.user_kappa) / (expected + model.user_kappa)


def fit_user_kappa(model: Repurchases, gaps: Gaps) -> float:
    """Return kappa by moments: sum (N - E)^2 has the mean sum E + sum E^2 / kappa over users."""
    again, expected = _count_purchases(model, gaps)
    excess = float(((again - expected) ** 2).sum() - expected.sum())
    return float(np.clip((expected @ expected) / excess, MIN_USER_KAPPA, MAX_KAPPA)) if excess > 0 else MAX_KAPPA


def _count_purchases(model: Repurchases, gaps: Gaps) -> tuple[Doubles, Doubles]:
    hazard = cumulate_hazards(model, gaps, gaps.days)
    return sum_groups(gaps.user, gaps.observed, gaps.n_users), sum_groups(gaps.user, hazard, gaps.n_users)
