"""Weights of factor models that follow from the positives, where none are given."""

import numpy as np

from recsys.types.arrays import Csr, Doubles

_UNOBSERVED = 10.0  # weight of all cells over that of the positives
_NOISE_SHARE = 0.65  # of the singular value up to which there is nothing but noise
_POWER_ITERATIONS = 20  # of power iteration


def default_unobserved_weight(train: Csr, total: float | None = None) -> float:
    """Return the weight of a cell at which all cells together weigh 10 times as much as the positives.

    `total` is what the positives weigh together; by default each weighs 1.

    >>> default_unobserved_weight(Csr(np.eye(4)))
    2.5
    """
    users, items = train.shape
    return _UNOBSERVED * (train.nnz if total is None else total) / (float(users) * float(items))


def default_regularization(train: Csr, rows: Doubles, columns: Doubles) -> float:
    """Return 0.65 of the `noise_level` of diag(rows) train diag(columns), or of its largest singular value if less.

    Least squares of factors, with `rows`^-2 and `columns`^-2 times one regularization as ridges, leave all factors 0
    from the largest singular value on.
    """
    counts = np.diff(train.indptr)
    data = train.data.astype(np.float64) * np.repeat(rows, counts) * columns[train.indices]
    scaled = Csr((data, train.indices, train.indptr), shape=train.shape)
    return _NOISE_SHARE * min(noise_level(scaled), largest_singular_value(scaled))


def noise_level(matrix: Csr) -> float:
    """Return the largest singular value that chance gives to a matrix of this size, (R, C).

    A matrix of R x C independent entries of variance v has no singular value above sqrt(v) (sqrt(R) + sqrt(C)), in the
    limit (Marchenko and Pastur 1967): with v R C the sum of all squares, that is the root of this sum times (1 /
    sqrt(R) + 1 / sqrt(C)). Rows and columns without entries do not count.

    >>> noise_level(Csr(np.eye(4)))
    2.0
    """
    rows, columns = np.count_nonzero(np.diff(matrix.indptr)), len(np.unique(matrix.indices))
    return float(np.sqrt(np.sum(matrix.data**2)) * (rows**-0.5 + columns**-0.5))


def largest_singular_value(matrix: Csr) -> float:
    """Return the largest singular value of a matrix without negative entries, from below, by power iteration."""
    vector, value = np.ones(matrix.shape[1]), 0.0
    for _ in range(_POWER_ITERATIONS):
        image = matrix @ vector
        value = float(np.linalg.norm(image) / np.linalg.norm(vector))
        vector = matrix.T @ image
        vector /= np.linalg.norm(vector)
    squares = Csr((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)
    longest = max(float(squares.sum(axis=axis).max()) for axis in (0, 1))
    return max(value, float(np.sqrt(longest)))
