"""Passes over the weights of EASE: each row is read once, while it is in the cache.

Serial, without the interpreter lock. Sums are of float64, in the order of the columns: the same bits everywhere.
"""

from recsys.kernels.compiled import compile_kernel

_compiled = compile_kernel(fastmath=False)


@_compiled
def multiply_rows(weights, vectors, images):
    """Write `weights` (B, I) times eight `vectors` (I, 8) into `images` (B, 8)."""
    for row in range(weights.shape[0]):
        a = b = c = d = e = f = g = h = 0.0
        for column in range(weights.shape[1]):
            weight = weights[row, column]
            a += weight * vectors[column, 0]
            b += weight * vectors[column, 1]
            c += weight * vectors[column, 2]
            d += weight * vectors[column, 3]
            e += weight * vectors[column, 4]
            f += weight * vectors[column, 5]
            g += weight * vectors[column, 6]
            h += weight * vectors[column, 7]
        images[row, 0], images[row, 1], images[row, 2], images[row, 3] = a, b, c, d
        images[row, 4], images[row, 5], images[row, 6], images[row, 7] = e, f, g, h


@_compiled
def update_rows(weights, first, scales, change, vectors, updated, images, widest):
    """Write weights_ij scales_j + change_ij into `updated` (B, I), with 0 for weights of an item by itself.

    The rows are those of items from `first` on. `images` (B, 8) are the updated rows times `vectors` (I, 8), and
    `widest` (I,) becomes the largest of itself and of the sizes of the updated weights of each column.
    """
    for row in range(weights.shape[0]):
        change[row, first + row] = 0.0
        for column in range(weights.shape[1]):
            updated[row, column] = weights[row, column] * scales[column] + change[row, column]
            widest[column] = max(widest[column], abs(updated[row, column]))
        multiply_rows(updated[row : row + 1], vectors, images[row : row + 1])
