"""Binomial diversity: what a random slate of the user's taste would show of each feature."""

import numpy as np
from scipy.special import bdtrc

from recsys.types.arrays import Doubles


def binomial_diversity(shown: Doubles, p: Doubles, n: int) -> Doubles:
    """Return coverage * non-redundancy of counts (B, F), in [0, 1] (Vargas et al. 2014).

    p (B, F) is the chance of each feature at each of n draws, X ~ Binomial(n, p). Coverage is the product over
    features that are not shown of P(X = 0)^(1 / F), non-redundancy the product over the G features shown of
    P(X >= count | X >= 1)^(1 / G). For p = 0 the latter is its limit: 1 for a count of 1, else 0.
    """
    absent = shown == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        none = n * np.log1p(-p)
        patience = bdtrc(np.maximum(shown, 1).astype(np.int64) - 1, n, p) / -np.expm1(none)
        patience = np.log(np.where(p > 0, patience, shown <= 1))
    coverage = np.where(absent, none, 0.0).sum(axis=-1) / shown.shape[-1]
    redundancy = np.where(absent, 0.0, patience).sum(axis=-1) / np.maximum((~absent).sum(axis=-1), 1)
    return np.asarray(np.minimum(np.exp(coverage + redundancy), 1.0))
