"""Modified Poisson-Gamma rates of items, shrunk to their categories', and these to the catalogue's."""

from typing import Any, NamedTuple

import numpy as np

from recsys.evidence.gap_fits import shrink_means
from recsys.evidence.gaps import Gaps
from recsys.maths.renewal_fits import fit_poisson_gamma_rates, sum_groups
from recsys.maths.renewals import compute_log_poisson_gamma, cumulate_poisson_gamma
from recsys.maths.shrinkage import MAX_KAPPA, MIN_KAPPA
from recsys.types.arrays import Doubles, Ints, Longs
from recsys.types.time_weights import SECONDS_PER_DAY

MAX_FITTED = 10_000  # gaps of a category that its rates are fitted to: every n-th of more
MIN_EVENTS = 20  # observed gaps of a category with rates of its own; with fewer it has the catalogue's


class RateFit(NamedTuple):
    """Modified Poisson-Gamma rates of I items."""

    alpha: Doubles  # (I,)
    beta: Doubles  # (I,) days
    mean_gap: Doubles  # (I,) days


class _Histories(NamedTuple):
    """Pairs: purchases after the first one, and days since it."""

    item: Ints
    counts: Doubles
    days: Doubles


def fit_rates(gaps: Gaps, category: Ints, n_categories: int) -> RateFit:
    """Return the modified Poisson-Gamma rate of each item.

    Alpha, beta and the mean gap of a category are of the largest likelihood of its gaps under right censoring; they
    start at the moments of its pairs' rates and at the mean observed gap. An item's beta is the category's times the
    ratio of their rates, its mean gap the category's times the ratio of their mean observed gaps, both shrunk.
    """
    histories = _list_histories(gaps)
    of_gap = category[gaps.item]
    events = sum_groups(of_gap, gaps.observed, n_categories)
    whole = _fit_likelihood(gaps, np.arange(len(gaps)), histories, np.arange(len(histories.item)), None)
    made = np.repeat(whole[:, None], n_categories, axis=1)
    for group in np.flatnonzero(events >= MIN_EVENTS).tolist():
        rows, pairs = np.flatnonzero(of_gap == group), np.flatnonzero(category[histories.item] == group)
        made[:, group] = _fit_likelihood(gaps, rows, histories, pairs, whole)
    alpha, beta, mean_gap = made[:, category]
    slower = _compare_rates(histories, category, n_categories, alpha, gaps.n_items)
    return RateFit(alpha, beta * slower, mean_gap * _compare_gaps(gaps, category, n_categories))


def _list_histories(gaps: Gaps) -> _Histories:
    last = ~gaps.observed
    days = (gaps.until - gaps.start[last]) / SECONDS_PER_DAY + gaps.span[last]
    return _Histories(gaps.item[last], gaps.count[last].astype(np.float64) - 1.0, days)


def _fit_likelihood(gaps: Gaps, rows: Longs, histories: _Histories, pairs: Longs, start: Doubles | None) -> Doubles:
    """Return alpha, beta and the mean gap of largest likelihood of some gaps, (3,)."""
    from scipy.optimize import minimize  # here: it is slow to load, and few need it

    one = np.zeros(len(pairs), dtype=np.int64)
    alpha, beta = fit_poisson_gamma_rates(histories.counts[pairs], histories.days[pairs], one, 1)
    mean = float(gaps.days[rows][gaps.observed[rows]].mean())
    first = np.array([alpha[0], beta[0], mean])
    if not np.isfinite(first).all():
        first = np.array([1.0, 2.0 * mean, mean]) if start is None else start
    used = rows[:: -(-len(rows) // MAX_FITTED)]
    days, observed, count, span = (getattr(gaps, name)[used] for name in ("days", "observed", "count", "span"))
    again, days_seen, span_seen = count - 1.0, days[observed], span[observed]

    def lose(logs: Doubles) -> float:
        parameters = np.exp(logs)
        total = cumulate_poisson_gamma(days, again, span, *parameters).sum()
        seen = compute_log_poisson_gamma(days_seen, again[observed], span_seen, *parameters).sum()
        return float(total - seen) / len(used)

    bounds = [np.log([low, high]) for low, high in ((0.02, MAX_KAPPA), (0.1, 1e7), (0.5, 1e4))]
    start_at = np.clip(np.log(first), [b[0] for b in bounds], [b[1] for b in bounds])
    search: Any = minimize
    found = search(lose, start_at, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return np.asarray(np.exp(found.x))


def _compare_rates(histories: _Histories, category: Ints, n_categories: int, alpha: Doubles, n_items: int) -> Doubles:
    """Return how much slower than its category's each item is bought again, (I,): the ratio of rates, shrunk.

    With e = rate of the category x days, counts K of items have E (K - e)^2 = e + sum of e^2 / alpha over pairs + e^2 /
    kappa; kappa by these moments.
    """
    group = category[histories.item]
    events, days = (sum_groups(group, one, n_categories) for one in (histories.counts, histories.days))
    rate = np.where(days > 0, events / np.maximum(days, 1e-9), 0.0)
    expected = rate[group] * histories.days
    total, again = (sum_groups(histories.item, one, n_items) for one in (expected, histories.counts))
    noise = total + sum_groups(histories.item, expected**2, n_items) / alpha
    excess = float(((again - total) ** 2 - noise).sum())
    kappa = float(np.clip((total @ total) / excess, MIN_KAPPA, MAX_KAPPA)) if excess > 0 else MAX_KAPPA
    return (total + kappa) / (again + kappa)


def _compare_gaps(gaps: Gaps, category: Ints, n_categories: int) -> Doubles:
    """Return the mean observed gap of each item over its category's, (I,), shrunk to 1."""
    item, days = gaps.item[gaps.observed], gaps.days[gaps.observed]
    group = category[item]
    n, total = (sum_groups(group, one, n_categories) for one in (np.ones(len(group)), days))
    mean = np.where(n > 0, total / np.maximum(n, 1), 1.0)
    relative = days / mean[group]
    sums, squares, counts = (sum_groups(item, one, gaps.n_items) for one in (relative, relative**2, np.ones(len(item))))
    return np.maximum(shrink_means(sums, squares, counts, np.ones(gaps.n_items)), 0.05)
