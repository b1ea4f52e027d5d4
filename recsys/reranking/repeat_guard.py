"""The guard of repeats: slots for what was bought before and is due, and none of it anywhere else."""

from functools import partial

import numpy as np

from recsys.maths.repeat_slots import count_repeat_slots, pick_repeats
from recsys.types import Context, Guard, Pool, Rule
from recsys.types.arrays import Csr, Longs, unite_matrices
from recsys.types.numbers import check_number


def repeat(share: float | None = None) -> Guard:
    """Return the guard that keeps the first slots for what a user bought before, and the others for what is new.

    Of k slots, the user's share of repeats times k, rounded, show the items that call for it most
    (`RepeatHistories.scores`) among the candidates that are due; what is owned and not due stands nowhere. All other
    slots show nothing that was met, whatever the pool holds: objectives fill these alone. `share` is one for everybody
    in the place of each user's own. It is asked of what users may buy again (`recsys.evidence.build_repeats`); who has
    no such items, or is new, has slots for what is new alone.

    Raises:
        RecsysError: for a share that is none; where it is used, for a pool that does not know what was bought before.
    """
    if share is not None:
        share = check_number("repeat: share", share, most=1.0, noun="a share")
    settings = {} if share is None else {"share": share}
    return Guard("repeat", partial(_make_repeat_rule, share), {"repeat": settings})


def _make_repeat_rule(share: float | None, pool: Pool, k: int) -> Rule:
    repeats = pool.context.need_repeats("repeat").take_users(pool.users)
    now = find_moment(pool.context)
    shares = repeats.shares if share is None else np.full(len(pool.users), share)
    pins = np.full((len(pool.users), k), -1, dtype=np.int64)
    picked = pick_repeats(repeats.find_due(now), pool.items, count_repeat_slots(shares, k))
    pins[:, : picked.shape[1]] = picked
    met = unite_matrices(Csr(pool.context.need_seen("repeat")[pool.users]), repeats.find_held_back(now))
    return Rule(pins=pins, excluded_pairs=_leave_out(met, pins))


def find_moment(context: Context) -> int | None:
    """Return the moment that slates are made for, where what was shown says it; None: that of the repeats."""
    return context.exposures.now if context.exposures is not None and context.exposures.now else None


def _leave_out(met: Csr, pins: Longs) -> Csr:
    """Return the entries of a matrix (U, I) that are not among the items of `pins` (U, k)."""
    rows = np.repeat(np.arange(met.shape[0], dtype=np.int64), np.diff(met.indptr))
    pinned = (np.arange(len(pins))[:, None] * met.shape[1] + pins)[pins >= 0]
    kept = ~np.isin(rows * met.shape[1] + met.indices, pinned)
    pointers = np.concatenate([[0], np.cumsum(kept)])[met.indptr].astype(np.int32)
    return Csr((met.data[kept], met.indices[kept], pointers), shape=met.shape)
