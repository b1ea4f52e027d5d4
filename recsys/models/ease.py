"""EASE: a linear model from items to items, in closed form."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import lapack

from recsys.models.checks import CheckedArrays, MemoryNeed, check_memory, check_positive
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.models.sparse_topk import count_block_cells, fill_with_popularity, iter_row_blocks, sum_weighted_popularity
from recsys.types.arrays import Anys, Csr, Doubles, Floats, Ints
from recsys.types.errors import RecsysError, check_choice
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

_BYTES = {"float64": 8, "float32": 4}
_ROWS = 512  # of a block of the square matrix


@dataclass(frozen=True, eq=False)
class FittedEASE(CheckedArrays):
    """A fitted item-to-item model: the score of an item is the sum of its weights over the user's items."""

    train: Csr = field(
        metadata=mark_user_rows("the liked items, and how much each counts, as the model keeps them")
    )  # (U, I)
    weights: Floats  # (I, I), zero diagonal
    factors: None = None
    inverse_diagonal: Doubles | None = None  # (I,) that of P, with which P = (I - B) diag is known again
    l2: float | None = None  # with which it was fitted
    popularity: Doubles | None = None  # (I,) by weights by age, where it is fitted with such
    probe_images: Doubles | None = None  # (I, 8) of the probes of a bound by P, where rows were forgotten

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_histories(self.train[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): sums of their items' weights; popularity if all are 0."""
        return self._score_histories(canonicalize_histories(histories, len(self.weights)))

    def _score_histories(self, histories: Csr) -> Floats:
        scores = np.asarray(histories @ self.weights, dtype=np.float32)
        return fill_with_popularity(scores, self.train, self.popularity)


@dataclass(frozen=True)
class EASE:
    """Embarrassingly shallow autoencoder (Steck 2019): least squares from a user's items to each item, less itself.

    B = I - P diag(1 / diag P) with P = (X'X + l2 I)^-1, so that the diagonal of B is 0. One dense (I, I) matrix is
    computed in place: 8 bytes per cell with `dtype` "float64", 4 with "float32", which also takes about half the time.
    B is float32 in both cases; docs/models.md has the measured difference, and says how
    near the default of `l2` comes to tuned settings.

    Weights by age (`Split.with_half_life`) stand in X: X'X is sum_u w_ui w_uj, and a score the sum of w_uj B_ji.

    Raises:
        RecsysError: if a setting is invalid.
    """

    l2: float = 200.0  # ridge on the diagonal of X'X: more of it pulls weights to 0
    dtype: str = "float64"  # "float64" or "float32", which takes half the memory

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive("ease", l2=self.l2)
        check_choice("dtype", self.dtype, _BYTES, where="ease")

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps.

        Beside the dense matrix that is the positives by users, by items and as a block of items, and one block of X'X
        in sparse form, as if it were full.
        """
        n = train.shape[1]
        needs = {
            dtype: size * n**2 + (size + train.indices.itemsize) * (3 * train.nnz + count_block_cells(n, n))
            for dtype, size in _BYTES.items()
        }
        instead = "filter items with a larger min_item_interactions, or use als"
        if self.dtype == "float64":
            instead = f'use dtype = "float32", which needs {needs["float32"]:,} bytes, {instead}'
        return MemoryNeed(needs[self.dtype], 4 * n**2, f"{n:,} items", instead)

    @check_fit("ease")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedEASE:
        """Fit to the positives, (U, I), with one BLAS thread: its number changes the last bits.

        Raises:
            RecsysError: if the catalogue is too large for the memory of this machine; nothing is computed then.
        """
        from threadpoolctl import threadpool_limits

        check_memory("ease", self.estimate_memory(train))
        n = train.shape[1]
        cells = np.empty(n * n, dtype=self.dtype)
        matrix = cells.reshape(n, n)
        _fill_gram(matrix, train)
        matrix[np.diag_indices(n)] += self.l2
        with threadpool_limits(1, user_api="blas"):
            _invert_in_place(matrix)
        diagonal = np.diag(matrix).astype(np.float64)
        matrix /= -np.diag(matrix)
        np.fill_diagonal(matrix, 0.0)
        del matrix
        weights, popularity = _narrow_to_float32(cells).reshape(n, n), sum_weighted_popularity(side)
        return FittedEASE(train, weights, inverse_diagonal=diagonal, l2=float(self.l2), popularity=popularity)


def _fill_gram(matrix: Anys, train: Csr) -> None:
    """Write X'X into `matrix`, (I, I), in blocks: the whole of it in sparse form can be larger than the dense one."""
    rows = train.astype(matrix.dtype)
    items = Csr(rows.T)
    for part in iter_row_blocks(*matrix.shape):
        (items[part] @ rows).toarray(out=matrix[part])


def _invert_in_place(matrix: Anys) -> None:
    """Replace a symmetric positive definite matrix in C order by its inverse."""
    double = matrix.dtype == np.float64
    factorise, invert = (lapack.dpotrf, lapack.dpotri) if double else (lapack.spotrf, lapack.spotri)
    fortran = matrix.T  # the same numbers in the order of LAPACK, which writes into them
    factor, failed = factorise(fortran, lower=True, overwrite_a=True, clean=False)
    inverse, failed_too = invert(factor, lower=True, overwrite_c=True)
    if failed or failed_too:
        precise = "" if double else ', or dtype = "float64"'
        raise RecsysError(f"ease: the co-occurrence matrix is singular to working precision: use a larger l2{precise}")
    if not np.may_share_memory(inverse, matrix):  # a LAPACK that wrote elsewhere
        fortran[...] = inverse
    _copy_upper_to_lower(matrix)


def _copy_upper_to_lower(matrix: Anys) -> None:
    """Copy the upper triangle of a square matrix in C order over the lower one."""
    for start in range(0, len(matrix), _ROWS):
        stop = min(start + _ROWS, len(matrix))
        matrix[start:stop, :start] = matrix[:start, start:stop].T
        corner = matrix[start:stop, start:stop]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T


def _narrow_to_float32(cells: Any) -> Floats:
    """Return an array of numbers as float32, in the memory that it has: the rest of float64 is given back."""
    if cells.dtype == np.float64:
        narrow, n = cells.view(np.float32), len(cells)
        for start in range(0, n, _ROWS**2):
            stop = min(start + _ROWS**2, n)
            narrow[start:stop] = cells[start:stop].astype(np.float32)
        del narrow
        cells.resize((n + 1) // 2, refcheck=False)  # no other view of it is left
        return np.asarray(cells.view(np.float32)[:n])
    return np.asarray(cells, dtype=np.float32)
