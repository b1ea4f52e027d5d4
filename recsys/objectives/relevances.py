"""What the user would like, according to the model; and the control that knows nothing."""

import numpy as np

from recsys import seeds
from recsys.objectives._candidates import rows
from recsys.objectives._worths import FORMS, check_form, worth
from recsys.types import Modular, Pool


def relevance(pool: Pool, k: int, *, form: str = "score", slope: float = 0.0, offset: float = 0.0) -> Modular:
    """Return the model's score of each candidate, or with `form` what the score is worth on [0, 1].

    "score" is the score as it is; "range" is (s - min) / (max - min) over the user's pool, 1 where all are equal;
    "rank" is 1 - (r - 1) / n for the r-th of n candidates, ties in the pool's order; "probability" is that of a like,
    1 / (1 + exp(-(slope s + offset))) (Platt 1999), with constants that `recsys.likes.fit_likes` fits to likes held
    out for choosing; "posterior" is the same with the uncertainty of the user's factor in it (`negative_space`). Each
    form but the last gives the pool's order alone: forms differ in what relevance is worth beside another objective.

    :Formula: s(u, n), or with `form` what it is worth
    :Range: (-inf, inf)
    :More: what the model scores highest
    :Cost: U N
    :Source: the model; for probability Platt 1999

    Raises:
        RecsysError: for an unknown form, a probability without a slope above 0, or a slope with another form.
    """
    check_form(form, slope, offset, ("score", *FORMS), "relevance")
    if form == "score":
        return Modular(pool.scores)
    return Modular(worth(pool, form, slope, offset, "relevance").astype(np.float32))


def noise(pool: Pool, k: int, *, seed: int = 0) -> Modular:
    """Return a standard normal number per user and item: the control that every other gain is held against.

    :Formula: z(u, n), standard normal
    :Range: (-inf, inf)
    :More: nothing: it forgets the order
    :Cost: U N
    :Source: this project
    """
    drawn = seeds.normals(seed + pool.context.seed, "noise", pool.keys[:, None], rows(pool))
    return Modular(drawn.astype(np.float32))
