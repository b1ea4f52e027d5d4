"""Summaries of a pool for each region of several maps."""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Doubles, Ints, Longs


@compile_kernel(fastmath=False)
def sum_best_per_region(items: Ints, values: Doubles, region: Ints, starts: Longs, top_m: int, total: Doubles) -> None:
    """Add the values of the first `top_m` candidates of each region to `total` (U, Z), Z over all maps end to end.

    `items` (U, N) are candidates, best first, -1 = none, `values` (U, N) those of each; `region` (M, I) is the
    region of each item in each map, -1 = none, counted within the map, and `starts` (M,) each map's first column.
    """
    counted = np.zeros(total.shape[1], dtype=np.int64)
    for u in range(len(items)):
        counted[:] = 0
        for n in range(items.shape[1]):
            if items[u, n] < 0:
                continue
            for m in range(len(region)):
                place = region[m, items[u, n]]
                if place < 0:
                    continue
                z = starts[m] + place
                if counted[z] < top_m:
                    counted[z] += 1
                    total[u, z] += values[u, n]
