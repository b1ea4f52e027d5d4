"""What is measured in each round: by true tastes, never by what the platform believes."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from recsys.maths.inequality import entropy_bits, normalize_counts
from recsys.maths.popularity import gini
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Anys, Bools, Doubles, Ints

SMOOTHING = 0.01  # share of each mix of regions that is spread over all of them


class Measure(Protocol):
    """A measure in one simulation: it may keep what it saw."""

    def __init__(self, population: Population, log: Log) -> None:
        """Begin before the first round."""
        ...

    def observe(self, now: Round) -> Doubles | float:
        """Return one number for each user, (U,), NaN where it says nothing, or one number of the catalogue."""
        ...


class _Stateless:
    def __init__(self, population: Population, log: Log) -> None:
        pass


class Welfare(_Stateless):
    """The utility of what each user consumed in the round, 0 for nothing."""

    def observe(self, now: Round) -> Doubles:
        """Return the sum over what was consumed, (U,)."""
        return np.asarray(now.consumption.utilities.sum(axis=1))


class SlateUtility(_Stateless):
    """The mean utility of the items of each slate: accuracy by true tastes."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate."""
        items = now.offer.items
        if not items.shape[1]:
            return np.full(len(items), np.nan)
        worth = np.take_along_axis(now.population.get_utilities(), np.maximum(items, 0), axis=1)
        return _average_rows(np.where(items >= 0, worth, np.nan))


class ShownWidth(_Stateless):
    """The effective number of regions in each slate: exp of the entropy of their shares."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate."""
        items, regions = now.offer.items, now.population.regions
        counts = np.zeros((len(items), int(regions.max()) + 1))
        user, place = np.nonzero(items >= 0)
        np.add.at(counts, (user, regions[items[user, place]]), 1.0)
        return count_effectively(counts)


class _RegionCounts:
    """How many items of each region each user consumed: before the first round, and since."""

    def __init__(self, population: Population, log: Log) -> None:
        self.n_regions = int(population.regions.max()) + 1
        self.before = count_regions(log.met, population.regions, self.n_regions)
        self.since = np.zeros_like(self.before)

    def add(self, now: Round) -> None:
        """Add what was consumed in the round."""
        user, place = np.nonzero(now.consumption.items >= 0)
        region = now.population.regions[now.consumption.items[user, place]]
        np.add.at(self.since, (user, region), 1.0)


class ConsumedWidth(_RegionCounts):
    """The effective number of regions among all that each user consumed since the first round."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN before anything was consumed."""
        self.add(now)
        return count_effectively(self.since)


class TrueDiscovery(_RegionCounts):
    """Items that each user liked in the round, from regions of taste that the user had never consumed anything of."""

    def observe(self, now: Round) -> Doubles:
        """Return how many, (U,)."""
        touched = (self.before + self.since) > 0
        items = now.consumption.items
        new = ~np.take_along_axis(touched, now.population.regions[np.maximum(items, 0)], axis=1)
        self.add(now)
        return np.asarray((new & now.consumption.liked).sum(axis=1), dtype=np.float64)


class MissedUtility:
    """The utility above each user's mean of all items that were never consumed nor shown, as a share of all such.

    It counts the negative space by true tastes: what the user would like and was never shown.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with what was met before the first round."""
        self.hidden = ~(log.met | log.shown)
        self.utilities: Anys | None = None  # those that the sums are of
        self.mean = self.total = self.left = np.zeros(len(self.hidden))

    def observe(self, now: Round) -> Doubles:
        """Return the share after the round, (U,), NaN for who likes all items alike."""
        utilities = now.population.get_utilities()
        if utilities is not self.utilities:
            excess = find_excess(now.population)
            self.utilities, self.mean = utilities, utilities.mean(axis=1, dtype=np.float64)
            self.total, self.left = excess.sum(axis=1), np.where(self.hidden, excess, 0.0).sum(axis=1)
        for items in (now.offer.items, now.consumption.items):
            user, place = np.nonzero(items >= 0)
            item = items[user, place]
            fresh = self.hidden[user, item]
            user, item = user[fresh], item[fresh]
            np.subtract.at(self.left, user, np.maximum(utilities[user, item] - self.mean[user], 0.0))
            self.hidden[user, item] = False
        return _divide(np.maximum(self.left, 0.0), self.total)


class RegionDeficit(_RegionCounts):
    """How far each user's consumption falls short of true tastes: the sum over regions of max(0, taste - consumed).

    Taste is the region's share of the utility above the user's mean, consumed its share of all that was consumed.
    """

    utilities: Anys | None = None  # those that the taste is of
    taste: Doubles

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,) from 0 to 1, NaN before anything was consumed."""
        self.add(now)
        if now.population.get_utilities() is not self.utilities:
            self.utilities, self.taste = now.population.get_utilities(), find_taste(now.population, self.n_regions)
        mix = normalize_counts(self.before + self.since)
        return np.asarray(np.maximum(self.taste - mix, 0.0).sum(axis=1))


class TasteDrift(_RegionCounts):
    """How far each user's consumption went from where it began: KL divergence of mixes of regions, in nats.

    The mix of all that was consumed is held against that before the first round, or without a history against that of
    the first round; a share of 0.01 of each is spread over all regions.
    """

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,), NaN before anything was consumed."""
        self.add(now)
        empty = self.before.sum(axis=1) == 0
        self.before[empty], self.since[empty] = self.since[empty], 0.0
        now_mix, first = (
            (1 - SMOOTHING) * normalize_counts(counts) + SMOOTHING / self.n_regions
            for counts in (self.before + self.since, self.before)
        )
        return np.asarray((now_mix * np.log(now_mix / first)).sum(axis=1))


class _ItemCounts:
    """How many users consumed each item since the first round."""

    def __init__(self, population: Population, log: Log) -> None:
        self.counts = np.zeros(population.shape[1])
        self.users = np.zeros(population.shape[0])

    def add(self, now: Round) -> None:
        """Add what was consumed in the round."""
        user, place = np.nonzero(now.consumption.items >= 0)
        np.add.at(self.counts, now.consumption.items[user, place], 1.0)
        np.add.at(self.users, user, 1.0)


class Homogeneity(_ItemCounts):
    """How alike users are: the mean over pairs of the items that both consumed since the first round, over the mean of
    what one consumed. 0 is nothing in common, 1 is everything."""

    def observe(self, now: Round) -> float:
        """Return it after the round; NaN before anything was consumed."""
        self.add(now)
        n = len(self.users)
        if n < 2 or not self.users.sum():
            return np.nan
        shared = (self.counts * (self.counts - 1)).sum() / (n * (n - 1))
        return float(shared / self.users.mean())


class ConsumptionGini(_ItemCounts):
    """The Gini coefficient of how often items were consumed since the first round: 1 is all of one item."""

    def observe(self, now: Round) -> float:
        """Return it after the round; NaN before anything was consumed."""
        self.add(now)
        return float(gini(self.counts)) if self.counts.any() else np.nan


class ShownPopularity:
    """The mean popularity of each slate's items: the share of users who had met the item before the first round."""

    def __init__(self, population: Population, log: Log) -> None:
        """Count before the first round."""
        self.shares = log.met.mean(axis=0)

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate, or where nobody has a history."""
        items = now.offer.items
        if not items.shape[1] or not self.shares.any():
            return np.full(len(items), np.nan)
        return _average_rows(np.where(items >= 0, self.shares[np.maximum(items, 0)], np.nan))


class CatalogCoverage(_Stateless):
    """The share of all items that are shown to somebody in the round."""

    def observe(self, now: Round) -> float:
        """Return it; NaN where nothing is shown."""
        shown = np.unique(now.offer.items[now.offer.items >= 0])
        return len(shown) / now.population.shape[1] if len(shown) else np.nan


MEASURES: Mapping[str, type[Measure]] = {
    "welfare": Welfare,
    "slate_utility": SlateUtility,
    "shown_width": ShownWidth,
    "consumed_width": ConsumedWidth,
    "true_discovery": TrueDiscovery,
    "missed_utility": MissedUtility,
    "region_deficit": RegionDeficit,
    "taste_drift": TasteDrift,
    "homogeneity": Homogeneity,
    "consumption_gini": ConsumptionGini,
    "shown_popularity": ShownPopularity,
    "catalog_coverage": CatalogCoverage,
}


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


def find_excess(population: Population) -> Doubles:
    """Return by how much each item is worth more than the user's mean, (U, I), 0 where it is worth less."""
    utilities = np.asarray(population.get_utilities(), dtype=np.float64)
    return np.asarray(np.maximum(utilities - utilities.mean(axis=1, keepdims=True), 0.0))


def find_taste(population: Population, n_regions: int) -> Doubles:
    """Return the share of each region in the utility above the user's mean, (U, Z)."""
    excess, of = find_excess(population), np.zeros((population.shape[0], n_regions))
    for region in range(n_regions):
        of[:, region] = excess[:, population.regions == region].sum(axis=1)
    return normalize_counts(of)


def _divide(one: Anys, other: Anys) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(other == 0, np.nan, one / other))


def _average_rows(values: Doubles) -> Doubles:
    told = ~np.isnan(values)
    return _divide(np.where(told, values, 0.0).sum(axis=1), told.sum(axis=1).astype(np.float64))
