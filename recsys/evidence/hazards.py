"""Summed hazards of gaps under fitted repurchases: by item, number of purchases so far, and days since the last one."""

from collections.abc import Callable

import numpy as np

from recsys.evidence.gaps import Gaps
from recsys.maths.renewals import (
    POISSON_GAMMA,
    compute_log_hazard,
    compute_log_poisson_gamma,
    cumulate_hazard,
    cumulate_poisson_gamma,
)
from recsys.types.arrays import Doubles
from recsys.types.repurchases import N_STAGES, Repurchases


def cumulate_hazards(model: Repurchases, gaps: Gaps, days: Doubles, family: int | None = None) -> Doubles:
    """Return the hazard of each gap summed over its first `days` (R,): -log P(no purchase until then), (R,).

    By the family of each item, or by `family` for all. What is read of a gap is its item, count and span.
    """
    return _compute_by_family(model, gaps, days, family, cumulate_hazard, cumulate_poisson_gamma)


def compute_log_hazards(model: Repurchases, gaps: Gaps, days: Doubles, family: int | None = None) -> Doubles:
    """Return the log rate of a purchase per day of each gap after `days` (R,), above 0, (R,)."""
    return _compute_by_family(model, gaps, days, family, compute_log_hazard, compute_log_poisson_gamma)


def _compute_by_family(
    model: Repurchases,
    gaps: Gaps,
    days: Doubles,
    family: int | None,
    of_log_gaps: Callable[..., Doubles],
    of_rates: Callable[..., Doubles],
) -> Doubles:
    families = model.family[gaps.item] if family is None else np.full(len(gaps), family)
    made = np.empty(len(gaps))
    for each in np.unique(families).tolist():
        rows = families == each
        item, when, count = gaps.item[rows], days[rows], gaps.count[rows]
        if each == POISSON_GAMMA:
            parameters = model.alpha[item], model.beta[item], model.mean_gap[item]
            made[rows] = of_rates(when, count - 1.0, gaps.span[rows], *parameters)
        else:
            share = model.share[each, item, np.minimum(count, N_STAGES) - 1]
            made[rows] = of_log_gaps(each, when, model.slope[each, item], model.offset[each, item], share)
    return made
