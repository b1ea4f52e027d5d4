"""A population whose true tastes are fitted to a log: what is liked and was never exposed is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import expit

from recsys.simulation.records import ArrivalRounds, Consumption, Offer, build_pairs
from recsys.simulation.worlds.behaviours import Behaviour
from recsys.simulation.worlds.races import draw_first_items, draw_races
from recsys.simulation.worlds.switches import Arrivals, TasteFlips
from recsys.support import rng
from recsys.types import Split
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints, Longs, Strings, make_empty_matrix

_BLOCK = 64  # users whose utilities are made at once


@dataclass(frozen=True, eq=False)
class FittedTastes:
    """A world of the users and items of a log, made by `fit_tastes`.

    A user comes upon items by a race: item i is met at a time that is exponential with the rate exp(log_rates[u, i]),
    and the log of a user with n items is the first n. An item that is met is liked with the probability
    expit(like_logits[u, i]), which is its utility. Both are known for every pair, so that likes of what was never
    exposed are known. `start` draws a log anew; each log of the world has the activity of the users as it is.

    In a round users choose from their slate, and may find something without it, as `behaviour` says. `flips` and
    `arrivals` are switches: None is off.
    """

    split: Split  # whose log the world was fitted to
    log_rates: Floats  # (U, I) of exposure: taste and popularity
    like_logits: Floats  # (U, I) log-odds that a user likes an item
    regions: Ints  # (I,) of taste, by the item factors
    groups: Ints  # (U,) codes into group_names
    group_names: Strings
    behaviour: Behaviour = field(default_factory=Behaviour)
    group_behaviours: Mapping[str, Behaviour] = field(default_factory=dict)  # of groups that choose otherwise
    flips: TasteFlips | None = None  # users who take over other tastes in a round
    arrivals: Arrivals | None = None  # users and items that come later

    def __post_init__(self) -> None:
        """Refuse behaviours of groups that there are not."""
        self.behaviour.check_groups(self.group_behaviours, self.group_names)

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        return self.split.shape

    def generate_log(self, seed: int) -> Split:
        """Return a log of the world: what each user met first, as many as in the log that it was fitted to."""
        counts = np.diff(self.split.seen.indptr)
        first = draw_races(self.log_rates, counts, seed)
        user, item = np.nonzero(first)
        liked = self.draw_likes(seed, user, item)
        positives, dislikes = (build_pairs(user[of], item[of], self.split.shape) for of in (liked, ~liked))
        none = make_empty_matrix(self.split.shape)
        return replace(
            self.split, kind="whole", train=positives, train_negatives=dislikes, validation=none, test=none,
            validation_negatives=none, validation_cold_positives=None, train_times=None, validation_times=None,
            purchases=None, time_decay=None, one_offs=None, guest_runs=None, fingerprint="", counts={}, notes=(),
        )  # fmt: skip

    def draw_likes(self, seed: int, users: Anys, items: Anys) -> Bools:
        """Return whether each pair is liked when it is met, (n,): the same pair is always drawn alike."""
        return np.asarray(rng.draw_uniforms(seed, "likes", users, items) < expit(self.like_logits[users, items]))

    def start(self, seed: int) -> "FittedPopulation":
        """Return the users, with a log that is drawn anew."""
        arrivals = None if self.arrivals is None else self.arrivals.draw_rounds(self.split.shape, seed)
        history = self.generate_log(seed)
        if arrivals is not None:
            history = _leave_out_late(history, arrivals)
        return FittedPopulation(self, seed, history, arrivals)


class FittedPopulation:
    """The users of `FittedTastes` in one simulation."""

    def __init__(self, world: FittedTastes, seed: int, history: Split, arrivals: ArrivalRounds | None = None) -> None:
        """Begin before the first round, without interests gained or lost and without satiation."""
        self.world, self.seed, self.history, self.arrivals = world, seed, history, arrivals
        self.shape = world.split.shape
        self.log_rates, self.like_logits = world.log_rates, world.like_logits
        self.flip = None if world.flips is None else world.flips.draw_users(self.shape[0], seed)
        self.regions, self.groups, self.group_names = world.regions, world.groups, world.group_names
        n_regions = int(world.regions.max()) + 1
        self.interests = np.zeros((self.shape[0], n_regions))  # gained or lost, in log-odds
        self.satiation = np.zeros((self.shape[0], n_regions))  # how much of each region was consumed of late
        of_groups = [world.group_behaviours.get(str(name), world.behaviour) for name in world.group_names]
        self._behaviours = [(one, np.flatnonzero(world.groups == g)) for g, one in enumerate(of_groups)]
        self._changes = any(one.changes_tastes for one in of_groups)
        self._satiety = np.array([one.satiation for one in of_groups])[world.groups]
        self._utilities: Floats | Doubles | None = expit(world.like_logits)
        self.known = self._draw_known(np.array([one.known_share for one in of_groups])[world.groups])

    def get_utilities(self) -> Floats | Doubles:
        """Return the chance that each user likes each item now, (U, I)."""
        if self._utilities is None:
            shift = self.interests - self._satiety[:, None] * self.satiation
            self._utilities = np.empty(self.shape, dtype=np.float32)
            for start in range(0, len(shift), _BLOCK):
                users = slice(start, start + _BLOCK)
                self._utilities[users] = expit(self.like_logits[users] + shift[users][:, self.regions])
        return self._utilities

    def get_logits(self, users: Anys, items: Anys) -> Doubles:
        """Return the log-odds that users like items now, of the shape that both are broadcast to."""
        region = self.regions[items]
        shift = self.interests[users, region] - self._satiety[users] * self.satiation[users, region]
        return np.asarray(self.like_logits[users, items] + shift, dtype=np.float64)

    def begin_round(self, number: int) -> None:
        """Flip tastes where it is time, with what they gained and lost so far; satiation stays with who consumed."""
        if self.flip is not None and number == self.flip.number:
            self.log_rates, self.like_logits, self.interests = (
                self.flip.exchange(rows) for rows in (self.log_rates, self.like_logits, self.interests)
            )
            self._utilities = None

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return what each user takes from the slate, and what it finds without it: two columns."""
        n_users = self.shape[0]
        self._note_shown(offer)
        places, found = np.full(n_users, -1, dtype=np.int32), np.full(n_users, -1, dtype=np.int32)
        for behaviour, users in self._behaviours:
            if offer.items.shape[1]:
                slates = offer.items[users]
                logits = self.get_logits(users[:, None], np.maximum(slates, 0))
                hidden = (slates < 0) | met[users[:, None], np.maximum(slates, 0)]
                places[users] = behaviour.choose(np.where(hidden, -np.inf, logits), slates, users, self.seed, number)
            found[users] = self._find_without_slate(behaviour, users, met, number)
        taken = np.where(places >= 0, _take(offer.items, places), -1)
        found[found == taken] = -1
        items = np.stack([taken, found], axis=1).astype(np.int32)
        user, column = np.nonzero(items >= 0)
        item = items[user, column]
        logits = self.get_logits(user, item)
        liked, utilities = np.zeros(items.shape, dtype=bool), np.zeros(items.shape)
        liked[user, column] = rng.draw_uniforms(self.seed, "likes", user, item) < expit(logits)
        utilities[user, column] = expit(logits)
        self._change_tastes(user, item, liked[user, column])
        return Consumption(items, np.stack([places, np.full_like(places, -1)], axis=1), liked, utilities)

    def _draw_known(self, shares: Doubles) -> Bools | None:
        """Return the items that each user is aware of at first, (U, I); None where all know everything."""
        if (shares == 1.0).all():
            return None
        assert self.history is not None
        known = draw_races(self.log_rates, np.round(shares * self.shape[1]).astype(int), self.seed)
        known[self.history.seen.nonzero()] = True
        return known

    def _note_shown(self, offer: Offer) -> None:
        """Make users aware of what they are shown."""
        if self.known is not None:
            user, place = np.nonzero(offer.items >= 0)
            self.known[user, offer.items[user, place]] = True

    def _find_without_slate(self, behaviour: Behaviour, users: Longs, met: Bools, number: int) -> Ints:
        """Return the item that each user comes upon without a recommender, (B,), -1 for none."""
        found = np.full(len(users), -1, dtype=np.int32)
        looks = rng.draw_uniforms(self.seed, "looks", number, users) < behaviour.organic_share
        if self.arrivals is not None:
            looks &= self.arrivals.users[users] <= number
        closed = met
        if self.known is not None:
            closed = closed | ~self.known
        if self.arrivals is not None:
            closed = closed | (self.arrivals.items > number)
        found[looks] = draw_first_items(self.log_rates, closed, users[looks], self.seed, number)
        return found

    def _change_tastes(self, users: Longs, items: Ints, liked: Bools) -> None:
        """Move interests by what was consumed, and let satiation fade and grow."""
        if not self._changes:
            return
        for behaviour, of_group in self._behaviours:
            self.satiation[of_group] *= behaviour.satiation_memory
            ours = np.isin(users, of_group)
            user, region = users[ours], self.regions[items[ours]]
            np.add.at(self.satiation, (user, region), 1.0)
            np.add.at(self.interests, (user, region), np.where(liked[ours], behaviour.drift, -behaviour.drift))
        self._utilities = None


def _take(items: Ints, places: Ints) -> Ints:
    """Return the item at one place of each row, (U,); any where the place is -1."""
    if not items.shape[1]:
        return np.full(len(items), -1, dtype=np.int32)
    return np.asarray(items[np.arange(len(items)), np.maximum(places, 0)])


def _leave_out_late(history: Split, arrivals: ArrivalRounds) -> Split:
    """Return a history without the rows of users and items that arrive later."""
    late_users, late_items = arrivals.users > 0, arrivals.items > 0

    def keep(matrix: Csr) -> Csr:
        user, item = matrix.nonzero()
        there = ~(late_users[user] | late_items[item])
        return build_pairs(user[there], item[there], history.shape)

    return replace(history, train=keep(history.train), train_negatives=keep(history.train_negatives))
