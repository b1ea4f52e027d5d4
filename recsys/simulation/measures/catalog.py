"""How the catalogue is shown and consumed."""

import numpy as np

from recsys.maths.popularity import gini
from recsys.simulation.measures.best_items import BestItems
from recsys.simulation.measures.protocols import PerGroup, average_rows, mark_groups
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Doubles


class ItemCounts:
    """How many users of everybody, and of each group, consumed each item since the first round."""

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with nothing consumed."""
        self.masks = mark_groups(population)
        self.counts = np.zeros((len(self.masks), population.shape[1]))

    def add(self, now: Round) -> None:
        """Add what was consumed in the round."""
        user, place = np.nonzero(now.consumption.items >= 0)
        item = now.consumption.items[user, place]
        for counts, mask in zip(self.counts, self.masks, strict=True):
            counts += np.bincount(item[mask[user]], minlength=len(counts))


class ConsumptionGini(ItemCounts):
    """The Gini coefficient of how often items were consumed since the first round: 1 is all of one item."""

    def observe(self, now: Round) -> PerGroup:
        """Return it after the round; NaN before anything was consumed."""
        self.add(now)
        return PerGroup(np.array([gini(counts) for counts in self.counts]))


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
        return average_rows(np.where(items >= 0, self.shares[np.maximum(items, 0)], np.nan))


class CatalogCoverage:
    """The share of all items that are shown to somebody in the round."""

    def __init__(self, population: Population, log: Log) -> None:
        """Find the groups."""
        self.masks = mark_groups(population)

    def observe(self, now: Round) -> PerGroup:
        """Return it; NaN where nothing is shown."""
        of = [np.unique(now.offer.items[mask]) for mask in self.masks]
        counts = np.array([(items >= 0).sum() for items in of], dtype=np.float64)
        return PerGroup(np.where(counts > 0, counts / now.population.shape[1], np.nan))


class DiscoverableCorpus:
    """The share of all items that were ever shown to somebody who would like them.

    A user would like the tenth of all items that is worth most to the user. It grows from the first round on. After the
    discoverable corpus of Su et al. 2024, which counts items with several likes, as a platform can.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with nothing shown."""
        self.masks, self.best = mark_groups(population), BestItems.share(log)
        self.reached = np.zeros((len(self.masks), population.shape[1]), dtype=bool)

    def observe(self, now: Round) -> PerGroup:
        """Return it after the round, from 0 to 1."""
        self.best.update(now.utilities)
        user, place = np.nonzero(now.offer.items >= 0)
        item = now.offer.items[user, place]
        would_like = now.utilities[user, item] >= self.best.thresholds[user]
        user, item = user[would_like], item[would_like]
        for reached, mask in zip(self.reached, self.masks, strict=True):
            reached[item[mask[user]]] = True
        return PerGroup(self.reached.mean(axis=1))
