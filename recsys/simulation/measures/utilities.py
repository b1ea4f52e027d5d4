"""What is shown, consumed and missed, by what it is worth to each user."""

import numpy as np

from recsys.kernels.excesses import add_hidden_excesses
from recsys.simulation.measures.best_items import BestItems
from recsys.simulation.measures.protocols import Stateless, average_rows, divide
from recsys.simulation.measures.regions import sum_excesses
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Anys, Doubles, Ints


class Welfare(Stateless):
    """The utility of what each user consumed in the round, 0 for nothing."""

    def observe(self, now: Round) -> Doubles:
        """Return the sum over what was consumed, (U,)."""
        return np.asarray(now.consumption.utilities.sum(axis=1))


class SlateUtility(Stateless):
    """The mean utility of the items of each slate: accuracy by true tastes."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN without a slate."""
        items = now.offer.items
        if not items.shape[1]:
            return np.full(len(items), np.nan)
        worth = np.take_along_axis(now.utilities, np.maximum(items, 0), axis=1)
        return average_rows(np.where(items >= 0, worth, np.nan))


class MissedUtility:
    """The utility above each user's mean of all items that were never consumed nor shown, as a share of all such.

    It counts the negative space by true tastes: what the user would like and was never shown.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with what was met before the first round."""
        self.hidden, self.n_regions = ~(log.met | log.shown), int(population.regions.max()) + 1
        self.utilities: Anys | None = None  # those that the sums are of
        self.mean = self.total = self.left = np.zeros(len(self.hidden))

    def observe(self, now: Round) -> Doubles:
        """Return the share after the round, (U,), NaN for who likes all items alike."""
        utilities: Anys = now.utilities
        if utilities is not self.utilities:
            self.utilities, self.mean = utilities, utilities.mean(axis=1, dtype=np.float64)
            sums = sum_excesses(utilities, now.population.regions, self.n_regions)
            self.total, self.left = sums.sum(axis=1), np.zeros(len(utilities))
            add_hidden_excesses(utilities, self.mean, self.hidden, self.left)
        for items in (now.offer.items, now.consumption.items):
            user, place = np.nonzero(items >= 0)
            item = items[user, place]
            fresh = self.hidden[user, item]
            user, item = user[fresh], item[fresh]
            np.subtract.at(self.left, user, np.maximum(utilities[user, item] - self.mean[user], 0.0))
            self.hidden[user, item] = False
        return divide(np.maximum(self.left, 0.0), self.total)


class _AgainstBest:
    """Holds each slate against the unmet items that are worth most to the user."""

    def __init__(self, population: Population, log: Log) -> None:
        """Share what users like best with other measures of the simulation."""
        self.best = BestItems.share(log)


class TruePrecision(_AgainstBest):
    """The share of each slate of k that is among the k items worth most to the user, of those not met before."""

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,) from 0 to 1, NaN without a slate."""
        items = now.offer.items
        if not items.shape[1]:
            return np.full(len(items), np.nan)
        best = self.best.select_unmet(now, items.shape[1])
        hit = (items[:, :, None] == best[:, None, :]).any(axis=2)
        return average_rows(np.where(items >= 0, hit, np.nan))


class TrueNDCG(_AgainstBest):
    """The discounted gain of each slate over that of the best slate of items not met before.

    The gain of an item is what it is worth above the user's mean, or 0; place r counts 1 / log2(1 + r).
    """

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,) from 0 to 1, NaN without a slate, or for who likes all items alike."""
        items = now.offer.items
        if not items.shape[1]:
            return np.full(len(items), np.nan)
        best = self.best.select_unmet(now, items.shape[1])
        shown, ideal = (self._sum_gains(now.utilities, of) for of in (items, best))
        return np.where((items >= 0).any(axis=1), divide(shown, ideal), np.nan)

    def _sum_gains(self, utilities: Anys, items: Ints) -> Doubles:
        worth = np.take_along_axis(utilities, np.maximum(items, 0), axis=1).astype(np.float64)
        gains = np.where(items >= 0, np.maximum(worth - self.best.means[:, None], 0.0), 0.0)
        return np.asarray(gains @ (1.0 / np.log2(np.arange(2, items.shape[1] + 2))))
