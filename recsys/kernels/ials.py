"""The least squares of one side of a factor model: conjugate gradients, one row after the other.

The system of a row is D + sum_H y y' + disliked sum_D y y', with D diagonal: whoever calls has turned the factors
into the basis where their Gram matrix is diagonal, so that a step costs |H| d and not |H| d + d^2, and so that
dividing by the diagonal preconditions it. Serial, without the interpreter lock; a row's bits do not depend on
which rows are solved beside it.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel

_compiled = compile_kernel(fastmath=True)


@_compiled
def _add_gradient(table, items, first, last, weight, target, x, out, squares, first_pass):
    """Add sum of weight (y.x - target) y over `items[first:last]` to `out`; return weight sum (y.x - target)^2.

    Four rows at a time, so that `x` and `out` are read and written once for four. In the first pass the squares
    of the rows are added to `squares`.
    """
    d = len(x)
    loss = 0.0
    zero = x[0] * 0
    e = first
    while e < last:
        if e + 4 <= last:
            a, b, c, f = items[e], items[e + 1], items[e + 2], items[e + 3]
            s, t, v, w = zero, zero, zero, zero
            for k in range(d):
                s += table[a, k] * x[k]
                t += table[b, k] * x[k]
                v += table[c, k] * x[k]
                w += table[f, k] * x[k]
            s -= target
            t -= target
            v -= target
            w -= target
            loss += weight * (s * s + t * t + v * v + w * w)
            s *= weight
            t *= weight
            v *= weight
            w *= weight
            for k in range(d):
                out[k] += (s * table[a, k] + t * table[b, k]) + (v * table[c, k] + w * table[f, k])
            if first_pass:
                for k in range(d):
                    squares[k] += weight * (
                        (table[a, k] * table[a, k] + table[b, k] * table[b, k])
                        + (table[c, k] * table[c, k] + table[f, k] * table[f, k])
                    )
            e += 4
        else:
            a = items[e]
            s = zero
            for k in range(d):
                s += table[a, k] * x[k]
            s -= target
            loss += weight * s * s
            s *= weight
            for k in range(d):
                out[k] += s * table[a, k]
            if first_pass:
                for k in range(d):
                    squares[k] += weight * table[a, k] * table[a, k]
            e += 1
    return loss


@_compiled
def _add_weighted_gradient(table, items, weights, first, last, target, x, out, squares, first_pass):
    """Add sum of w (y.x - target) y over `items[first:last]`, w their `weights`, to `out`.

    Returns sum w (y.x - target)^2. In the first pass the squares of the rows, times w, are added to `squares`.
    """
    d = len(x)
    loss = 0.0
    zero = x[0] * 0
    for e in range(first, last):
        a = items[e]
        w = weights[e]
        s = zero
        for k in range(d):
            s += table[a, k] * x[k]
        s -= target
        loss += w * s * s
        s *= w
        for k in range(d):
            out[k] += s * table[a, k]
        if first_pass:
            for k in range(d):
                squares[k] += w * table[a, k] * table[a, k]
    return loss


@_compiled
def solve_rows(
    start, stop, table, diagonal, ridges, likes, liked, dislikes, disliked, weight, steps, tolerance, factors, errors
):  # fmt: skip
    """Improve rows `start` to `stop` of `found` (rows, d) by at most `steps` steps, in place.

    `table` (columns, d) is the other side, `diagonal` (d,) what all rows share, `ridges` (rows,) what each adds;
    `likes`, `liked` and `dislikes`, `disliked` are row pointers and columns of two sparse matrices, `weight` that
    of a dislike. A row stops when its preconditioned residual is `tolerance` times as long as the row. A row
    without likes is zero. `errors` (rows,) gets the weighted squared errors at likes and dislikes *before* the steps.
    """
    d = factors.shape[1]
    gradient = np.empty(d, factors.dtype)
    scale = np.empty(d, factors.dtype)
    direction = np.empty(d, factors.dtype)
    image = np.empty(d, factors.dtype)
    one = factors.dtype.type(1)
    zero = factors.dtype.type(0)
    for row in range(start, stop):
        x = factors[row]
        first, last, low, high = likes[row], likes[row + 1], dislikes[row], dislikes[row + 1]
        ridge = ridges[row]
        if first == last:
            x[:] = zero
            errors[row] = 0.0
            continue
        for k in range(d):
            scale[k] = diagonal[k] + ridge
            gradient[k] = scale[k] * x[k]
        loss = _add_gradient(table, liked, first, last, one, one, x, gradient, scale, True)
        loss += _add_gradient(table, disliked, low, high, weight, zero, x, gradient, scale, True)
        errors[row] = loss
        size = zero
        for k in range(d):
            scale[k] = one / scale[k]
            direction[k] = -scale[k] * gradient[k]
            size += scale[k] * gradient[k] * gradient[k]
        for _ in range(steps):
            length = zero
            for k in range(d):
                length += x[k] * x[k] / scale[k]
            if size <= tolerance * tolerance * length:
                break
            for k in range(d):
                image[k] = (diagonal[k] + ridge) * direction[k]
            _add_gradient(table, liked, first, last, one, zero, direction, image, scale, False)
            _add_gradient(table, disliked, low, high, weight, zero, direction, image, scale, False)
            curvature = zero
            for k in range(d):
                curvature += direction[k] * image[k]
            if curvature <= zero:
                break
            step = size / curvature
            before = size
            size = zero
            for k in range(d):
                x[k] += step * direction[k]
                gradient[k] += step * image[k]
                size += scale[k] * gradient[k] * gradient[k]
            for k in range(d):
                direction[k] = size / before * direction[k] - scale[k] * gradient[k]


@_compiled
def solve_weighted_rows(
    start, stop, table, diagonal, ridges, likes, liked, counts, dislikes, disliked, weight, steps, tolerance, factors,
    errors,
):  # fmt: skip
    """Improve rows as `solve_rows` does, where a like counts as much as `counts` says beside `liked`, not 1."""
    d = factors.shape[1]
    gradient = np.empty(d, factors.dtype)
    scale = np.empty(d, factors.dtype)
    direction = np.empty(d, factors.dtype)
    image = np.empty(d, factors.dtype)
    one = factors.dtype.type(1)
    zero = factors.dtype.type(0)
    for row in range(start, stop):
        x = factors[row]
        first, last, low, high = likes[row], likes[row + 1], dislikes[row], dislikes[row + 1]
        ridge = ridges[row]
        if first == last:
            x[:] = zero
            errors[row] = 0.0
            continue
        for k in range(d):
            scale[k] = diagonal[k] + ridge
            gradient[k] = scale[k] * x[k]
        loss = _add_weighted_gradient(table, liked, counts, first, last, one, x, gradient, scale, True)
        loss += _add_gradient(table, disliked, low, high, weight, zero, x, gradient, scale, True)
        errors[row] = loss
        size = zero
        for k in range(d):
            scale[k] = one / scale[k]
            direction[k] = -scale[k] * gradient[k]
            size += scale[k] * gradient[k] * gradient[k]
        for _ in range(steps):
            length = zero
            for k in range(d):
                length += x[k] * x[k] / scale[k]
            if size <= tolerance * tolerance * length:
                break
            for k in range(d):
                image[k] = (diagonal[k] + ridge) * direction[k]
            _add_weighted_gradient(table, liked, counts, first, last, zero, direction, image, scale, False)
            _add_gradient(table, disliked, low, high, weight, zero, direction, image, scale, False)
            curvature = zero
            for k in range(d):
                curvature += direction[k] * image[k]
            if curvature <= zero:
                break
            step = size / curvature
            before = size
            size = zero
            for k in range(d):
                x[k] += step * direction[k]
                gradient[k] += step * image[k]
                size += scale[k] * gradient[k] * gradient[k]
            for k in range(d):
                direction[k] = size / before * direction[k] - scale[k] * gradient[k]
