"""Look-ups of items of slates and pools, user by user: duplicates, and held-out positives.

A table of items says where each was last seen; places only grow, so nothing is cleared from user to user.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Floats, Ints, Longs


@compile_kernel(fastmath=False)
def find_row_with_repeat(slates: Ints, seen: Longs) -> int:
    """Return the first row of `slates` (U, K) with an item twice, -1 if none has; `seen` (I,) is 0, and is lost."""
    for u in range(len(slates)):
        for r in range(slates.shape[1]):
            item = slates[u, r]
            if item >= 0:
                if seen[item] == u + 1:
                    return u
                seen[item] = u + 1
    return -1


@compile_kernel(fastmath=False)
def find_hits(
    slates: Ints, indptr: Ints | Longs, indices: Ints | Longs, seen: Longs, user: Longs, rank: Longs, place: Longs
) -> int:
    """Fill `user`, `rank` and `place` in `indices` with the picks (U, K) that are positives, and return their number.

    Rows `indptr` (U + 1,), `indices` are positives; `seen` (I,) is 0, and is lost. The others have room for every pick.
    """
    n = 0
    for u in range(len(slates)):
        first = indptr[u]
        for p in range(first, indptr[u + 1]):
            seen[indices[p]] = p + 1
        for r in range(slates.shape[1]):
            item = slates[u, r]
            if 0 <= item < len(seen) and seen[item] > first:
                user[n], rank[n], place[n] = u, r, seen[item] - 1
                n += 1
    return n


@compile_kernel(fastmath=False)
def find_invalid_row(items: Ints, scores: Floats, count: int, seen: Ints) -> int:
    """Return the first row of a pool (U, N) that is not one of candidates best first, -1 if there is none.

    A row has distinct codes from 0 to `count` - 1 with finite scores that never grow, then -1 to its end. `seen`
    (count,) is 0, and is lost.
    """
    for u in range(len(items)):
        last, end = np.float32(np.inf), False
        for n in range(items.shape[1]):
            item, score = items[u, n], scores[u, n]
            if item == -1:
                end = True
            elif end or item < 0 or item >= count or seen[item] == u + 1 or not np.isfinite(score) or score > last:
                return u
            else:
                seen[item] = u + 1
                last = score
    return -1
