"""Users whose interest in an item grows when they click on it and falls when they do not (Jiang et al. 2019)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from recsys.simulation.records import ArrivalRounds, Consumption, Offer
from recsys.simulation.worlds.switches import Arrivals, TasteFlips
from recsys.support import rng
from recsys.types import Split
from recsys.types.arrays import Bools, Doubles, Ints, Strings
from recsys.types.numbers import check_int, check_number, convert_fields_to_python

_NEVER = 2**31 - 1  # a round that is not reached


@dataclass(frozen=True)
class ReinforcedInterests:
    """Users who have an interest in each item, and are shown items again and again.

    An item that is shown is clicked with the probability expit(interest + noise). A click moves the interest up by
    `step`, none moves it down by as much; what is not shown stays. Interests begin uniform from -1 to 1. All that is
    shown counts as consumed, and what is clicked is liked.

    With `first_items`, as many items are there in the first round, and `new_items` more come each round. With `noise`,
    interests of each click have a uniform number from -noise to noise added. With `reset_probability`, each interest
    falls back to where it began with that chance in each round. `flips` and `arrivals` are switches: None is off.

    Sources: "Degenerate feedback loops in recommender systems", AIES 2019; noise and resets: "Existence conditions for
    hidden feedback loops in online recommender systems" (Khritankov and Pilkevich 2021).

    Raises:
        RecsysError: if a setting is out of range.
    """

    users: int = 20  # U
    items: int = 100  # I
    step: float = 0.01
    first_items: int = 0  # there in the first round; 0: all
    new_items: float = 0.0  # in each round, where not all are there from the first
    noise: float = 0.0  # half the width of a uniform distribution
    reset_probability: float = 0.0
    flips: TasteFlips | None = None  # users who take over other interests in a round, with where these began
    arrivals: Arrivals | None = None  # users and items that come later

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_int("reinforced_interests: users", self.users, 1)
        check_int("reinforced_interests: items", self.items, 1)
        check_int("reinforced_interests: first_items", self.first_items, 0, self.items, "the items")
        check_number("reinforced_interests: step", self.step, above=0.0)
        check_number("reinforced_interests: new_items", self.new_items)
        check_number("reinforced_interests: noise", self.noise)
        check_number("reinforced_interests: reset_probability", self.reset_probability, most=1.0)

    def start(self, seed: int) -> "ReinforcedPopulation":
        """Return the users before the first round."""
        users, items = np.arange(self.users), np.arange(self.items)
        return ReinforcedPopulation(self, seed, 2.0 * rng.draw_uniforms(seed, "interests", users[:, None], items) - 1.0)


class ReinforcedPopulation:
    """The users of `ReinforcedInterests` in one simulation."""

    history: Split | None = None  # nobody has one

    def __init__(self, world: ReinforcedInterests, seed: int, interests: Doubles) -> None:
        """Begin with the first interests, (U, I)."""
        self.world, self.seed = world, seed
        self.first_interests, self.interests = interests, interests.copy()
        self.shape = (world.users, world.items)
        self.regions: Ints = np.arange(world.items, dtype=np.int32)  # each item is one of its own
        self.groups: Ints = np.zeros(world.users, dtype=np.int32)
        self.group_names: Strings = np.array(["all"])
        self.arrivals = _find_arrivals(world, seed)
        self.flip = None if world.flips is None else world.flips.draw_users(world.users, seed)
        self._utilities: Doubles | None = None

    def get_utilities(self) -> Doubles:
        """Return the chance that each user clicks on each item now, without noise, (U, I)."""
        if self._utilities is None:
            self._utilities = expit(self.interests)
        return self._utilities

    def begin_round(self, number: int) -> None:
        """Flip interests where it is time."""
        if self.flip is not None and number == self.flip.number:
            self.interests = self.flip.exchange(self.interests)
            self.first_interests = self.flip.exchange(self.first_interests)
            self._utilities = None

    def find_closed(self, met: Bools, number: int) -> Bools:
        """Return what a policy may not show, (U, I): items that are not yet there."""
        return np.tile(self.arrivals.items > number, (self.shape[0], 1))

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return all that is shown, and what of it is clicked; interests move by it."""
        user, place = np.nonzero(offer.items >= 0)
        item = offer.items[user, place]
        before = self.interests[user, item]
        noise = self.world.noise * (2.0 * rng.draw_uniforms(self.seed, "noise", number, user, item) - 1.0)
        clicked = rng.draw_uniforms(self.seed, "clicks", number, user, item) < expit(before + noise)
        self.interests[user, item] += np.where(clicked, self.world.step, -self.world.step)
        self._reset(number)
        self._utilities = None
        liked, utilities = np.zeros(offer.items.shape, dtype=bool), np.zeros(offer.items.shape)
        liked[user, place], utilities[user, place] = clicked, expit(before)
        places = np.where(offer.items >= 0, np.arange(offer.items.shape[1], dtype=np.int32), np.int32(-1))
        return Consumption(offer.items, places, liked, utilities)

    def _reset(self, number: int) -> None:
        if self.world.reset_probability:
            users, items = (np.arange(n) for n in self.shape)
            luck = rng.draw_uniforms(self.seed, "resets", number, users[:, None], items)
            again = luck < self.world.reset_probability
            self.interests[again] = self.first_interests[again]


def _find_arrivals(world: ReinforcedInterests, seed: int) -> ArrivalRounds:
    """Return when users and items come, the latter by both settings of the world."""
    own = _find_item_rounds(world)
    if world.arrivals is None:
        return ArrivalRounds(np.zeros(world.users, dtype=np.int32), own)
    drawn = world.arrivals.draw_rounds((world.users, world.items), seed)
    return ArrivalRounds(drawn.users, np.maximum(drawn.items, own))


def _find_item_rounds(world: ReinforcedInterests) -> Ints:
    """Return the round from which on each item is there, (I,)."""
    late = np.maximum(np.arange(world.items) - (world.first_items or world.items) + 1, 0)
    if not world.new_items:
        return np.where(late > 0, _NEVER, 0).astype(np.int32)
    return np.minimum(np.ceil(late / world.new_items), _NEVER).astype(np.int32)
