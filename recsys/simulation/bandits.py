"""Policies that learn each user alone, by trying: bandits, and two that know a part of the truth."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recsys.maths.ordering import rank_values
from recsys.simulation.policies import ByScore, select_unmet
from recsys.simulation.records import Log, Offer, Population, RunningPolicy
from recsys.support import rng
from recsys.types import RecsysError, check_choice
from recsys.types.arrays import Bools, Doubles, Ints, Longs
from recsys.types.numbers import check_int, check_number, convert_fields_to_python

ARMS = ("items", "regions")
_UNTRIED = 1e6  # above the value of whatever was tried


@dataclass(frozen=True)
class _Bandit:
    """Tries an arm for each user: an item, or a region of which the best item is shown first.

    What was shown was tried, what was liked of it was a success. Equal arms are tried in an order that is drawn anew
    each round. Within a region items of a larger quality come first, where the world has qualities.
    """

    k: int = 10
    arms: Literal["items", "regions"] = "items"

    def __post_init__(self) -> None:
        convert_fields_to_python(self)
        check_int("policy: k", self.k, 1)
        check_choice("arms", self.arms, ARMS, where="policy")

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy, which has tried nothing."""
        return RunningBandit(self, population, seed)

    def value(self, liked: Doubles, tried: Doubles, seed: int, number: int) -> Doubles:
        """Return what each arm is worth, (U, A), by how often it was liked and tried, (U, A) each."""
        raise NotImplementedError


class RunningBandit:
    """A bandit in one simulation."""

    def __init__(self, policy: _Bandit, population: Population, seed: int) -> None:
        """Begin without a trial."""
        self.policy, self.population, self.seed = policy, population, seed
        n_users, n_items = population.shape
        by_item = policy.arms == "items"
        self.arm: Longs = np.arange(n_items) if by_item else np.asarray(population.regions, dtype=np.int64)
        self.tried = np.zeros((n_users, int(self.arm.max()) + 1))
        self.liked = np.zeros_like(self.tried)
        qualities = getattr(population, "qualities", None)
        self._order = np.zeros(n_items) if qualities is None else rank_values(qualities) / n_items

    def recommend(self, log: Log, number: int) -> Offer:
        """Return the slates of a round, learned from the rounds before."""
        if log.last is not None:
            offer, consumption = log.last
            self._count(self.tried, offer.items, offer.items >= 0)
            self._count(self.liked, consumption.items, consumption.liked & (consumption.places >= 0))
        worth = self.policy.value(self.liked, self.tried, self.seed, number)
        arms = np.arange(self.tried.shape[1])
        worth = worth + 1e-6 * rng.draw_uniforms(
            self.seed, "ties of arms", number, np.arange(len(worth))[:, None], arms
        )
        scores = worth[:, self.arm] + 1e-9 * self._order
        return Offer(select_unmet(scores, log.get_closed(number), self.policy.k))

    def _count(self, counts: Doubles, items: Ints, which: Bools) -> None:
        user, place = np.nonzero(which)
        np.add.at(counts, (user, self.arm[items[user, place]]), 1.0)


@dataclass(frozen=True)
class ThompsonSampling(_Bandit):
    """Tries each arm with the chance that it is the best, by a Beta posterior of its rate of likes (Thompson 1933)."""

    def value(self, liked: Doubles, tried: Doubles, seed: int, number: int) -> Doubles:
        """Return a rate for each arm, (U, A), drawn from its posterior under a uniform prior."""
        missed = np.maximum(tried - liked, 0.0)
        return rng.make_generator(seed, "thompson", number).beta(1.0 + liked, 1.0 + missed)


@dataclass(frozen=True)
class UpperConfidenceBound(_Bandit):
    """Tries the arm whose rate of likes could be the largest: UCB1 (Auer, Cesa-Bianchi and Fischer 2002)."""

    width: float = 1.0  # of the confidence, as a share of that of UCB1

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        super().__post_init__()
        check_number("policy ucb: width", self.width)

    def value(self, liked: Doubles, tried: Doubles, seed: int, number: int) -> Doubles:
        """Return the upper limit of each arm's rate, (U, A); those never tried come first."""
        times = np.maximum(tried.sum(axis=1, keepdims=True), 1.0)
        once = np.maximum(tried, 1.0)
        return np.where(tried > 0, liked / once + self.width * np.sqrt(2 * np.log(times) / once), _UNTRIED)


@dataclass(frozen=True)
class AverageTaste(ByScore):
    """Shows what is worth most to the average user: it knows the mean of true tastes, and nobody's own."""

    def score(self, population: Population, log: Log, seed: int, number: int) -> Doubles:
        """Return the mean utility of each item, (I,)."""
        return np.asarray(population.get_utilities().mean(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class DriftOracle(ByScore):
    """Shows the items whose interest is expected to move furthest from where it began: it knows the world's dynamics.

    For worlds with interests that a step moves up or down, as `ReinforcedInterests` has. The squared distance of an
    item's interest m from its first one grows by step^2 + 2 step (m - first) tanh(m / 2) when it is shown; where
    this is alike the most decided interest comes first.
    """

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy.

        Raises:
            RecsysError: for a world without interests.
        """
        if not hasattr(population, "first_interests"):
            raise RecsysError("policy drift_oracle: this world has no interests, expected reinforced_interests")
        return super().start(population, seed)

    def score(self, population: Population, log: Log, seed: int, number: int) -> Doubles:
        """Return the expected growth of each item's squared distance, (U, I), in steps."""
        people: Any = population
        interests: Doubles = people.interests
        return np.asarray((interests - people.first_interests) * np.tanh(interests / 2) + 1e-9 * np.abs(interests))
