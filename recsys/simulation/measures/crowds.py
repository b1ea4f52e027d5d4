"""How alike users are, how wide each is, and where their tastes go."""

import numpy as np

from recsys.maths.inequality import herfindahl, normalize_counts
from recsys.simulation.measures.protocols import PerGroup, divide, mark_groups, mark_present
from recsys.simulation.measures.regions import RegionCounts
from recsys.simulation.records import Log, Population, Round
from recsys.types.arrays import Doubles

SMOOTHING = 0.01  # share of each mix of regions that is spread over all of them


class TasteDrift(RegionCounts):
    """How far each user's consumption went from where it began: KL divergence of mixes of regions, in nats.

    The mix of all that was consumed is held against that before the first round, or without a history against that of
    the first round; a share of 0.01 of each is spread over all regions.
    """

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,), NaN before anything was consumed."""
        self.add(now)
        self.begin()
        now_mix, first = (
            (1 - SMOOTHING) * normalize_counts(counts) + SMOOTHING / self.n_regions
            for counts in (self.total, self.before)
        )
        return np.asarray((now_mix * np.log(now_mix / first)).sum(axis=1))


class MajorityDrift(RegionCounts):
    """How much nearer each user's consumption came to what the majority consumed before the first round.

    Mixes of regions are held against the mean mix of the largest group's users, by total variation (0 to 1): the
    distance that each began with, less that of all that was consumed by now. It is above 0 where a minority is drawn
    towards the majority. Mixes begin as those of `TasteDrift` do.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Find the majority."""
        super().__init__(population, log)
        self.majority = population.groups == np.bincount(population.groups).argmax()

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,) from -1 to 1, NaN before anything was consumed."""
        self.add(now)
        self.begin()
        first = normalize_counts(self.before)
        told = self.majority & ~np.isnan(first).any(axis=1)
        if not told.any():
            return np.full(len(first), np.nan)
        usual = first[told].mean(axis=0)
        began, by_now = (np.abs(mix - usual).sum(axis=1) / 2 for mix in (first, normalize_counts(self.total)))
        return np.asarray(began - by_now)


class Homogeneity:
    """How alike users are: the mean over pairs of the items that both consumed since the first round, over the mean of
    what one consumed, of users who are there. 0 is nothing in common, 1 is everything. What a user consumed again
    counts once."""

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with nothing consumed."""
        self.masks = mark_groups(population)
        self.counts = np.zeros((len(self.masks), population.shape[1]))  # users of each group who consumed an item
        self.consumed = np.zeros(population.shape, dtype=bool)

    def observe(self, now: Round) -> PerGroup:
        """Return it after the round; NaN before anything was consumed."""
        user, place = np.nonzero(now.consumption.items >= 0)
        pairs = np.unique(user * self.consumed.shape[1] + now.consumption.items[user, place])
        user, item = np.divmod(pairs[~self.consumed.ravel()[pairs]], self.consumed.shape[1])
        self.consumed[user, item] = True
        for counts, mask in zip(self.counts, self.masks, strict=True):
            counts += np.bincount(item[mask[user]], minlength=len(counts))
        n = (self.masks & mark_present(now.population, now.number)).sum(axis=1)
        shared = divide((self.counts * (self.counts - 1)).sum(axis=1), n * (n - 1))
        return PerGroup(divide(shared, self.counts.sum(axis=1) / n))


class WithinUserDiversity(RegionCounts):
    """The chance that two of the items that a user consumed since the first round are of different regions.

    Both are drawn anew from the user's mix, 1 - sum of squared shares. Intra-user diversity in Anwar et al. 2024.
    """

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,) from 0 to 1, NaN before anything was consumed."""
        self.add(now)
        return np.asarray(1.0 - herfindahl(self.since))


class BetweenUserDiversity(RegionCounts):
    """How much users' mixes of regions differ from each other, apart from how wide each is.

    The mean over pairs of users of half the squared distance of their mixes since the first round: two items, one of
    each user, are of different regions that much more often than two of one user. Inter-user diversity in Anwar et al.
    2024: it can fall while `WithinUserDiversity` rises.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Find the groups."""
        super().__init__(population, log)
        self.masks = mark_groups(population)

    def observe(self, now: Round) -> PerGroup:
        """Return it after the round, from 0 to 1, NaN before two users consumed something."""
        self.add(now)
        mixes = normalize_counts(self.since)
        told = ~np.isnan(mixes).any(axis=1)
        return PerGroup(np.array([_measure_distance(mixes[told & mask]) for mask in self.masks]))


def _measure_distance(mixes: Doubles) -> float:
    """Return the mean over pairs of rows of half their squared distance, NaN for fewer than two."""
    n = len(mixes)
    if n < 2:
        return np.nan
    spread = (mixes**2).sum(axis=1).mean() - (mixes.mean(axis=0) ** 2).sum()
    return float(max(spread, 0.0) * n / (n - 1))
