"""Users who know nearly what items are worth to them, and choose by that and by rank (Chaney et al. 2018)."""

from dataclasses import dataclass

import numpy as np

from recsys.maths.ordering import rank_values
from recsys.simulation.records import ArrivalRounds, Consumption, Offer
from recsys.simulation.worlds.switches import TasteFlips
from recsys.support import rng
from recsys.types import RecsysError, Split
from recsys.types.arrays import Bools, Doubles, Ints, Longs, Strings
from recsys.types.numbers import check_int, check_number, convert_fields_to_python

USER_CONCENTRATION = 10.0  # of users' tastes around what is common to them
ITEM_PRIOR = 100.0  # of what is common to items: nearly all attributes alike
ITEM_CONCENTRATION = 0.1  # of items around that: nearly each has one attribute
_LEAST_MEAN = 1e-9  # of a utility


@dataclass(frozen=True)
class PartlyKnownUtilities:
    """Users who see what is recommended and what is new, and take what seems worth most, less the lower it stands.

    A user's taste is a mix of attributes, t ~ Dirichlet(10 m) with m ~ Dirichlet(1) common to all, and an item's is
    a ~ Dirichlet(0.1 n) with n ~ Dirichlet(100). An item is worth V ~ Beta'(t . a, deviation) to a user, who knows the
    share h ~ Beta'(known_share, deviation) of it; Beta'(mean, deviation) is the beta distribution with these. Each
    round `new_items` come. Everybody sees those, each at a random place among the recommended items, and takes the
    one item with the largest rank^-position_exponent h V. What is taken is liked, and is not taken again. `flips` is
    a switch: None is off.

    Source: "How algorithmic confounding in recommendation systems increases homogeneity and decreases utility", RecSys
    2018, with the number of new items of its replication in T-RECS (Lucherini et al. 2021).

    Raises:
        RecsysError: if a setting is out of range.
    """

    users: int = 100  # U
    items: int = 1000  # I, of which those of the first rounds come first
    new_items: int = 10  # in each round
    attributes: int = 20  # F
    known_share: float = 0.98  # mean share of an item's worth that a user knows
    deviation: float = 1e-5  # of utilities, and of shares
    position_exponent: float = 0.8
    flips: TasteFlips | None = None  # users who take over other tastes in a round

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        for name, least in (("users", 1), ("items", 1), ("new_items", 1), ("attributes", 2)):
            check_int(f"partly_known_utilities: {name}", getattr(self, name), least)
        check_number("partly_known_utilities: known_share", self.known_share, above=0.0, below=1.0)
        check_number("partly_known_utilities: deviation", self.deviation, above=0.0, below=0.1)
        check_number("partly_known_utilities: position_exponent", self.position_exponent)

    @property
    def most_rounds(self) -> int:
        """How many rounds there are at most: each user consumes one new item in each."""
        return self.items

    def start(self, seed: int) -> "PartlyKnownPopulation":
        """Return the users before the first round."""
        user_rng, item_rng = (rng.make_generator(seed, "partly known", of) for of in ("users", "items"))
        ones = np.ones(self.attributes)
        tastes = user_rng.dirichlet(USER_CONCENTRATION * user_rng.dirichlet(ones), self.users)
        attributes = item_rng.dirichlet(ITEM_CONCENTRATION * item_rng.dirichlet(ITEM_PRIOR * ones), self.items)
        utilities = draw_betas(tastes @ attributes.T, self.deviation, seed, "utilities")
        shares = draw_betas(np.full(utilities.shape, self.known_share), self.deviation, seed, "known shares")
        return PartlyKnownPopulation(self, seed, tastes, attributes, utilities, shares * utilities)


@dataclass(eq=False)
class PartlyKnownPopulation:
    """The users of `PartlyKnownUtilities` in one simulation."""

    world: PartlyKnownUtilities
    seed: int
    tastes: Doubles  # (U, F)
    attributes: Doubles  # (I, F)
    utilities: Doubles  # (U, I)
    known: Doubles  # (U, I) what users take items to be worth

    history: Split | None = None  # nobody has one

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        return self.utilities.shape[0], self.utilities.shape[1]

    def __post_init__(self) -> None:
        """Draw who flips, and say from which round on each item may be shown: the one after that in which it is new."""
        self.flip = None if self.world.flips is None else self.world.flips.draw_users(self.world.users, self.seed)
        self.new_in = np.arange(self.world.items) // self.world.new_items  # (I,)
        self.arrivals = ArrivalRounds(np.zeros(self.world.users, np.int32), (self.new_in + 1).astype(np.int32))

    @property
    def regions(self) -> Ints:
        """The attribute that each item has most of, (I,)."""
        return np.asarray(self.attributes.argmax(axis=1), dtype=np.int32)

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
        return self.utilities

    def begin_round(self, number: int) -> None:
        """Flip tastes where it is time, with what users know of them."""
        if self.flip is not None and number == self.flip.number:
            self.tastes, self.utilities, self.known = (
                self.flip.exchange(rows) for rows in (self.tastes, self.utilities, self.known)
            )

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return the one item that each user takes; refuse a round in which somebody sees nothing."""
        users, offered = np.arange(len(met)), _drop_empty_places(offer.items)
        shown, worth = self._value_offer(offered, met, number)
        new, at = self._place_new_items(shown, number)
        rank, new_rank = _merge(shown, at)
        exponent = -self.world.position_exponent
        of_offer = np.where(shown, rank**exponent * worth, -1.0)
        of_new = new_rank**exponent * self.known[:, new]
        values = np.concatenate([of_offer, of_new], axis=1)
        if not values.shape[1] or (values.max(axis=1) < 0).any():
            raise RecsysError(f"partly_known_utilities: a user sees no item in round {number + 1}, expected more items")
        places = values.argmax(axis=1)
        items = np.concatenate([offered, np.broadcast_to(new, of_new.shape)], axis=1)[users, places]
        places = np.where(places < offered.shape[1], places, -1)
        found = self.utilities[users, items][:, None]
        taken, at_place = (np.asarray(one, dtype=np.int32)[:, None] for one in (items, places))
        return Consumption(taken, at_place, np.ones((len(met), 1), dtype=bool), found)

    def _value_offer(self, offered: Ints, met: Bools, number: int) -> tuple[Bools, Doubles]:
        """Return which places of the offer have an item that is there and not met, (U, k), and known utilities."""
        items = np.maximum(offered, 0)
        users = np.arange(len(met))[:, None]
        shown = (offered >= 0) & ~met[users, items] & (self.new_in[items] < number)
        return shown, self.known[users, items]

    def _place_new_items(self, shown: Bools, number: int) -> tuple[Longs, Doubles]:
        """Return the new items, (n,), and where each user sees them, (U, n): a share of the length of the list."""
        new = np.flatnonzero(self.new_in == number)
        return new, rng.draw_uniforms(self.seed, "places of new items", number, np.arange(len(shown))[:, None], new)


def _drop_empty_places(items: Ints) -> Ints:
    """Return item codes, (U, k), without the last places that are empty for all."""
    some = np.flatnonzero((items >= 0).any(axis=0))
    return items[:, : some[-1] + 1 if len(some) else 0]


def _merge(shown: Bools, at: Doubles) -> tuple[Doubles, Doubles]:
    """Return the ranks, from 1, of what is shown, (U, k), and of items that come in between, (U, n), in one list.

    An item at the share s comes after floor(s (m + 1)) of the m items that are shown; several at one place are in
    the order of their shares.
    """
    count = shown.sum(axis=1, keepdims=True)
    before = np.floor(at * (count + 1)).astype(np.int64)
    between = np.zeros((len(shown), shown.shape[1] + 1), dtype=np.int64)
    np.add.at(between, (np.arange(len(shown))[:, None], before), 1)
    within = shown.cumsum(axis=1)  # the place among what is shown, from 1
    passed = np.take_along_axis(between.cumsum(axis=1), np.maximum(within - 1, 0), axis=1)
    order = rank_values(at)
    return (within + passed).astype(np.float64), (before + order + 1).astype(np.float64)


def draw_betas(means: Doubles, deviation: float, seed: int, name: str) -> Doubles:
    """Return numbers from 0 to 1 with these means, (U, I), and this standard deviation, by a beta distribution.

    Means nearer to 0 or 1 than a beta distribution of that deviation can be are moved to where it can.
    """
    least = max(_LEAST_MEAN, 2.0 * deviation**2)
    mean = np.clip(means, least, 1.0 - least)
    alpha = ((1.0 - mean) / deviation**2 - 1.0 / mean) * mean**2
    return rng.make_generator(seed, "partly known", name).beta(alpha, alpha * (1.0 / mean - 1.0))
