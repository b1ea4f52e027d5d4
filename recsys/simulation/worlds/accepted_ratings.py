"""Users of a log who accept what stands high in a slate, and rate it (Mansoury et al. 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.simulation.records import Consumption, Offer
from recsys.splits import no_holdout
from recsys.splits.permissions import select_permitted_rows
from recsys.support import rng
from recsys.types import Dataset, RecsysError, Split
from recsys.types.arrays import Anys, Bools, Doubles, Ints, Strings
from recsys.types.numbers import check_number

LIKED_FROM = 4.0  # stars


@dataclass(frozen=True, eq=False)
class AcceptedRatings:
    """A world of the users and items of a log of ratings, made by `build_rating_world`.

    A user accepts the item at rank r (from 1) with the probability exp(-decay r), each by itself; with `one_item` it is
    one item of the slate, drawn with these weights. Its rating is the user's mean + a tenth of the user's deviation
    times the item's mean + normal noise with the user's deviation, rounded to whole stars, and it is liked from
    `liked_from` stars on. The log before the first round is the real one, and nothing is accepted twice.

    Source: "Feedback loop and bias amplification in recommender systems", CIKM 2020. Its text leaves open here how many
    items of a slate are accepted, and how ratings vary.

    Raises:
        RecsysError: if a setting is out of range.
    """

    split: Split  # the whole log
    user_means: Doubles  # (U,) of ratings
    user_deviations: Doubles  # (U,)
    item_means: Doubles  # (I,)
    groups: Ints  # (U,) codes into group_names
    group_names: Strings
    liked_from: float = LIKED_FROM
    decay: float = 0.1
    one_item: bool = False

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_number("accepted_ratings: decay", self.decay)
        check_number("accepted_ratings: liked_from", self.liked_from)

    @property
    def shape(self) -> tuple[int, int]:
        """U users and I items."""
        return self.split.shape

    def start(self, seed: int) -> "RatingPopulation":
        """Return the users before the first round."""
        return RatingPopulation(self, seed)


class RatingPopulation:
    """The users of `AcceptedRatings` in one simulation."""

    def __init__(self, world: AcceptedRatings, seed: int) -> None:
        """Begin with the log as it is."""
        self.world, self.seed, self.history = world, seed, world.split
        self.shape = world.split.shape
        self.regions = find_rarest_features(world.split)
        self.groups, self.group_names = world.groups, world.group_names
        self._utilities = world.user_means[:, None] + world.user_deviations[:, None] / 10 * world.item_means

    def get_utilities(self) -> Doubles:
        """Return the rating that each user is expected to give each item, before it is rounded, (U, I)."""
        return self._utilities

    def consume(self, offer: Offer, met: Bools, number: int) -> Consumption:
        """Return what each user accepts of the slate, at the place where it stands."""
        user, place = np.nonzero(offer.items >= 0)
        item = offer.items[user, place]
        kept = self._accept(user, item, place, number) & ~met[user, item]
        user, place, item = user[kept], place[kept], item[kept]
        items, places = (np.full(offer.items.shape, -1, dtype=np.int32) for _ in range(2))
        items[user, place], places[user, place] = item, place
        liked, utilities = np.zeros(items.shape, dtype=bool), np.zeros(items.shape)
        liked[user, place] = self.rate(user, item) >= self.world.liked_from
        utilities[user, place] = self._utilities[user, item]
        return Consumption(items, places, liked, utilities)

    def _accept(self, users: Anys, items: Anys, places: Anys, number: int) -> Bools:
        """Return which items of slates are accepted, (n,)."""
        luck = rng.draw_uniforms(self.seed, "accepts", number, users, items)
        if not self.world.one_item:
            return np.asarray(luck < np.exp(-self.world.decay * (places + 1.0)))
        times = -np.log(luck) * np.exp(self.world.decay * places)  # the first of a race has the chance of its weight
        first = np.full(self.shape[0], np.inf)
        np.minimum.at(first, users, times)
        return np.asarray(times == first[users])

    def rate(self, users: Anys, items: Anys) -> Doubles:
        """Return the stars that users give items, (n,): the same pair is always rated alike."""
        noise = rng.draw_normals(self.seed, "ratings", users, items)
        return np.rint(self._utilities[users, items] + self.world.user_deviations[users] * noise)


def build_rating_world(
    dataset: Dataset,
    groups: Mapping[str, str] | None = None,
    *,
    liked_from: float = LIKED_FROM,
    decay: float = 0.1,
    one_item: bool = False,
    **filters: Any,
) -> AcceptedRatings:
    """Return the world of a dataset of ratings; `groups` names the group of each user id, by default one for all.

    `filters` are keywords of `recsys.splits.no_holdout` beside `positive`: which rows, users and items are used.

    Raises:
        RecsysError: for a user without a group, ratings that are all alike, or settings out of range.
    """
    check_number("accepted_ratings: liked_from", liked_from)
    split = no_holdout(dataset, positive=f"rating >= {liked_from:g}", **filters)
    used = split.filter_settings
    assert used is not None
    log = select_permitted_rows(dataset, used.sources, used.purposes, used.holding_forget_list)[0].interactions
    user, item = (_match(own, log_ids)[codes] for own, log_ids, codes in (
        (split.user_ids, log.user_ids, log.user), (split.items.ids, log.item_ids, log.item)))  # fmt: skip
    known = (user >= 0) & (item >= 0)
    user, item, rating = user[known], item[known], np.asarray(log.weight[known], dtype=np.float64)
    if not len(rating) or rating.min() == rating.max():
        raise RecsysError("accepted_ratings: all ratings of the log are alike, expected stars")
    means = _average(user, rating, split.shape[0], rating.mean())
    spread = np.sqrt(_average(user, (rating - means[user]) ** 2, split.shape[0], rating.var()))
    names = ["all"] * split.shape[0] if groups is None else [groups.get(str(one), "") for one in split.user_ids]
    if "" in names:
        raise RecsysError(f"accepted_ratings: user {split.user_ids[names.index('')]} has no group, expected one")
    group_names, codes = np.unique(names, return_inverse=True)
    item_means = _average(item, rating, split.shape[1], rating.mean())
    return AcceptedRatings(
        split, means, spread, item_means, codes.astype(np.int32), group_names, liked_from, decay, one_item
    )


def find_rarest_features(split: Split) -> Ints:
    """Return the rarest feature of each item, (I,) from 0; one more for items without any."""
    features = split.items.features
    counts = np.asarray(features.sum(axis=0)).ravel()
    found = np.full(split.shape[1], features.shape[1], dtype=np.int32)
    for item in range(split.shape[1]):
        own = features.indices[features.indptr[item] : features.indptr[item + 1]]
        if len(own):
            found[item] = own[counts[own].argmin()]
    return found


def _match(own: Strings, ids: Strings) -> Anys:
    """Return the code in `own` of each id, -1 where it is not there."""
    codes = {str(one): code for code, one in enumerate(own)}
    return np.array([codes.get(str(one), -1) for one in ids], dtype=np.int64)


def _average(codes: Anys, values: Doubles, size: int, empty: float) -> Doubles:
    """Return the mean of the values of each code, (size,), `empty` where there is none."""
    counts = np.bincount(codes, minlength=size)
    return np.where(counts > 0, np.bincount(codes, values, minlength=size) / np.maximum(counts, 1), empty)
