"""Links between items by random walks over users and items."""

import numpy as np

from recsys.models.neighbours import blocks, stacked, strongest
from recsys.models.weightings import sums
from recsys.types.arrays import Csr


def walk_links(train: Csr, alpha: float, beta: float, k: int, normalize: bool) -> Csr:
    """Return the links of walks from an item to one of its users to one of theirs, (I, I) float32, zero diagonal.

    The link from j to i is sum_u (1 / n_j)^alpha (x_ui / sum_i x_ui)^alpha / n_i^beta over the users u of both. Of
    those from j the k largest are kept, then, with `normalize`, scaled to sum 1, and of those to i the k largest.
    """
    items = Csr(train.T)
    items.data = np.ones(items.nnz)
    n_items = len(items.indptr) - 1
    there, back = _steps(items, alpha), _steps(train, alpha)
    discounts = np.maximum(np.diff(items.indptr), 1.0) ** -beta

    def leaving(part: slice) -> Csr:
        links = (there[part] @ back).toarray() * discounts
        links[np.arange(len(links)), np.arange(part.start, part.stop)] = 0.0
        return strongest(links, k)

    links = stacked(leaving(part) for part in blocks(n_items, n_items))
    arriving = Csr((_steps(links, 1.0) if normalize else links).T)
    return Csr(stacked(strongest(arriving[part].toarray(), k) for part in blocks(n_items, n_items)).T)


def _steps(graph: Csr, alpha: float) -> Csr:
    """Return the probability of each step from a row to one of its columns, to the power of alpha."""
    totals = np.repeat(sums(graph), np.diff(graph.indptr))
    return Csr(((graph.data / totals) ** alpha, graph.indices, graph.indptr), shape=graph.shape)
