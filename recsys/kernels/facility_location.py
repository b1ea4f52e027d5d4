"""Facility location of slates: each target counts by its most similar item, in the slate or known before.

Near is kappa(i, j), the square of the cosine where that is above 0, and 1 of an item to itself.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Floats, Ints

GAIN_RESOLUTION = 1e9  # gains alike up to one part of it are equal
TILE = 512  # items at a time


@compile_kernel(fastmath={"reassoc"})
def _dot(one, other, n):
    """The sum in any order: nothing is written, so it is the same one wherever arrays lie."""
    total = 0.0
    for c in range(n):
        total += one[c] * other[c]
    return total


@compile_kernel(fastmath=False)
def _kappa(table, item, target):
    cosine = min(max(_dot(table[item], table[target], table.shape[1]), 0.0), 1.0)
    return 1.0 if item == target else cosine * cosine


@compile_kernel(fastmath=False)
def fill_slate_values(table, slates, starts, targets, history_kappas, values):
    """Fill `values` (U,) with the sum over a user's targets of the larger of `known` and the nearest of the slate.

    `table` (I, d) has unit rows, or 0; `slates` (U, k) are rows of it, -1 = none. Targets of user u are those from
    `starts` (U + 1,) [u] on, and `known` follows them.
    """
    for u in range(len(values)):
        total = 0.0
        for t in range(starts[u], starts[u + 1]):
            best = history_kappas[t]
            for r in range(slates.shape[1]):
                item = slates[u, r]
                if item >= 0:
                    best = max(best, _kappa(table, item, targets[t]))
            total += best
        values[u] = total


@compile_kernel(fastmath=False)
def fill_greedy_values(table, columns, starts, targets, history_kappas, unavailable, seen_starts, seen, k, values):
    """Fill `values` (B,) with the value of k greedy picks of each of B users; of equal gains the first item is taken.

    `table` (I, d) and `starts` (B + 1,), `targets` and `known` as in `fill_slate_values`, `columns` is `table` the
    other way round, (d, I) float32; `barred` (I,) are in no slate, nor are those of `met` from `met_starts` (B + 1,)
    [u] on.

    Gains are made in single precision. Whoever's is not above the best so far, raised by all that it can be off, is
    passed over; only the others are looked at exactly.
    """
    rough, taken = np.empty(len(table), np.float32), np.zeros(len(table), np.int64)
    some, near = np.empty((1, table.shape[1]), np.float32), np.empty((1, len(table)), np.float32)
    for u in range(len(values)):
        mine, covered = targets[starts[u] : starts[u + 1]], history_kappas[starts[u] : starts[u + 1]].copy()
        n = len(mine)
        if n > len(some):
            some, near = np.empty((n, table.shape[1]), np.float32), np.empty((n, len(table)), np.float32)
        for t in range(n):
            for c in range(table.shape[1]):
                some[t, c] = table[mine[t], c]
        for m in range(seen_starts[u], seen_starts[u + 1]):
            taken[seen[m]] = u + 1
        _fill_kappas(some[:n], columns, mine, near)
        off = n * (2 * table.shape[1] + n + 16) * 2.0**-23  # twice what roundings can add up to
        for _ in range(k if n > 0 else 0):
            _fill_rough_gains(near[:n], covered, rough)
            pick, best, bound = 0, -1.0, np.float32(-1.0)
            for i in range(len(rough)):
                if rough[i] >= bound:
                    free = not unavailable[i] and taken[i] != u + 1
                    gain = np.rint(_compute_gain(table, i, mine, covered) * GAIN_RESOLUTION) if free else 0.0
                    if gain > best:
                        pick, best, bound = i, gain, np.float32(gain / GAIN_RESOLUTION - off)
            if not unavailable[pick] and taken[pick] != u + 1:
                for t in range(n):
                    covered[t] = max(covered[t], _kappa(table, pick, mine[t]))
            if best <= 0.0 or covered.min() >= 1.0:  # the same item would be picked again, or nothing is left to gain
                break
        values[u] = covered.sum()


@compile_kernel(fastmath=False)
def _compute_gain(table, item, targets, covered):
    total = 0.0
    for t in range(len(targets)):
        total += max(_kappa(table, item, targets[t]) - covered[t], 0.0)
    return total


@compile_kernel(fastmath=False)
def _fill_kappas(some, columns, targets, near):
    """Fill `near` (T, I) with kappa of all targets and items, a few items at a time: they stay in the cache."""
    one, none = np.float32(1.0), np.float32(0.0)
    for first in range(0, near.shape[1], TILE):
        n = min(TILE, near.shape[1] - first)
        _fill_dot_products(some, columns, first, near, n)
        for t in range(len(targets)):
            row = near[t, first : first + n]
            for i in range(n):
                cosine = min(max(row[i], none), one)
                row[i] = cosine * cosine
    for t in range(len(targets)):
        near[t, targets[t]] = one


@compile_kernel(fastmath=False)
def _fill_rough_gains(near, covered, gains):
    """Fill `gains` (I,) with the amount that each item adds to `covered` (T,), by `near` (T, I)."""
    none = np.float32(0.0)
    for first in range(0, len(gains), TILE):
        n = min(TILE, len(gains) - first)
        part = gains[first : first + n]
        part[:] = none
        for t in range(len(near)):
            row, have = near[t, first : first + n], np.float32(covered[t])
            for i in range(n):
                part[i] += max(row[i] - have, none)


@compile_kernel(fastmath={"reassoc", "contract"})
def _fill_dot_products(some, columns, first, near, n):
    """Fill n of each row of `near` (T, I) with the dot products of `some` (T, d) with `columns` (d, I)."""
    for t in range(len(some)):
        near[t, first : first + n] = np.float32(0.0)
    whole = len(columns) // 4 * 4
    for c in range(0, whole, 4):
        a, b = columns[c, first : first + n], columns[c + 1, first : first + n]
        e, f = columns[c + 2, first : first + n], columns[c + 3, first : first + n]
        for t in range(len(some)):
            row = near[t, first : first + n]
            p, q, r, s = some[t, c], some[t, c + 1], some[t, c + 2], some[t, c + 3]
            for i in range(n):
                row[i] += p * a[i] + q * b[i] + r * e[i] + s * f[i]
    for c in range(whole, len(columns)):
        a = columns[c, first : first + n]
        for t in range(len(some)):
            row, p = near[t, first : first + n], some[t, c]
            for i in range(n):
                row[i] += p * a[i]


@compile_kernel(fastmath=False)
def fill_target_similarities(similarities: Floats, columns: Ints) -> None:
    """Put the square of each cosine of `near` (U, N, T) in its place, 0 of one below 0, and its target into `columns`.

    The targets are the first T of the N candidates, and each stands wholly for itself, whatever the cosine.
    """
    users, n, targets = similarities.shape
    for u in range(users):
        for i in range(n):
            for t in range(targets):
                cosine = max(similarities[u, i, t], np.float32(0.0))
                similarities[u, i, t] = cosine * cosine
                columns[u, i, t] = t
        for t in range(targets):
            similarities[u, t, t] = 1.0
