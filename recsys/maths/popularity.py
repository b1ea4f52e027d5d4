"""Popularity of items: counts, ranks, self-information, head and tail, and the Gini index."""

import numpy as np

from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs

ROUNDING = 1e-12  # of a share of interactions


def count_item_users(train: Csr) -> Doubles:
    """Return how many users of `train` (U, I) have each item, (I,)."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def sum_item_weights(train: Csr) -> Doubles:
    """Return the sum of the values of each item's positives, (I,): of 0/1 positives `count_item_users`."""
    weights = train.data.astype(np.float64)
    return np.asarray(np.bincount(train.indices, weights=weights, minlength=train.shape[1]), dtype=np.float64)


def share_of_more_popular(n: Doubles) -> Doubles:
    """Return the share of all interactions that strictly more popular items have, (I,); 1 for a count of 0.

    Items of equal popularity stand together, so that the order of the catalogue does not matter.

    >>> share_of_more_popular(np.array([4.0, 3.0, 3.0, 0.0])).tolist()
    [0.0, 0.4, 0.4, 1.0]
    """
    ascending = np.sort(n)
    more = len(n) - np.searchsorted(ascending, n, side="right")
    mass = np.concatenate([[0.0], np.cumsum(ascending[::-1])])
    return np.where(n > 0, mass[more] / max(mass[-1], 1.0), 1.0)


def find_tail_items(n: Doubles, head: float = 0.8) -> Bools:
    """Return which items lie outside the head, (I,): the fewest items that take the share `head` of all interactions.

    An item is in the head where the items with more users than it have less than that share. So items with equally
    many users are on the same side; an item that nobody has is in the tail.

    >>> find_tail_items(np.array([4.0, 2.0, 1.0, 0.0])).tolist()
    [False, False, True, True]
    """
    return np.asarray(share_of_more_popular(n) >= head - ROUNDING)


def group_by_popularity(n: Doubles, head: float = 0.2, tail: float = 0.2) -> Csr:
    """Return which of three groups each item is in by its count, head, mid or tail, (I, 3) float32, one 1 in each row.

    The head is the fewest of the best-known items that take the share `head` of all interactions, the tail what lies
    outside of the fewest that take 1 - `tail` (`find_tail_items`), the middle what is left. After Abdollahpouri et al.
    2021.
    """
    group = np.where(find_tail_items(n, 1.0 - tail), 2, np.where(find_tail_items(n, head), 1, 0))
    entries = (np.ones(len(n), np.float32), group, np.arange(len(n) + 1))
    return Csr(entries, shape=(len(n), 3))


def rank_among_unseen(ranks: Longs, seen: Csr, users: Longs, items: Longs | Ints) -> tuple[Longs, Bools]:
    """Return the number of unmet items that precede an item, and whether the user has met it.

    `place` (I,) is the place of each item in a list of all, `users` and `items` (of one shape, or that of both
    together) are rows and columns of `met` (U, I).
    """
    n = len(ranks)
    keys = np.sort(np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)) * n + ranks[seen.indices])
    wanted = users * n + ranks[items]
    before = np.searchsorted(keys, wanted)
    known = np.searchsorted(keys, wanted, side="right") > before
    return ranks[items] - (before - np.searchsorted(keys, users * n)), np.asarray(known)


def item_self_information(train: Csr, counts: Doubles | None = None) -> Doubles:
    """Return -log2(n_i / sum n) of every item, (I,), in bits; n are the users of `train`, or `counts` (I,).

    An item that nobody has in `train` is given the value of one seen once: log2(sum n), the largest there is.
    Vargas and Castells 2011 (free discovery); the "EFD" convention of `docs/metrics.md`.
    """
    n = count_item_users(train) if counts is None else counts
    return np.asarray(np.log2(max(n.sum(), 1.0)) - np.log2(np.maximum(n, 1.0)), dtype=np.float64)


def gini(shown: Doubles) -> Doubles:
    """Return the Gini index of counts (..., I), in [0, 1): 0 when every item is shown equally often.

    sum_j (2 j - I - 1) x_(j) / (I sum x), x ascending. NaN where nothing is shown.

    >>> float(gini(np.array([0.0, 0.0, 4.0, 4.0])))
    0.5
    """
    ascending = np.sort(shown, axis=-1)
    n = ascending.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            ascending @ (2.0 * np.arange(1, n + 1) - n - 1) / (n * ascending.sum(axis=-1)), dtype=np.float64
        )
