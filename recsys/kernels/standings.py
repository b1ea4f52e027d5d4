"""What stands for whom, from cosines."""

import numpy as np

from recsys.kernels.compiled import compiled
from recsys.types.arrays import Floats, Ints


@compiled(fastmath=False)
def stand(near: Floats, columns: Ints) -> None:
    """Put the square of each cosine of `near` (U, N, T) in its place, 0 of one below 0, and its target into `columns`.

    The targets are the first T of the N candidates, and each stands wholly for itself, whatever the cosine.
    """
    users, n, targets = near.shape
    for u in range(users):
        for i in range(n):
            for t in range(targets):
                cosine = max(near[u, i, t], np.float32(0.0))
                near[u, i, t] = cosine * cosine
                columns[u, i, t] = t
        for t in range(targets):
            near[u, t, t] = 1.0
