"""Relevance: the model's score; and noise, as a control."""

import numpy as np

from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives._score_transforms import SCORE_TRANSFORMS, check_score_transform, transform_scores
from recsys.support import rng
from recsys.types import Modular, Pool
from recsys.types.numbers import check_int


def relevance(
    pool: Pool, k: int, *, score_transform: str = "score", platt_slope: float = 0.0, platt_offset: float = 0.0
) -> Modular:
    """Return the model's score of each candidate, or with `score_transform` its value on [0, 1].

    "score" is the score as it is; "range" is (s - min) / (max - min) over the user's pool, 1 where all are equal;
    "rank" is 1 - (r - 1) / n for the r-th of n candidates, ties in the pool's order; "probability" is that of a like, 1
    / (1 + exp(-(slope s + offset))) (Platt 1999), with constants that
    `recsys.retrieval.score_calibration.fit_like_probability` fits to likes held out for choosing; "posterior" is the
    same with the uncertainty of the user's factor in it (`negative_space`). Each form but the last gives the pool's
    order alone: forms differ in what relevance is worth beside another objective.

    :Formula: s(u, n), or with `score_transform` what it is worth
    :Range: (-inf, inf)
    :More: what the model scores highest
    :Cost: U N
    :Source: the model; for probability Platt 1999

    Raises:
        RecsysError: for an unknown form, a probability without a slope above 0, or a slope with another form.
    """
    check_score_transform(score_transform, platt_slope, platt_offset, ("score", *SCORE_TRANSFORMS), "relevance")
    if score_transform == "score":
        return Modular(pool.scores)
    return Modular(transform_scores(pool, score_transform, platt_slope, platt_offset, "relevance").astype(np.float32))


def noise(pool: Pool, k: int, *, seed: int = 0) -> Modular:
    """Return a standard normal number per user and item: the control that every other gain is held against.

    :Formula: z(u, n), standard normal
    :Range: (-inf, inf)
    :More: nothing: it forgets the order
    :Cost: U N
    :Source: this project
    """
    seed = check_int("noise: seed", seed)
    drawn = rng.draw_normals(seed + pool.context.seed, "noise", pool.draw_keys[:, None], get_item_codes(pool))
    return Modular(drawn.astype(np.float32))
