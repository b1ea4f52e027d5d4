"""Stochastic gradient ascent of one user's factor, the item factors fixed."""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Doubles, Ints


@compile_kernel(fastmath=False)
def ascend_user_factor(
    user: Doubles,
    items: Doubles,
    biases: Doubles,
    liked: Ints,
    other: Ints,
    rate: float,
    regularization: float,
) -> Doubles:
    """Return the mean factor (d,) over the second half of the steps from `user` (d,), one for each pair of items.

    A step adds rate (sigma(-s) (y_i - y_j) - regularization x), s = x . (y_i - y_j) + b_i - b_j the margin of the
    liked item i over the other item j (Rendle et al. 2009).
    """
    factor, mean = user.copy(), np.zeros_like(user)
    half = len(liked) // 2
    for t in range(len(liked)):
        i, j = liked[t], other[t]
        margin = biases[i] - biases[j]
        for f in range(len(factor)):
            margin += factor[f] * (items[i, f] - items[j, f])
        pull = 1.0 / (1.0 + np.exp(margin))
        for f in range(len(factor)):
            factor[f] += rate * (pull * (items[i, f] - items[j, f]) - regularization * factor[f])
            if t >= half:
                mean[f] += factor[f] / (len(liked) - half)
    return mean
