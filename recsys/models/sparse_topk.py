"""The k largest entries of each row of a sparse product, found block by block."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from recsys.maths.blocks import iter_blocks
from recsys.maths.popularity import count_item_users, sum_item_weights
from recsys.models.checks import MemoryNeed
from recsys.types.arrays import Anys, Csr, Doubles, Floats
from recsys.types.models import SideInformation

_CELLS = 4_000_000  # of a dense block of rows: 32 MB of float64


def keep_top_k(block: Anys, k: int) -> Csr:
    """Return the k largest entries above 0 of each row, as float32; of equals, those that come first.

    >>> keep_top_k(np.array([[2.0, 0.0, 2.0, 3.0, 2.0]]), 3).toarray().tolist()
    [[2.0, 0.0, 2.0, 3.0, 0.0]]
    """
    values = np.maximum(block, 0.0).astype(np.float32)
    if k < values.shape[1]:
        last = -np.partition(-values, k - 1, axis=1)[:, k - 1 : k]
        equal = values == last
        room = k - (values > last).sum(axis=1, keepdims=True)
        values[(values < last) | (equal & (np.cumsum(equal, axis=1) > room))] = 0.0
    return Csr(values)


def fill_with_popularity(scores: Floats, train: Csr, popularity: Doubles | None = None) -> Floats:
    """Return `scores` with rows of zeros replaced by `popularity`, or by how many users of `train` have each item."""
    scores[~scores.any(axis=1)] = count_item_users(train) if popularity is None else popularity
    return scores


def sum_weighted_popularity(side: SideInformation | None) -> Doubles | None:
    """Return the sum of the weights by age of each item's positives, (I,); None where they have none."""
    if side is None or side.weights is None:
        return None
    return sum_item_weights(side.weights)


def stack_rows(parts: Iterator[Csr]) -> Csr:
    """Return the rows of all parts, one after the other."""
    return Csr(sparse.vstack(list(parts), format="csr"))


def iter_row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of rows whose dense blocks are of bounded size; one row has the same numbers in any of them."""
    return iter_blocks(rows, max(1, _CELLS // max(columns, 1)))


def count_block_cells(rows: int, columns: int) -> int:
    """Return the cells of the largest of these blocks."""
    return min(max(_CELLS, columns), rows * columns)


def estimate_link_memory(train: Csr, k: int) -> MemoryNeed:
    """Return the bytes that k links of every item of `train` take."""
    n_items = train.shape[1]
    kept = 12 * n_items * min(k, n_items)  # values and indices
    peak = 2 * kept + 5 * 8 * count_block_cells(n_items, n_items)  # both directions, a block, its working copies
    instead = "use a smaller k, or filter items with a larger min_item_interactions"
    return MemoryNeed(peak, kept, f"{k} links of {n_items:,} items", instead)
