"""Derived tables of a context: each has one accessor here, which makes it at the first call and returns it after that.

A `Table` says what a table is called, whether it has a row for each user of the context or is made of everybody, and,
where a ranker saves it, what it has to be to be read. Saved are numbers that take long to make, or whose last bits
depend on the machine that makes them. Whatever says where something lies (the region of an item, the items of a
feature, the code of an id) is exact and quickly made: it is made anew where a ranker is loaded. No other module indexes
`Context.tables`.

Dimensions: I items, U users of the context, M own maps, Z regions of all own maps, d factors, G aspects, F features,
C communities, A accounts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import sparse

from recsys.maths.communities import CommunityModel, assign_communities, compute_nearby_mixes, fit_community_model
from recsys.maths.distributions import (
    acceptance,
    cluster_users,
    compute_map_entropies,
    compute_map_mixes,
    encode_hard_regions,
    find_explored_regions,
    nearby_community_mixes,
    share_of_likes,
    split_weight_evenly,
    sum_by_region,
    user_mixes,
)
from recsys.maths.elicitation import estimate_familiarity
from recsys.maths.embeddings import cooccurrence_vectors, feature_vectors, normalize_rows
from recsys.maths.fold_in import compute_prior_variances, gram
from recsys.maths.pmi import overall_distance_moments, scaled_npmi_matrix, user_distance_moments
from recsys.maths.popularity import (
    count_item_users,
    find_tail_items,
    group_by_popularity,
    item_self_information,
    sum_item_weights,
)
from recsys.maths.region_answers import compute_region_rows, count_region_answers
from recsys.maths.shrinkage import shrink_shares
from recsys.maths.time_decay import apply_time_decay
from recsys.objectives import _accounts, _model_slates, _regions
from recsys.support import rng
from recsys.types import Context, RecsysError, TableCache, make_unknown_name_error
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints, Longs, make_empty_matrix
from recsys.types.checks import check_array, check_codes
from recsys.types.identifiers import build_number_codes

T = TypeVar("T")
ASPECTS = ("features", "map")
SPACES = ("cooccurrence", "factors", "features")
MAX_EXPOSURE_BYTES = 2**28  # of the expected exposure of all users


class TableKey(NamedTuple):
    """What a table is found by."""

    name: str
    settings: str = ""  # those that it was made with, with blanks between


class Saved(NamedTuple):
    """What a saved table has to be to be read.

    Shapes are those of its parts. Lengths are "users", "users or 0", "accounts", "items", "factors", "maps", "regions"
    (of all own maps), "varied maps" (those of more than one region), a number, or "*" for any.
    """

    shapes: tuple[tuple[str, ...], ...]
    sparse: bool = False
    finite: bool = True
    kinds: str = "f"  # NumPy's
    check: Callable[[tuple[Anys, ...], Mapping[str, int | None]], None] | None = None  # parts and lengths


@dataclass(frozen=True, eq=False)
class Table:
    """A derived table, or one for each choice of settings."""

    name: str
    saved: Saved | None = None  # None: made anew where a ranker is loaded
    per_user: bool = False  # a row for each user of the context; else made of everybody, and kept with them
    of_accounts: bool = False  # a row, or a column, for each of the users who are drawn as accounts
    user_row: str = ""  # what the row or column of one user says, in plain words; "" where none is one user's

    def get(self, context: Context, make: Callable[[], T], *settings: object) -> T:
        """Return the table of these settings, made at the first call."""
        kept_with = context if self.per_user else context.population
        return kept_with.tables.get(TableKey(self.name, " ".join(map(str, settings))), make)


# Vectors and factors


def check_space(space: str, needed_by: str) -> None:
    """Refuse a space that is none.

    Raises:
        RecsysError: with the nearest name.
    """
    if space not in SPACES:
        raise make_unknown_name_error("space", space, SPACES, where=needed_by)


ITEM_VECTORS = Table("item_vectors", Saved((("items", "*"),)))


def get_item_vectors(context: Context, space: str, needed_by: str) -> Floats:
    """Return the unit vector of each item in a named space, (I, n) float32; zeros where an item has none.

    Raises:
        RecsysError: if there is no such space, or the context does not have what it is made of.
    """
    context = context.population
    makers = {
        "cooccurrence": lambda: cooccurrence_vectors(context.need_weighted_train(needed_by)),
        "factors": lambda: normalize_rows(context.need_factors(needed_by).item_factors),
        "features": lambda: feature_vectors(context.need_items(needed_by)),
    }
    check_space(space, needed_by)
    return ITEM_VECTORS.get(context, makers[space], space)


ZERO_VECTORS = Table("zero_vectors")


def mark_zero_vectors(context: Context, space: str, needed_by: str) -> Bools:
    """Return whether an item has no vector in a space, (I,).

    Raises:
        RecsysError: as `get_item_vectors` does.
    """
    vectors = get_item_vectors(context, space, needed_by)
    return ZERO_VECTORS.get(context, lambda: np.asarray(~vectors.any(axis=1)), space)


def _check_gram(parts: tuple[Anys, ...], sizes: Mapping[str, int | None]) -> None:
    try:
        np.linalg.cholesky(parts[0] + (1e-6 * np.trace(parts[0]) + 1e-30) * np.eye(len(parts[0])))
    except np.linalg.LinAlgError:
        raise RecsysError("holds no dot products of factors") from None


FACTOR_GRAM = Table("factor_gram", Saved((("factors", "factors"),), check=_check_gram))


def get_factor_gram(context: Context, needed_by: str) -> Doubles:
    """Return the part of the normal equations that all users share, (d, d) (`recsys.maths.fold_in.gram`).

    Raises:
        RecsysError: if there are no factors.
    """
    factors = context.population.need_factors(needed_by)
    return FACTOR_GRAM.get(context, lambda: gram(factors))


PRIOR_VARIANCES = Table("prior_variances")


def get_prior_variances(context: Context, needed_by: str) -> Doubles:
    """Return the variance of each item's score for a user of whom nothing is known, (I,), in units of noise.

    No history makes it larger: what a user likes adds to the matrix whose inverse is the covariance.

    Raises:
        RecsysError: if there are no factors.
    """
    factors = context.population.need_factors(needed_by)
    common = get_factor_gram(context, needed_by)
    return PRIOR_VARIANCES.get(context, lambda: compute_prior_variances(factors, common))


# Regions of the own maps

REGION_LAYOUT = Table("region_layout")


def get_region_layout(context: Context) -> tuple[Longs, Longs]:
    """Return how many regions each map has, (M,), and its first one when all stand end to end, (M,)."""

    def make() -> tuple[Longs, Longs]:
        sizes = np.array([taste_map.assignment.shape[1] for taste_map in context.need_maps()])
        return sizes, np.cumsum(sizes) - sizes

    return REGION_LAYOUT.get(context, make)


HARD_REGIONS = Table("hard_regions")


def get_hard_regions(context: Context, m: int) -> Ints:
    """Return the region of each item in map m, (I,) from 0 to the map's number of regions, -1 where it has none."""
    return HARD_REGIONS.get(context, lambda: context.need_maps()[m].hard_regions, m)


REGION_SHARES = Table("region_shares")


def get_region_shares(context: Context) -> Csr:
    """Return the shares of items over the regions of all maps end to end, (I, Z) float32, from 0 to 1."""
    return REGION_SHARES.get(context, lambda: _regions.join_map_shares(context.need_maps()))


ITEM_REGIONS = Table("item_regions")


def get_item_regions(context: Context) -> Ints:
    """Return the region of each item in each map, (I, M) int32 from 0 over all maps end to end; Z = none.

    Where each item lies in one region of each map, these are the numbers of `get_region_shares`, in the same memory.
    """

    def make() -> Ints:
        maps = context.need_maps()
        if all(taste_map.is_partition for taste_map in maps):
            return np.asarray(get_region_shares(context).indices, np.int32).reshape(-1, len(maps))
        regions = [get_hard_regions(context, m) for m in range(len(context.need_maps()))]
        return _regions.number_end_to_end(regions, *get_region_layout(context))

    return ITEM_REGIONS.get(context, make)


ONE_REGION_PER_MAP = Table("one_region_per_map")


def has_one_region_per_map(context: Context) -> bool:
    """Return whether each item lies in one region of each map at most, and wholly."""

    def make() -> bool:
        if all(taste_map.is_partition for taste_map in context.need_maps()):
            return True
        shares, regions = get_region_shares(context).data, get_item_regions(context)
        n_regions = get_region_layout(context)[0].sum()
        return bool((shares == 1.0).all()) and int((regions < n_regions).sum()) == len(shares)

    return ONE_REGION_PER_MAP.get(context, make)


EXPLORED_REGIONS = Table("explored_regions", per_user=True, user_row="which regions of a map the liked items touch")


def get_explored_regions(context: Context, m: int) -> Bools:
    """Return which regions of map m each user's history touches, (U, regions of the map)."""
    train = context.need_train("unexplored")
    return EXPLORED_REGIONS.get(context, lambda: find_explored_regions(train, context.need_maps()[m]), m)


MAP_MIXES = Table(
    "map_mixes", per_user=True, user_row="how the liked items spread over the regions of all maps, end to end"
)


def get_map_mixes(context: Context, needed_by: str) -> Doubles:
    """Return the mix of each user's history over the regions of all maps, (U, Z) in [0, 1]."""
    train = context.need_weighted_train(needed_by)
    return MAP_MIXES.get(context, lambda: compute_map_mixes(train, context.need_maps()))


LIKE_SHARE = Table("like_share", Saved(((),)))


def get_like_share(context: Context) -> float:
    """Return the share of likes among everybody's likes and dislikes, from 0 to 1."""
    return float(LIKE_SHARE.get(context, lambda: share_of_likes(*_get_likes_and_dislikes(context.population))))


ACCEPTANCE = Table(
    "acceptance",
    per_user=True,
    user_row="how readily the user takes what they met of each region of all maps, end to end",
)


def get_acceptance(context: Context, prior_strength: float) -> Doubles:
    """Return how readily users take what they met of each region of all maps, (U, Z) in [0, 1]; 1 without dislikes."""

    def make() -> Doubles:
        likes, dislikes = _get_likes_and_dislikes(context)
        usual = get_like_share(context)
        maps = context.need_maps()
        return np.concatenate([acceptance(likes, dislikes, m.assignment, prior_strength, usual) for m in maps], axis=1)

    return ACCEPTANCE.get(context, make, prior_strength)


def _get_likes_and_dislikes(context: Context) -> tuple[Csr, Csr]:
    train = context.need_train("acceptance")
    return train, make_empty_matrix(train.shape) if context.dislikes is None else context.dislikes


def _check_communities(parts: tuple[Anys, ...], sizes: Mapping[str, int | None]) -> None:
    label, axes, places, centres, _ = parts
    check_array("communities", label, (None,), "i")
    check_codes("communities", label, 0, len(centres))
    check_array("places", places, (len(centres), axes.shape[1]))


COMMUNITY_MODEL = Table(
    "community_model",
    Saved((("users",), ("items", "*"), ("*", "*"), ("*", "regions"), ("maps",)), kinds="fi", check=_check_communities),
    user_row="the number of the community that the user is counted to",
)


def get_community_model(context: Context) -> CommunityModel:
    """Return what tells which communities are near to somebody (`recsys.maths.communities.CommunityModel`)."""
    all_ = context.population

    def make() -> tuple[Anys, ...]:
        train = all_.need_weighted_train("negative_space")
        return tuple(fit_community_model(train, all_.need_maps(), all_.seed))

    return CommunityModel(*COMMUNITY_MODEL.get(context, make))


OWN_AND_NEAR_MIXES = Table(
    "own_and_near_mixes",
    per_user=True,
    user_row="the mix of the liked items over the regions of all maps, and that of nearby communities",
)


def get_own_and_near_mixes(context: Context) -> tuple[Doubles, Doubles]:
    """Return each user's own mix over the regions of all maps, (U, Z), and that of nearby other communities, (U, Z)."""

    def make() -> tuple[Doubles, Doubles]:
        train = context.need_weighted_train("negative_space")
        own, starts = get_map_mixes(context, "negative_space"), get_region_layout(context)[1]
        if context.population is not context:
            model = get_community_model(context)
            label = assign_communities(model, train, context.population_codes)
            return own, compute_nearby_mixes(model, own, label, starts)
        communities = cluster_users(train, context.seed)
        near = [nearby_community_mixes(mix, communities) for mix in np.split(own, starts[1:], axis=1)]
        return own, np.concatenate(near, axis=1)

    return OWN_AND_NEAR_MIXES.get(context, make)


def _check_exposure(parts: tuple[Anys, ...], sizes: Mapping[str, int | None]) -> None:
    if parts[0].shape[1] not in (0, sizes["users"]):
        raise RecsysError(f"is of {parts[0].shape[1]} users, expected {sizes['users']} or none")


EXPECTED_EXPOSURE = Table(
    "expected_exposure",
    Saved((("2", "users or 0", "regions"),), check=_check_exposure),
    user_row="what is expected to be shown of each region of all maps, end to end: the acceptance, and the cap",
)


def get_expected_exposure(
    context: Context, tau: float, prior_strength: float, fill_user: Callable[[int, Doubles], None]
) -> Floats:
    """Return what `negative_space` expects of each known user and region, acceptance and cap, (2, users, Z) float32.

    `fill_user` fills those of one user, (2, Z), by the user's code; users whose values are NaN are filled anew. With
    more than `MAX_EXPOSURE_BYTES` there are no users: (2, 0, Z).
    """

    def make() -> Floats:
        users, n_regions = len(context.population.user_ids), int(get_region_layout(context)[0].sum())
        if 8 * users * n_regions > MAX_EXPOSURE_BYTES:
            return np.zeros((2, 0, n_regions), np.float32)
        table, filled = np.empty((2, users, n_regions), np.float32), np.empty((2, n_regions))
        for code in range(users):
            fill_user(code, filled)
            table[:, code] = filled
        return table

    found = EXPECTED_EXPOSURE.get(context, make, tau, prior_strength)
    for code in np.flatnonzero(np.isnan(found[0, :, :1]).any(axis=1)):
        filled = np.empty((2, found.shape[2]))
        fill_user(int(code), filled)
        found[:, code] = filled
    return found


MAP_VARIETY = Table("map_variety", Saved((("varied maps",),)))


def get_mean_map_entropies(context: Context) -> Doubles:
    """Return the mean over users with a history of `compute_map_entropies`, (maps of several regions,) in [0, 1]."""

    def make() -> Doubles:
        train, maps = context.population.need_train("entropy_weights"), context.maps
        told, own = np.diff(train.indptr) > 0, compute_map_entropies(train, maps)
        return np.asarray(own[:, told].mean(axis=1) if told.any() else np.zeros(len(own)))

    return MAP_VARIETY.get(context, make)


USER_VARIETY = Table("user_variety", per_user=True, user_row="how varied the liked items are, from 0 to 1")


def get_user_variety(context: Context, prior_strength: float) -> Doubles:
    """Return how varied each user's history is, (U,) in [0, 1] (h of `recsys.reranking.user_weights`)."""

    def make() -> Doubles:
        train, usual = context.need_train("entropy_weights"), get_mean_map_entropies(context)
        n, own = np.diff(train.indptr), compute_map_entropies(train, context.maps)
        if not len(usual):
            return np.ones(len(n))
        shrunk = (n * own + prior_strength * usual[:, None]) / (n + prior_strength)
        return np.asarray(shrunk.sum(axis=0) / len(usual))

    return USER_VARIETY.get(context, make, prior_strength)


# Aspects of items


def get_item_aspects(context: Context, aspects: str, needed_by: str) -> Csr:
    """Return how much each item belongs to each aspect, (I, G): 1 for a feature that it has, or its share of a region.

    Raises:
        RecsysError: if `aspects` is neither "features" nor "map", or the pool does not have them.
    """
    if aspects not in ASPECTS:
        raise RecsysError(f"{needed_by}: aspects is '{aspects}', expected one of {', '.join(ASPECTS)}")
    if aspects == "map":
        return context.need_maps(needed_by)[0].assignment
    return context.need_items(needed_by).features


ASPECT_SHARES = Table("aspect_shares")


def get_aspect_shares(context: Context, aspects: str, needed_by: str) -> Csr:
    """Return p(g|i), (I, G) float32: an item's mass split evenly over its features, or its shares of regions.

    Raises:
        RecsysError: as `get_item_aspects` does.
    """
    split_features = {"features": lambda features: split_weight_evenly(features).astype(np.float32)}
    return ASPECT_SHARES.get(context, lambda: _convert_aspects(context, aspects, needed_by, split_features), aspects)


HARD_ASPECTS = Table("hard_aspects")


def get_hard_aspects(context: Context, aspects: str, needed_by: str) -> Csr:
    """Return 1 where an item has a feature, or lies in a region of the first map by its largest share, (I, G) float32.

    Raises:
        RecsysError: as `get_item_aspects` does.
    """
    take_largest = {"map": lambda _: encode_hard_regions(context.maps[0])}
    return HARD_ASPECTS.get(context, lambda: _convert_aspects(context, aspects, needed_by, take_largest), aspects)


def _convert_aspects(
    context: Context, aspects: str, needed_by: str, convert: Mapping[str, Callable[[Csr], Csr]]
) -> Csr:
    """Return how much each item belongs to each aspect, converted where `convert` says how."""
    belongs = get_item_aspects(context, aspects, needed_by)
    return convert[aspects](belongs) if aspects in convert else belongs


GLOBAL_ASPECT_SHARES = Table("global_aspect_shares")


def get_global_aspect_shares(context: Context, aspects: str, needed_by: str) -> Doubles:
    """Return the share of everybody's positives that have each aspect, (G,) in [0, 1]."""

    def make() -> Doubles:
        train = context.population.need_weighted_train(needed_by)
        total = train.nnz if context.population.time_weights is None else float(train.data.sum(dtype=np.float64))
        shares = np.asarray((train @ get_hard_aspects(context, aspects, needed_by)).sum(axis=0))
        return shares / (total if train.nnz else 1)

    return GLOBAL_ASPECT_SHARES.get(context, make, aspects)


POPULARITY_GROUPS = Table("popularity_groups")


def get_popularity_groups(context: Context, head: float, tail: float, needed_by: str) -> Csr:
    """Return 1 where an item is popular, middling or rare, (I, 3) (`recsys.maths.popularity.group_by_popularity`)."""
    n = get_item_counts(context, needed_by)
    return POPULARITY_GROUPS.get(context, lambda: group_by_popularity(n, head, tail), head, tail)


DECAYED_HISTORY = Table(
    "decayed_history", per_user=True, user_row="the liked items, and how much each counts by its age"
)


def get_decayed_history(context: Context, half_life: float, needed_by: str) -> Csr:
    """Return the histories, (U, I), each positive with its weight in (0, 1], 1/2 after `half_life` days.

    Without a `half_life` the weights are those of the context's own, where it has one.

    Raises:
        RecsysError: for a half life where there are no times.
    """
    train = context.need_train(needed_by)
    if half_life == inf:
        return context.need_weighted_train(needed_by)
    times = context.need_times(f"{needed_by}: half_life")
    return DECAYED_HISTORY.get(context, lambda: apply_time_decay(train, times, half_life), half_life)


ASPECT_MIXES = Table(
    "aspect_mixes", per_user=True, user_row="how the liked items spread over features, or regions of the first map"
)


MIX_OF_ALL = Table("mix_of_all")


def get_mix_of_all(context: Context, aspects: str, needed_by: str) -> Doubles:
    """Return the mix of aspects in everybody's positives, (G,): it sums to 1, or is 0 where no item has an aspect."""

    def make() -> Doubles:
        train = context.population.need_weighted_train(needed_by)
        mass = np.asarray(sum_by_region(train, get_aspect_shares(context, aspects, needed_by)), dtype=np.float64)
        total = mass.sum(axis=0)
        return np.asarray(total / (total.sum() or 1.0))

    return MIX_OF_ALL.get(context, make, aspects)


def get_aspect_mixes(
    context: Context, aspects: str, needed_by: str, half_life: float = inf, kappa: float = 0.0
) -> Doubles:
    """Return p(g|u), the mix of aspects in each user's history, (U, G): rows sum to 1, or are 0 without history.

    With `kappa` so many positives of everybody's mix stand beside the user's own (`recsys.maths.shrinkage`).

    Raises:
        RecsysError: as `get_item_aspects` and `get_decayed_history` do.
    """
    history, parts = get_decayed_history(context, half_life, needed_by), get_aspect_shares(context, aspects, needed_by)

    def make() -> Doubles:
        if not kappa:
            return user_mixes(history, parts)
        mass, usual = np.asarray(sum_by_region(history, parts)), get_mix_of_all(context, aspects, needed_by)
        return shrink_shares(mass, usual, kappa)

    return ASPECT_MIXES.get(context, make, aspects, half_life, *([kappa] if kappa else []))


POPULARITY_MIXES = Table(
    "popularity_mixes", per_user=True, user_row="the shares of popular, middling and rare items among the liked ones"
)


def get_popularity_mixes(context: Context, head: float, tail: float, needed_by: str, half_life: float) -> Doubles:
    """Return the mix of popular, middling and rare items in each user's history, (U, 3): as `get_aspect_mixes`."""
    history = get_decayed_history(context, half_life, needed_by)
    groups = get_popularity_groups(context, head, tail, needed_by)
    return POPULARITY_MIXES.get(context, lambda: user_mixes(history, groups), head, tail, half_life)


# Popularity and distances

ITEM_COUNTS = Table("item_counts")


def get_item_counts(context: Context, needed_by: str) -> Doubles:
    """Return how many users have each item among their training positives, (I,), by age where there is a half-life."""

    def make() -> Doubles:
        all_ = context.population
        train = all_.need_weighted_train(needed_by)
        return count_item_users(train) if all_.time_weights is None else sum_item_weights(train)

    return ITEM_COUNTS.get(context, make)


FAMILIARITY = Table("familiarity")


def get_familiarity(context: Context, needed_by: str) -> Doubles:
    """Return how likely a user knows each item, (I,) in (0, 1), by how many met it (`estimate_familiarity`)."""

    def make() -> Doubles:
        seen = context.population.need_seen(needed_by)
        return estimate_familiarity(count_item_users(seen), int((np.diff(seen.indptr) > 0).sum()))

    return FAMILIARITY.get(context, make)


ANSWER_WEIGHTS = Table("answer_weights")


def get_answer_weights(context: Context, needed_by: str) -> Doubles:
    """Return what an answer about each item is expected to weigh in a user's normal equations, (I,).

    t P(like) + c P(dislike), with the weights t and c of a like and of a dislike (`recsys.types.Factors`), and the
    chances by how many users like and dislike the item.

    Raises:
        RecsysError: if there are no factors.
    """
    factors, population = context.population.need_factors(needed_by), context.population

    def make() -> Doubles:
        likes, dislikes = _get_likes_and_dislikes(population)
        n_users = int((np.diff(population.need_seen(needed_by).indptr) > 0).sum())
        chances = [estimate_familiarity(count_item_users(part), n_users) for part in (likes, dislikes)]
        return np.asarray(factors.target_weight * chances[0] + factors.disliked_weight * chances[1])

    return ANSWER_WEIGHTS.get(context, make)


REGION_FACTORS = Table("region_factors")


def get_region_factors(context: Context, needed_by: str) -> tuple[Doubles, Doubles]:
    """Return the mean factor of the items of each region of all maps, (Z, d), and how far their scores lie apart, (Z,).

    The latter is the variance of the items' scores about the region's mean for a user of whom nothing is known, in
    units of noise. Both are 0 in a region without items.

    Raises:
        RecsysError: if there are no factors or no maps.
    """
    factors = context.population.need_factors(needed_by)

    def make() -> tuple[Doubles, Doubles]:
        variances = get_prior_variances(context, needed_by)
        return compute_region_rows(factors, get_factor_gram(context, needed_by), get_region_shares(context), variances)

    return REGION_FACTORS.get(context, make)


REGION_NAMES = Table("region_names")


def get_region_names(context: Context) -> tuple[list[str], dict[str, int]]:
    """Return the name of each region of all maps, (Z,), and the regions by name; of equal regions the first.

    A name is made of the ids of the region's items: a region of another fit that is not the same has another name.
    """

    def make() -> tuple[list[str], dict[str, int]]:
        names = _regions.name_regions(get_region_shares(context), context.item_ids)
        return names, {name: code for code, name in reversed(list(enumerate(names)))}

    return REGION_NAMES.get(context, make)


REGION_ANSWERS = Table("region_answers")


def get_region_answer_chances(context: Context, needed_by: str) -> Doubles:
    """Return the share of users whose likes make an answer about each region, (Z,), by `answer_by_shares`.

    It is shrunk as `estimate_familiarity` says.
    """
    population = context.population

    def make() -> Doubles:
        train = population.need_train(needed_by)
        answered = count_region_answers(train, get_region_shares(context))
        return estimate_familiarity(answered, int((np.diff(train.indptr) > 0).sum()))

    return REGION_ANSWERS.get(context, make)


LOG_POPULARITY = Table("log_popularity")


def get_log_popularity(context: Context, needed_by: str) -> Doubles:
    """Return log(1 + the users with each item among their training positives), (I,)."""
    return LOG_POPULARITY.get(context, lambda: np.log1p(get_item_counts(context, needed_by)))


REGION_LIKE_SHARES = Table("region_like_shares")


def get_region_like_shares(context: Context, needed_by: str) -> Doubles:
    """Return the share of everybody's positives in each region of all maps end to end, (Z,) above 0.

    One positive more lies in each region: none is empty.
    """

    def make() -> Doubles:
        n, sizes, regions = (
            get_item_counts(context, needed_by),
            get_region_layout(context)[0],
            get_item_regions(context),
        )
        counts = np.zeros(int(sizes.sum()) + 1)  # the last is that of items in no region
        for m in range(len(sizes)):
            counts += np.bincount(regions[:, m], weights=n, minlength=len(counts))
        return np.asarray((counts[:-1] + 1.0) / (n.sum() + np.repeat(sizes, sizes)))

    return REGION_LIKE_SHARES.get(context, make)


REFERENCE_TIME = Table("reference_time")


def get_reference_time(context: Context) -> float:
    """Return the moment that ages are counted from, in seconds since 1970: the half-life's, or the latest positive."""

    def make() -> float:
        all_ = context.population
        if all_.time_weights is not None and isfinite(all_.time_weights.half_life):
            return all_.time_weights.now
        times = all_.need_times("an age").data
        return float(times.max()) if len(times) else 0.0

    return REFERENCE_TIME.get(context, make)


SORTED_HISTORIES = Table("sorted_histories", per_user=True, user_row="the liked items, as compiled code reads them")


def get_sorted_histories(context: Context, needed_by: str) -> tuple[Longs, Ints]:
    """Return where each user's positives start, (U + 1,), and their codes, ascending within a user."""

    def make() -> tuple[Longs, Ints]:
        train = context.need_train(needed_by)
        ordered = train if train.has_sorted_indices else train.sorted_indices()
        return ordered.indptr.astype(np.int64), ordered.indices.astype(np.int32)

    return SORTED_HISTORIES.get(context, make)


SELF_INFORMATION = Table("self_information")


def get_self_information(context: Context, needed_by: str) -> Floats:
    """Return the self-information of each item, (I,) float32, in bits."""
    train, n = context.population.need_train(needed_by), get_item_counts(context, needed_by)
    return SELF_INFORMATION.get(context, lambda: item_self_information(train, n).astype(np.float32))


TAIL_ITEMS = Table("tail_items")


def get_tail_items(context: Context, head: float, needed_by: str) -> Bools:
    """Return whether an item is outside of the popular ones that take the share `head` of all positives, (I,)."""
    return TAIL_ITEMS.get(context, lambda: find_tail_items(get_item_counts(context, needed_by), head), head)


POPULARITY_RANKS = Table("popularity_ranks")


def get_popularity_ranks(context: Context, needed_by: str) -> Longs:
    """Return the place of each item by popularity, (I,) from 0; equal ones in an order drawn by the context's seed."""

    def make() -> Longs:
        n = get_item_counts(context, needed_by)
        ties = rng.make_generator(context.population.seed, "ties").permutation(len(n))
        return np.argsort(np.lexsort((ties, -n)), kind="stable")

    return POPULARITY_RANKS.get(context, make)


NPMI_MATRIX = Table("npmi_matrix", Saved((("items", "items"),), sparse=True))


def get_npmi_matrix(context: Context, needed_by: str) -> Csr:
    """Return (1 + nPMI) / 2 of items that share a user, (I, I) in (0, 1] (`recsys.maths.pmi.scaled_npmi_matrix`)."""
    return NPMI_MATRIX.get(context, lambda: scaled_npmi_matrix(context.population.need_train(needed_by)))


OVERALL_DISTANCES = Table("overall_distances", Saved(((), ()), finite=False))


def get_overall_distances(context: Context, space: str, needed_by: str) -> tuple[float, float]:
    """Return the mean and the variance of everybody's distances within histories, NaN where there are none."""
    train, table = context.population.need_train(needed_by), get_item_vectors(context, space, needed_by)
    return OVERALL_DISTANCES.get(context, lambda: overall_distance_moments(table, train), space)


USER_DISTANCES = Table(
    "user_distances", per_user=True, user_row="the mean and the deviation of how far liked items are from each other"
)


def get_user_distances(context: Context, space: str, prior_strength: float, needed_by: str) -> tuple[Doubles, Doubles]:
    """Return the mean and the standard deviation of distances within each user's history, (U,) and (U,), shrunk.

    See `recsys.maths.pmi.user_distance_moments`.
    """
    train, table = context.need_train(needed_by), get_item_vectors(context, space, needed_by)

    def make() -> tuple[Doubles, Doubles]:
        overall = None if context.population is context else get_overall_distances(context, space, needed_by)
        return user_distance_moments(table, train, prior_strength, overall)

    return USER_DISTANCES.get(context, make, space, prior_strength)


# What the model shows

DENIED_EXPOSURE = Table("denied_exposure", Saved((("items",),)))


def get_denied_exposure(context: Context, k: int, needed_by: str) -> Doubles:
    """Return the share of the exposure owed to each item that the model's slates of k deny, (I,) in [0, 1].

    Raises:
        RecsysError: if there are no histories or no factors.
    """
    all_ = context.population
    factors, train, seen = all_.need_factors(needed_by), all_.need_train(needed_by), all_.need_seen(needed_by)
    return DENIED_EXPOSURE.get(context, lambda: _model_slates.compute_denied_exposure(factors, train, seen, k), k)


ACCOUNTS = Table("accounts")


def get_drawn_accounts(context: Context, accounts: int, seed: int, needed_by: str) -> Longs:
    """Return the codes of at most `accounts` users with a history, (A,) ascending, drawn by `seed`."""
    all_ = context.population
    train = all_.need_train(needed_by)
    return ACCOUNTS.get(context, lambda: _accounts.draw_accounts(train, accounts, seed + all_.seed), accounts, seed)


ACCOUNT_MIXES = Table(
    "account_mixes",
    of_accounts=True,
    user_row="the mix over the regions of all maps, kept to look for gaps of accounts",
)


def get_account_mixes(context: Context, accounts: int, seed: int, needed_by: str) -> Doubles:
    """Return the mix of each drawn account's history over the regions of all maps, (A, Z)."""
    drawn = get_drawn_accounts(context, accounts, seed, needed_by)
    train = context.population.need_weighted_train(needed_by)
    maps = context.need_maps()
    return ACCOUNT_MIXES.get(context, lambda: compute_map_mixes(Csr(train[drawn]), maps), accounts, seed)


ACCOUNT_BANDWIDTH = Table("account_bandwidth")


def get_account_bandwidth(context: Context, accounts: int, seed: int, needed_by: str) -> float:
    """Return the median of the squared distances between mixes of drawn accounts that differ, 1 where none do."""
    mixes = get_account_mixes(context, accounts, seed, needed_by)
    return ACCOUNT_BANDWIDTH.get(context, lambda: _accounts.median_squared_distance(mixes), accounts, seed)


ACCOUNT_SLATES = Table(
    "account_slates",
    Saved((("items", "accounts"),), sparse=True),
    of_accounts=True,
    user_row="the items that the model scores highest for the user, kept to look for gaps of accounts",
)


def get_account_slates(context: Context, accounts: int, seed: int, k: int, needed_by: str) -> Csr:
    """Return 1 where an item is among the k that the model scores highest for a drawn account, (I, A) float32.

    Raises:
        RecsysError: if there are no histories or no factors.
    """
    all_ = context.population
    factors, seen = all_.need_factors(needed_by), all_.need_seen(needed_by)
    drawn = get_drawn_accounts(context, accounts, seed, needed_by)
    make = lambda: _model_slates.make_slate_matrix(factors, seen, drawn, k)  # noqa: E731
    return ACCOUNT_SLATES.get(context, make, accounts, seed, k)


# What requests and guards look up

NUMBER_CODES = Table("number_codes")


def get_number_codes(context: Context) -> Ints:
    """Return the code of each number where all item ids are whole numbers (`recsys.types.identifiers`), else ()."""
    return NUMBER_CODES.get(context, lambda: build_number_codes(context.item_ids))


ID_CODES = Table("id_codes")


def get_id_codes(context: Context) -> tuple[list[str], dict[str, int]]:
    """Return the id of each item as text, and the code of each id."""

    def make() -> tuple[list[str], dict[str, int]]:
        names = context.item_ids.tolist()
        return names, dict(zip(names, range(len(names)), strict=True))

    return ID_CODES.get(context, make)


TIE_ORDER = Table("tie_order")


def get_tie_order(context: Context, seed: int) -> Longs:
    """Return the order of items whose scores are equal, (I,): that of `recsys.candidates` with this seed."""
    n_items = len(context.item_ids)
    return TIE_ORDER.get(context, lambda: rng.make_generator(seed, "ties").permutation(n_items), seed)


QUANTIZED_ITEMS = Table("quantized_items")


def get_quantized_items(context: Context, quantize: Callable[[], T]) -> T:
    """Return what `quantize` makes of the factors of items for retrieval (`recsys.rankers.quantized_retrieval`)."""
    return QUANTIZED_ITEMS.get(context, quantize)


ITEMS_BY_FEATURE = Table("items_by_feature")


def get_items_by_feature(context: Context, needed_by: str) -> Csr:
    """Return the items of each feature, (F, I).

    Raises:
        RecsysError: if items have no features.
    """
    features = context.population.need_items(needed_by).features
    return ITEMS_BY_FEATURE.get(context, lambda: sparse.csr_array(features.T))


FEATURE_SIZES = Table("feature_sizes")


def get_feature_sizes(context: Context, needed_by: str) -> Longs:
    """Return how many items have each feature, (F,).

    Raises:
        RecsysError: if items have no features.
    """
    features = context.population.need_items(needed_by).features
    return FEATURE_SIZES.get(context, lambda: np.bincount(features.indices, minlength=features.shape[1]))


KERNEL_INPUTS = Table("kernel_inputs")


def get_kernel_memo(context: Context) -> TableCache:
    """Return where the kernel keeps the last three vector tables that it laid end to end."""
    return KERNEL_INPUTS.get(context, lambda: TableCache(3))


TABLES = {table.name: table for table in tuple(globals().values()) if isinstance(table, Table)}
