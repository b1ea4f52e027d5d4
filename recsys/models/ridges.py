"""Settings of factor models that follow from the size of the data, where none are given."""

import numpy as np

from recsys.types.arrays import Csr, Doubles


def density(train: Csr) -> float:
    """Return the share of all cells of `train` (U, I) that are positives."""
    users, items = train.shape
    return train.nnz / (float(users) * float(items))


def noise_level(train: Csr, rows: Doubles, columns: Doubles) -> float:
    """Return the largest singular value that chance gives to a matrix as large as diag(rows) train diag(columns).

    A matrix of U x I independent entries of variance v has no singular value above sqrt(v) (sqrt(U) + sqrt(I)), in the
    limit (Marchenko and Pastur 1967): with v U I the sum of all squares, that is the root of this sum times (1 /
    sqrt(U) + 1 / sqrt(I)). U and I are the users and the items that have positives.

    >>> noise_level(Csr(np.eye(4)), np.ones(4), np.ones(4))
    2.0
    """
    counts = np.diff(train.indptr)
    entries = train.data * np.repeat(rows, counts) * columns[train.indices]
    users, items = np.count_nonzero(counts), len(np.unique(train.indices))
    return float(np.sqrt(np.sum(entries**2, dtype=np.float64)) * (users**-0.5 + items**-0.5))
