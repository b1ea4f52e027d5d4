"""What the model is unsure about: the posterior of the user's factor, given the item factors."""

import numpy as np
import scipy

from recsys import seeds
from recsys.maths import gram, root
from recsys.objectives._candidates import rows
from recsys.types import Factors, Modular, Pool
from recsys.types.arrays import Csr, Doubles


def ucb(pool: Pool, k: int) -> Modular:
    """Return the posterior standard deviation of each candidate's score, sqrt(y' A^-1 y), in units of noise.

    relevance + beta * ucb is the upper confidence bound (LinUCB, Li et al. 2010). A is the matrix of the normal
    equations that the user's factor solves (`recsys.types.Factors`): every cell without an interaction counts
    as evidence, so the deviations are too small by a common factor, which the weight absorbs.
    """
    factors = pool.context.need_factors("ucb")
    train = pool.context.need_train("ucb")
    spread = [
        np.linalg.norm(scipy.linalg.solve_triangular(root, factors.item_factors[at].T, lower=True), axis=0)
        for root, at in zip(_roots(factors, train, pool), rows(pool), strict=True)
    ]
    return Modular(np.array(spread, np.float32).reshape(pool.items.shape))


def thompson(pool: Pool, k: int, *, seed: int = 0) -> Modular:
    """Return y'(w - x) for one draw w per user from N(x, A^-1), x the user's factor: one coherent whim per slate.

    relevance + sigma * thompson, unscaled, is Thompson sampling with noise sigma. Draws depend on the seed and
    the user alone; the policy has no closed-form propensity.
    """
    factors = pool.context.need_factors("thompson")
    train = pool.context.need_train("thompson")
    d = factors.item_factors.shape[1]
    whims = seeds.normals(seed + pool.context.seed, "thompson", pool.users[:, None], np.arange(d))
    gains = [
        factors.item_factors[at] @ scipy.linalg.solve_triangular(root, z, lower=True, trans="T")
        for root, at, z in zip(_roots(factors, train, pool), rows(pool), whims, strict=True)
    ]
    return Modular(np.array(gains, np.float32).reshape(pool.items.shape))


def _roots(factors: Factors, train: Csr, pool: Pool) -> list[Doubles]:
    """Return the lower Cholesky factor of each user's A, (d, d)."""
    context = pool.context
    common = context.tables.get("gram", lambda: gram(factors))
    return [root(factors, common, train, int(user), context.dislikes) for user in pool.users]
