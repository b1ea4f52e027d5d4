"""Named spaces of item vectors, in which nearness is the cosine of two rows."""

from typing import TYPE_CHECKING

import numpy as np
import scipy
from scipy import sparse

from recsys.support import rng
from recsys.types.arrays import Csr, Doubles, Floats, Ints, Longs
from recsys.types.datasets import Items

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

DIMENSIONS = 64
_DENSE = 1500


def normalize_rows(vectors: Doubles | Floats) -> Floats:
    """Return rows scaled to length 1, float32, C-contiguous; zero rows stay zero (cosine 0 to everything)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def singular_vectors(matrix: Csr, d: int) -> tuple[Doubles, Doubles, Doubles]:
    """Return the d largest singular triplets, largest first: (U, d), (d,), (I, d). Always the same numbers.

    Where the singular value is 0 to working precision, it is 0, and so is one of its two vectors.
    """
    wide, far, values, vectors = _decompose_smaller_side(matrix, d)
    others = _map_to_other_side(far, values, vectors)
    return (vectors, values, others) if wide else (others, values, vectors)


def right_singular_vectors(matrix: Csr, d: int) -> tuple[Doubles, Doubles]:
    """Return the singular values and the right singular vectors of `singular_vectors`: (d,), (I, d)."""
    wide, far, values, vectors = _decompose_smaller_side(matrix, d)
    return values, _map_to_other_side(far, values, vectors) if wide else vectors


def _decompose_smaller_side(matrix: Csr, d: int) -> tuple[bool, Csr, Doubles, Doubles]:
    """Return whether rows are the fewer side, the matrix from the other side to it, values and that side's vectors."""
    from scipy.sparse.linalg import aslinearoperator

    wide = matrix.shape[0] <= matrix.shape[1]
    near = Csr((matrix if wide else matrix.T).astype(np.float64))  # the side with fewer rows
    far = Csr(near.T)
    small = near.shape[0] <= _DENSE  # otherwise the product is not made: it may be dense
    squares, vectors = leading_eigenvectors(near @ far if small else aslinearoperator(near) @ aslinearoperator(far), d)
    values = np.sqrt(np.maximum(squares, 0.0))
    values[values < 1e-7 * values.max(initial=0.0)] = 0.0
    return wide, far, values, vectors


def _map_to_other_side(far: Csr, values: Doubles, vectors: Doubles) -> Doubles:
    return np.asarray(far @ vectors / np.where(values > 0, values, np.inf))


def leading_eigenvectors(matrix: "Csr | LinearOperator", n: int) -> tuple[Doubles, Doubles]:
    """Return the n largest eigenvalues of a symmetric matrix (I, I), largest first, and their vectors (I, n).

    Up to 1,500 rows by a dense solver: ARPACK starts again at random where few eigenvalues are distinct.
    """
    from scipy.sparse.linalg import eigsh
    from threadpoolctl import threadpool_limits

    size = matrix.shape[0]
    n = min(n, size)
    with threadpool_limits(1, user_api="blas"):  # the last bits do not depend on how many cores there are
        if size <= _DENSE and isinstance(matrix, Csr):
            values, vectors = scipy.linalg.eigh(matrix.toarray(), subset_by_index=(size - n, size - 1))
        else:
            start = rng.make_generator(0, "leading_vectors").standard_normal(size)
            values, vectors = eigsh(matrix, k=n, which="LA", v0=start)
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


def cooccurrence_vectors(train: Csr, d: int = DIMENSIONS) -> Floats:
    """Return item vectors (I, d) whose cosine says how much two items share their users.

    The exact co-occurrence cosine of items i and j is |U_i and U_j| / sqrt(|U_i| |U_j|), the dot product of the
    columns of X = train scaled to length 1. Here: of the best rank-d approximation of X, rows scaled to
    length 1 again, so that the noise of single users does not count. An item without users is a zero row.
    Positives may have weights by age.
    """
    sizes = sum_column_squares(train)
    scaled = train @ sparse.diags_array(1.0 / np.sqrt(np.where(sizes > 0, sizes, 1.0)))
    values, right = right_singular_vectors(sparse.csr_array(scaled), d)
    vectors = right * values
    vectors[sizes == 0] = 0.0
    return normalize_rows(vectors)


def sum_column_squares(train: Csr) -> Floats:
    """Return the squared length of each column, (I,): of 0/1 positives how many users an item has."""
    return np.asarray(train.multiply(train).sum(axis=0)).ravel()


def feature_vectors(items: Items, d: int = 256) -> Floats:
    """Return item vectors (I, min(F, d)): features scaled to length 1; more than d features are reduced to d."""
    if items.features.shape[1] <= d:
        return normalize_rows(items.features.toarray())
    values, right = right_singular_vectors(sparse.csr_array(items.features.T), d)
    vectors = right * values
    vectors[np.diff(items.features.indptr) == 0] = 0.0
    return normalize_rows(vectors)


def feature_idf(features: Csr) -> Doubles:
    """Return the weight of each feature of (I, F), (F,): log(1 + I / items with it), 0 where no item has it."""
    n = np.bincount(features.indices, minlength=features.shape[1])
    return np.log1p(np.divide(features.shape[0], n, out=np.zeros(len(n)), where=n > 0))


def idf_feature_vectors(features: Csr, d: int = 256) -> Floats:
    """Return item vectors (I, min(F, d)) of features weighted by `feature_idf`.

    So that rare ones say more than usual ones.

    More than d features are reduced to d, and an item of which that leaves nothing is a zero row.
    """
    scale = feature_idf(features)
    lengths = np.sqrt(features @ scale**2)  # features are 0 or 1
    weighted = sparse.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ features @ sparse.diags_array(scale)
    if features.shape[1] <= d:
        return normalize_rows(weighted.toarray())
    values, right = right_singular_vectors(sparse.csr_array(weighted.T), d)
    vectors = right * values
    vectors[np.linalg.norm(vectors, axis=1) < 1e-6] = 0.0  # what is left are the last bits
    return normalize_rows(vectors)


def max_cosine_to_history(vectors: Floats, train: Csr, users: Ints, items: Longs) -> Doubles:
    """Return the largest cosine, at least 0, of each of `items` (B, N) to the history of its user, (B, N).

    0 for a user without history. `users` (B,) are rows of `train`, `vectors` (I, d) has unit rows.
    """
    near = np.zeros(items.shape)
    for b, user in enumerate(users):
        profile = train.indices[train.indptr[user] : train.indptr[user + 1]]
        if len(profile):
            near[b] = (vectors[items[b]] @ vectors[profile].T).max(axis=1, initial=0.0)
    return np.minimum(near, 1.0)


def mean_history_vectors(vectors: Floats, train: Csr, users: Ints | Longs) -> Doubles:
    """Return the mean vector of each user's history, (B, d), 0 without history; `users` (B,) are rows of `train`.

    Where positives have weights by age, they are those of the mean.
    """
    profiles = train[users]
    sizes = np.asarray(profiles.sum(axis=1, dtype=np.float64)).reshape(-1, 1)
    sizes = np.where(sizes > 0, sizes, 1.0)
    return np.asarray(profiles @ vectors.astype(np.float64) / sizes, dtype=np.float64)


def mean_cosine_to_history(vectors: Floats, train: Csr, users: Ints, items: Longs) -> Doubles:
    """Return the mean cosine of each of `items` (B, N) to the history of its user, (B, N).

    0 for a user without history. `users` (B,) are rows of `train`, `vectors` (I, d) has unit rows. Linear in the
    histories and the candidates: the mean of cosines is the cosine to the mean.
    """
    return np.asarray(np.einsum("bnd,bd->bn", vectors[items], mean_history_vectors(vectors, train, users)))
