"""Summaries of a pool for each region of several maps."""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Doubles, Ints


@compile_kernel(fastmath=False)
def sum_best_per_region(items: Ints, values: Doubles, regions: Ints, top_m: int, total: Doubles) -> None:
    """Add the values of the first `top_m` candidates of each region to `total` (U, Z), Z over all maps end to end.

    `items` (U, N) are candidates, best first, -1 = none, `values` (U, N) those of each; `regions` (I, M) is the
    region of each item in each map, counted over all maps end to end, Z = none.
    """
    counted = np.zeros(total.shape[1], dtype=np.int64)
    for u in range(len(items)):
        counted[:] = 0
        for n in range(items.shape[1]):
            if items[u, n] < 0:
                continue
            for m in range(regions.shape[1]):
                z = regions[items[u, n], m]
                if z < total.shape[1] and counted[z] < top_m:
                    counted[z] += 1
                    total[u, z] += values[u, n]
