"""A linear model from items to items, in closed form."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from recsys.models.checks import Need, above_zero, enough_memory
from recsys.models.neighbours import or_popularity
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.errors import RecsysError
from recsys.types.models import Side

_BYTES_PER_CELL = 20  # at the peak: the co-occurrence counts, sparse (12) and dense (8)
_INSTEAD = "filter items with a larger min_item, or use als"


@dataclass(frozen=True, eq=False)
class ByItems:
    """A fitted item-to-item model: the score of an item is the sum of its weights over what the user has."""

    train: Csr  # (U, I)
    weights: Floats  # (I, I), zero diagonal
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self.fold(self.train[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): sums of their items' weights; popularity if all are 0."""
        return or_popularity(np.asarray(histories @ self.weights, dtype=np.float32), self.train)


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder (Steck 2019): least squares from a user's items to each item, less itself.

    B = I - P diag(1 / diag P) with P = (X'X + l2 I)^-1, so that the diagonal of B is 0. Needs memory for dense
    (I, I) matrices. The default is the best of a small search on the validation part of ML-100K.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    l2: float = 300.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        above_zero("ease", l2=self.l2)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        cells = train.shape[1] ** 2
        return Need(_BYTES_PER_CELL * cells, 4 * cells, f"{train.shape[1]:,} items", _INSTEAD)

    def fit(self, train: Csr, side: Side | None = None) -> ByItems:
        """Fit to the positives, (U, I), with one BLAS thread: its number changes the last bits.

        Raises:
            RecsysError: if the catalogue is too large for the memory of this machine; nothing is computed then.
        """
        from threadpoolctl import threadpool_limits

        enough_memory("ease", self.need(train))
        gram = (train.T.astype(np.float64) @ train).toarray(order="F")
        gram[np.diag_indices_from(gram)] += self.l2
        with threadpool_limits(1, user_api="blas"):
            weights = _inverse(gram)
        weights /= -np.diag(weights)
        np.fill_diagonal(weights, 0.0)
        return ByItems(train, np.ascontiguousarray(weights, dtype=np.float32))


def _inverse(matrix: Doubles) -> Doubles:
    """Return the inverse of a positive definite matrix in Fortran order, in its place."""
    factor, failed = lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    inverse, failed_too = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed or failed_too:
        raise RecsysError("ease: the co-occurrence matrix is singular to working precision: use a larger l2")
    for column in range(len(inverse) - 1):  # LAPACK fills the lower triangle only
        inverse[column, column + 1 :] = inverse[column + 1 :, column]
    return np.asarray(inverse, dtype=np.float64)
