"""Measures of how concentrated counts (..., I) are; NaN where nothing is counted."""

import numpy as np

from recsys.maths import distributions
from recsys.types.arrays import Doubles


def normalize_counts(counts: Doubles) -> Doubles:
    """Return counts over their sum, (..., I)."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, np.nan))


def entropy_bits(counts: Doubles) -> Doubles:
    """Return -sum p log2 p of the shares, in bits, from 0 to log2 I.

    >>> float(entropy_bits(np.array([1.0, 1.0, 1.0, 1.0, 0.0])))
    2.0
    """
    p = normalize_counts(counts)
    return np.asarray(np.where(np.isnan(p).any(axis=-1), np.nan, distributions.entropy(p) / np.log(2.0)))


def herfindahl(counts: Doubles) -> Doubles:
    """Return sum p^2 of the shares (Herfindahl and Hirschman), from 1 / I to 1."""
    return np.asarray((normalize_counts(counts) ** 2).sum(axis=-1))
