"""What a user buys again: how often, how much each item calls for it, and what is owned and not due."""

from typing import Any

import numpy as np

from recsys.maths.shrinkage import fit_beta_binomial, shrink_rates
from recsys.models.purchase_counts import count_purchases, number_baskets
from recsys.types.arrays import Bools, Csr, Doubles
from recsys.types.checks import check_array, check_matrix
from recsys.types.errors import RecsysError
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import SECONDS_PER_DAY

_MAX_HALVINGS = 100.0  # no purchase weighs less than 2^-100
_MAX_GAP_DAYS = 1e6  # what takes longer never comes


def build_repeats(
    purchases: Purchases,
    *,
    now: Any = None,
    half_life: float | None = None,
    probabilities: Csr | None = None,
    median_gaps: Doubles | None = None,
    window_days: float | None = None,
) -> RepeatHistories:
    """Return what the users of `purchases` may buy again at the moment `now`, the end of the purchases without it.

    The score of a bought item is its number of purchases, with `half_life` in days the sum of 2^(-age / half_life); of
    equal ones the last bought is the first. `probabilities` (U, I), such as those of
    `recsys.evidence.predict_repurchases`, are scores in the place of them, where they are above 0.

    The share of repeats is that of the user's purchases after the first basket whose item was bought before, shrunk to
    everybody's: (n + kappa p0) / (N + kappa), with p0 and kappa by moments (`recsys.maths.shrinkage`).

    With `median_gaps` (I,) in days, an item whose gap is longer than `window_days`, the time that slates are made for,
    is a durable: it is not due until its gap has passed since its last purchase.

    Raises:
        RecsysError: for purchases after `now`, a half-life or a window that is no number above 0, or arrays of other
            users and items.
    """
    moment = purchases.end if now is None else int(parse_moment("build_repeats: now", now))
    shape = (purchases.n_users, purchases.n_items)
    if len(purchases) and purchases.datetime.max() > moment:
        late = int((purchases.datetime > moment).sum())
        shown = np.datetime64(moment, "s")
        raise RecsysError(f"build_repeats: {late:,} purchases are after now, {shown}, expected none")
    last = _find_last_purchases(purchases)
    if probabilities is None:
        scores = _score_frequency(purchases, last, moment, half_life)
    else:
        check_matrix("build_repeats: probabilities", probabilities, shape)
        bought = Csr((np.ones(last.nnz), last.indices, last.indptr), shape=shape)
        scores = Csr(bought.multiply(probabilities)).astype(np.float32)
        scores.eliminate_zeros()
        scores.sort_indices()
    shares, prior = estimate_repeat_shares(purchases)
    return RepeatHistories(scores, shares, _find_due_times(last, median_gaps, window_days), prior, moment)


def estimate_repeat_shares(purchases: Purchases) -> tuple[Doubles, float]:
    """Return the share of repeats among what each user buys, (U,), shrunk to everybody's, and everybody's.

    Counted are purchases after a user's first basket: in the first one there is nothing to repeat.
    """
    place, _ = number_baskets(purchases)
    counted = place > 0
    again = counted & find_repeats(purchases)
    n_again, n = (np.bincount(purchases.user[rows], minlength=purchases.n_users) for rows in (again, counted))
    prior, kappa = fit_beta_binomial(n_again, n)
    return shrink_rates(n_again, n, prior, kappa), prior


def find_repeats(purchases: Purchases) -> Bools:
    """Return of each purchase whether its user had bought the item before, (R,)."""
    order = purchases.sort_by_pair()
    pairs = purchases.pairs[order]
    again = np.zeros(len(pairs), dtype=bool)
    again[order[1:]] = pairs[1:] == pairs[:-1]
    return again


def _find_last_purchases(purchases: Purchases) -> Csr:
    """Return the moment of the last purchase of each pair, (U, I) float64."""
    order = purchases.sort_by_pair()
    pairs = purchases.pairs[order]
    ends = order[np.append(pairs[1:] != pairs[:-1], np.ones(min(len(pairs), 1), dtype=bool))]
    user = purchases.user[ends]
    pointers = np.searchsorted(user, np.arange(purchases.n_users + 1)).astype(np.int32)
    times = purchases.datetime[ends].astype(np.float64)
    return Csr((times, purchases.item[ends], pointers), shape=(purchases.n_users, purchases.n_items))


def _score_frequency(purchases: Purchases, last: Csr, now: int, half_life: float | None) -> Csr:
    """Return the purchases of each pair, weighed by age, plus up to a thousandth for how lately the last one was."""
    weights = None
    if half_life is not None:
        days = check_number("build_repeats: half_life", half_life, above=0.0)
        ages = (now - purchases.datetime) / (days * SECONDS_PER_DAY)
        weights = np.exp2(-np.minimum(ages, _MAX_HALVINGS))
    counts = count_purchases(purchases, weights)
    first = float(purchases.datetime.min()) if len(purchases) else 0.0
    lately = (last.data - first) / max(now - first, 1.0)
    return Csr(
        ((counts.data * (1.0 + 1e-3 * lately)).astype(np.float32), counts.indices, counts.indptr), shape=last.shape
    )


def _find_due_times(last: Csr, median_gaps: Doubles | None, window_days: float | None) -> Csr:
    """Return from when each durable of a user is due, (U, I) seconds since 1970; nothing without gaps."""
    if median_gaps is None:
        return Csr(last.shape, dtype=np.float64)
    check_array("build_repeats: median_gaps", median_gaps, (last.shape[1],), "f")
    window = check_number("build_repeats: window_days", window_days, above=0.0)
    gaps = np.asarray(median_gaps, dtype=np.float64)[last.indices]
    durable = gaps > window
    due = last.data + np.minimum(gaps, _MAX_GAP_DAYS) * SECONDS_PER_DAY
    before = np.concatenate([[0], np.cumsum(durable)])[last.indptr].astype(np.int32)
    return Csr((due[durable], last.indices[durable], before), shape=last.shape)
