"""Discovery value: a like counts more, the further it lies from where the user has been."""

import numpy as np

from recsys.maths.platt import softmax
from recsys.objectives._pool_arrays import mark_present
from recsys.objectives._score_transforms import (
    SCORE_TRANSFORMS,
    check_score_transform,
    compute_like_probabilities,
    transform_scores,
)
from recsys.objectives._unexplored import sum_unexplored
from recsys.types import Modular, Pool
from recsys.types.numbers import check_number

VALUE_TRANSFORMS = ("auto", "softmax", *SCORE_TRANSFORMS)


def discovery_value(
    pool: Pool,
    k: int,
    *,
    exploration: float = 1.0,
    distance_share: float = 0.5,
    space: str = "cooccurrence",
    prior_strength: float = 5.0,
    score_transform: str = "auto",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Modular:
    """Return p (1 + exploration u): how likely a like is, times what it counts; the base in the place of `relevance`.

    u, in [0, 1], is how far a candidate lies from where the user has been, as in `unexplored`. A like where the user
    has been counts 1, one that is wholly unexplored counts 1 + `exploration`: the k candidates of the largest value are
    the slate that maximises likes + exploration * unexplored likes in expectation. With `exploration` 0 the order is
    the pool's, exactly. A user without history is at distance 1 from everything, so that the order is the pool's too,
    but for regions that the user declined.

    p is the probability of the learned likelihood that ordered the pool (`recsys.apply_likelihood`): of kind "softmax"
    that a like of the user's is this candidate, of kind "logistic" that it is liked. Where no likelihood did, and for
    users without history, whose scores a likelihood leaves as they are, p is the score within the range of the user's
    pool. `score_transform` other than "auto" says p for all: "softmax" is exp(score) over its sum, for scores that are
    log-probabilities; "range", "rank", "probability" and "posterior" are as for `relevance`.

    Args:
        exploration: How much more a like counts that is wholly unexplored, from 0 up.

    :Formula: p(n) (1 + exploration u(n))
    :Range: [0, 1 + exploration]
    :More: likely items, and the more so the further they are from the history
    :Cost: U N (M + h d), M maps, h history
    :Source: this project

    Raises:
        RecsysError: for an invalid setting, or a pool without history, maps or what the space is made of.
    """
    exploration = check_number("discovery_value: exploration", exploration)
    check_score_transform(score_transform, platt_slope, platt_offset, VALUE_TRANSFORMS, "discovery_value")
    total, maps = sum_unexplored(pool, prior_strength, distance_share, space, "discovery_value")
    if score_transform == "auto":
        likely = compute_like_probabilities(pool, "discovery_value")
    elif score_transform == "softmax":
        likely = softmax(pool.scores.astype(np.float64), mark_present(pool))
    else:
        likely = transform_scores(pool, score_transform, platt_slope, platt_offset, "discovery_value")
    return Modular((likely * (1.0 + exploration * total / maps)).astype(np.float32))
