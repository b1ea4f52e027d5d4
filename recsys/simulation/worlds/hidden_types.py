"""Users of hidden types among items of topics: exploring interests (RecSim, Ie et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.simulation.records import ArrivalRounds, Consumption, Offer
from recsys.simulation.worlds.behaviours import Behaviour
from recsys.simulation.worlds.switches import Arrivals, TasteFlips
from recsys.support import rng
from recsys.types import RecsysError, Split
from recsys.types.arrays import Bools, Doubles, Ints, Strings
from recsys.types.numbers import check_int, check_number, convert_fields_to_python


@dataclass(frozen=True)
class HiddenTypes:
    """Users of a few types whom a platform cannot tell apart, and items of topics that each type likes differently.

    A user's affinity to a topic is log-normal, by the type, and an item's quality log-normal, by the topic:
    `affinities` and `topic_qualities` are means of logarithms. Each round every user has `candidates` items, drawn
    anew, and a slate of them; one item or none is clicked by a multinomial logit over affinity + quality, none with the
    log-weight `no_click`. What was clicked can be shown again. The platform sees topics and qualities alone.

    The defaults are those of the published environment, whose popular topic is the best one for nearly everybody: with
    ((0.1, 1.2), (0.7, 0.1)) the first type has a topic of its own. `flips` and `arrivals` are switches: None is off.

    Source: "RecSim: a configurable simulation platform for recommender systems", 2019.

    Raises:
        RecsysError: if a setting is out of range.
    """

    users: int = 100  # U
    items: int = 200  # I
    candidates: int = 15  # of each user in a round
    type_shares: Sequence[float] = (0.3, 0.7)  # (G,)
    topic_shares: Sequence[float] = (0.2, 0.8)  # (Z,)
    affinities: Sequence[Sequence[float]] = ((0.1, 0.7), (0.7, 0.1))  # (G, Z) of each type to each topic
    topic_qualities: Sequence[float] = (0.8, 0.2)  # (Z,)
    affinity_deviation: float = 0.1
    quality_deviation: float = 0.1
    no_click: float = 5.0
    flips: TasteFlips | None = None  # users who take over other tastes in a round
    arrivals: Arrivals | None = None  # users and items that come later

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_int("hidden_types: users", self.users, 1)
        check_int("hidden_types: items", self.items, 1)
        check_int("hidden_types: candidates", self.candidates, 1, self.items, "the items")
        for name in ("affinity_deviation", "quality_deviation"):
            check_number(f"hidden_types: {name}", getattr(self, name))
        for name in ("type_shares", "topic_shares"):
            _check_shares(name, getattr(self, name))
        wanted = (len(self.type_shares), len(self.topic_shares))
        for name, expected in (("affinities", wanted), ("topic_qualities", wanted[1:])):
            found = np.asarray(getattr(self, name), dtype=object)
            if found.shape != expected:
                raise RecsysError(f"hidden_types: {name} are {found.shape}, expected {expected}: types and topics")
            for one in found.ravel():
                check_number(f"hidden_types: {name}", one, -np.inf)

    def start(self, seed: int) -> "TypedPopulation":
        """Return the users before the first round."""
        draw = rng.make_generator(seed, "hidden types")
        types = draw.choice(len(self.type_shares), self.users, p=_normalize(self.type_shares))
        topics = draw.choice(len(self.topic_shares), self.items, p=_normalize(self.topic_shares))
        affinities = draw.lognormal(np.asarray(self.affinities, dtype=np.float64)[types], self.affinity_deviation)
        means = np.asarray(self.topic_qualities, dtype=np.float64)[topics]
        qualities = draw.lognormal(means, self.quality_deviation)
        return TypedPopulation(self, seed, types.astype(np.int32), topics.astype(np.int32), affinities, qualities)


def _check_shares(name: str, shares: Sequence[float]) -> None:
    if np.ndim(np.asarray(shares, dtype=object)) != 1:
        raise RecsysError(f"hidden_types: {name} is {shares!r}, expected a list of shares")
    for one in shares:
        check_number(f"hidden_types: {name}", one)
    if not sum(shares) > 0:
        raise RecsysError(f"hidden_types: {name} are {list(shares)}, expected some share above 0")


def _normalize(shares: Sequence[float]) -> Doubles:
    return np.asarray(shares, dtype=np.float64) / sum(shares)


@dataclass(eq=False)
class TypedPopulation:
    """The users of `HiddenTypes` in one simulation."""

    world: HiddenTypes
    seed: int
    groups: Ints  # (U,) the type of each user
    regions: Ints  # (I,) the topic of each item
    affinities: Doubles  # (U, Z)
    qualities: Doubles  # (I,) which the platform sees

    history: Split | None = None  # nobody has one

    def __post_init__(self) -> None:
        """Add up utilities, and draw who flips and who comes later."""
        self._utilities = self.affinities[:, self.regions] + self.qualities
        world = self.world
        self.flip = None if world.flips is None else world.flips.draw_users(self.shape[0], self.seed)
        self.arrivals: ArrivalRounds | None = (
            None if world.arrivals is None else world.arrivals.draw_rounds(self.shape, self.seed)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        return self._utilities.shape[0], self._utilities.shape[1]

    @property
    def group_names(self) -> Strings:
        """The names of the types."""
        return np.array([f"type {n + 1}" for n in range(len(self.world.type_shares))])

    def get_utilities(self) -> Doubles:
        """Return affinity + quality, (U, I)."""
        return self._utilities

    def begin_round(self, number: int) -> None:
        """Flip tastes where it is time; who flips stays in the group of its first type."""
        if self.flip is not None and number == self.flip.number:
            self.affinities = self.flip.exchange(self.affinities)
            self._utilities = self.affinities[:, self.regions] + self.qualities

    def find_closed(self, met: Bools, number: int) -> Bools:
        """Return what a policy may not show, (U, I): all but the user's candidates of the round."""
        users, items = (np.arange(n) for n in self.shape)
        luck = rng.draw_uniforms(self.seed, "candidates", number, users[:, None], items)
        absent = np.zeros(len(items), dtype=bool) if self.arrivals is None else self.arrivals.items > number
        luck[:, absent] = np.inf
        last = np.partition(luck, self.world.candidates - 1, axis=1)[:, self.world.candidates - 1]
        return absent | (luck > last[:, None])

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return what each user clicks on, one item or none."""
        users = np.arange(len(met))
        if not offer.items.shape[1]:
            none = np.full((len(met), 1), -1, dtype=np.int32)
            return Consumption(none, none, none >= 0, np.zeros(none.shape))
        worth = self._utilities[users[:, None], np.maximum(offer.items, 0)]
        shown = np.where(offer.items >= 0, worth, -np.inf)
        places = Behaviour(no_choice=self.world.no_click).choose(shown, offer.items, users, self.seed, number)
        clicked = places >= 0
        at = np.maximum(places, 0)
        items = np.where(clicked, offer.items[users, at], -1).astype(np.int32)
        utilities = np.where(clicked, worth[users, at], 0.0)
        return Consumption(items[:, None], places[:, None], clicked[:, None], utilities[:, None])
