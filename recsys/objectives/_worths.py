"""What a score is worth on [0, 1]: by where it stands in the pool, or as the probability of a like."""

import numpy as np
import scipy

from recsys.maths import gram, logistic, root
from recsys.objectives._candidates import plausibility, present, rows
from recsys.types import Pool, RecsysError, unknown
from recsys.types.arrays import Doubles

CURVES = ("probability", "posterior")
FORMS = ("range", "rank", *CURVES)


def check_form(form: str, slope: float, offset: float, known: tuple[str, ...], who: str) -> None:
    """Refuse an unknown form of a score, a probability without a curve, and a curve with another form."""
    if form not in known:
        raise unknown("form", form, known, where=who)
    if form not in CURVES and (slope or offset):
        found = f"{who}: slope {slope} and offset {offset} with form '{form}'"
        raise RecsysError(f"{found}, expected form {' or '.join(CURVES)}")
    if form in CURVES and not (0 < slope < np.inf and np.isfinite(offset)):
        found = f"{who}: slope is {slope} and offset {offset}"
        raise RecsysError(f"{found}, expected a slope above 0 and a number: recsys.likes.fit_likes fits both")


def worth(pool: Pool, form: str, slope: float, offset: float, who: str) -> Doubles:
    """Return what each candidate's score is worth on [0, 1], (U, N), 0 where there is none.

    "range" is `plausibility`; "rank" is 1 - (r - 1) / n for the r-th of a user's n candidates; "probability" is
    logistic(slope score + offset), with what `recsys.likes.fit_likes` returns; "posterior" is
    Phi((slope score + offset) / sqrt(v + 1)), v the posterior variance of the score in units of noise
    (`deviations`): what the model is unsure about is nearer to 1/2.

    Raises:
        RecsysError: as `check_form` does, and for "posterior" if the pool has no factors.
    """
    check_form(form, slope, offset, FORMS, who)

    def curve() -> Doubles:
        return slope * pool.scores.astype(np.float64) + offset

    makers = {
        "range": lambda: plausibility(pool),
        "rank": lambda: 1.0 - np.arange(pool.items.shape[1]) / np.maximum(pool.lengths, 1)[:, None],
        "probability": lambda: logistic(curve()),
        "posterior": lambda: scipy.special.ndtr(curve() / np.sqrt(deviations(pool, who) ** 2 + 1.0)),
    }
    return np.where(present(pool), makers[form](), 0.0)


def roots(pool: Pool, who: str) -> list[Doubles]:
    """Return the lower Cholesky factor of the matrix that each user's factor solves, (d, d)."""
    context = pool.context
    factors, train = context.need_factors(who), context.need_train(who)
    common = context.everybody.tables.get("gram", lambda: gram(factors))
    return [root(factors, common, train, int(user), context.dislikes) for user in pool.users]


def deviations(pool: Pool, who: str) -> Doubles:
    """Return the posterior standard deviation of each candidate's score, (U, N), in units of noise."""
    items = pool.context.need_factors(who).item_factors
    spread = [
        np.linalg.norm(scipy.linalg.solve_triangular(lower, items[at].T, lower=True), axis=0)
        for lower, at in zip(roots(pool, who), rows(pool), strict=True)
    ]
    return np.array(spread, np.float64).reshape(pool.items.shape)
