"""What the model is unsure about: the posterior of the user's factor, given the item factors."""

import numpy as np
import scipy

from recsys import seeds
from recsys.objectives._candidates import rows
from recsys.objectives._worths import deviations, roots
from recsys.types import Modular, Pool


def ucb(pool: Pool, k: int) -> Modular:
    """Return the posterior standard deviation of each candidate's score, sqrt(y' A^-1 y), in units of noise.

    relevance + beta * ucb is the upper confidence bound (LinUCB, Li et al. 2010). A is the matrix of the normal
    equations that the user's factor solves (`recsys.types.Factors`): every cell without an interaction counts
    as evidence, so the deviations are too small by a common factor, which the weight absorbs.
    """
    return Modular(deviations(pool, "ucb").astype(np.float32))


def thompson(pool: Pool, k: int, *, seed: int = 0) -> Modular:
    """Return y'(w - x) for one draw w per user from N(x, A^-1), x the user's factor: one coherent whim per slate.

    relevance + sigma * thompson, unscaled, is Thompson sampling with noise sigma. Draws depend on the seed and
    the user alone; the policy has no closed-form propensity.
    """
    items = pool.context.need_factors("thompson").item_factors
    whims = seeds.normals(seed + pool.context.seed, "thompson", pool.users[:, None], np.arange(items.shape[1]))
    gains = [
        items[at] @ scipy.linalg.solve_triangular(lower, z, lower=True, trans="T")
        for lower, at, z in zip(roots(pool, "thompson"), rows(pool), whims, strict=True)
    ]
    return Modular(np.array(gains, np.float32).reshape(pool.items.shape))
