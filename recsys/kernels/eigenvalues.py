"""Eigenvalues of the similarities within many small sets of vectors.

Householder reflections to three diagonals, then QL with implicit shifts (Martin, Reinsch and Wilkinson 1968): for
matrices of some ten rows a call of LAPACK for each takes longer. QL is a chain of roots and divisions in which each
waits for the one before: `LANES` of them run side by side. Rows are slices from 0 on: of an index that could be
negative a compiler makes no vector instructions.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel

LANES = 8
ROUNDS = 60  # at most for each eigenvalue; QL takes two or three
EPS = 2.0**-52

_compiled = compile_kernel(fastmath=False)  # where arrays lie may decide which instructions are used: bits would differ


@_compiled
def fill_eigenvalues(table, rows, values):
    """Fill `values` (B, m) with the eigenvalues of K / n, in no order, for each of B sets of n rows of `table` (M, d).

    `rows` (B, k) are rows of `table`, -1 = none, and K holds the dot products of those that a set has; m is the smaller
    of k and d, the size of the smaller of the two Gram matrices. Eigenvalues that a set has no rows for are 0.
    """
    m, k, d = values.shape[1], rows.shape[1], table.shape[1]
    some, gram = np.zeros((k, d)), np.zeros((m, m))
    off, v, w = np.zeros((len(rows), m)), np.empty(m), np.empty(m)
    for b in range(len(rows)):
        n = 0
        for r in range(k):
            if rows[b, r] >= 0:
                some[n] = table[rows[b, r]]
                n += 1
        size = min(n, m) if d >= k else m
        if d >= k:
            _fill_row_gram(some, n, gram)
        else:
            _fill_column_gram(some, n, gram)
        values[b] = 0.0
        _tridiagonalize(gram, size, values[b], off[b], v, w)
    _run_ql(values, off)


@compile_kernel(fastmath={"reassoc"})
def _dot(one, other, n):
    """The sum in any order: nothing is written, so it is the same one wherever arrays lie."""
    total = 0.0
    for c in range(n):
        total += one[c] * other[c]
    return total


@_compiled
def _fill_row_gram(some, n, gram):
    """Dot products of the rows, over their number."""
    for i in range(n):
        for j in range(i + 1):
            gram[i, j] = gram[j, i] = _dot(some[i], some[j], some.shape[1]) / n


@_compiled
def _fill_column_gram(some, n, gram):
    """Dot products of the columns, over the number of rows."""
    gram[:] = 0.0
    for r in range(n):
        row = some[r]
        for i in range(len(row)):
            to, x = gram[i], row[i] / n
            for c in range(len(row)):
                to[c] += x * row[c]


@_compiled
def _tridiagonalize(a, m, diagonal, off, v, w):
    """Reduce the first m rows and columns of `a` to a tridiagonal matrix; `a` is overwritten."""
    for j in range(m - 2):
        n, row = m - j - 1, a[j, j + 1 : m]
        length = np.sqrt(_dot(row, row, n))
        off[j] = -length if row[0] > 0.0 else length
        if length > 0.0:
            for c in range(n):
                v[c] = row[c]
            v[0] -= off[j]
            _reflect_block(a, j + 1, m, v[:n], w[:n])
    for j in range(m):
        diagonal[j] = a[j, j]
    if m > 1:
        off[m - 2] = a[m - 2, m - 1]


@_compiled
def _reflect_block(a, start, end, v, w):
    """Reflect the rows and columns of `a` from `start` to `end` at `v`: take v w' + w v' from them."""
    n = end - start
    square = _dot(v, v, n)
    for r in range(n):
        w[r] = _dot(a[start + r, start:end], v, n) * (2.0 / square)
    half = _dot(w, v, n) / square
    for c in range(n):
        w[c] -= half * v[c]
    for r in range(n):
        row, x, y = a[start + r, start:end], v[r], w[r]
        for c in range(n):
            row[c] -= x * w[c] + y * v[c]


@_compiled
def _run_ql(values, off):
    """Turn the diagonals in `values` (B, m) into the eigenvalues; `off` holds the off-diagonals and is overwritten."""
    m = values.shape[1]
    d, e = np.zeros((m, LANES)), np.zeros((m, LANES))
    for first in range(0, len(values), LANES):
        count = min(LANES, len(values) - first)
        for i in range(m):
            for lane in range(LANES):
                there = lane < count
                d[i, lane] = values[first + lane, i] if there else 0.0
                e[i, lane] = off[first + lane, i] if there else 0.0
        _run_ql_lanes(d, e)
        for i in range(m):
            for lane in range(count):
                values[first + lane, i] = d[i, lane]


@_compiled
def _run_ql_lanes(d, e):
    """Run all lanes every time, so that the result of one does not depend on the others."""
    m = len(d)
    high = np.zeros(LANES, dtype=np.int64)
    s, c, p, g = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for low in range(m - 1):
        for _ in range(ROUNDS):
            top = low
            for lane in range(LANES):
                h = low
                while h < m - 1 and abs(e[h, lane]) > EPS * (abs(d[h, lane]) + abs(d[h + 1, lane]) + EPS):
                    h += 1
                high[lane] = h
                top = max(top, h)
                if h > low:
                    shift = (d[low + 1, lane] - d[low, lane]) / (2.0 * e[low, lane])
                    root = np.sqrt(shift * shift + 1.0)
                    s[lane], c[lane], p[lane] = 1.0, 1.0, 0.0
                    g[lane] = d[h, lane] - d[low, lane] + e[low, lane] / (shift + (root if shift >= 0.0 else -root))
            if top == low:
                break
            for i in range(top - 1, low - 1, -1):
                for lane in range(LANES):
                    if i < high[lane]:
                        f, b = s[lane] * e[i, lane], c[lane] * e[i, lane]
                        r = np.sqrt(f * f + g[lane] * g[lane])
                        e[i + 1, lane] = r
                        over = 1.0 / r if r > 0.0 else 0.0
                        s[lane], c[lane] = f * over, g[lane] * over if r > 0.0 else 1.0
                        after = d[i + 1, lane] - p[lane]
                        turned = (d[i, lane] - after) * s[lane] + 2.0 * c[lane] * b
                        p[lane] = s[lane] * turned
                        d[i + 1, lane] = after + p[lane]
                        g[lane] = c[lane] * turned - b
            for lane in range(LANES):
                if high[lane] > low:
                    d[low, lane] -= p[lane]
                    e[low, lane] = g[lane]
                    e[high[lane], lane] = 0.0
