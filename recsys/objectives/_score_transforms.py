"""Transforms of scores to [0, 1]: by the place in the pool, or as the probability of a like."""

import numpy as np
import scipy

from recsys.maths.fold_in import cholesky_factor
from recsys.maths.platt import logistic, softmax
from recsys.objectives._pool_arrays import compute_plausibility, get_item_codes, mark_present
from recsys.objectives.derived_tables import get_factor_gram
from recsys.types import Pool, RecsysError, make_unknown_name_error
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_number

PLATT_TRANSFORMS = ("probability", "posterior")
SCORE_TRANSFORMS = ("range", "rank", *PLATT_TRANSFORMS)


def check_score_transform(
    score_transform: str, platt_slope: float, platt_offset: float, known: tuple[str, ...], who: str
) -> None:
    """Refuse an unknown form of a score, a probability without a curve, and a curve with another form."""
    if score_transform not in known:
        raise make_unknown_name_error("score_transform", score_transform, known, where=who)
    platt_slope = check_number(f"{who}: platt_slope", platt_slope, -np.inf)
    platt_offset = check_number(f"{who}: platt_offset", platt_offset, -np.inf)
    if score_transform not in PLATT_TRANSFORMS and (platt_slope or platt_offset):
        found = (
            f"{who}: platt_slope {platt_slope} and platt_offset {platt_offset} with score_transform '{score_transform}'"
        )
        raise RecsysError(f"{found}, expected score_transform {' or '.join(PLATT_TRANSFORMS)}")
    if score_transform in PLATT_TRANSFORMS and platt_slope <= 0:
        found = f"{who}: platt_slope is {platt_slope} and platt_offset {platt_offset}"
        raise RecsysError(
            f"{found}, expected a platt_slope above 0: "
            "recsys.retrieval.score_calibration.fit_like_probability fits both"
        )


def transform_scores(pool: Pool, score_transform: str, platt_slope: float, platt_offset: float, who: str) -> Doubles:
    """Return each candidate's score on [0, 1], (U, N), 0 where there is no candidate.

    "range" is `compute_plausibility`; "rank" is 1 - (r - 1) / n for the r-th of a user's n candidates; "probability" is
    logistic(platt_slope score + platt_offset), with what `recsys.retrieval.score_calibration.fit_like_probability`
    returns; "posterior" is Phi((platt_slope score + platt_offset) / sqrt(v + 1)), v the posterior variance of the score
    in units of noise (`compute_score_deviations`): what the model is unsure about is nearer to 1/2.

    Raises:
        RecsysError: as `check_score_transform` does, and for "posterior" if the pool has no factors.
    """
    check_score_transform(score_transform, platt_slope, platt_offset, SCORE_TRANSFORMS, who)

    def curve() -> Doubles:
        return platt_slope * pool.scores.astype(np.float64) + platt_offset

    makers = {
        "range": lambda: compute_plausibility(pool),
        "rank": lambda: 1.0 - np.arange(pool.items.shape[1]) / np.maximum(pool.lengths, 1)[:, None],
        "probability": lambda: logistic(curve()),
        "posterior": lambda: scipy.special.ndtr(curve() / np.sqrt(compute_score_deviations(pool, who) ** 2 + 1.0)),
    }
    return np.where(mark_present(pool), makers[score_transform](), 0.0)


def compute_like_probabilities(pool: Pool, who: str) -> Doubles:
    """Return how likely each candidate is liked, (U, N), 0 where there is none, by where its score is from.

    That is the learned likelihood's probability; without one, and for users without history, "range".

    Raises:
        RecsysError: for a pool of a likelihood without histories.
    """
    base = transform_scores(pool, "range", 0.0, 0.0, who)
    if not pool.likelihood_kind:
        return base
    there, scores = mark_present(pool), pool.scores.astype(np.float64)
    learned = softmax(scores, there) if pool.likelihood_kind == "softmax" else np.where(there, logistic(scores), 0.0)
    has_history = np.diff(pool.context.need_train(who).indptr)[pool.users] > 0
    return np.where(has_history[:, None], learned, base)


def get_cholesky_factors(pool: Pool, who: str) -> list[Doubles]:
    """Return the lower Cholesky factor of the matrix that each user's factor solves, (d, d)."""
    context = pool.context
    factors, train = context.need_factors(who), context.need_weighted_train(who)
    common = get_factor_gram(context, who)
    return [cholesky_factor(factors, common, train, int(user), context.dislikes) for user in pool.users]


def compute_score_deviations(pool: Pool, who: str) -> Doubles:
    """Return the posterior standard deviation of each candidate's score, (U, N), in units of noise."""
    items = pool.context.need_factors(who).item_factors
    spread = [
        np.linalg.norm(scipy.linalg.solve_triangular(lower, items[at].T, lower=True), axis=0)
        for lower, at in zip(get_cholesky_factors(pool, who), get_item_codes(pool), strict=True)
    ]
    return np.array(spread, np.float64).reshape(pool.items.shape)
