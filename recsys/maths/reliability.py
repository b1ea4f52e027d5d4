"""Reliability of probabilities: how often what is given a probability happens, in bins, and the error of that."""

from typing import NamedTuple

import numpy as np

from recsys.types.arrays import Bools, Doubles, Longs

N_BINS = 10


class Reliability(NamedTuple):
    """B bins of probabilities, from the lowest to the highest; none is empty."""

    mean_probability: Doubles  # (B,)
    liked_share: Doubles  # (B,)
    counts: Longs  # (B,)

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: mean over probabilities of |mean probability - share| of their bin."""
        apart = np.abs(self.mean_probability - self.liked_share)
        return float(self.counts @ apart / self.counts.sum()) if len(apart) else float("nan")


def assign_reliability_bins(probabilities: Doubles, n_bins: int = N_BINS) -> Longs:
    """Return the bin of each probability, (N,) from 0: bins of equally many, in which equal probabilities share one.

    The bin of p is floor(n_bins times the share of probabilities below p): exact, without edges that are rounded.

    >>> assign_reliability_bins(np.array([0.9, 0.1, 0.1, 0.5]), 2).tolist()
    [1, 0, 0, 1]
    """
    ranks = np.searchsorted(np.sort(probabilities), probabilities, side="left")
    return np.asarray(ranks * n_bins // max(len(probabilities), 1), dtype=np.int64)


def measure_reliability(probabilities: Doubles, liked: Bools, n_bins: int = N_BINS) -> Reliability:
    """Return the reliability curve of probabilities (N,) of what is `liked` (N,), in at most `n_bins` bins.

    >>> found = measure_reliability(np.array([0.2, 0.2, 0.6, 1.0]), np.array([True, False, True, True]), 2)
    >>> found.mean_probability.tolist(), found.liked_share.tolist(), round(found.calibration_error, 9)
    ([0.2, 0.8], [0.5, 1.0], 0.25)
    """
    found = assign_reliability_bins(probabilities, n_bins)
    counts = np.bincount(found, minlength=n_bins)
    there = counts > 0
    sums = (np.bincount(found, weights=values, minlength=n_bins)[there] for values in (probabilities, liked))
    mean, share = (total / counts[there] for total in sums)
    return Reliability(mean, share, counts[there])


def split_calibration_error(probabilities: Doubles, liked: Bools, n_bins: int = N_BINS) -> Doubles:
    """Return what each probability adds to the expected calibration error, (N,): their mean is that error.

    That is (p - liked) times the sign of the error of its bin.
    """
    found = assign_reliability_bins(probabilities, n_bins)
    apart = probabilities - liked
    return np.asarray(apart * np.sign(np.bincount(found, weights=apart, minlength=n_bins))[found])
