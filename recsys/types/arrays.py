"""Names for the array types that the records are made of."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Bools = NDArray[np.bool_]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Strings = NDArray[np.str_]
Anys = NDArray[Any]
Csr = sparse.csr_array


def unite_matrices(one: Csr, other: Csr) -> Csr:
    """Return 1 where either matrix has an entry."""
    both = sparse.csr_array(abs(one) + abs(other))
    both.data = np.ones_like(both.data)
    return both


def make_empty_matrix(shape: tuple[int, int]) -> Csr:
    """Return a float32 matrix without entries."""
    return cast(Csr, sparse.csr_array(shape, dtype=np.float32))
