"""Named spaces in which two items are near or far: cosine of two rows."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from recsys.types.arrays import Anys, Csr, Doubles, Floats, Ints, Longs
from recsys.types.datasets import Items

DIMENSIONS = 64


def unit(vectors: Doubles | Floats) -> Floats:
    """Return rows scaled to length 1, float32, C-contiguous; zero rows stay zero (cosine 0 to everything)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def singular_vectors(matrix: Csr, d: int) -> tuple[Anys, Anys, Anys]:
    """Return the d largest singular triplets, largest first: (U, d), (d,), (I, d). Always the same numbers."""
    d = min(d, min(matrix.shape) - 1)
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))
    left, values, right = svds(matrix.astype(np.float64), k=d, v0=start)
    order = np.argsort(-values)
    return left[:, order], values[order], right[order].T


def cooccurrence_vectors(train: Csr, d: int = DIMENSIONS) -> Floats:
    """Return item vectors (I, d) whose cosine says how much two items share their users.

    The exact co-occurrence cosine of items i and j is |U_i and U_j| / sqrt(|U_i| |U_j|), the dot product of the
    columns of X = train scaled to length 1. Here: of the best rank-d approximation of X, rows scaled to
    length 1 again, so that the noise of single users does not count. An item without users is a zero row.
    """
    sizes = np.asarray(train.sum(axis=0)).ravel()
    scaled = train @ sparse.diags_array(1.0 / np.sqrt(np.maximum(sizes, 1.0)))
    _, values, right = singular_vectors(sparse.csr_array(scaled), d)
    vectors = right * values
    vectors[sizes == 0] = 0.0
    return unit(vectors)


def feature_vectors(items: Items, d: int = 256) -> Floats:
    """Return item vectors (I, min(F, d)): features scaled to length 1; more than d features are reduced to d."""
    if items.features.shape[1] <= d:
        return unit(items.features.toarray())
    _, values, right = singular_vectors(sparse.csr_array(items.features.T), d)
    vectors = right * values
    vectors[np.diff(items.features.indptr) == 0] = 0.0
    return unit(vectors)


def nearest_in_profile(vectors: Floats, train: Csr, users: Ints, items: Longs) -> Doubles:
    """Return the largest cosine, at least 0, of each of `items` (B, N) to the history of its user, (B, N).

    0 for a user without history. `users` (B,) are rows of `train`, `vectors` (I, d) has unit rows.
    """
    near = np.zeros(items.shape)
    for b, user in enumerate(users):
        profile = train.indices[train.indptr[user] : train.indptr[user + 1]]
        if len(profile):
            near[b] = (vectors[items[b]] @ vectors[profile].T).max(axis=1, initial=0.0)
    return np.minimum(near, 1.0)
