"""How much is known of an item, and how unequally a catalogue is shown."""

import numpy as np

from recsys.types.arrays import Csr, Doubles


def counts(train: Csr) -> Doubles:
    """Return how many users of `train` (U, I) have each item, (I,)."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def popularity_groups(train: Csr, head: float = 0.2, tail: float = 0.2) -> Csr:
    """Return which of three groups each item is in, head, mid or tail, (I, 3) float32, one 1 in each row.

    An item is in the head when the items with more users than it have less than the share `head` of all
    interactions of `train` together; else in the tail when those with fewer users have less than the share `tail`;
    else in the middle. So the head is the fewest of the best-known items that reach its share, items with equally
    many users are in one group, and what nobody has is in the tail. After Abdollahpouri et al. 2021.
    """
    n = counts(train)
    levels, of_item = np.unique(n, return_inverse=True)
    mass = levels * np.bincount(of_item)  # interactions of the items with so many users
    upto, total = np.cumsum(mass), max(n.sum(), 1.0)
    above, below = (mass.sum() - upto)[of_item], (upto - mass)[of_item]
    group = np.where(above < head * total, 0, np.where(below < tail * total, 2, 1))
    entries = (np.ones(len(n), np.float32), group, np.arange(len(n) + 1))
    return Csr(entries, shape=(len(n), 3))


def self_information(train: Csr) -> Doubles:
    """Return -log2(n_i / sum n) of every item, (I,), in bits.

    An item that nobody has in `train` is given the value of one seen once: log2(sum n), the largest there is.
    Vargas and Castells 2011 (free discovery); the "EFD" convention of `docs/metrics.md`.
    """
    n = counts(train)
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
