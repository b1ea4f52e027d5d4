"""Exact retrieval for a block of users: by a matrix product, and where that may be wrong by `rank`'s own dot product.

One call does it all, without the interpreter lock. The matrix product (BLAS, by SciPy) adds up in another order than
`recsys.kernels.requests.score_all_items`, so that it is known only within a bound; what could be among the n best by
this bound is scored again by that function, and ordered by these scores.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.kernels.requests import score_all_items
from recsys.kernels.topk import SPARE_ROOM, finish_topk, update_topk

WIDTH = 1024  # items whose scores are made at once: those of a block of users stay in the cache
NOT_SURE = -1  # in the place of a count: more items could be among the n best than there is room for
NEVER = np.float32(-3.0e38)  # `recsys.maths.ordering.LOWEST_SCORE`

_compiled = compile_kernel(fastmath=False)


@_compiled
def _close_items(scores, first, closed, pointers, seen):
    """Put NEVER into the scores (B, W) of `closed` items, ascending, and of what each user may not be shown."""
    width = scores.shape[1]
    start = np.searchsorted(closed, first)
    for b in range(len(scores)):
        row, c = scores[b], start
        while c < len(closed) and closed[c] < first + width:
            row[closed[c] - first] = NEVER
            c += 1
        for m in range(pointers[b], pointers[b + 1]):
            place = seen[m] - first
            if 0 <= place < width:
                row[place] = NEVER


@_compiled
def _order_key(score, tie):
    """Return a number that is the smaller, the larger a score is, of equal ones the smaller its place among ties."""
    bits = np.int64(np.float32(score + np.float32(0.0)).view(np.int32))  # -0.0 is 0.0
    order = bits if bits >= 0 else np.int64(-2147483648) - bits
    return (-order << np.int64(32)) + np.int64(tie)


@_compiled
def _select_unsure(top_scores, top_items, n, error, chosen):
    """Fill `chosen` with the items that may be among the n best, and return how many, or NOT_SURE.

    A score is known within `error`: n items have at least the n-th score less it, so that one below that score less
    twice the error is not among the n best. Where all of the room was needed, all items outside have to be below it.
    """
    count = 0
    for c in range(len(top_scores)):
        count += top_scores[c] > NEVER
    bound = np.float64(NEVER)
    if count > n:
        ordered = np.sort(top_scores)
        bound = np.float64(ordered[len(ordered) - n]) - 2.0 * error
        if count == len(top_scores) and np.float64(ordered[0]) >= bound:
            return NOT_SURE
    elif count == len(top_scores):
        return NOT_SURE
    kept = 0
    for c in range(len(top_scores)):
        if top_scores[c] > NEVER and np.float64(top_scores[c]) >= bound:
            chosen[kept] = top_items[c]
            kept += 1
    return kept


@_compiled
def retrieve_block(items, users, errors, n, room, ties, closed, pointers, seen, found, scores, counts):
    """Fill `found` and `scores` (B, n) with each user's n best items, best first, and `counts` (B,) with how many.

    `items` (I, d) and `users` (B, d) are factors, `errors` (B,) what a matrix product may differ by from the dot
    product of `rank`, `ties` (I,) the order of equal scores. `closed` items, ascending, are
    nobody's; `seen[pointers[b] : pointers[b + 1]]` are not user b's. `room` is how many of the best by the product are
    held: where more could be among the n best, the count is NOT_SURE. Where all I items are held, it never is.
    """
    count, d = items.shape
    n_users, held = len(users), min(room, count)
    width = min(2 * held, count) + SPARE_ROOM
    top_scores, top_items = np.empty((n_users, width), np.float32), np.empty((n_users, width), np.int32)
    bounds, edges = np.full(n_users, NEVER), np.full(n_users, count)
    filled, rows = np.zeros(n_users, np.int64), np.arange(n_users)
    block = np.empty(n_users * min(WIDTH, count), np.float32)
    for first in range(0, count, WIDTH):
        part = items[first : min(first + WIDTH, count)]
        made = block[: n_users * len(part)].reshape(n_users, len(part))
        np.dot(users, part.T, made)
        _close_items(made, first, closed, pointers, seen)
        update_topk(made, rows, first, held, ties, bounds, edges, filled, top_scores, top_items)
    finish_topk(held, ties, filled, top_scores, top_items)
    chosen, gathered, exact = np.empty(held, np.int64), np.empty((held, d), np.float32), np.empty(held, np.float32)
    for b in range(n_users):
        if held == count:
            kept = 0
            for c in range(held):
                if top_scores[b, c] > NEVER:
                    chosen[kept] = top_items[b, c]
                    kept += 1
        else:
            kept = _select_unsure(top_scores[b, :held], top_items[b, :held], n, errors[b], chosen)
        if kept == NOT_SURE:
            counts[b] = NOT_SURE
            continue
        for c in range(kept):
            row, copied = items[chosen[c]], gathered[c]
            for a in range(d):
                copied[a] = row[a]
        score_all_items(gathered[:kept], users[b], exact[:kept])
        keys = np.empty(kept, np.int64)
        for c in range(kept):
            keys[c] = _order_key(exact[c], ties[chosen[c]])
        order = np.argsort(keys)
        counts[b] = min(kept, n)
        for c in range(counts[b]):
            found[b, c], scores[b, c] = chosen[order[c]], exact[order[c]]
