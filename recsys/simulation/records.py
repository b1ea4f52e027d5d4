"""What passes between a population and a policy in one round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import sparse

from recsys.types import Split, TasteMap
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints, Longs, Strings

Told = Literal["nothing", "common_values", "utilities"]


@dataclass(frozen=True, eq=False)
class Offer:
    """What a policy shows U users in one round, and what it tells them of the catalogue."""

    items: Ints  # (U, k) item codes, best first, -1 = none; k = 0 recommends nothing
    told: Told = "nothing"  # values that users learn of every item: those alike for all, or their own utilities
    make_maps: Callable[[], Sequence[TasteMap]] | None = None  # the platform's own, of its last training; None: none


@dataclass(frozen=True, eq=False)
class FlippedUsers:
    """Users who take over the tastes of other users in a round."""

    number: int  # the round, from 0
    users: Longs  # (F,) codes
    sources: Longs  # (F,) the user whose taste each has from then on

    def exchange(self, tastes: Anys) -> Anys:
        """Return rows of users, (U, ...), of which those who flip have each the row of its source."""
        rows = tastes.copy()
        rows[self.users] = tastes[self.sources]
        return rows


@dataclass(frozen=True, eq=False)
class ArrivalRounds:
    """The round from which each user and each item is there: 0 from the start."""

    users: Ints  # (U,)
    items: Ints  # (I,)


@dataclass(frozen=True, eq=False)
class Consumption:
    """What U users consumed in one round, up to m items each."""

    items: Ints  # (U, m) item codes, -1 = none
    places: Ints  # (U, m) place in the slate, from 0; -1 for what was found without it, and for none
    liked: Bools  # (U, m), false for none
    utilities: Doubles  # (U, m) the utility when it was consumed, 0 for none


class Population(Protocol):
    """U users with known tastes among I items, which change by what is consumed: a world that has started.

    It may also have `flip`, its `FlippedUsers`, and `arrivals`, its `ArrivalRounds`; None where it has none. Where
    items can be met again, or come and go, it has `find_closed(met, number)`: what a round may not show, (U, I). Where
    tastes change by time it has `begin_round(number)`, which is called before the slates of each round are made.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        ...

    @property
    def history(self) -> Split | None:
        """The log before the first round, as training positives and dislikes; None where nobody has one."""
        ...

    @property
    def regions(self) -> Ints:
        """The region of taste of each item, (I,) from 0: by true tastes, not by any log."""
        ...

    @property
    def groups(self) -> Ints:
        """The group of each user, (U,), codes into `group_names`."""
        ...

    @property
    def group_names(self) -> Strings:
        """The names of the groups of users."""
        ...

    def get_utilities(self) -> Floats | Doubles:
        """Return what each item is worth to each user now, (U, I): the same array until a taste changes, then another.

        None of these arrays is written to: measures keep them.
        """
        ...

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return what the users consume in a round, by number from 0, and change by it.

        `met` (U, I) marks what each has consumed before: nothing is consumed twice, unless `find_closed` lets it.
        """
        ...


class World(Protocol):
    """The settings of a world: the same seed starts the same population."""

    def start(self, seed: int) -> Population:
        """Return the population before the first round."""
        ...


class RunningPolicy(Protocol):
    """A policy within one simulation."""

    def recommend(self, log: "Log", number: int) -> Offer:
        """Return the offer of a round, by number from 0. The log has all rounds before it."""
        ...


class Policy(Protocol):
    """The settings of a policy."""

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy before the first round. None but an oracle reads the population's tastes."""
        ...


class Log:
    """What the platform knows: who met and liked what, and who was shown what. It grows round by round."""

    def __init__(
        self,
        shape: tuple[int, int],
        history: Split | None = None,
        item_rounds: Ints | None = None,
        find_closed: Callable[[Bools, int], Bools] | None = None,
    ) -> None:
        """Begin with the log before the first round.

        `item_rounds` (I,) are those from which items may be shown; `find_closed` is the population's, where it has one.
        """
        self.item_rounds, self._find_closed = item_rounds, find_closed
        self.last: tuple[Offer, Consumption] | None = None  # of the round before, None in the first
        self.slates: list[Ints] = []  # (U, k) of each round
        self.met = np.zeros(shape, dtype=bool)
        self.liked = np.zeros(shape, dtype=bool)
        self.shown = np.zeros(shape, dtype=bool)
        if history is not None:
            self.met[history.seen.nonzero()] = True
            self.liked[history.train.nonzero()] = True

    def record(self, offer: Offer, consumption: Consumption) -> None:
        """Add what was shown and consumed in a round."""
        self.last = offer, consumption
        self.slates.append(offer.items)
        user, place = np.nonzero(offer.items >= 0)
        self.shown[user, offer.items[user, place]] = True
        user, place = np.nonzero(consumption.items >= 0)
        self.met[user, consumption.items[user, place]] = True
        user, place = np.nonzero(consumption.liked)
        self.liked[user, consumption.items[user, place]] = True

    def get_closed(self, number: int) -> Bools:
        """Return what may not be shown in a round, (U, I): what was met, and items that are not there yet."""
        if self._find_closed is not None:
            return self._find_closed(self.met, number)
        if self.item_rounds is None:
            return self.met
        return np.asarray(self.met | (self.item_rounds > number))

    def count_absent_items(self, number: int) -> int:
        """Return how many items are not there yet in a round."""
        return 0 if self.item_rounds is None else int((self.item_rounds > number).sum())


@dataclass(frozen=True, eq=False)
class Round:
    """A round as measures see it, before the log has it."""

    number: int  # from 0
    population: Population  # after what was consumed
    utilities: Floats | Doubles  # (U, I) what each item was worth to each user when the slates were shown
    offer: Offer
    consumption: Consumption
    log: Log  # of all rounds before


def start_log(population: Population) -> Log:
    """Return the log of a population before the first round."""
    arrivals = find_arrivals(population)
    item_rounds = None if arrivals is None else arrivals.items
    return Log(population.shape, population.history, item_rounds, getattr(population, "find_closed", None))


def begin_round(population: Population, number: int) -> None:
    """Let tastes change by time, where a population has such, before the slates of a round are made."""
    begin = getattr(population, "begin_round", None)
    if begin is not None:
        begin(number)


def find_flip(population: Population) -> FlippedUsers | None:
    """Return which users of a population flip their tastes, None where nobody does."""
    return getattr(population, "flip", None)


def find_arrivals(population: Population) -> ArrivalRounds | None:
    """Return when the users and items of a population arrive, None where all are there from the start."""
    return getattr(population, "arrivals", None)


def mark_pairs(marked: Bools) -> Csr:
    """Return the 0/1 matrix (U, I) of what is marked, float32."""
    user, item = np.nonzero(marked)
    return build_pairs(user, item, (marked.shape[0], marked.shape[1]))


def build_pairs(users: Anys, items: Anys, shape: tuple[int, int]) -> Csr:
    """Return the 0/1 matrix (U, I) of different pairs, float32."""
    ones = np.ones(len(users), dtype=np.float32)
    return Csr(sparse.csr_matrix((ones, (users, items)), shape=shape))
