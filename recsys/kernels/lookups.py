"""Items of slates looked up, user by user: which are shown twice, and which are held-out positives.

A table of items says where each was last seen; places only grow, so nothing is cleared from user to user.
"""

from recsys.kernels.compiled import compiled
from recsys.types.arrays import Ints, Longs


@compiled(fastmath=False)
def repeated(slates: Ints, seen: Longs) -> int:
    """Return the first row of `slates` (U, K) with an item twice, -1 if none has; `seen` (I,) is 0, and is lost."""
    for u in range(len(slates)):
        for r in range(slates.shape[1]):
            item = slates[u, r]
            if item >= 0:
                if seen[item] == u + 1:
                    return u
                seen[item] = u + 1
    return -1


@compiled(fastmath=False)
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
