"""Head, middle and tail of a catalogue, by how the interactions are spread over it."""

import numpy as np

from recsys.types.arrays import Csr, Doubles

HEAD, TAIL = 0.2, 0.8  # of the interactions


def mass_above(counts: Doubles) -> Doubles:
    """Return the share of all interactions that strictly more popular items have, (I,); 1 for items without any.

    Items of equal popularity stand together, so that the order of the catalogue does not matter.

    >>> mass_above(np.array([4.0, 3.0, 3.0, 0.0])).tolist()
    [0.0, 0.4, 0.4, 1.0]
    """
    ascending = np.sort(counts)
    more = len(counts) - np.searchsorted(ascending, counts, side="right")
    mass = np.concatenate([[0.0], np.cumsum(ascending[::-1])])
    return np.where(counts > 0, mass[more] / max(mass[-1], 1.0), 1.0)


def in_tail(counts: Doubles) -> Doubles:
    """Return 1 for items outside of the smallest head that holds 80 % of the interactions, else 0, (I,)."""
    return np.asarray(mass_above(counts) >= TAIL, dtype=np.float64)


def popularity_groups(counts: Doubles) -> Csr:
    """Return the group of each item as a map (I, 3): head (the first 20 % of the interactions), middle, tail."""
    above = mass_above(counts)
    group = np.where(above < HEAD, 0, np.where(above < TAIL, 1, 2))
    return Csr((np.ones(len(counts)), group, np.arange(len(counts) + 1)), shape=(len(counts), 3))
