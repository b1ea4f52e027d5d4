"""The matrices that models are fitted to and fold in: checked, and brought into one canonical form.

A canonical matrix is a CSR array with int32 columns that rise within each row, and without stored zeros. Containers
that hold the same cells become the same canonical matrix, so every model gives them the same scores.
"""

from typing import Any

import numpy as np
from scipy import sparse

from recsys.types.arrays import Anys, Bools, Csr
from recsys.types.errors import RecsysError
from recsys.types.models import SideInformation
from recsys.types.purchases import Purchases

_EXPECTED = "expected a SciPy sparse matrix or a NumPy array of users and items"
_MAX_INT32 = np.iinfo(np.int32).max


def canonicalize_positives(model: str, train: Any) -> Csr:
    """Return the positives (U, I) as a canonical CSR array, float32, that shares what is canonical with `train`.

    `train` is any SciPy sparse matrix or array, or a two-dimensional NumPy array, of booleans or real numbers. A
    stored zero is no positive. A cell that is stored several times is one positive, with the largest of its weights.

    >>> twice = sparse.coo_array(([1, 1, 0], ([0, 0, 1], [2, 2, 0])), shape=(2, 3))
    >>> canonicalize_positives("als", twice).toarray().tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

    Raises:
        RecsysError: if it is no such matrix, has no users, no items or no positives, points outside of itself, or holds
            a weight that is negative or not a finite float32.
    """
    found = _canonicalize_weights(model, "train", train)
    if not found.nnz:
        raise RecsysError(f"{model}: found no positives among {found.shape[0]:,} users, expected at least one")
    return found


def canonicalize_side(model: str, side: SideInformation | None, positives: Csr) -> SideInformation | None:
    """Return side information for canonical positives (U, I) in canonical form: stored zeros stay entries.

    A rating of 0 is a dislike, and 0 seconds are a time.

    Raises:
        RecsysError: if a matrix is none of real numbers, has another shape, or holds a number that is not finite, or
            weights are not those of the positives, from 0 to 1.
    """
    shape = positives.shape
    if side is None:
        return None
    if not isinstance(side, SideInformation):
        raise RecsysError(f"{model}: side: found {_describe_type(side)}, expected a recsys.types.SideInformation")
    made = {}
    for name, dtype in (("dislikes", np.float32), ("times", np.float64), ("weights", np.float32)):
        matrix = getattr(side, name)
        if matrix is None:
            continue
        made[name] = _canonicalize_csr(f"{model}: side.{name}", matrix, dtype, -np.inf)
        if made[name].shape != shape:
            found, wanted = (f"{n[0]:,} x {n[1]:,}" for n in (made[name].shape, shape))
            raise RecsysError(f"{model}: side.{name}: found {found} users and items, expected {wanted} as in train")
    if "weights" in made:
        _check_weights(model, made["weights"], positives)
    return SideInformation(**made, purchases=_check_purchases(model, side.purchases, shape))


def _check_purchases(model: str, found: Any, shape: tuple[int, int]) -> Purchases | None:
    """Refuse purchases that are none, or of other users and items."""
    if found is None or (isinstance(found, Purchases) and (found.n_users, found.n_items) == shape):
        return found
    told = f"{found.n_users:,} x {found.n_items:,}" if isinstance(found, Purchases) else _describe_type(found)
    raise RecsysError(f"{model}: side.purchases: found {told}, expected purchases of {shape[0]:,} x {shape[1]:,}")


def weigh_positives(positives: Csr, side: SideInformation | None) -> Csr:
    """Return canonical positives (U, I), their values multiplied by the weights of `side` where it has any."""
    if side is None or side.weights is None:
        return positives
    weighted = positives.data * side.weights.data
    return Csr((weighted, positives.indices, positives.indptr), shape=positives.shape)


def count_likes(likes: Csr, weighs_likes: bool) -> tuple[Anys, Anys]:
    """Return how many likes each row and each column has, (N,) and (M,), or the sums of their weights."""
    if not weighs_likes:
        return np.diff(likes.indptr), np.bincount(likes.indices, minlength=likes.shape[1])
    weights, rows = likes.data.astype(np.float64), np.repeat(np.arange(likes.shape[0]), np.diff(likes.indptr))
    return (
        np.bincount(rows, weights=weights, minlength=likes.shape[0]),
        np.bincount(likes.indices, weights=weights, minlength=likes.shape[1]),
    )


def _check_weights(model: str, weights: Csr, positives: Csr) -> None:
    """Refuse weights that are not those of the positives, or none above 0 and up to 1."""
    if not (np.array_equal(weights.indptr, positives.indptr) and np.array_equal(weights.indices, positives.indices)):
        raise RecsysError(f"{model}: side.weights: found other entries than those of train, expected one for each")
    if weights.nnz and not (weights.data.min() > 0 and weights.data.max() <= 1):
        found = f"{weights.data.min():g} to {weights.data.max():g}"
        raise RecsysError(f"{model}: side.weights: found weights from {found}, expected numbers above 0 and up to 1")


def canonicalize_histories(histories: Any, n_items: int) -> Csr:
    """Return histories (B, I) of users that a model has not seen, as `canonicalize_positives`; rows may be empty.

    Raises:
        RecsysError: as `canonicalize_positives`, or if there are not `n_items` columns.
    """
    found = _canonicalize_weights("fold", "histories", histories, any_size=True)
    if found.shape[1] != n_items:
        raise RecsysError(f"fold: found histories of {found.shape[1]:,} items, expected the {n_items:,} of the model")
    return found


def _canonicalize_weights(model: str, name: str, matrix: Any, any_size: bool = False) -> Csr:
    """Return a canonical matrix of weights above 0."""
    given = _canonicalize_csr(f"{model}: {name}", matrix, np.float32, 0.0)
    users, items = given.shape
    if not any_size and not (users and items):
        raise RecsysError(f"{model}: {name}: found {users:,} users and {items:,} items, expected at least one of each")
    return given if given.data.all() else _select_entries(given, given.data != 0)


def _canonicalize_csr(place: str, matrix: Any, dtype: type[Any], least: float) -> Csr:
    """Return the matrix with columns that rise within each row; zeros stay where they are stored."""
    given = _to_csr(place, matrix)
    _check_indices(place, given)
    _check_values(place, given, dtype, least)
    if given.dtype != dtype:
        given = Csr((given.data.astype(dtype), given.indices, given.indptr), shape=given.shape)
    if given.indices.dtype != np.int32 and max(given.nnz, *given.shape) <= _MAX_INT32:
        narrow = given.indices.astype(np.int32), given.indptr.astype(np.int32)
        given = Csr((given.data, *narrow), shape=given.shape)
    rises = given.indices[1:] > given.indices[:-1]
    starts = given.indptr[1:-1]
    rises[starts[(starts > 0) & (starts < given.nnz)] - 1] = True
    return given if rises.all() else _sort_and_merge_cells(given)


def _to_csr(place: str, matrix: Any) -> Csr:
    """Return the matrix as a CSR array, its cells as they are stored; arrays are shared where they can be."""
    is_sparse: bool = sparse.issparse(matrix)
    if not (is_sparse or isinstance(matrix, np.ndarray)) or isinstance(matrix, np.ma.MaskedArray):
        raise RecsysError(f"{place}: found {_describe_type(matrix)}, {_EXPECTED}")
    if matrix.ndim != 2:
        raise RecsysError(f"{place}: found {matrix.ndim} dimensions, {_EXPECTED}")
    if matrix.dtype.kind not in "biuf":
        raise RecsysError(f"{place}: found numbers of type {matrix.dtype}, expected real numbers")
    if not is_sparse:
        cells = np.asarray(matrix)
        return Csr(cells.astype(np.float32) if cells.dtype == np.float16 else cells)  # SciPy knows no float16
    try:
        if matrix.format == "csr":
            size = int(matrix.indptr[-1])
            return Csr((matrix.data[:size], matrix.indices[:size], matrix.indptr), shape=matrix.shape)
        cells = matrix.tocoo()  # a COO's own conversion to CSR would add up cells that are stored several times
        order = np.argsort(cells.row, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(cells.row, minlength=cells.shape[0]))])
        return Csr((cells.data[order], cells.col[order], indptr), shape=cells.shape)
    except (ValueError, IndexError) as error:
        raise RecsysError(f"{place}: found a damaged matrix: {' '.join(str(error).split())}") from None


def _check_indices(place: str, matrix: Csr) -> None:
    """Refuse a CSR whose pointers or columns lead out of it: compiled loops would follow them."""
    indices, indptr = matrix.indices, matrix.indptr
    whole = indptr[0] == 0 and (np.diff(indptr) >= 0).all() and len(indices) == len(matrix.data)
    if not whole or (len(indices) and (indices.min() < 0 or indices.max() >= matrix.shape[1])):
        raise RecsysError(f"{place}: found entries outside of its {matrix.shape[0]:,} x {matrix.shape[1]:,} cells")


def _check_values(place: str, matrix: Csr, dtype: type[Any], least: float) -> None:
    """Refuse a number below `least`, or one that `dtype` can only hold as 0 or infinity; say where the first is."""
    data, holds = matrix.data, np.finfo(dtype)
    wrong = ~((data >= least) & (data <= float(holds.max)) & (data >= -float(holds.max)))
    if data.dtype.kind == "f" and data.itemsize > np.dtype(dtype).itemsize:
        wrong |= (data != 0) & (np.abs(data) < float(holds.smallest_subnormal))
    if not wrong.any():
        return
    entry = int(np.argmax(wrong))
    row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
    expected = f"finite numbers that a {np.dtype(dtype)} can hold" + (" from 0 on" if least == 0 else "")
    raise RecsysError(f"{place}: found {data[entry]} in row {row}, column {matrix.indices[entry]}, expected {expected}")


def _sort_and_merge_cells(matrix: Csr) -> Csr:
    """Return the matrix with the columns of each row in order, and the largest number of a cell in its place."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, rows))
    rows, columns, data = rows[order], matrix.indices[order], matrix.data[order]
    first = np.concatenate([[True], (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])])
    ordered = Csr((data, columns, matrix.indptr), shape=matrix.shape)
    ordered.data = np.repeat(np.maximum.reduceat(data, np.flatnonzero(first)), np.diff(np.flatnonzero([*first, True])))
    return _select_entries(ordered, first)


def _select_entries(matrix: Csr, kept: Bools) -> Csr:
    """Return the matrix with some of its entries."""
    before = np.concatenate([[0], np.cumsum(kept)]).astype(matrix.indptr.dtype)
    return Csr((matrix.data[kept], matrix.indices[kept], before[matrix.indptr]), shape=matrix.shape)


def _describe_type(found: object) -> str:
    return f"a {type(found).__module__}.{type(found).__name__}".replace("a builtins.", "a ")
