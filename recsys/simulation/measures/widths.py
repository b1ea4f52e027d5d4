"""How many regions of taste are shown and consumed, by true tastes and by the platform's own maps."""

import numpy as np

from recsys.maths.inequality import normalize_counts
from recsys.simulation.measures.protocols import Stateless, average_rows
from recsys.simulation.measures.regions import RegionCounts, count_effectively, find_taste
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Anys, Doubles


class ShownWidth(Stateless):
    """The effective number of regions in each slate: exp of the entropy of their shares."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate."""
        items, regions = now.offer.items, now.population.regions
        counts = np.zeros((len(items), int(regions.max()) + 1))
        user, place = np.nonzero(items >= 0)
        np.add.at(counts, (user, regions[items[user, place]]), 1.0)
        return count_effectively(counts)


class ConsumedWidth(RegionCounts):
    """The effective number of regions among all that each user consumed since the first round."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN before anything was consumed."""
        self.add(now)
        return count_effectively(self.since)


class TrueDiscovery(RegionCounts):
    """Items that each user liked in the round, from regions of taste that the user had never consumed anything of."""

    def observe(self, now: Round) -> Doubles:
        """Return how many, (U,)."""
        touched = (self.before + self.since) > 0
        items = now.consumption.items
        new = ~np.take_along_axis(touched, now.population.regions[np.maximum(items, 0)], axis=1)
        self.add(now)
        return np.asarray((new & now.consumption.liked).sum(axis=1), dtype=np.float64)


class RegionDeficit(RegionCounts):
    """How far each user's consumption falls short of true tastes: the sum over regions of max(0, taste - consumed).

    Taste is the region's share of the utility above the user's mean, consumed its share of all that was consumed.
    """

    utilities: Anys | None = None  # those that the taste is of
    taste: Doubles

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,) from 0 to 1, NaN before anything was consumed."""
        self.add(now)
        if now.utilities is not self.utilities:
            self.utilities = now.utilities
            self.taste = find_taste(now.utilities, now.population.regions, self.n_regions)
        mix = normalize_counts(self.before + self.since)
        return np.asarray(np.maximum(self.taste - mix, 0.0).sum(axis=1))


class _MapWidth:
    """The effective number of regions of the platform's own maps, of its last training: the mean over the maps."""

    def __init__(self, population: Population, log: Log) -> None:
        """Begin before the first training."""
        self.n_users = population.shape[0]

    def measure(self, now: Round, users: Anys, items: Anys) -> Doubles:
        """Return the width of each user's items, (U,); NaN for none of which a map knows a region, or without maps."""
        widths = []
        for one in now.offer.make_maps() if now.offer.make_maps is not None else ():
            regions, n_regions = one.hard_regions[items], one.assignment.shape[1]
            cells = (users * n_regions + regions)[regions >= 0]
            counts = np.bincount(cells, minlength=self.n_users * n_regions).astype(np.float64)
            widths.append(count_effectively(counts.reshape(self.n_users, n_regions)))
        return average_rows(np.stack(widths, axis=1)) if widths else np.full(self.n_users, np.nan)


class ShownMapWidth(_MapWidth):
    """The effective number of regions in each slate, by the platform's own maps as of its last training.

    The mean over `recsys.maps.objective_maps` of its log: how wide the platform believes a slate to be, beside
    `ShownWidth`, which says how wide it is.
    """

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate, or for a policy without maps."""
        users, place = np.nonzero(now.offer.items >= 0)
        return self.measure(now, users, now.offer.items[users, place])


class ConsumedMapWidth(_MapWidth):
    """The effective number of regions in all that each user consumed since the first round, by the platform's own maps.

    As `ShownMapWidth`; each training draws regions anew, and all that was consumed is counted by them.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with nothing consumed."""
        super().__init__(population, log)
        self.users, self.items = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN before anything was consumed, or for a policy without maps."""
        users, place = np.nonzero(now.consumption.items >= 0)
        self.users = np.append(self.users, users)
        self.items = np.append(self.items, now.consumption.items[users, place])
        return self.measure(now, self.users, self.items)
