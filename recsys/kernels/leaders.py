"""The best of what each user's items have scored so far, stretch by stretch of the catalogue: exact, ties and all.

A user has room for more than the n best. A score goes in where it reaches the user's bound, which at least n scores of
earlier items, or of this stretch, reach; when the room is full, the bound is raised and what lies below it goes out.
Bounds are found by counting how many scores reach one, which takes vector instructions, and never by sorting. Serial,
outside the interpreter lock; scores are finite.
"""

import numpy as np

from recsys.kernels.compiled import compiled

PIECE = 2048  # scores looked through at once
GROUPS = 4  # of scores for each of the n best, whose peaks are the first to be counted
SPARE = 8  # room for a word of scores, before it is looked whether the room is full
# The product with a word, little-endian, that has one byte of 1 and else 0 has that byte's place in its highest byte.
PLACES = np.uint64(0x0001020304050607)

_compiled = compiled(fastmath=False)


@_compiled
def _score(place):
    """Return the float32 at a place in the order of all of them: that of their bits, but for the sign."""
    bits = np.int32(place)
    return np.int32(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)


def _place(score):
    bits = int(np.float32(score).view(np.int32))
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


LOWEST = _place(-3.0e38) + 1  # of scores above `recsys.maths.NEVER`
HIGHEST = _place(np.inf)


@_compiled
def _reach(scores, bound):
    reach = np.int32(0)
    for c in range(len(scores)):
        reach = np.int32(reach + np.int32(scores[c] >= bound))
    return reach


@_compiled
def _bound(scores, n, slack):
    """Return a score that n to n + `slack` of the scores reach, and how many do: more, if that many are equal.

    Where fewer than n are above NEVER, it is the lowest score above it.
    """
    low, high = LOWEST, HIGHEST
    reach = _reach(scores, _score(low))
    while reach > n + slack and high - low > 1:
        middle = (low + high) // 2
        there = _reach(scores, _score(middle))
        if there >= n:
            low, reach = middle, there
        else:
            high = middle
    return _score(low), reach


@_compiled
def _first_bound(scores, n, peaks):
    """Return what `_bound` does, from the `peaks` (G,) of groups of scores: a group's peak is one of its scores."""
    if len(scores) < 2 * len(peaks):
        return _bound(scores, n, n // 8)[0]
    peaks[:] = scores[: len(peaks)]
    for start in range(len(peaks), len(scores) - len(peaks) + 1, len(peaks)):
        group = scores[start : start + len(peaks)]
        for g in range(len(peaks)):
            peaks[g] = max(peaks[g], group[g])
    return _bound(peaks, n, n // 8)[0]


@_compiled
def _edge(found, items, bound, n, ties):
    """Return the place among equal scores up to which those equal to `bound` make n with what is above it."""
    low, high = -1, len(ties) - 1
    while high - low > 1:
        middle, reach = (low + high) // 2, 0
        for c in range(len(found)):
            reach += found[c] > bound or (found[c] == bound and ties[items[c]] <= middle)
        if reach >= n:
            high = middle
        else:
            low = middle
    return high


@_compiled
def _raise(found, items, count, n, slack, ties):
    """Keep the best n of `count`, or up to `slack` more; return how many, the bound, and the last place at it."""
    bound, reach = _bound(found[:count], n, slack)
    edge = len(ties)
    if reach > n + slack:
        edge = _edge(found[:count], items[:count], bound, n, ties)
    kept = 0
    for c in range(count):
        score, item = found[c], items[c]
        found[kept], items[kept] = score, item
        kept += score > bound or (score == bound and (edge == len(ties) or ties[item] <= edge))
    return kept, bound, edge


@_compiled
def lead(scores, at, first, n, ties, bounds, edges, counts, found, items):
    """Put into `found` and `items` (P, R) what may be among the n best of P users, R at least min(2 n, I) + SPARE.

    Scores (B, W) are those of the W items from `first` on; user p stands in row `at[p]`. `ties` (I,) orders equal
    scores. `bounds`, `edges` and `counts` (P,) are kept from stretch to stretch: at first NEVER, I and 0.
    """
    slack, full = n // 8, found.shape[1] - SPARE
    flags = np.empty(PIECE + SPARE, np.uint8)
    words, peaks = flags.view(np.uint64), np.empty(GROUPS * n, np.float32)
    for p in range(len(at)):
        row, best, which = scores[at[p]], found[p], items[p]
        bound, edge, count = bounds[p], edges[p], counts[p]
        if count < n:
            bound = _first_bound(row, n, peaks)
        for start in range(0, len(row), PIECE):
            piece = row[start : start + PIECE]
            for j in range(len(piece)):
                flags[j] = piece[j] >= bound
            flags[len(piece) :] = 0
            for w in range((len(piece) + 7) // 8):
                word = words[w]
                while word != 0:
                    lowest = word & (~word + np.uint64(1))
                    word ^= lowest
                    j = 8 * w + np.int64((lowest * PLACES) >> np.uint64(56))
                    item = first + start + j
                    best[count], which[count] = piece[j], item
                    count += edge == len(ties) or piece[j] > bound or (piece[j] == bound and ties[item] <= edge)
                if count >= full:
                    count, bound, edge = _raise(best, which, count, n, slack, ties)
        bounds[p], edges[p], counts[p] = bound, edge, count


@_compiled
def close(n, ties, counts, found, items):
    """Leave the n best of each user in the first places, in any order; those that there are not score NEVER."""
    for p in range(len(counts)):
        count = counts[p]
        if count > n:
            count, _, _ = _raise(found[p], items[p], count, n, 0, ties)
        found[p, count:n] = _score(LOWEST - 1)
        items[p, count:n] = 0


@_compiled
def forget(scores, at, users, first, pointers, met):
    """Put NEVER into the scores (B, W) of items that users (P,) have met; the rest as in `lead`.

    Row u of a sparse matrix, its columns in ascending order, is `met[pointers[u] : pointers[u + 1]]`.
    """
    for p in range(len(users)):
        m, end = pointers[users[p]], pointers[users[p] + 1]
        last = end
        while m < last:
            middle = (m + last) // 2
            if met[middle] < first:
                m = middle + 1
            else:
                last = middle
        while m < end and met[m] < first + scores.shape[1]:
            scores[at[p], met[m] - first] = _score(LOWEST - 1)
            m += 1
