"""The exact top n of each user, updated with one block of scores of the catalogue after another, ties included.

A user has room for more than the n best. A score goes in where it reaches the user's bound, which at least n scores of
earlier items, or of this stretch, reach; when the room is full, the bound is raised and what lies below it goes out.
Bounds are found by counting how many scores reach one, which takes vector instructions, and never by sorting. Serial,
outside the interpreter lock; scores are finite.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel

PIECE = 2048  # scores looked through at once
GROUPS = 4  # of scores for each of the n best, whose peaks are the first to be counted
SPARE_ROOM = 8  # room for a word of scores, before it is looked whether the room is full
# The product with a word, little-endian, that has one byte of 1 and else 0 has that byte's place in its highest byte.
BYTE_POSITIONS = np.uint64(0x0001020304050607)

_compiled = compile_kernel(fastmath=False)


@_compiled
def _order_to_float(order):
    """Return the float32 at a place in the order of all of them: that of their bits, but for the sign."""
    bits = np.int32(order)
    return np.int32(bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)


def _float_to_order(score):
    bits = int(np.float32(score).view(np.int32))
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


LOWEST = _float_to_order(-3.0e38) + 1  # of scores above `recsys.maths.ordering.LOWEST_SCORE`
HIGHEST = _float_to_order(np.inf)


@_compiled
def _count_reaching(scores, bound):
    reach = np.int32(0)
    for c in range(len(scores)):
        reach = np.int32(reach + np.int32(scores[c] >= bound))
    return reach


@_compiled
def _find_bound(scores, n, slack):
    """Return a score that n to n + `slack` of the scores reach, and how many do: more, if that many are equal.

    Where fewer than n are above NEVER, it is the lowest score above it.
    """
    low, high = LOWEST, HIGHEST
    reach = _count_reaching(scores, _order_to_float(low))
    while reach > n + slack and high - low > 1:
        middle = (low + high) // 2
        there = _count_reaching(scores, _order_to_float(middle))
        if there >= n:
            low, reach = middle, there
        else:
            high = middle
    return _order_to_float(low), reach


@_compiled
def _find_first_bound(scores, n, peaks):
    """Return the bound of `_find_bound`, from the `peaks` (G,) of groups of scores.

    A group's peak is one of its scores.
    """
    if len(scores) < 2 * len(peaks):
        return _find_bound(scores, n, n // 8)[0]
    for g in range(len(peaks)):  # a slice takes ten times as long to compile: it says which shapes do not go together
        peaks[g] = scores[g]
    for start in range(len(peaks), len(scores) - len(peaks) + 1, len(peaks)):
        group = scores[start : start + len(peaks)]
        for g in range(len(peaks)):
            peaks[g] = max(peaks[g], group[g])
    return _find_bound(peaks, n, n // 8)[0]


@_compiled
def _find_tie_edge(top_scores, items, bound, n, ties):
    """Return the place among equal scores up to which those equal to `bound` make n with what is above it."""
    low, high = -1, len(ties) - 1
    while high - low > 1:
        middle, reach = (low + high) // 2, 0
        for c in range(len(top_scores)):
            reach += top_scores[c] > bound or (top_scores[c] == bound and ties[items[c]] <= middle)
        if reach >= n:
            high = middle
        else:
            low = middle
    return high


@_compiled
def _raise_bound(top_scores, items, count, n, slack, ties):
    """Keep the best n of `count`, or up to `slack` more; return how many, the bound, and the last place at it."""
    bound, reach = _find_bound(top_scores[:count], n, slack)
    edge = len(ties)
    if reach > n + slack:
        edge = _find_tie_edge(top_scores[:count], items[:count], bound, n, ties)
    kept = 0
    for c in range(count):
        score, item = top_scores[c], items[c]
        top_scores[kept], items[kept] = score, item
        kept += score > bound or (score == bound and (edge == len(ties) or ties[item] <= edge))
    return kept, bound, edge


@_compiled
def update_topk(scores, rows, first, n, ties, bounds, edges, counts, top_scores, items):
    """Add the scores of W items to the candidates for the top n of P users.

    `scores` (B, W) are those of the W items from `first` on; the row of user p is `rows[p]`. `top_scores` and `items`
    (P, R), R at least min(2 n, I) + SPARE_ROOM, hold the candidates. `ties` (I,) orders equal scores. `bounds`, `edges`
    and `counts` (P,) are kept from block to block: at first LOWEST_SCORE, I and 0.
    """
    slack, full = n // 8, top_scores.shape[1] - SPARE_ROOM
    flags = np.empty(PIECE + SPARE_ROOM, np.uint8)
    words, peaks = flags.view(np.uint64), np.empty(GROUPS * n, np.float32)
    for p in range(len(rows)):
        row, best, which = scores[rows[p]], top_scores[p], items[p]
        bound, edge, count = bounds[p], edges[p], counts[p]
        if count < n:
            bound = _find_first_bound(row, n, peaks)
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
                    j = 8 * w + np.int64((lowest * BYTE_POSITIONS) >> np.uint64(56))
                    item = first + start + j
                    best[count], which[count] = piece[j], item
                    count += edge == len(ties) or piece[j] > bound or (piece[j] == bound and ties[item] <= edge)
                if count >= full:
                    count, bound, edge = _raise_bound(best, which, count, n, slack, ties)
        bounds[p], edges[p], counts[p] = bound, edge, count


@_compiled
def finish_topk(n, ties, counts, top_scores, items):
    """Leave the n best of each user in the first places, in any order; those that there are not score NEVER."""
    for p in range(len(counts)):
        count = counts[p]
        if count > n:
            count, _, _ = _raise_bound(top_scores[p], items[p], count, n, 0, ties)
        top_scores[p, count:n] = _order_to_float(LOWEST - 1)
        items[p, count:n] = 0


@_compiled
def mask_seen_items(scores, rows, users, first, pointers, seen):
    """Put NEVER into the scores (B, W) of items that users (P,) have met; the rest as in `update_topk`.

    Row u of a sparse matrix, its columns in ascending order, is `met[pointers[u] : pointers[u + 1]]`.
    """
    for p in range(len(users)):
        m, end = pointers[users[p]], pointers[users[p] + 1]
        last = end
        while m < last:
            middle = (m + last) // 2
            if seen[middle] < first:
                m = middle + 1
            else:
                last = middle
        while m < end and seen[m] < first + scores.shape[1]:
            scores[rows[p], seen[m] - first] = _order_to_float(LOWEST - 1)
            m += 1
