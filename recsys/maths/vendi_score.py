"""The Vendi score: the effective number of different items of a slate."""

import numpy as np

from recsys.types.arrays import Doubles, Longs


def vendi(vectors: Doubles, n: Longs) -> Doubles:
    """Return exp(-sum l log l) over the eigenvalues l of K / n, (B,), from 1 to n (Friedman and Dieng 2023).

    `vectors` (B, k, d) has n unit rows per slate, the other rows 0; K holds their dot products, and the smaller of
    the two Gram matrices, k by k or d by d, has its non-zero eigenvalues. n must be positive.

    >>> vendi(np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]), np.array([2])).round(12).tolist()
    [2.0]
    """
    turned = np.swapaxes(vectors, -1, -2)
    gram = turned @ vectors if vectors.shape[-1] < vectors.shape[-2] else vectors @ turned
    return effective_number(np.asarray(np.linalg.eigvalsh(gram / n[:, None, None]), dtype=np.float64), n)


def effective_number(values: Doubles, n: Longs) -> Doubles:
    """Return exp(-sum l log l) over eigenvalues l (B, m) that sum to 1, (B,): of n items, from 1 to n."""
    values = np.maximum(values, 0.0)
    entropy = -(values * np.log(np.where(values > 0, values, 1.0))).sum(axis=-1)
    return np.asarray(np.clip(np.exp(entropy), 1.0, n))
