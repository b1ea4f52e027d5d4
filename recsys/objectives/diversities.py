"""Diversity: slates whose items differ from each other."""

from typing import Literal

import numpy as np

from recsys.objectives._pool_arrays import get_item_rows
from recsys.objectives.derived_tables import get_item_vectors, mark_zero_vectors
from recsys.types import Pool, Spread, Volume, check_choice
from recsys.types.numbers import check_int, check_number


def mmr(
    pool: Pool,
    k: int,
    *,
    space: str = "cooccurrence",
    agg: Literal["max", "mean", "sum"] = "max",
) -> Spread:
    """Return 1 - the largest similarity to the slate (MMR, Carbonell and Goldstein 1998); mean or sum with `agg`.

    `space` is "cooccurrence", "factors" or "features". The empty slate gives 0 to everyone.

    Args:
        agg: "max", "mean" or "sum": how the similarities to several picks become one.

    :Formula: 1 - max over j in S of cos(n, j)
    :Range: [0, 2]
    :More: picks unlike those before them
    :Cost: U N k d
    :Source: Carbonell and Goldstein 1998
    """
    check_choice("agg", agg, ("max", "mean", "sum"), where="mmr")
    return Spread(get_item_vectors(pool.context, space, "mmr"), get_item_rows(pool), agg)


def dpp(
    pool: Pool,
    k: int,
    *,
    space: str = "cooccurrence",
    ridge: float = 0.01,
    window: int | None = None,
) -> Volume:
    """Return the marginal log-determinant of a DPP's kernel (greedy MAP, Chen, Zhang and Zhou 2018).

    The kernel is K = (1 - ridge) V V' + ridge I on unit vectors; relevance is a term of its own. With `ridge` 0, what
    the slate spans (with more picks than dimensions: everything) has no volume, whose logarithm is -inf: a squared
    residual counts as 1e-6 at least, so that such picks take -13.8 each. An item without
    a vector is orthogonal to all others. `window` keeps only the last picks in the determinant: as many as are
    named, beside the candidate (the paper's window w counts the candidate too: `window` = w - 1).

    Args:
        ridge: Share of the identity in the kernel, from 0 to 1; above 0 no pick is without volume.
        window: How many of the last picks count; all by default.

    :Formula: log of the squared residual of n after projecting S out
    :Range: [log(1e-6), 0]
    :More: picks that no others together can replace
    :Cost: U N k (d + k)
    :Source: Chen, Zhang and Zhou 2018
    """
    ridge = check_number("dpp: ridge", ridge, most=1)
    window = None if window is None else check_int("dpp: window", window, 1)
    table = get_item_vectors(pool.context, space, "dpp")
    at = get_item_rows(pool)
    # A zero row would have K = ridge on the diagonal: its quality lifts that to 1, like everyone's.
    lone = mark_zero_vectors(pool.context, space, "dpp")
    lift = np.where(lone[at], 1.0 / np.sqrt(max(ridge, 1e-6)), 1.0).astype(np.float32) if lone.any() else None
    return Volume(table, at, "log", quality=lift, ridge=ridge, window=window)


def ssd(pool: Pool, k: int, *, space: str = "cooccurrence", window: int | None = None) -> Volume:
    """Return the length of each candidate's unit vector outside of the span of the slate, in [0, 1].

    The length of the residual after projecting out the last `window` picks, or all of them: what a pick multiplies
    the slate's volume by (SSD, Huang et al. 2021, whose gamma is the weight). `dpp` adds the logarithm of its
    square. Vectors are as they are in `space`, without the paper's appended constant; an item without one gives 0.

    Args:
        window: How many of the last picks count; all by default.

    :Formula: length of the residual of n after projecting S out
    :Range: [0, 1]
    :More: picks that no others together can replace
    :Cost: U N k (d + k)
    :Source: Huang et al. 2021

    Raises:
        RecsysError: if there is no such space, or the pool does not have what it is made of, or a window below 1.
    """
    window = None if window is None else check_int("ssd: window", window, 1)
    return Volume(get_item_vectors(pool.context, space, "ssd"), get_item_rows(pool), "norm", window=window)
