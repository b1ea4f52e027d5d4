"""How far one mix is from another: rows of shares that sum to 1."""

import numpy as np

from recsys.maths.mixes import kl
from recsys.types.arrays import Doubles


def jensen_shannon(p: Doubles, q: Doubles) -> Doubles:
    """Return (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 over the last axis, in bits, in [0, 1].

    >>> float(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0
    """
    middle = (p + q) / 2.0
    return np.asarray(np.clip((kl(p, middle) + kl(q, middle)) / (2.0 * np.log(2.0)), 0.0, 1.0))


def hellinger(p: Doubles, q: Doubles) -> Doubles:
    """Return sqrt(sum_z (sqrt p - sqrt q)^2 / 2) over the last axis, in [0, 1]: sqrt(1 - Bhattacharyya)."""
    return np.asarray(np.minimum(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2.0), 1.0))


def total_variation(p: Doubles, q: Doubles) -> Doubles:
    """Return sum_z |p - q| / 2 over the last axis, in [0, 1]: the least mass that must move."""
    return np.asarray(np.minimum(np.abs(p - q).sum(axis=-1) / 2.0, 1.0))
