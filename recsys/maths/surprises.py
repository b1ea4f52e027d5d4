"""How little two items share their users: pointwise mutual information."""

import numpy as np
from scipy import sparse

from recsys.types.arrays import Csr, Doubles, Longs

ITEMS = 64  # at a time: a row of the whole catalogue for each
PAIRS = 2**20  # of an item and one of a history, at a time, more or less


def cooccurrence_surprise(train: Csr, users: Longs, items: Longs) -> Doubles:
    """Return min over j in the history of (1 - nPMI(i, j)) / 2 for each pair of user and item, (E,), in [0, 1].

    nPMI(i, j) = log(p_ij / (p_i p_j)) / -log p_ij with shares of the users who have a history: -1 for items that
    nobody has together, 1 for items that only come together (Kaminskas and Bridge 2017). NaN without a history.
    """
    liked = sparse.csr_array((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
    by_item = sparse.csr_array(liked.T)
    counts, sizes = np.diff(by_item.indptr).astype(np.float64), np.diff(train.indptr).astype(np.int64)
    n_users = float(np.count_nonzero(sizes))
    surprise = np.full(len(users), np.nan)
    order = np.argsort(items, kind="stable")
    order = order[sizes[users[order]] > 0]
    wanted, first = np.unique(items[order], return_index=True)
    ends = np.append(first, len(order))
    for start in range(0, len(wanted), ITEMS):
        some = wanted[start : start + ITEMS]
        together = (by_item[some] @ liked).toarray()
        entries = order[ends[start] : ends[start + len(some)]]
        for part in np.array_split(entries, int(sizes[users[entries]].sum()) // PAIRS + 1):
            many = sizes[users[part]]
            starts = np.concatenate([[0], np.cumsum(many)])
            history = train.indices[np.repeat(train.indptr[users[part]] - starts[:-1], many) + np.arange(starts[-1])]
            item = np.repeat(items[part], many)
            near = _npmi(together[np.searchsorted(some, item), history], counts[item], counts[history], n_users)
            surprise[part] = (1.0 - np.maximum.reduceat(near, starts[:-1])) / 2.0
    return surprise


def _npmi(both: Doubles, one: Doubles, other: Doubles, n: float) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(both * n / (one * other)) / -np.log(both / n)
    value = np.where(both > 0, value, -1.0)
    return np.asarray(np.clip(np.where(both < n, value, 1.0), -1.0, 1.0))
