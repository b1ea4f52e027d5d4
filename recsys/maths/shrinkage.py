"""Rates and shares from few rows, shrunk to those of their group: Beta-Binomial and Dirichlet-multinomial."""

import numpy as np

from recsys.types.arrays import Doubles, Floats, Ints, Longs

Counts = Doubles | Floats | Ints | Longs
MIN_KAPPA, MAX_KAPPA = 1.0, 1e4  # pseudo-observations: as much as one row, and no difference that can be told


def fit_beta_binomial(successes: Counts, trials: Counts) -> tuple[float, float]:
    """Return the prior and kappa, in pseudo-observations, of rates that differ from group to group.

    `successes` and `trials` (J,) are counts of J groups, or sums of weights. The prior is the pooled rate,
    m = sum x / sum n. With S = sum_j n_j (x_j / n_j - m)^2, the moment estimate of the correlation within a group is
    rho = (S / (m (1 - m)) - (J - 1)) / (N - sum n^2 / N - (J - 1)), from which the binomial part is taken out, and
    kappa = 1 / rho - 1, from 1 to 10,000 (Kleinman 1973). Groups without trials do not count. Where rates do not
    differ by more than chance, or there is one group, kappa is 10,000; without any trial the prior is 0.

    >>> prior, kappa = fit_beta_binomial([1.0, 9.0, 1.0, 9.0], [10.0, 10.0, 10.0, 10.0])
    >>> prior, round(kappa, 2)
    (0.5, 1.0)
    """
    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    prior, kappa = fit_dirichlet_multinomial(np.stack([x, n - x], axis=1))
    return float(prior[0]), kappa


def fit_dirichlet_multinomial(counts: Counts) -> tuple[Doubles, float]:
    """Return the prior (Z,) and kappa, in pseudo-observations, of shares that differ from group to group.

    `counts` (J, Z) are those of J groups over Z categories. As `fit_beta_binomial`, with squares summed over
    categories: S = sum_j n_j |p_j - m|^2, and 1 - |m|^2 in the place of 2 m (1 - m).
    """
    given = np.asarray(counts, dtype=np.float64)
    sizes = given.sum(axis=1)
    given, sizes = given[sizes > 0], sizes[sizes > 0]
    total, groups = sizes.sum(), len(sizes)
    if not groups:
        return np.zeros(np.shape(counts)[1]), MAX_KAPPA
    prior = given.sum(axis=0) / total
    variety = 1.0 - float(prior @ prior)
    free = total - float(sizes @ sizes) / total - (groups - 1)
    if variety <= 0.0 or free <= 0.0:
        return prior, MAX_KAPPA
    spread = float((sizes[:, None] * (given / sizes[:, None] - prior) ** 2).sum())
    rho = (spread / variety - (groups - 1)) / free
    return prior, float(np.clip(1.0 / rho - 1.0, MIN_KAPPA, MAX_KAPPA)) if rho > 0.0 else MAX_KAPPA


def shrink_rates(
    successes: Counts, trials: Counts, prior: float | Doubles | None = None, kappa: float | Doubles | None = None
) -> Doubles:
    """Return (x + kappa prior) / (n + kappa), the posterior mean of each rate, in [0, 1] and of the counts' shape.

    `prior` and `kappa` are numbers, or arrays of that shape; what is not given is fitted (`fit_beta_binomial`). A
    rate without trials is the prior.

    >>> shrink_rates([1.0, 50.0], [1.0, 100.0], prior=0.1, kappa=9.0).round(3).tolist()
    [0.19, 0.467]
    """
    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if prior is None or kappa is None:
        fitted = fit_beta_binomial(x.ravel(), n.ravel())
        prior, kappa = fitted[0] if prior is None else prior, fitted[1] if kappa is None else kappa
    return np.asarray((x + np.multiply(kappa, prior)) / (n + kappa))


def bound_rates(
    successes: Counts, trials: Counts, prior: float | Doubles, kappa: float | Doubles, level: float = 0.05
) -> Doubles:
    """Return the quantile at `level` of each rate's posterior, Beta(kappa prior + x, kappa (1 - prior) + n - x).

    At 0.05 it is a lower bound: the rate is above it with probability 0.95; at 0.95 an upper one. 0 where the posterior
    is all at 0, and 1 where it is all at 1. Of the counts' shape.
    """
    from scipy.special import betaincinv  # here: it is slow to load, and few need it

    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    for_it, against = np.multiply(kappa, prior) + x, np.multiply(kappa, np.subtract(1.0, prior)) + n - x
    inner = betaincinv(np.where(for_it > 0, for_it, 1.0), np.where(against > 0, against, 1.0), level)
    return np.asarray(np.where(for_it <= 0, 0.0, np.where(against <= 0, 1.0, inner)))


def shrink_shares(counts: Counts, prior: Doubles, kappa: float) -> Doubles:
    """Return (n_z + kappa prior_z) / (n + kappa), the posterior mean of shares over the last axis, each row sums to 1.

    `counts` (..., Z) are numbers or sums of weights by category, `prior` (Z,) or of the counts' shape sums to 1. A row
    without any is the prior; with `kappa` 0 it is 0 throughout.
    """
    given = np.asarray(counts, dtype=np.float64)
    total = given.sum(axis=-1, keepdims=True) + kappa
    return np.asarray((given + kappa * np.asarray(prior)) / np.where(total > 0, total, 1.0))
