"""Sparse matrices as tables: an entry is a row."""

from typing import Any

import numpy as np

from recsys.data.frames import convert_to_column
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Csr


def convert_matrix_to_columns(
    matrix: Any, user_ids: Any, item_ids: Any, place: str
) -> tuple[dict[str, Anys], list[str]]:
    """Return the entries of a sparse matrix (U, I) as columns, by the ids of rows and columns, and notes.

    Cells with several entries hold their sum. A stored zero is no entry. Ids are numbers from 0 where none are given.

    Raises:
        RecsysError: if it has not two dimensions, or not as many different ids.
    """
    if matrix.ndim != 2:
        raise RecsysError(f"{place}: found a matrix of shape {matrix.shape}, expected users x items")
    users = _check_ids(user_ids, matrix.shape[0], "user_ids", place)
    items = _check_ids(item_ids, matrix.shape[1], "item_ids", place)
    cells = _canonicalize_matrix(matrix, place)
    stored = cells.nnz
    cells.eliminate_zeros()
    notes = [f"{stored - cells.nnz:,} stored zeros are no entries: left out"] if stored > cells.nnz else []
    entries = cells.tocoo()
    user, item = entries.coords
    return {"user_id": users[user], "item_id": items[item], "weight": entries.data}, notes


def _canonicalize_matrix(matrix: Any, place: str) -> Csr:
    """Return a copy with one entry a cell, added up in 64 bits: small whole numbers would run over."""
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
        wide = matrix.astype(np.float64) if matrix.dtype.kind in "iuf" else matrix
        cells = Csr(wide, copy=True)
        cells.sum_duplicates()
    except ValueError as error:
        raise RecsysError(f"{place}: the matrix is damaged: {' '.join(str(error).split())}") from None
    return cells


def _check_ids(given: Any, n: int, what: str, place: str) -> Anys:
    if given is None:
        return np.arange(n)
    names = convert_to_column(given, what, place)
    if len(names) != n:
        raise RecsysError(f"{place}: {what}: found {len(names):,}, expected {n:,}: one for each of the matrix")
    twice = names[names.duplicated()]
    if len(twice):
        raise RecsysError(f"{place}: {what}: {str(twice.iloc[0])!r} is there more than once")
    return np.asarray(names.to_numpy(dtype=object))
