"""What the user would like, according to the model; and the control that knows nothing."""

import numpy as np

from recsys import seeds
from recsys.objectives._candidates import rows
from recsys.types import Modular, Pool


def relevance(pool: Pool, k: int) -> Modular:
    """Return the model's score of each candidate."""
    return Modular(pool.scores)


def noise(pool: Pool, k: int, *, seed: int = 0) -> Modular:
    """Return a standard normal number per user and item: the control that every other gain is held against."""
    drawn = seeds.normals(seed + pool.context.seed, "noise", pool.users[:, None], rows(pool))
    return Modular(drawn.astype(np.float32))
