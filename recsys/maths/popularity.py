"""How much is known of an item, and how unequally a catalogue is shown."""

import numpy as np

from recsys.types.arrays import Bools, Csr, Doubles


def counts(train: Csr) -> Doubles:
    """Return how many users of `train` (U, I) have each item, (I,)."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def self_information(train: Csr) -> Doubles:
    """Return -log2(n_i / sum n) of every item, (I,), in bits.

    An item that nobody has in `train` is given the value of one seen once: log2(sum n), the largest there is.
    Vargas and Castells 2011 (free discovery); the "EFD" convention of `docs/metrics.md`.
    """
    n = counts(train)
    return np.asarray(np.log2(max(n.sum(), 1.0)) - np.log2(np.maximum(n, 1.0)), dtype=np.float64)


def in_tail(train: Csr, head: float) -> Bools:
    """Return which items lie outside the head, (I,): the fewest items that take the share `head` of all interactions.

    An item is in the head where the items with more users than it have less than that share. So items with equally
    many users are on the same side; an item that nobody has is in the tail.

    >>> in_tail(Csr(np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])), 0.8).tolist()
    [False, False, True, True]
    """
    n = counts(train)
    ascending = np.sort(n)
    above = n.sum() - np.concatenate([[0.0], np.cumsum(ascending)])[np.searchsorted(ascending, n, side="right")]
    return np.asarray((above + 1e-6 >= head * n.sum()) | (n == 0))


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
