"""The graph of items that share users."""

import numpy as np
from scipy import sparse

from recsys.maths.embeddings import sum_column_squares
from recsys.types.arrays import Csr

_BLOCK = 512


def build_neighbour_graph(train: Csr, n: int) -> Csr:
    """Return the symmetric graph (I, I) that links each item of (U, I) to the n items it shares most users with.

    A link weighs the co-occurrence cosine |U_i and U_j| / sqrt(|U_i| |U_j|); it is there if it is among the n
    largest of either end. Items without users have no links. Of positives with weights by age it is the cosine of the
    columns.
    """
    n_items = train.shape[1]
    n = min(n, n_items - 1)
    sizes = sum_column_squares(train)
    columns = sparse.csc_array(train @ sparse.diags_array(1.0 / np.sqrt(np.where(sizes > 0, sizes, 1.0))))
    rows, ends, weights = [], [], []
    for start in range(0, n_items, _BLOCK):
        cosine = (columns[:, start : start + _BLOCK].T @ columns).toarray()
        here = np.arange(len(cosine))
        cosine[here, start + here] = 0.0
        nearest = np.argpartition(-cosine, n - 1, axis=1)[:, :n]
        rows.append(np.repeat(start + here, n))
        ends.append(nearest.ravel())
        weights.append(np.take_along_axis(cosine, nearest, axis=1).ravel())
    ends_of_links = (np.concatenate(rows), np.concatenate(ends))
    links = sparse.coo_array((np.concatenate(weights).astype(np.float64), ends_of_links), shape=(n_items, n_items))
    graph = Csr(links.tocsr())
    graph.eliminate_zeros()
    return Csr(graph.maximum(graph.T))
