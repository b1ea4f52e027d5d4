"""What the user would like and is far from all that they met."""

import numpy as np

from recsys.maths import nearest_in_profile
from recsys.objectives._candidates import plausibility, rows, vectors
from recsys.types import Modular, Pool


def serendipity(pool: Pool, k: int, *, space: str = "cooccurrence") -> Modular:
    """Return plausibility * (1 - the largest similarity to the user's history), each in [0, 1].

    Plausibility is the score within the user's pool; a user without history is near nothing.
    """
    train = pool.context.need_train("serendipity")
    near = nearest_in_profile(vectors(pool.context, space, "serendipity"), train, pool.users, rows(pool))
    return Modular((plausibility(pool) * (1.0 - near)).astype(np.float32))
