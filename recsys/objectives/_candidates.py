"""What several objectives need of a pool's candidates."""

import numpy as np
import scipy

from recsys.maths import cooccurrence_vectors, feature_vectors, gram, root, unit
from recsys.types import Context, Pool, RecsysError, unknown
from recsys.types.arrays import Bools, Doubles, Floats, Longs

SPACES = ("cooccurrence", "factors", "features")
BELIEFS = ("score", "posterior")


def rows(pool: Pool) -> Longs:
    """Return the item code of each candidate, (U, N), with 0 where there is none."""
    return np.maximum(pool.items, 0).astype(np.int64)


def present(pool: Pool) -> Bools:
    """Return where there is a candidate, (U, N)."""
    return np.asarray(pool.items >= 0)


def plausibility(pool: Pool) -> Doubles:
    """Return each candidate's score on [0, 1] within its user's pool, (U, N): 1 the best, 0 the last.

    A pool in which all scores are equal is plausible throughout: 1.
    """
    here = present(pool)
    scores = pool.scores.astype(np.float64)
    low = np.where(here, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(here, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    width = np.where(high > low, high - low, 1.0)
    share = np.where(high > low, (scores - low) / width, 1.0)
    return np.where(here, share, 0.0)


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


def vectors(context: Context, space: str, who: str) -> Floats:
    """Return unit item vectors (I, d) of a named space, made once per context.

    Raises:
        RecsysError: if there is no such space, or the pool does not have what it is made of.
    """
    makers = {
        "cooccurrence": lambda: cooccurrence_vectors(context.need_train(who)),
        "factors": lambda: unit(context.need_factors(who).item_factors),
        "features": lambda: feature_vectors(context.need_items(who)),
    }
    if space not in makers:
        raise unknown("space", space, SPACES, where=who)
    return context.tables.get(f"vectors {space}", makers[space])


def check_strength(who: str, strength: float) -> None:
    """Refuse pseudo-observations that are none."""
    if not 0 < strength < np.inf:
        raise RecsysError(f"{who}: strength is {strength}, expected a number above 0")
