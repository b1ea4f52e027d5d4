"""Complements: what is bought within some days after a purchase more often than after any other."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from recsys.maths.shrinkage import fit_beta_binomial, shrink_rates
from recsys.types.arrays import Anys, Csr, Doubles, Longs
from recsys.types.checks import check_array
from recsys.types.errors import RecsysError, check_choice
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import SECONDS_PER_DAY

_BLOCK = 4096  # baskets at a time


@dataclass(frozen=True, eq=False)
class Complements:
    """Lifts of G groups (items or categories) by the group that was bought before."""

    # (G, G) P(column within the window | row bought) / P(column | anything bought), where they were seen together
    lift: Csr
    kappa: Doubles  # (G,) how many baskets the base of each column is worth
    base: Doubles  # (G,) P(column within the window | anything bought)
    n_baskets: Longs  # (G,) baskets with the row whose window is known to its end


def measure_complements(purchases: Purchases, groups: Anys | None = None, window: float = 30.0) -> Complements:
    """Return how much likelier each group is bought in the `window` days after another one, (G, G).

    A basket is what a user bought at one moment; its window is what the same user buys later, within the days. Baskets
    whose window ends after what is known do not count. `groups` (I,) are codes of items from 0 on, -1 for none, such
    as categories; without them each item is one. P(c' within the window | c), of the n baskets with c, is shrunk to
    P(c') over all baskets, (x + kappa P(c')) / (n + kappa), kappa by moments for each c', so that one pair of
    purchases is no lift. Pairs that were never seen are not stored: their lift is kappa / (n + kappa).

    Raises:
        RecsysError: if no basket has a window that is known, or a setting is invalid.
    """
    seconds = round(check_number("complements: window", window, above=0) * SECONDS_PER_DAY)
    group, n_groups = _check_groups(groups, purchases.n_items)
    basket, user, when = _list_baskets(purchases)
    content = group[purchases.item]
    there = content >= 0
    holds = _mark(basket[there], content[there], (len(user), n_groups))
    first = np.flatnonzero(when + seconds < purchases.end)
    if not len(first):
        raise RecsysError(
            f"complements: no purchase is {window:g} days before the end of what is known, expected a shorter window"
        )
    end = _find_window_ends(user, when, seconds)
    together, after = sparse.csr_array((n_groups, n_groups)), np.zeros(n_groups)
    for start in range(0, len(first), _BLOCK):
        rows = first[start : start + _BLOCK]
        follows = _collect_windows(holds, rows, end)
        together = together + holds[rows].T @ follows
        after += np.asarray(follows.sum(axis=0)).ravel()
    n_baskets = np.asarray(holds[first].sum(axis=0)).ravel()
    return _divide(sparse.csc_array(together), after / len(first), n_baskets.astype(np.float64))


def _check_groups(groups: Anys | None, n_items: int) -> tuple[Anys, int]:
    if groups is None:
        return np.arange(n_items), n_items
    check_array("complements: groups", groups, (n_items,), "i")
    return groups, int(groups.max(initial=-1)) + 1


def _list_baskets(purchases: Purchases) -> tuple[Longs, Anys, Longs]:
    """Return the basket of each purchase, and user and moment of each basket; baskets stand by user, then time."""
    new = np.ones(len(purchases), dtype=bool)
    new[1:] = (np.diff(purchases.user) != 0) | (np.diff(purchases.datetime) != 0)
    return np.cumsum(new) - 1, purchases.user[new], purchases.datetime[new]


def _find_window_ends(user: Anys, when: Longs, seconds: int) -> Longs:
    """Return the basket after the last one in the window of each basket."""
    base = int(when.min(initial=0))
    width = int(when.max(initial=0)) - base + seconds + 2
    place = user.astype(np.int64) * width + when - base
    return np.searchsorted(place, place + seconds, side="right")


def _collect_windows(holds: Csr, rows: Longs, end: Longs) -> Csr:
    """Return which groups are bought in the window after each of these baskets: 1 where any is."""
    n = end[rows] - rows - 1
    pointers = np.concatenate([[0], np.cumsum(n)])
    later = np.arange(pointers[-1]) - np.repeat(pointers[:-1], n) + np.repeat(rows + 1, n)
    picks = sparse.csr_array((np.ones(len(later)), later, pointers), shape=(len(rows), holds.shape[0]))
    made = sparse.csr_array(picks @ holds)
    made.data[:] = 1.0
    return made


def _mark(row: Anys, column: Anys, shape: tuple[int, int]) -> Csr:
    made = sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)
    made.data[:] = 1.0
    return made


def _divide(together: "sparse.csc_array[np.float64]", base: Doubles, n_baskets: Doubles) -> Complements:
    kappa, n_groups = np.ones(len(base)), len(base)
    column = np.repeat(np.arange(n_groups), np.diff(together.indptr))
    for each in np.flatnonzero(np.diff(together.indptr)).tolist():
        seen = np.zeros(n_groups)
        rows = slice(*together.indptr[each : each + 2])
        seen[together.indices[rows]] = together.data[rows]
        kappa[each] = fit_beta_binomial(seen, n_baskets)[1]
    rate = shrink_rates(together.data, n_baskets[together.indices], base[column], kappa[column])
    lift = sparse.csc_array((rate / base[column], together.indices, together.indptr), shape=together.shape)
    return Complements(sparse.csr_array(lift), kappa, base, n_baskets.astype(np.int64))


def build_complements(
    purchases: Purchases,
    complements: Complements,
    *,
    share: float = 0.1,
    now: Any = None,
    window: float = 30.0,
    min_lift: float = 2.0,
    by: Literal["lift", "probability"] = "lift",
) -> RepeatHistories:
    """Return what goes with what the users of `purchases` bought lately, as the guard `repeat` keeps slots for it.

    The score of an item that a user has not bought is the largest lift after any of the items that the user bought in
    the `window` days before `now` (the end of the purchases without it), or with `by="probability"` the largest
    lift x base: P(item within the window | bought). Lifts below `min_lift` call for nothing. `complements` are those of
    items (`measure_complements` without groups). `share` is that of the slots, for everybody; a user who bought nothing
    lately, or nothing that anything goes with, has none.

    Raises:
        RecsysError: for purchases after `now`, complements of other items, or a setting that cannot be.
    """
    share = check_number("build_complements: share", share, most=1.0, noun="a share")
    least = check_number("build_complements: min_lift", min_lift, 0)
    seconds = round(check_number("build_complements: window", window, above=0) * SECONDS_PER_DAY)
    check_choice("by", by, ("lift", "probability"), where="build_complements")
    moment = purchases.end if now is None else int(parse_moment("build_complements: now", now))
    n_users, n_items = purchases.n_users, purchases.n_items
    if complements.lift.shape != (n_items, n_items):
        raise RecsysError(
            f"build_complements: complements are of {complements.lift.shape[0]:,} groups, expected {n_items:,} items"
        )
    if len(purchases) and purchases.datetime.max() > moment:
        late = int((purchases.datetime > moment).sum())
        shown = np.datetime64(moment, "s")
        raise RecsysError(f"build_complements: {late:,} purchases are after now, {shown}, expected none")
    worth = complements.lift.copy()
    worth.data = np.where(worth.data >= least, worth.data, 0.0)
    if by == "probability":
        worth.data *= complements.base[worth.indices]
    worth.eliminate_zeros()
    met = _mark(purchases.user, purchases.item, (n_users, n_items))
    recent = purchases.datetime > moment - seconds
    lately = _mark(purchases.user[recent], purchases.item[recent], (n_users, n_items))
    scores = _find_largest(lately, worth, met)
    shares = np.where(np.diff(scores.indptr) > 0, share, 0.0)
    return RepeatHistories(scores, shares, Csr((n_users, n_items), dtype=np.float64), 0.0, moment)


def _find_largest(lately: Csr, worth: Csr, met: Csr) -> Csr:
    """Return the largest value of the rows of `worth` that a user bought lately, for items the user has not met."""
    columns, values, sizes = [np.zeros(0, np.int32)], [np.zeros(0)], [0]
    for user in range(lately.shape[0]):
        own = lately.indices[lately.indptr[user] : lately.indptr[user + 1]]
        best = np.zeros(worth.shape[1])
        for row in own.tolist():
            part = slice(worth.indptr[row], worth.indptr[row + 1])
            best[worth.indices[part]] = np.maximum(best[worth.indices[part]], worth.data[part])
        best[met.indices[met.indptr[user] : met.indptr[user + 1]]] = 0.0
        there = np.flatnonzero(best)
        columns.append(there.astype(np.int32))
        values.append(best[there])
        sizes.append(len(there))
    pointers = np.cumsum(sizes).astype(np.int32)
    return Csr((np.concatenate(values).astype(np.float32), np.concatenate(columns), pointers), shape=lately.shape)
