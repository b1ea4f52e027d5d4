"""What is bought again in a window after a moment: probabilities, expected numbers, median days, owned durables."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from recsys.evidence.gaps import Gaps, list_gaps
from recsys.evidence.hazards import cumulate_hazards
from recsys.evidence.user_rates import measure_user_rates
from recsys.maths.renewals import (
    POISSON_GAMMA,
    compute_log_survival,
    compute_poisson_gamma_quantile,
    compute_quantile,
    compute_window_probability,
    cumulate_poisson_gamma,
    standardize_gaps,
)
from recsys.types.arrays import Anys, Bools, Csr, Doubles
from recsys.types.checks import check_array
from recsys.types.errors import RecsysError
from recsys.types.exposures import MAX_DAYS
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.repurchases import Repurchases
from recsys.types.time_weights import SECONDS_PER_DAY

N_STEPS = 16  # of a window, where expected numbers are summed
_BLOCK = 2**16  # pairs at a time


class _OpenPairs(NamedTuple):
    """The pairs that were bought before a moment, one gap each that has not ended."""

    gaps: Gaps
    elapsed: Doubles  # days since the last purchase
    rate: Doubles  # of the user, multiplies the hazard

    def take_rows(self, rows: slice) -> "_OpenPairs":
        codes = np.arange(len(self.elapsed))[rows]
        return _OpenPairs(self.gaps.take_rows(codes), self.elapsed[rows], self.rate[rows])


def predict_repurchases(model: Repurchases, purchases: Purchases, now: Any, window: float) -> Csr:
    """Return the probability that each pair bought before `now` is bought at least once more in the `window`, (U, I).

    `now` is in seconds since 1970, a `datetime` or ISO 8601 text, and the window [now, now + window) is in days.
    Purchases from `now` on are not looked at. Pairs that were not bought before have no entry. float32.

    Raises:
        RecsysError: if `now` is before what the model was fitted to, or the items are others.
    """
    days = _check_window(window)
    pairs = _list_open_pairs(model, purchases, now)
    before, after = (_cumulate(model, pairs, pairs.elapsed + more) for more in (0.0, days))
    return _make_matrix(pairs, compute_window_probability(before, after, pairs.rate))


def predict_repurchase_counts(model: Repurchases, purchases: Purchases, now: Any, window: float) -> Csr:
    """Return how many more times each pair is expected to be bought in the window, (U, I): `predict_repurchases` else.

    By the renewal equation over 16 steps of the window, with purchases in the middle of their steps. After the third
    purchase in a window, what follows is as after that one. The span that a Poisson-Gamma rate reads is that of
    purchases after a third, a half and three fifths of the window: approximate, to some 5 %.
    """
    days = _check_window(window)
    pairs = _list_open_pairs(model, purchases, now)
    blocks = [_count_block(model, pairs.take_rows(rows), days) for rows in _split_rows(len(pairs.elapsed))]
    return _make_matrix(pairs, np.concatenate(blocks) if blocks else np.zeros(0))


def predict_repurchase_days(model: Repurchases, purchases: Purchases, now: Any, window: float) -> Csr:
    """Return the median days from `now` to the next purchase of each pair, given that it is in the window, (U, I).

    Half of the probability of `predict_repurchases` lies before it. By bisection, to a millionth of the window.
    """
    days = _check_window(window)
    pairs = _list_open_pairs(model, purchases, now)
    before, after = (_cumulate(model, pairs, pairs.elapsed + more) for more in (0.0, days))
    half = 0.5 * compute_window_probability(before, after, pairs.rate)
    low, high = np.zeros(len(half)), np.full(len(half), days)
    for _ in range(20):
        middle = 0.5 * (low + high)
        below = compute_window_probability(before, _cumulate(model, pairs, pairs.elapsed + middle), pairs.rate) < half
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return _make_matrix(pairs, 0.5 * (low + high))


def measure_median_gaps(model: Repurchases, horizon: float = 365.0) -> Doubles:
    """Return the median days between a first and a second purchase of an item, (I,).

    Of those who buy it again within `horizon` days, about as many as the log covers: beyond them a fit is a guess.
    """
    days = check_number("repurchases: horizon", horizon, above=0, most=MAX_DAYS)
    made = np.empty(model.n_items)
    for family in np.unique(model.family).tolist():
        of = model.family == family
        if family == POISSON_GAMMA:
            rates, none = (model.alpha[of], model.beta[of], model.mean_gap[of]), np.zeros(int(of.sum()))
            again = -np.expm1(-cumulate_poisson_gamma(none + days, none, none, *rates))
            made[of] = compute_poisson_gamma_quantile(0.5 * again, *rates)
        else:
            gaps = model.slope[family, of], model.offset[family, of]
            again = -np.expm1(compute_log_survival(family, standardize_gaps(np.full(int(of.sum()), days), *gaps)))
            made[of] = compute_quantile(family, 0.5 * again, *gaps)
    return made


def find_durables(model: Repurchases, window: float, named: Anys | None = None, horizon: float = 365.0) -> Bools:
    """Return which items are durables, (I,): owned for longer than the window once they are bought.

    Their median gap (`measure_median_gaps`) is longer than the window in days, or they are `named`: true or false of
    each item, (I,).
    """
    found = measure_median_gaps(model, horizon) > _check_window(window)
    if named is None:
        return np.asarray(found)
    check_array("durables: named", named, (model.n_items,), "b")
    return np.asarray(found | named)


def _check_window(window: float) -> float:
    return check_number("repurchases: window", window, above=0, most=MAX_DAYS)


def _list_open_pairs(model: Repurchases, purchases: Purchases, now: Any) -> _OpenPairs:
    moment = parse_moment("now", now)
    if moment < model.until:
        shown = [str(np.datetime64(at, "s")) for at in (moment, model.until)]
        raise RecsysError(
            f"now is {shown[0]}, and repurchases were fitted to purchases until {shown[1]}, expected no earlier moment"
        )
    if purchases.n_items != model.n_items:
        raise RecsysError(
            f"repurchases: fitted to {model.n_items:,} items, found purchases of {purchases.n_items:,}, "
            "expected those of the same split"
        )
    gaps = list_gaps(purchases.take_before(moment), model.min_gap)
    rates = measure_user_rates(model, gaps)
    left = gaps.take_rows(~gaps.observed)
    return _OpenPairs(left, (moment - left.start) / SECONDS_PER_DAY, rates[left.user])


def _cumulate(model: Repurchases, pairs: _OpenPairs, days: Doubles) -> Doubles:
    return cumulate_hazards(model, pairs.gaps, days)


def _count_block(model: Repurchases, pairs: _OpenPairs, days: float) -> Doubles:
    """Return expected numbers, (R,): sum over steps of P(next in the step) (1 + what follows)."""
    gaps, steps = pairs.gaps, np.linspace(0.0, days, N_STEPS + 1)

    def step_probabilities(state: Gaps, elapsed: Doubles) -> Doubles:
        hazard = np.stack([cumulate_hazards(model, state, elapsed + more) for more in steps])
        return np.asarray(-np.diff(np.exp(-pairs.rate * (hazard - hazard[0])), axis=0))

    rest: Doubles | None = None
    for more in (3, 2, 1):
        later = replace(gaps, count=gaps.count + more, span=gaps.span + pairs.elapsed + days * more / (more + 2.0))
        rest = _sum_following(step_probabilities(later, np.zeros(len(pairs.elapsed))), rest)
    assert rest is not None
    return np.asarray((step_probabilities(gaps, pairs.elapsed) * (1.0 + _average_steps(rest))).sum(axis=0))


def _sum_following(chances: Doubles, rest: Doubles | None) -> Doubles:
    """Return how many purchases follow one within 0 to N steps, (N + 1, R).

    `chances` (N, R) are those of the next one in each step, `rest` is what follows the next one; None: the same again.
    """
    n_steps = len(chances)
    made = np.zeros((n_steps + 1, chances.shape[1]))
    for step in range(1, n_steps + 1):
        if rest is not None:
            made[step] = (chances[:step] * (1.0 + _average_steps(rest[: step + 1]))).sum(axis=0)
            continue
        total = chances[0] * (1.0 + 0.5 * made[step - 1])  # the other half is made[step] itself
        total += (chances[1:step] * (1.0 + _average_steps(made[:step]))).sum(axis=0)
        made[step] = total / (1.0 - 0.5 * chances[0])
    return made


def _average_steps(follows: Doubles) -> Doubles:
    """Return what follows a purchase in the middle of each of N steps, (N, R): the later it is, the less."""
    return np.asarray(0.5 * (follows[:-1] + follows[1:])[::-1])


def _split_rows(n_rows: int) -> Iterator[slice]:
    yield from (slice(start, start + _BLOCK) for start in range(0, n_rows, _BLOCK))


def _make_matrix(pairs: _OpenPairs, values: Doubles) -> Csr:
    gaps = pairs.gaps
    pointers = np.searchsorted(gaps.user, np.arange(gaps.n_users + 1)).astype(np.int32)
    return Csr((values.astype(np.float32), gaps.item, pointers), shape=(gaps.n_users, gaps.n_items))
