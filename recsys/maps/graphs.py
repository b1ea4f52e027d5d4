"""The graph of items that share users."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.maths.embeddings import sum_column_squares
from recsys.maths.ordering import find_largest
from recsys.types.arrays import Anys, Csr, Longs

_BLOCK = 512


class _Links(NamedTuple):
    """Links of a block of items."""

    items: Longs
    others: Longs
    weights: Anys


def build_neighbour_graph(train: Csr, n: int) -> Csr:
    """Return the graph of `build_neighbour_graphs` for one number of neighbours."""
    return build_neighbour_graphs(train, [n])[0]


def build_neighbour_graphs(train: Csr, numbers: Sequence[int]) -> list[Csr]:
    """Return, for each n, the symmetric graph (I, I) that links items of (U, I) to the n they share most users with.

    A link weighs the co-occurrence cosine |U_i and U_j| / sqrt(|U_i| |U_j|); it is there if it is among the n
    largest of either end. Items without users have no links. Of positives with weights by age it is the cosine of the
    columns.
    """
    n_items = train.shape[1]
    wanted = [min(n, n_items - 1) for n in numbers]
    sizes = sum_column_squares(train)
    columns = sparse.csc_array(train @ sparse.diags_array(1.0 / np.sqrt(np.where(sizes > 0, sizes, 1.0))))
    order, links = np.arange(n_items), [list[_Links]() for _ in wanted]
    for start in range(0, n_items, _BLOCK):
        cosine = (columns[:, start : start + _BLOCK].T @ columns).toarray()
        here = np.arange(len(cosine))
        cosine[here, start + here] = 0.0
        for n, found in zip(wanted, links, strict=True):
            nearest = find_largest(cosine, n, order, 0.0)
            weights = np.take_along_axis(cosine, nearest, axis=1).ravel()
            found.append(_Links(np.repeat(start + here, n), nearest.ravel(), weights))
    return [_join_links(found, n_items) for found in links]


def _join_links(found: Sequence[_Links], n_items: int) -> Csr:
    rows, ends, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    links = sparse.coo_array((weights.astype(np.float64), (rows, ends)), shape=(n_items, n_items))
    graph = Csr(links.tocsr())
    graph.eliminate_zeros()
    return Csr(graph.maximum(graph.T))
