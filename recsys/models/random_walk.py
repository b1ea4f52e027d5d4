"""Links between items by random walks over users and items."""

import numpy as np

from recsys.models.sparse_topk import iter_row_blocks, keep_top_k, stack_rows
from recsys.models.tfidf_bm25 import sum_rows
from recsys.types.arrays import Csr


def compute_walk_links(train: Csr, alpha: float, beta: float, k: int, normalize: bool) -> Csr:
    """Return the links of walks from an item to one of its users to one of theirs, (I, I) float32, zero diagonal.

    The link from j to i is sum_u (1 / n_j)^alpha (x_ui / sum_i x_ui)^alpha / n_i^beta over the users u of both. Of
    those from j the k largest are kept, then, with `normalize`, scaled to sum 1, and of those to i the k largest.
    """
    items = Csr(train.T)
    items.data = np.ones(items.nnz)
    n_items = len(items.indptr) - 1
    there, back = _compute_transitions(items, alpha), _compute_transitions(train, alpha)
    discounts = np.maximum(np.diff(items.indptr), 1.0) ** -beta

    def leaving(part: slice) -> Csr:
        links = (there[part] @ back).toarray() * discounts
        links[np.arange(len(links)), np.arange(part.start, part.stop)] = 0.0
        return keep_top_k(links, k)

    links = stack_rows(leaving(part) for part in iter_row_blocks(n_items, n_items))
    arriving = Csr((_compute_transitions(links, 1.0) if normalize else links).T)
    return Csr(stack_rows(keep_top_k(arriving[part].toarray(), k) for part in iter_row_blocks(n_items, n_items)).T)


def _compute_transitions(graph: Csr, alpha: float) -> Csr:
    """Return the probability of each step from a row to one of its columns, to the power of alpha."""
    totals = np.repeat(sum_rows(graph), np.diff(graph.indptr))
    return Csr(((graph.data / totals) ** alpha, graph.indices, graph.indptr), shape=graph.shape)
