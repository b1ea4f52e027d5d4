"""Binomial probabilities of how often an aspect occurs in a random slate of a user's taste."""

import numpy as np

from recsys.types.arrays import Doubles, Longs

LOG_ZERO = -1e6  # log of a chance of 0: finite, and 0 again whatever root is taken of it


def log_prob_absent(p: Doubles, n: int) -> Doubles:
    """Return log P(X = 0), finite for p = 1 too."""
    return np.where(p < 1, n * np.log1p(-np.where(p < 1, p, 0.0)), LOG_ZERO * n)


def log_patience(p: Doubles, n: int, count: Longs) -> Doubles:
    """Return log P(X >= count | X >= 1): 0 for a count of 0 or 1, and where p is 0."""
    from scipy.special import bdtrc  # here: it is slow to load, and few need it

    at_least = bdtrc(np.maximum(count, 1) - 1, n, p)
    some = -np.expm1(log_prob_absent(p, n))
    told = np.where(some > 0, at_least / np.where(some > 0, some, 1.0), 1.0)
    return np.where(count > 1, np.log(np.clip(told, 1e-300, 1.0)), 0.0)


def binomial_diversity(shown: Longs, p: Doubles, n: int) -> Doubles:
    """Return coverage * non-redundancy of counts (B, F), in [0, 1] (Vargas et al. 2014).

    p (B, F) is the chance of each aspect at each of n draws; one with a chance of 0 does not count. Coverage is the
    product over the aspects that are not shown of P(X = 0)^(1 / all of them), non-redundancy the product over the G
    that are shown of P(X >= count | X >= 1)^(1 / G).
    """
    absent, there = (p > 0) & (shown == 0), (p > 0) & (shown > 0)
    lacking = np.where(absent, log_prob_absent(p, n), 0.0).sum(axis=-1) / np.maximum((p > 0).sum(axis=-1), 1)
    worn = np.where(there, log_patience(p, n, shown), 0.0).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)
    return np.asarray(np.exp(lacking + worn))
