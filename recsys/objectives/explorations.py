"""Exploration: the uncertainty of the user's factor, given the item factors."""

from typing import Literal

import numpy as np
import scipy

from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives._score_transforms import compute_score_deviations, get_cholesky_factors
from recsys.support import rng
from recsys.types import Modular, Pool, make_unknown_name_error
from recsys.types.numbers import check_int

DRAWS_PER = ("slate", "slot")


def ucb(pool: Pool, k: int) -> Modular:
    """Return the posterior standard deviation of each candidate's score, sqrt(y' A^-1 y), in units of noise.

    relevance + beta * ucb is the upper confidence bound (LinUCB, Li et al. 2010). A is the matrix of the normal
    equations that the user's factor solves (`recsys.types.Factors`): every cell without an interaction counts
    as evidence, so the deviations are too small by a common factor, which the weight absorbs.

    :Formula: sqrt(y' A^-1 y)
    :Range: [0, inf)
    :More: what the model is unsure about
    :Cost: U (d^3 + (h + N) d^2), h history
    :Source: Li et al. 2010
    """
    return Modular(compute_score_deviations(pool, "ucb").astype(np.float32))


def thompson(pool: Pool, k: int, *, seed: int = 0, per: Literal["slate", "slot"] = "slate") -> Modular:
    """Return y'(w - x) for draws w from N(x, A^-1), x the user's factor: one whim per slate, or one for each slot.

    relevance + sigma * thompson, unscaled, is Thompson sampling with noise sigma. With `per="slate"` a slate is
    coherent: all of it follows one w. With `per="slot"` each pick follows a w of its own, which is more varied. Draws
    depend on the seed, the user and, there, the slot alone; the policy has no closed-form propensity.

    Args:
        per: "slate" draws one taste for all picks, "slot" one for each.

    :Formula: y'(w - x), w drawn from N(x, A^-1)
    :Range: (-inf, inf)
    :More: what a draw of the user's taste likes
    :Cost: U (d^3 + h d^2 + N d), h history; per slot k times the last
    :Source: Thompson 1933

    Raises:
        RecsysError: for another `per`, or a pool whose scores come from no factor model.
    """
    if per not in DRAWS_PER:
        raise make_unknown_name_error("per", per, DRAWS_PER, where="thompson")
    seed = check_int("thompson: seed", seed)
    items = pool.context.need_factors("thompson").item_factors
    user, part = pool.draw_keys[:, None, None], np.arange(items.shape[1])[:, None]
    slots = np.arange(k if per == "slot" else 1)
    keys = (user, part, slots) if per == "slot" else (user, part)
    whims = rng.draw_normals(seed + pool.context.seed, "thompson", *keys)
    gains = [
        scipy.linalg.solve_triangular(lower, z, lower=True, trans="T").T @ items[at].T
        for lower, at, z in zip(get_cholesky_factors(pool, "thompson"), get_item_codes(pool), whims, strict=True)
    ]
    drawn = np.array(gains, np.float32).reshape(len(pool.users), len(slots), pool.items.shape[1])
    return Modular(drawn if per == "slot" else drawn[:, 0])
