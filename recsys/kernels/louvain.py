"""Moves of nodes between communities of a graph: the inner loop of the Louvain method."""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Doubles, Longs


@compile_kernel(fastmath=False)
def move_nodes(
    starts: Longs, ends: Longs, weights: Doubles, degrees: Doubles, order: Longs, half_total: float, squared: float,
    resolution: float, community: Longs,
) -> bool:  # fmt: skip
    """Move each node to the community of a neighbour that gains the most modularity, until none moves.

    Nodes are visited by `order` (N,), their links are `ends[starts[u] : starts[u + 1]]` without loops, `degrees` (N,)
    the sums of their weights, loops twice. `half_total` is half the sum of degrees, `squared` two times its square.
    `community` (N,) is 0 to N - 1 and is changed in place; of equal gains the neighbour that comes first wins. Returns
    whether any node has moved. Gains are summed in the order of networkx, so that they are equal to the last bit.
    """
    total, linked = degrees.copy(), np.zeros(len(degrees))
    met, is_met = np.empty(len(degrees), np.int64), np.zeros(len(degrees), np.bool_)
    improved, moved = False, True
    while moved:
        moved = False
        for u in order:
            own, n = community[u], 0
            for p in range(starts[u], starts[u + 1] + 1):
                if p == starts[u + 1]:
                    c, weight = own, 0.0  # a node without links to its own community looks at it last
                else:
                    c, weight = community[ends[p]], weights[p]
                if not is_met[c]:
                    is_met[c], linked[c], met[n] = True, 0.0, c
                    n += 1
                linked[c] += weight
            total[own] -= degrees[u]
            cost = -linked[own] / half_total + resolution * (total[own] * degrees[u]) / squared
            best, most = own, 0.0
            for c in met[:n]:
                gain = cost + linked[c] / half_total - resolution * (total[c] * degrees[u]) / squared
                if gain > most:
                    best, most = c, gain
                is_met[c] = False
            total[best] += degrees[u]
            community[u] = best
            moved = moved or best != own
        improved = improved or moved
    return improved
