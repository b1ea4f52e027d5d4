"""Counts of items by region of true taste, and taste as shares of regions."""

import numpy as np

from recsys.kernels.excesses import add_excesses
from recsys.maths.inequality import entropy_bits, normalize_counts
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Anys, Bools, Doubles, Ints


class RegionCounts:
    """How many items of each region each user consumed: before the first round, and since."""

    def __init__(self, population: Population, log: Log) -> None:
        """Count what was met before the first round."""
        self.n_regions = int(population.regions.max()) + 1
        self.before = count_regions(log.met, population.regions, self.n_regions)
        self.since = np.zeros_like(self.before)

    def add(self, now: Round) -> None:
        """Add what was consumed in the round."""
        user, place = np.nonzero(now.consumption.items >= 0)
        region = now.population.regions[now.consumption.items[user, place]]
        np.add.at(self.since, (user, region), 1.0)

    def begin(self) -> None:
        """Take what was consumed first as what users without a history begin with."""
        empty = self.before.sum(axis=1) == 0
        self.before[empty], self.since[empty] = self.since[empty], 0.0

    @property
    def total(self) -> Doubles:
        """All that was consumed, (U, Z)."""
        return np.asarray(self.before + self.since)


def count_regions(met: Bools, regions: Ints, n_regions: int) -> Doubles:
    """Return how many of the items that each user met lie in each region, (U, Z)."""
    counts = np.zeros((len(met), n_regions))
    user, item = np.nonzero(met)
    np.add.at(counts, (user, regions[item]), 1.0)
    return counts


def count_effectively(counts: Doubles) -> Doubles:
    """Return exp of the entropy of each row's shares, (U,): the effective number of regions, NaN for an empty row.

    >>> count_effectively(np.array([[2.0, 2.0, 0.0], [5.0, 0.0, 0.0]])).round(6).tolist()
    [2.0, 1.0]
    """
    return np.asarray(2.0 ** entropy_bits(counts))


def sum_excesses(utilities: Anys, regions: Ints, n_regions: int) -> Doubles:
    """Return by how much the items of each region are worth more than the user's mean, summed, (U, Z)."""
    sums = np.zeros((len(utilities), n_regions))
    add_excesses(utilities, utilities.mean(axis=1, dtype=np.float64), regions, sums)
    return sums


def find_taste(utilities: Anys, regions: Ints, n_regions: int) -> Doubles:
    """Return the share of each region in the utility above the user's mean, (U, Z)."""
    return normalize_counts(sum_excesses(utilities, regions, n_regions))
