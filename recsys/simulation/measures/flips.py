"""How slates follow users whose tastes flip."""

import numpy as np

from recsys.maths.inequality import normalize_counts
from recsys.simulation.measures.regions import find_taste
from recsys.simulation.records import Log, Population, Round, find_flip
from recsys.types.arrays import Anys, Doubles, Longs


class _AfterFlip:
    """Holds the slates of users who flip against their old taste and against their new one, region by region.

    Tastes are shares of regions in the utility above the user's mean, as they were in the last round before the flip.
    """

    utilities: Anys | None = None  # those that both tastes are of
    old: Doubles  # (F, Z)
    new: Doubles  # (F, Z)

    def __init__(self, population: Population, log: Log) -> None:
        """Find out who flips."""
        self.n_users, self.flip = population.shape[0], find_flip(population)
        self.n_regions = int(population.regions.max()) + 1

    def read_tastes(self, now: Round) -> None:
        """Take over both tastes as they are now, until they flip."""
        assert self.flip is not None
        if now.number < self.flip.number and now.utilities is not self.utilities:
            self.utilities = now.utilities
            taste = find_taste(now.utilities, now.population.regions, self.n_regions)
            self.old, self.new = taste[self.flip.users], taste[self.flip.sources]

    def measure_following(self, now: Round) -> Doubles:
        """Return how much nearer each slate is to the new taste than to the old one, (F,); NaN without a slate.

        Distances of mixes are total variations; their difference is divided by the distance of both tastes, so that it
        lies from -1 to 1.
        """
        assert self.flip is not None
        self.read_tastes(now)
        items = now.offer.items[self.flip.users]
        counts = np.zeros((len(items), self.n_regions))
        user, place = np.nonzero(items >= 0)
        np.add.at(counts, (user, now.population.regions[items[user, place]]), 1.0)
        mixes = normalize_counts(counts)
        from_old, from_new, apart = (
            np.abs(one - other).sum(axis=1) / 2
            for one, other in ((mixes, self.old), (mixes, self.new), (self.old, self.new))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(apart > 0, (from_old - from_new) / apart, np.nan)

    def spread(self, values: Doubles, users: Longs) -> Doubles:
        """Return the values of some users, NaN for everybody else, (U,)."""
        found = np.full(self.n_users, np.nan)
        found[users] = values
        return found


class EscapePotential(_AfterFlip):
    """How far the slates of users who flip have left the old taste for the new one: -1 is all old, 1 all new.

    The distance of the slate's mix of regions to the old taste less that to the new one, over the distance of both
    tastes. It is also measured before the flip, as what slates are without one.
    """

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN for who does not flip, or has no slate."""
        if self.flip is None:
            return np.full(self.n_users, np.nan)
        return self.spread(self.measure_following(now), self.flip.users)


class RoundsToForget(_AfterFlip):
    """For how many rounds after the flip slates stay with the old taste: until the first that is nearer to the new one.

    For who still waits it is the number of rounds so far. After the time to forget of Hosseinmardi et al. 2024.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Begin with all users waiting."""
        super().__init__(population, log)
        n = 0 if self.flip is None else len(self.flip.users)
        self.rounds, self.waits = np.zeros(n), np.ones(n, dtype=bool)
        self.told = np.zeros(n, dtype=bool)

    def observe(self, now: Round) -> Doubles:
        """Return it, (U,), NaN before the flip, for who does not flip, or was shown nothing since."""
        if self.flip is None:
            return np.full(self.n_users, np.nan)
        following = self.measure_following(now)
        if now.number < self.flip.number:
            return np.full(self.n_users, np.nan)
        self.told |= ~np.isnan(following)
        self.waits &= ~(following > 0)
        self.rounds += self.waits
        return self.spread(np.where(self.told, self.rounds, np.nan), self.flip.users)
