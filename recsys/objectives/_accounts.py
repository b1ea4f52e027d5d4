"""A sample of accounts, and how far apart they are."""

import numpy as np

from recsys.maths.distributions import squared_distances
from recsys.support import rng
from recsys.types.arrays import Csr, Doubles, Longs


def draw_accounts(train: Csr, accounts: int, seed: int) -> Longs:
    """Return the rows of at most `accounts` users with a history in `train` (U, I), ascending."""
    there = np.flatnonzero(np.diff(train.indptr))
    order = rng.make_generator(seed, "accounts").permutation(len(there))
    return np.sort(there[order[:accounts]])


def median_squared_distance(mixes: Doubles) -> float:
    """Return the median of the squared distances between rows of `mixes` (A, Z) that differ, 1 where none do."""
    apart = squared_distances(mixes, mixes)
    return float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
