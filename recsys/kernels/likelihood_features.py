"""Compiled features of a learned likelihood: one pass over a user's history, candidates and regions of taste.

Serial, without the interpreter lock, and without allocation inside the loop over users. The slow statement of the same
numbers, one function for each feature, is `recsys.likelihoods.features`; its `COMPILED_FEATURES` are the columns here.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Floats, Ints

HEAD = 10  # of a user's best candidates, of which `head_similarity` is the mean
TOP_M = 5  # best candidates of a region, of which `region_plausibility` is the mean
ROOT_SHIFT = 1e-4  # of the square root of u: the rounding of cosines near 1 is not enlarged
PRIOR = 5.0  # positives of everybody that `region_lift` adds to a user's
LOWEST = np.float32(-2.0)  # below every cosine
ROWS = 4  # items whose cosines are made at once
WIDTH = 32  # candidates are laid out in whole numbers of it: what is left over is not vectorised

# Dot products are summed in any order; a loop over candidates writes to distinct numbers, so that it does not matter
# where in a loop a candidate stands.
_compiled = compile_kernel(fastmath={"nnan", "ninf", "nsz", "reassoc", "contract"}, count_references=False)
_inlined = compile_kernel(fastmath={"nnan", "ninf", "nsz", "reassoc", "contract"}, count_references=False, inline=True)


@_inlined
def _round_up(n):
    """Return an odd multiple of WIDTH, from n up: rows a power of two apart push each other out of the cache."""
    return ((n + WIDTH - 1) // WIDTH | 1) * WIDTH


@_inlined
def _fill_cosines(vectors, group, columns, first, n, near):
    """Fill rows of `near` (ROWS, N), from `first` to `n`, with the cosines of the items of `group` to the candidates.

    `columns` (d, N) are the candidates' vectors, one dimension after the other. A loop takes several items and
    dimensions at once, so that it multiplies more often than it loads.
    """
    a, b, e, f = vectors[group[0]], vectors[group[1]], vectors[group[2]], vectors[group[3]]
    p, q, r, s = near[0, first:n], near[1, first:n], near[2, first:n], near[3, first:n]
    d = len(columns)
    for i in range(len(p)):
        p[i] = np.float32(0.0)
        q[i] = np.float32(0.0)
        r[i] = np.float32(0.0)
        s[i] = np.float32(0.0)
    whole = d // 4 * 4
    for c in range(0, whole, 4):
        u, v, w, x = columns[c, first:n], columns[c + 1, first:n], columns[c + 2, first:n], columns[c + 3, first:n]
        a0, a1, a2, a3 = a[c], a[c + 1], a[c + 2], a[c + 3]
        b0, b1, b2, b3 = b[c], b[c + 1], b[c + 2], b[c + 3]
        e0, e1, e2, e3 = e[c], e[c + 1], e[c + 2], e[c + 3]
        f0, f1, f2, f3 = f[c], f[c + 1], f[c + 2], f[c + 3]
        for i in range(len(p)):
            p[i] += a0 * u[i] + a1 * v[i] + a2 * w[i] + a3 * x[i]
            q[i] += b0 * u[i] + b1 * v[i] + b2 * w[i] + b3 * x[i]
            r[i] += e0 * u[i] + e1 * v[i] + e2 * w[i] + e3 * x[i]
            s[i] += f0 * u[i] + f1 * v[i] + f2 * w[i] + f3 * x[i]
    for c in range(whole, d):
        u, a0, b0, e0, f0 = columns[c, first:n], a[c], b[c], e[c], f[c]
        for i in range(len(p)):
            p[i] += a0 * u[i]
            q[i] += b0 * u[i]
            r[i] += e0 * u[i]
            s[i] += f0 * u[i]


@_inlined
def _add_cosines(row, best, second, third, total):
    """Keep the three largest cosines of each candidate, and add up all."""
    for i in range(len(row)):
        x = row[i]
        low = min(best[i], x)
        best[i] = max(best[i], x)
        lower = min(second[i], low)
        second[i] = max(second[i], low)
        third[i] = max(third[i], lower)
        total[i] += x


@_inlined
def _fill_group(items, start, group):
    """Lay out the next ROWS items, the last of them again where there are fewer, and return how many there are."""
    many = min(ROWS, len(items) - start)
    for t in range(ROWS):
        group[t] = items[start + min(t, many - 1)]
    return many


@_compiled
def _fill_history_cosines(vectors, history, columns, n, near, group, rows):
    """Fill `rows` (4, N): the three largest cosines of each candidate to the history, and the sum of all."""
    for r in range(3):
        rows[r, :n] = LOWEST
    rows[3, :n] = np.float32(0.0)
    for h in range(0, len(history), ROWS):
        many = _fill_group(history, h, group)
        _fill_cosines(vectors, group, columns, 0, n, near)
        for t in range(many):
            _add_cosines(near[t, :n], rows[0, :n], rows[1, :n], rows[2, :n], rows[3, :n])


@_compiled
def _fill_pool_cosines(vectors, items, columns, n, near, group, rows):
    """Fill `rows` (2, N): the largest cosine of each candidate to those before it, and the mean to the HEAD others."""
    above, head, count = rows[0], rows[1], len(items)
    above[:n] = LOWEST
    head[:n] = np.float32(0.0)
    best = min(HEAD, count)
    for t in range(0, count, ROWS):
        # Of those after the head, only candidates that come later are looked at, from a whole number of WIDTH on.
        first = 0 if t < best else t // WIDTH * WIDTH
        many = _fill_group(items, t, group)
        _fill_cosines(vectors, group, columns, first, n, near)
        for s in range(t, t + many):
            row = near[s - t]
            if s < best:
                for i in range(n):
                    head[i] += row[i]
                head[s] -= row[s]
            later, known = row[s + 1 : n], above[s + 1 : n]
            for i in range(len(later)):
                known[i] = max(known[i], later[i])
    for i in range(count):
        others = best - 1 if i < best else best
        head[i] = head[i] / np.float32(others) if others > 0 else np.float32(0.0)
    above[0] = np.float32(0.0)


@_compiled
def _fill_region_features(items, worth, history, head, hard, shares, count, offered, left, amount, lift, there, rows):
    """Fill `rows` (4, N): plausibility and share of a candidate's regions, lift of the user's mix, share unexplored.

    Return the share of all regions that the history touched. `hard` (I, M) counts regions over all maps end to end,
    Z = none; the next five are scratch of Z + 1 numbers, `there` (N, M) of whole numbers.
    """
    n, maps, size = len(items), hard.shape[1], len(shares)
    count[:] = 0.0
    offered[:] = 0.0
    left[:] = TOP_M
    amount[:] = 0.0
    for h in range(len(history)):
        row = hard[np.uintp(history[h])]
        for m in range(maps):
            count[np.uintp(row[m])] += 1.0
    touched, least = 0, np.log(len(history) + PRIOR)
    for z in range(size):
        lift[z] = np.log(PRIOR) - least
        if count[z] > 0.0:
            touched += 1
            lift[z] = np.log(count[z] / shares[z] + PRIOR) - least
    lift[size] = 0.0
    for i in range(n):
        row, own = hard[np.uintp(items[i])], there[i]
        for m in range(maps):
            own[m] = row[m]
    for i in range(head):
        for m in range(maps):
            z = np.uintp(there[i, m])
            amount[z] += 1.0
            offered[z] += worth[i] if left[z] > 0 else 0.0
            left[z] -= 1
    offered[size], amount[size], count[size] = 0.0, 0.0, 1.0
    for i in range(n):
        plausible, share, usual, new = 0.0, 0.0, 0.0, 0.0
        for m in range(maps):
            z = np.uintp(there[i, m])
            plausible += offered[z]
            share += amount[z]
            usual += lift[z]
            new += 1.0 if count[z] == 0.0 else 0.0
        rows[0, i] = plausible / (TOP_M * maps)
        rows[1, i] = share / (head * maps)
        rows[2, i] = usual / maps
        rows[3, i] = new / maps
    return touched / size


@_compiled
def _fill_score_features(scores, head, out, worth):
    """Fill the columns of the score, and `worth` (N,): where a score lies in the range of the head."""
    n = len(scores)
    mean, square, low, high = 0.0, 0.0, np.float64(scores[0]), np.float64(scores[0])
    for i in range(head):
        mean += scores[i]
        low, high = min(low, np.float64(scores[i])), max(high, np.float64(scores[i]))
    mean /= head
    for i in range(head):
        square += (scores[i] - mean) ** 2
    spread = np.sqrt(square / head)
    unit = 1.0 / spread if high > low else 0.0
    for i in range(n):
        score = np.float64(scores[i])
        out[i, 0] = score
        out[i, 1] = (score - mean) * unit
        out[i, 2] = np.log(i + 1.0)
        out[i, 3] = np.log1p(max((high - score) * unit, 0.0))
        out[i, 4] = spread
        worth[i] = (score - low) / (high - low) if high > low else 1.0


@_compiled
def _fill_user(
    items, scores, history, head, vectors, log_popularity, usual_popularity, hard, shares, scratch, out
):  # fmt: skip
    """Fill the features `out` (N, F) of one user's candidates."""
    columns, near, group, cosines, worth, count, offered, left, amount, lift, there, rows = scratch
    n, d, liked = len(items), vectors.shape[1], len(history)
    head = min(head, n)
    _fill_score_features(scores, head, out, worth)
    if d > 0:
        wide = (n + WIDTH - 1) // WIDTH * WIDTH
        for i in range(n):
            vector = vectors[np.uintp(items[i])]
            for c in range(d):
                columns[c, i] = vector[c]
        columns[:, n:wide] = np.float32(0.0)
        _fill_history_cosines(vectors, history, columns, wide, near, group, cosines[:4])
        _fill_pool_cosines(vectors, items, columns, wide, near, group, cosines[4:])
    explored = 0.0
    if len(shares) > 0:
        explored = _fill_region_features(
            items, worth, history, head, hard, shares, count, offered, left, amount, lift, there, rows
        )
    mean = 0.0
    for h in range(liked):
        mean += log_popularity[history[h]]
    mean = mean / liked if liked > 0 else usual_popularity
    for i in range(n):
        popular = log_popularity[items[i]]
        most, three, all_, above, near_head = 0.0, 0.0, 0.0, 0.0, 0.0
        if d > 0:
            above, near_head = np.float64(cosines[4, i]), np.float64(cosines[5, i])
            if liked > 0:
                most, all_ = np.float64(cosines[0, i]), np.float64(cosines[3, i]) / liked
                three = most
                if liked > 1:
                    three += np.float64(cosines[1, i])
                if liked > 2:
                    three += np.float64(cosines[2, i])
                three /= min(liked, 3)
        new, apart = 0.0, 1.0 - min(max(most, 0.0), 1.0)
        if len(shares) > 0:
            new = rows[3, i]
            out[i, 15], out[i, 16], out[i, 17] = rows[0, i], rows[1, i], rows[2, i]
        u = new
        if d > 0:
            u = 0.5 * new + 0.5 * apart if len(shares) > 0 else apart
        out[i, 5], out[i, 6] = popular, mean
        out[i, 7], out[i, 8] = (popular - mean) ** 2, popular * mean
        out[i, 9], out[i, 10], out[i, 11], out[i, 12] = most, three, all_, np.log1p(np.float64(liked))
        out[i, 13], out[i, 14], out[i, 18] = near_head, above, explored
        out[i, 19], out[i, 20], out[i, 21] = u, np.sqrt(u + ROOT_SHIFT), u * u
        out[i, 22], out[i, 23] = u * out[i, 1], u * popular


@_compiled
def _keep_largest_cosines(vectors, items, history, columns, n, near, group, best):
    """Fill `best`, up to `n`, with the largest cosine, at least 0, of each of `items` (N,) to `history` (h,)."""
    for i in range(n):
        best[i] = np.float32(0.0)
    for i in range(len(items)):
        if items[i] >= 0:
            vector = vectors[np.uintp(items[i])]
            for c in range(len(columns)):
                columns[c, i] = vector[c]
        else:
            columns[:, i] = np.float32(0.0)
    columns[:, len(items) : n] = np.float32(0.0)
    for h in range(0, len(history), ROWS):
        _fill_group(history, h, group)
        _fill_cosines(vectors, group, columns, 0, n, near)
        p, q, r, s, most = near[0, :n], near[1, :n], near[2, :n], near[3, :n], best[:n]
        for i in range(len(most)):
            most[i] = max(most[i], max(max(p[i], q[i]), max(r[i], s[i])))
    for i in range(len(items)):
        best[i] = min(best[i], np.float32(1.0))


@compile_kernel(fastmath=False)
def _make_cosine_room(n, d):
    """Return the scratch of `_keep_largest_cosines` for n candidates: columns, their number, near, group and best."""
    room = _round_up(n)
    return (
        np.empty((d, room), np.float32), (n + WIDTH - 1) // WIDTH * WIDTH, np.empty((ROWS, room), np.float32),
        np.empty(ROWS, np.int32), np.empty(room, np.float32),
    )  # fmt: skip


@compile_kernel(fastmath=False)
def fill_history_cosines(vectors, items, history, near):
    """Fill `near` (N,) with the largest cosine of each of `items` (N,) to the `history` (h,), in [0, 1].

    0 without a history, and for an item of -1. `vectors` (I, d) have unit rows. The order of the history does not
    matter, to the bit, nor which other items there are. The slow statement is
    `recsys.maths.embeddings.max_cosine_to_history`.
    """
    columns, n, several, group, best = _make_cosine_room(len(items), vectors.shape[1])
    _keep_largest_cosines(vectors, items, history, columns, n, several, group, best)
    for i in range(len(items)):  # a slice takes ten times as long to compile: it says which shapes do not go together
        near[i] = best[i]


@compile_kernel(fastmath=False)
def fill_all_history_cosines(
    vectors: Floats, items: Ints, users: Ints, pointers: Ints, indices: Ints, near: Floats
) -> None:
    """Fill row b of `near` (B, N) as `fill_history_cosines` does, to the bit, for `items` (B, N) of user `users[b]`.

    The history of a user is `indices` from `pointers[user]` to `pointers[user + 1]`.
    """
    columns, n, several, group, best = _make_cosine_room(items.shape[1], vectors.shape[1])
    for b in range(len(items)):
        history = indices[pointers[users[b]] : pointers[users[b] + 1]]
        _keep_largest_cosines(vectors, items[b], history, columns, n, several, group, best)
        for i in range(items.shape[1]):
            near[b, i] = best[i]


@compile_kernel(fastmath=False)
def _make_scratch(n, vectors, hard, shares):
    """Return the room that the features of n candidates take; without parts that there are not."""
    size, d, room = len(shares) + 1, vectors.shape[1], _round_up(n)
    return (
        np.empty((d, room), np.float32), np.empty((ROWS, room), np.float32), np.empty(ROWS, np.int32),
        np.empty((6, room), np.float32), np.empty(n),
        np.empty(size), np.empty(size), np.empty(size, np.int32), np.empty(size), np.empty(size),
        np.empty((n, hard.shape[1]), np.int32), np.empty((4, n)),
    )  # fmt: skip


@compile_kernel(fastmath=False)
def fill_likelihood_features(
    items, scores, lengths, starts, history, head, vectors, log_popularity, usual_popularity, hard, shares, out
):  # fmt: skip
    """Fill `out` (B, N, F) with the features of the candidates of B users, 0 where there is none.

    `items` and `scores` (B, N) are candidates, best first, of which `lengths` (B,) are there; the likes of user b are
    `history` from `starts` (B + 1,)[b] on. The best `head` of a user say how scores and regions lie. `vectors` (I, d)
    have unit rows, (0, 0) without any; `log_popularity` is (I,), `usual_popularity` stands for who has no history;
    `hard` (I, M) is the region of each item by each map, counted over all maps end to end, Z = none, and `shares` (Z,)
    above 0 the share of everybody's likes in each, (0,) without maps.
    """
    scratch = _make_scratch(items.shape[1], vectors, hard, shares)
    for b in range(len(items)):
        n = lengths[b]
        out[b, n:] = np.float32(0.0)
        if n > 0:
            _fill_user(
                items[b, :n], scores[b, :n], history[starts[b] : starts[b + 1]], head, vectors, log_popularity,
                usual_popularity, hard, shares, scratch, out[b],
            )  # fmt: skip


@compile_kernel(fastmath=False)
def score_likelihoods(
    items, scores, lengths, starts, history, head, vectors, log_popularity, usual_popularity, hard, shares, weights,
    offset, found,
):  # fmt: skip
    """Fill `found` (B, N) with offset + the sum of the features of each candidate, each times its weight (B, F).

    The other arguments are those of `fill_likelihood_features`. Features are rounded to 32 bits, their sum is not.
    """
    scratch = _make_scratch(items.shape[1], vectors, hard, shares)
    out = np.zeros((items.shape[1], weights.shape[1]), np.float32)
    for b in range(len(items)):
        n = lengths[b]
        if n > 0:
            _fill_user(
                items[b, :n], scores[b, :n], history[starts[b] : starts[b + 1]], head, vectors, log_popularity,
                usual_popularity, hard, shares, scratch, out,
            )  # fmt: skip
        for i in range(n):
            total = offset[b]
            for f in range(weights.shape[1]):
                total += weights[b, f] * out[i, f]
            found[b, i] = total
