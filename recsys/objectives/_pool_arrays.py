"""Arrays of a pool's candidates that several objectives need, and those of one's own: (U, N), or (M, U, N) by map."""

import numpy as np

from recsys.types import Pool
from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs


def get_item_codes(pool: Pool) -> Longs:
    """Return the item code of each candidate, (U, N), with 0 where there is none."""
    return np.maximum(pool.items, 0).astype(np.int64)


def get_item_rows(pool: Pool) -> Ints:
    """Return `get_item_codes` in 32 bits, as the kernel reads rows: the pool's own items if no candidate is lacking."""
    return np.maximum(pool.items, 0) if pool.items.min(initial=0) < 0 else pool.items


def mark_present(pool: Pool) -> Bools:
    """Return where there is a candidate, (U, N)."""
    return np.asarray(pool.items >= 0)


def get_candidate_regions(pool: Pool) -> Longs:
    """Return the region of each candidate on each of the M own maps, (M, U, N), -1 where a map does not have it.

    Raises:
        RecsysError: for a pool without maps.
    """
    codes, here = get_item_codes(pool), mark_present(pool)
    maps = pool.context.need_maps()
    return np.stack([np.where(here, m.hard_regions[codes], -1) for m in maps]).astype(np.int64)


def get_histories(pool: Pool, needed_by: str) -> Csr:
    """Return the training positives of each user of the pool, (U, I) 0/1, in the pool's order.

    Raises:
        RecsysError: for a pool without histories, naming the objective that needs them.
    """
    return Csr(pool.context.need_train(needed_by)[pool.users])


def compute_plausibility(pool: Pool) -> Doubles:
    """Return each candidate's score on [0, 1] within its user's pool, (U, N): 1 the best, 0 the last.

    A pool in which all scores are equal is plausible throughout: 1.
    """
    here, share = mark_present(pool), pool.scores.astype(np.float64)
    low = np.where(here, share, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(here, share, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    wide = high > low
    share -= np.where(wide, low, 0.0)
    share /= np.where(wide, high - low, 1.0)
    share[~wide.ravel()] = 1.0
    share[~here] = 0.0
    return share
