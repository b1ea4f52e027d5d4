"""Uncertain users on a ring of items, who learn from what they consume (Aridor, Goncalves and Sikdar 2020)."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import circulant, toeplitz

from recsys.simulation.records import Consumption, Offer, Told
from recsys.support import rng
from recsys.types import RecsysError, Split
from recsys.types.arrays import Bools, Doubles, Ints, Longs, Strings
from recsys.types.numbers import check_int, check_number, convert_fields_to_python

REGION_WIDTH = 10  # neighbours on the ring that are one region


@dataclass(frozen=True)
class RingBeliefs:
    """Users who believe that neighbours on a ring are alike, and avoid what they are unsure of.

    Item n is worth x_n = v_n + beta c_n to a user: v is the user's own, N(m, S), c is common to all, N(0, S), and the
    covariance of two items at distance d on the ring is S = deviation^2 correlation^d. m is the user's prior mean,
    N(0, prior_variance) for each item. Users know m and both covariances. Each round a user consumes the item with the
    largest certainty equivalent of an exponential utility, mean - risk_aversion / 2 variance, learns its worth, and
    conditions the belief on it. Nothing is consumed twice, and what is consumed is liked where its worth is above 0.

    Without a recommender the belief is over x. A platform that tells common values leaves v alone uncertain; one that
    tells utilities leaves nothing. Where a policy shows a slate, users choose from it alone.

    Source: "Deconstructing the filter bubble: user decision-making and recommender systems", RecSys 2020.

    Raises:
        RecsysError: if a setting is out of range.
    """

    users: int = 100  # U
    items: int = 200  # I, on the ring
    correlation: float = 0.5  # of neighbours, from 0 to less than 1
    deviation: float = 1.0  # of a user's own values, and of common ones
    common_weight: float = 1.0  # beta: how much more common values count than own ones
    risk_aversion: float = 1.0  # gamma: 0 is indifferent to what is unsure
    prior_variance: float = 0.1  # of prior means between users and items

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_int("ring_beliefs: users", self.users, 1)
        check_int("ring_beliefs: items", self.items, 2)
        check_number("ring_beliefs: correlation", self.correlation, below=1.0)
        check_number("ring_beliefs: deviation", self.deviation, above=0.0)
        for name in ("common_weight", "risk_aversion", "prior_variance"):
            check_number(f"ring_beliefs: {name}", getattr(self, name))

    @property
    def covariance(self) -> Doubles:
        """The covariance of a user's own values, (I, I)."""
        apart = np.arange(self.items)
        return np.asarray(self.deviation**2 * self.correlation ** toeplitz(np.minimum(apart, self.items - apart)))

    @cached_property
    def _root(self) -> Doubles:
        """The symmetric root of the covariance, (I, I): a circulant, with eigenvalues by a Fourier transform."""
        spread = np.sqrt(np.maximum(np.fft.rfft(self.covariance[0]).real, 0.0))
        return np.asarray(circulant(np.fft.irfft(spread, self.items)))

    @property
    def most_rounds(self) -> int:
        """How many rounds there are: each user consumes one new item in each."""
        return self.items

    def count_bytes(self, rounds: int) -> int:
        """Return the bytes of so many rounds: what each taught a user of every item is kept."""
        return 8 * self.users * self.items * (8 + rounds)

    def start(self, seed: int) -> "RingPopulation":
        """Return the users before the first round."""
        shape = (self.users, self.items)
        means = np.sqrt(self.prior_variance) * rng.make_generator(seed, "ring", "means").standard_normal(shape)
        own = means + rng.make_generator(seed, "ring", "own").standard_normal(shape) @ self._root
        common = self._root @ rng.make_generator(seed, "ring", "common").standard_normal(self.items)
        return RingPopulation(self, means, own, self.common_weight * common)


@dataclass(eq=False)
class RingPopulation:
    """The users of `RingBeliefs` in one simulation."""

    world: RingBeliefs
    means: Doubles  # (U, I) prior means of own values
    own: Doubles  # (U, I)
    common: Doubles  # (I,) with their weight
    consumed: list[Longs] = field(default_factory=list)  # (U,) of each round
    beliefs: "dict[Told, Beliefs]" = field(default_factory=dict)

    history: Split | None = None  # nobody has one

    def __post_init__(self) -> None:
        """Add up utilities once: tastes do not change."""
        self._utilities = self.own + self.common

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        return self.own.shape[0], self.own.shape[1]

    @property
    def regions(self) -> Ints:
        """Stretches of the ring, (I,)."""
        return np.asarray(np.arange(self.world.items) // REGION_WIDTH, dtype=np.int32)

    @property
    def groups(self) -> Ints:
        """One group for all, (U,)."""
        return np.zeros(self.world.users, dtype=np.int32)

    @property
    def group_names(self) -> Strings:
        """The name of the one group."""
        return np.array(["all"])

    def get_utilities(self) -> Doubles:
        """Return the worth of each item to each user, (U, I)."""
        return self._utilities

    def get_beliefs(self, told: Told) -> tuple[Doubles, Doubles]:
        """Return the mean and variance of what each user believes each item to be worth, (U, I) each."""
        if told == "utilities":
            return self._utilities, np.zeros(self.shape)
        offset = self.common if told == "common_values" else 0.0
        believed = self._find_beliefs(told)
        return believed.means + offset, believed.variances

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return the one item that each user consumes; refuse a ring of which everything is met."""
        mean, variance = self.get_beliefs(offer.told)
        value = np.where(met, -np.inf, mean - self.world.risk_aversion / 2 * variance)
        users = np.arange(len(met))
        places = np.full(len(met), -1)
        if offer.items.shape[1]:
            of_slate = np.where(offer.items >= 0, np.take_along_axis(value, np.maximum(offer.items, 0), 1), -np.inf)
            places = of_slate.argmax(axis=1)
            chosen, best = offer.items[users, places].astype(np.int64), of_slate[users, places]
        else:
            chosen = value.argmax(axis=1)
            best = value[users, chosen]
        if not np.isfinite(best).all():
            raise RecsysError(f"ring_beliefs: a user has met all that is offered in round {number + 1}, expected more")
        for told, believed in self.beliefs.items():
            believed.condition(chosen, self._get_signal(told)[users, chosen])
        self.consumed.append(chosen)
        worth = self._utilities[users, chosen]
        items, at = (np.asarray(one, dtype=np.int32)[:, None] for one in (chosen, places))
        return Consumption(items, at, worth[:, None] > 0, worth[:, None])

    def _get_signal(self, told: Told) -> Doubles:
        """Return what consuming an item tells of the values that are uncertain, (U, I)."""
        return self.own if told == "common_values" else self._utilities

    def _find_beliefs(self, told: Told) -> "Beliefs":
        """Return the beliefs of users who were told so from the start, conditioned on all that they consumed."""
        if told not in self.beliefs:
            weight = 1.0 + (self.world.common_weight**2 if told == "nothing" else 0.0)
            believed = Beliefs(self.means, weight * self.world.covariance)
            signal, users = self._get_signal(told), np.arange(len(self.means))
            for chosen in self.consumed:
                believed.condition(chosen, signal[users, chosen])
            self.beliefs[told] = believed
        return self.beliefs[told]


class Beliefs:
    """Gaussian beliefs of U users over I values, conditioned on one value after the other.

    The factor of what was learned, one row of the Cholesky decomposition for each value, gives means and variances:
    the covariance of each user is never made.
    """

    def __init__(self, means: Doubles, covariance: Doubles) -> None:
        """Begin with the means, (U, I), and the covariance that all users share, (I, I)."""
        self.means = means.copy()
        self.variances = np.broadcast_to(np.diag(covariance), means.shape).copy()
        self._covariance = covariance
        self._rows: list[Doubles] = []  # (U, I) for each value that was learned

    def condition(self, items: Longs, values: Doubles) -> None:
        """Condition each user's belief on the value of one item, (U,) each, that was not learned before."""
        users = np.arange(len(items))
        row = self._covariance[items]
        for earlier in self._rows:
            row = row - earlier * earlier[users, items][:, None]
        row = row / np.sqrt(self.variances[users, items])[:, None]
        surprise = (values - self.means[users, items]) / row[users, items]
        self.means += row * surprise[:, None]
        self.variances = np.maximum(self.variances - row**2, 0.0)
        self._rows.append(row)
