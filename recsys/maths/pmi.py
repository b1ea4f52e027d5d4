"""Distances of items from a history, by pointwise mutual information and by cosine."""

import numpy as np
from scipy import sparse

from recsys.maths.popularity import count_item_users
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints, Longs

CELLS = 1 << 22  # numbers at a time: memory does not grow with the catalogue or with a history
ITEMS = 64  # at a time: a row of the whole catalogue for each
PAIRS = 2**20  # of an item and one of a history, at a time, more or less


def scaled_npmi_matrix(train: Csr) -> Csr:
    """Return (1 + nPMI(i, j)) / 2 of all items that share a user, (I, I) float32; nothing stored is 0: none shared.

    nPMI(i, j) = log(p(i, j) / (p(i) p(j))) / -log p(i, j), from -1 (never together) over 0 (independent) to 1
    (always together; so also where p(i, j) = 1), p the shares of users with a history (Bouma 2009). Made from blocks
    of items; memory and time are those of the pairs that share a user.
    """
    n = count_item_users(train)
    total = max(float((np.diff(train.indptr) > 0).sum()), 1.0)
    of_item, step = Csr(train.T), max(1, CELLS // max(train.shape[1], 1))
    blocks = []
    for start in range(0, train.shape[1], step):
        together = sparse.csr_array(of_item[start : start + step] @ train)
        first = n[start + np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))]
        npmi = _npmi(together.data.astype(np.float64), first, n[together.indices], total)
        shares = ((1.0 + npmi) / 2.0).astype(np.float32)
        blocks.append(Csr((shares, together.indices, together.indptr), shape=together.shape))
    return Csr(sparse.vstack([Csr((0, train.shape[1]), dtype=np.float32), *blocks], format="csr"))


def cooccurrence_surprise(train: Csr, users: Longs, items: Longs) -> Doubles:
    """Return min over j in the history of (1 - nPMI(i, j)) / 2 for each pair of user and item, (E,), in [0, 1].

    nPMI(i, j) = log(p_ij / (p_i p_j)) / -log p_ij with shares of the users who have a history: -1 for items that
    nobody has together, 1 for items that only come together (Kaminskas and Bridge 2017). NaN without a history.
    """
    liked = sparse.csr_array((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
    by_item = sparse.csr_array(liked.T)
    n, sizes = count_item_users(train), np.diff(train.indptr).astype(np.int64)
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
            near = _npmi(together[np.searchsorted(some, item), history], n[item], n[history], n_users)
            surprise[part] = (1.0 - np.maximum.reduceat(near, starts[:-1])) / 2.0
    return surprise


def max_entry_with_history(table: Csr, train: Csr, users: Ints, items: Longs) -> Doubles:
    """Return the largest entry of each of `items` (B, N) with an item of its user's history in `table` (I, I), (B, N).

    0 for a user without history. `users` (B,) are rows of `train`.
    """
    largest = np.zeros(items.shape)
    wanted, step = np.unique(items), max(1, CELLS // max(table.shape[1], 1))
    for start in range(0, len(wanted), step):
        rows = wanted[start : start + step]
        dense = table[rows].toarray()
        place = np.minimum(np.searchsorted(rows, items), len(rows) - 1)
        here = rows[place] == items
        for b in np.flatnonzero(here.any(axis=1)):
            profile = train.indices[train.indptr[users[b]] : train.indptr[users[b] + 1]]
            largest[b, here[b]] = dense[np.ix_(place[b, here[b]], profile)].max(axis=1, initial=0.0)
    return largest


def max_cosine_to_other_positives(vectors: Floats, train: Csr) -> Doubles:
    """Return the largest cosine, at least 0, of each positive to the others of its user, in the order of `train`.

    0 for an only positive; `vectors` (I, d) has unit rows. Time is quadratic in the length of a history.
    """
    near = np.zeros(train.nnz)
    starts, sizes = train.indptr[:-1], np.diff(train.indptr)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 1]
    first = 0
    while first < len(order):
        width = int(sizes[order[first]])  # the longest of those that are left
        users = order[first : first + max(1, CELLS // (width * max(width, vectors.shape[1])))]
        first += len(users)
        slots = np.arange(width)
        real = slots < sizes[users, None]
        place = np.where(real, starts[users, None] + slots, 0)
        part = vectors[train.indices[place]] * real[:, :, None]
        cosines = part @ part.transpose(0, 2, 1)
        cosines[:, slots, slots] = 0.0
        near[place[real]] = cosines.max(axis=2)[real]
    return np.clip(near, 0.0, 1.0)


def overall_distance_moments(vectors: Floats, train: Csr) -> tuple[float, float]:
    """Return the mean and the variance of how far positives are from the others of their user, 0 and inf if none is."""
    distance = 1.0 - max_cosine_to_other_positives(vectors, train)[_has_other_positives(train)]
    return (float(distance.mean()), float(distance.var())) if len(distance) else (0.0, np.inf)


def user_distance_moments(
    vectors: Floats, train: Csr, prior_strength: float, prior_moments: tuple[float, float] | None = None
) -> tuple[Doubles, Doubles]:
    """Return the mean and the standard deviation of how far each user's positives are from their others, (U,) twice.

    The distance of a positive is 1 - its largest cosine to the other positives of its user. Both are shrunk to
    those of all positives with `prior_strength` pseudo-observations: who has one positive, or none, gets these. Where
    nobody has two, means are 0 and deviations infinite. `typical` are the mean and the variance to shrink to, where
    they are those of other users (`overall_distance_moments`).
    """
    sizes = np.diff(train.indptr)
    told = np.where(sizes > 1, sizes, 0)
    counted = _has_other_positives(train)
    user, distance = (
        np.repeat(np.arange(len(sizes)), sizes)[counted],
        1.0 - max_cosine_to_other_positives(vectors, train)[counted],
    )
    if prior_moments is None:
        prior_moments = (float(distance.mean()), float(distance.var())) if len(distance) else (0.0, np.inf)
    if np.isinf(prior_moments[1]):
        return np.zeros(len(sizes)), np.full(len(sizes), np.inf)
    mean = (np.bincount(user, distance, len(sizes)) + prior_strength * prior_moments[0]) / (told + prior_strength)
    square = np.bincount(user, (distance - mean[user]) ** 2, len(sizes))
    return mean, np.sqrt((square + prior_strength * prior_moments[1]) / (told + prior_strength))


def _has_other_positives(train: Csr) -> Bools:
    """Return which positives have others of their user beside them, in the order of `train`."""
    sizes = np.diff(train.indptr)
    return np.asarray(np.repeat(sizes > 1, sizes))


def _npmi(both: Doubles, one: Doubles, other: Doubles, n: float) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(both * n / (one * other)) / -np.log(both / n)
    value = np.where(both > 0, value, -1.0)
    return np.asarray(np.clip(np.where(both < n, value, 1.0), -1.0, 1.0))
