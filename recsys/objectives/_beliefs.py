"""How much a factor model believes that a candidate would be liked, and how sure it is."""

import numpy as np
import scipy

from recsys.maths import gram, root
from recsys.objectives._candidates import plausibility, present, rows
from recsys.types import Pool, RecsysError
from recsys.types.arrays import Doubles

BELIEFS = ("score", "posterior")


def roots(pool: Pool, who: str) -> list[Doubles]:
    """Return the lower Cholesky factor of the matrix that each user's factor solves, (d, d)."""
    context = pool.context
    factors, train = context.need_factors(who), context.need_train(who)
    common = context.tables.get("gram", lambda: gram(factors))
    return [root(factors, common, train, int(user), context.dislikes) for user in pool.users]


def deviations(pool: Pool, who: str) -> Doubles:
    """Return the posterior standard deviation of each candidate's score, (U, N), in units of noise."""
    items = pool.context.need_factors(who).item_factors
    spread = [
        np.linalg.norm(scipy.linalg.solve_triangular(lower, items[at].T, lower=True), axis=0)
        for lower, at in zip(roots(pool, who), rows(pool), strict=True)
    ]
    return np.array(spread, np.float64).reshape(pool.items.shape)


def liking(pool: Pool, who: str, belief: str, threshold: float, noise: float) -> Doubles:
    """Return how much the model believes that each candidate would be liked, (U, N) in [0, 1].

    "score" is `plausibility`. "posterior" is P(like) = Phi((score - threshold) / sqrt(s^2 + noise^2)), s = `noise` *
    the posterior deviation of the score (`deviations`).

    Raises:
        RecsysError: if there is no such belief, for a threshold or a noise that cannot be meant, or a pool without
            factors.
    """
    if belief not in BELIEFS:
        raise RecsysError(f"{who}: belief is '{belief}', expected {' or '.join(BELIEFS)}")
    if belief == "score":
        return plausibility(pool)
    if not (np.isfinite(threshold) and 0 < noise < np.inf):
        raise RecsysError(
            f"{who}: threshold is {threshold} and noise is {noise}, expected a finite number and one above 0"
        )
    sure = (pool.scores - threshold) / (noise * np.sqrt(deviations(pool, who) ** 2 + 1.0))
    return np.where(present(pool), scipy.special.ndtr(sure), 0.0)
