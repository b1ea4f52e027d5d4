"""Made-up logs of purchases whose gaps are known: Weibull, log-normal and modified Poisson-Gamma, by category."""

from typing import NamedTuple

import numpy as np

from recsys.maths.renewals import (
    LOG_NORMAL,
    WEIBULL,
    compute_quantile,
    cumulate_poisson_gamma,
)
from recsys.types.arrays import Doubles, Ints, Longs
from recsys.types.purchases import Purchases

DAY = 86_400
START = 1_600_000_000  # seconds: when a world begins


class KnownGaps(NamedTuple):
    """How one category is bought again: the parameters of `recsys.maths.renewals`."""

    family: int
    first: float  # slope, or alpha
    second: float  # offset, or beta in days
    third: float  # share of buyers who buy again after each purchase, or the mean gap in days


class PurchaseWorld(NamedTuple):
    """Purchases with the category of each item and what is true of it."""

    purchases: Purchases
    category: Ints  # (I,)
    truth: tuple[KnownGaps, ...]
    rate: Doubles  # (U,) what multiplies each user's hazards


def make_weibull(shape: float, scale: float, share: float) -> KnownGaps:
    return KnownGaps(WEIBULL, shape, -shape * np.log(scale), share)


def make_log_normal(median: float, deviation: float, share: float) -> KnownGaps:
    return KnownGaps(LOG_NORMAL, 1.0 / deviation, -np.log(median) / deviation, share)


def make_world(
    truth: tuple[KnownGaps, ...],
    n_pairs: int,
    n_users: int,
    n_items: int,
    days: float,
    seed: int,
    user_kappa: float | None = None,
) -> PurchaseWorld:
    """Return the purchases of pairs that begin at random moments and go on until `days` are over.

    `user_kappa` is that of gamma rates of users, which multiply their hazards; None: all users are alike.
    """
    rng = np.random.default_rng(seed)
    category = np.arange(n_items, dtype=np.int32) % len(truth)
    pairs = rng.choice(n_users * n_items, n_pairs, replace=False)
    user, item = np.divmod(pairs, n_items)
    rate = np.ones(n_users) if user_kappa is None else rng.gamma(user_kappa, 1.0 / user_kappa, n_users)
    when = rng.uniform(0, days, n_pairs)
    first, count, alive = when.copy(), np.zeros(n_pairs), np.arange(n_pairs)
    users, items, times = [user], [item], [when.copy()]
    while len(alive):
        gap = _draw_gaps(rng, truth, category[item[alive]], count[alive], when[alive] - first[alive], rate[user[alive]])
        when[alive] += gap
        alive = alive[when[alive] < days]
        count[alive] += 1
        users.append(user[alive]), items.append(item[alive]), times.append(when[alive].copy())
    return PurchaseWorld(_sort_purchases(users, items, times, n_users, n_items, days), category, truth, rate)


def _draw_gaps(
    rng: np.random.Generator, truth: tuple[KnownGaps, ...], category: Ints, count: Doubles, span: Doubles, rate: Doubles
) -> Doubles:
    """Return the days until the next purchase of each pair, infinite where there is none."""
    wanted = rng.exponential(size=len(category)) / rate  # of the summed hazard
    made = np.full(len(category), np.inf)
    for code, known in enumerate(truth):
        rows = category == code
        if known.family in (WEIBULL, LOG_NORMAL):
            reached = -np.expm1(-wanted[rows]) / known.third  # F(t) where the hazard reaches what is wanted
            again = reached < 1.0
            gap = np.full(int(rows.sum()), np.inf)
            gap[again] = compute_quantile(known.family, reached[again], known.first, known.second)
            made[rows] = gap
        else:
            made[rows] = _invert_rates(wanted[rows], count[rows], span[rows], known)
    return np.maximum(made, 0.02)


def _invert_rates(wanted: Doubles, count: Doubles, span: Doubles, known: KnownGaps) -> Doubles:
    """Return where the summed Poisson-Gamma rate reaches what is wanted, by bisection of log days."""
    low, high = np.full(len(wanted), np.log(1e-3)), np.full(len(wanted), np.log(1e6))
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = cumulate_poisson_gamma(np.exp(middle), count, span, known.first, known.second, known.third) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp(low)


def _sort_purchases(
    users: list[Longs], items: list[Longs], times: list[Doubles], n_users: int, n_items: int, days: float
) -> Purchases:
    user, item = np.concatenate(users), np.concatenate(items)
    when = START + (np.concatenate(times) * DAY).astype(np.int64)
    order = np.lexsort((item, when, user))
    user, item, when = user[order], item[order], when[order]
    kept = np.ones(len(user), dtype=bool)
    kept[1:] = (np.diff(user) != 0) | (np.diff(when) != 0) | (np.diff(item) != 0)
    columns = user[kept].astype(np.int32), item[kept].astype(np.int32), when[kept]
    ones = np.ones(int(kept.sum()), np.float32)
    return Purchases(*columns, ones, n_users, n_items, START + round(days * DAY))
