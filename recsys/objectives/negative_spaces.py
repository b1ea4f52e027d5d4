"""Negative space: plausible regions that a user is never shown, and unexplored ones."""

from typing import Any

import numpy as np
from scipy import sparse

from recsys.maths.distributions import (
    acceptance,
    cluster_users,
    find_explored_regions,
    nearby_community_mixes,
    share_of_likes,
)
from recsys.objectives._aspects import get_map_mixes
from recsys.objectives._neighbours import (
    assign_communities,
    compute_nearby_mixes,
    get_community_model,
    get_region_layout,
)
from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives._score_transforms import transform_scores
from recsys.types import Context, Coverage, Modular, Pool, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints, make_empty_matrix
from recsys.types.numbers import check_int, check_number


def negative_space(
    pool: Pool,
    k: int,
    *,
    tau: float = 1.0,
    top_m: int = 5,
    prior_strength: float = 5.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return the gain in sum_z w min(q, e): the exposure owed to regions and given, averaged over the own maps.

    The reference q = (1 - tau) * own mix + tau * what nearby other communities consume. The plausibility w of
    a region is the mean plausibility of its `top_m` best candidates (of which it may have fewer: then the rest
    count as 0), lowered where the user met the region and declined it (`recsys.maths.distributions.acceptance` with
    `prior_strength`). Exposure e has constant slot weights 1/k, so the objective is monotone submodular and equals
    1 - deficit, map by map. Its greedy slate is at least (1 - 1/e) of the optimum.

    A candidate's plausibility is what its score is worth on [0, 1], as `score_transform` says: as for `relevance`, or
    "posterior" (factor models), the probability of a like Phi((slope s + offset) / sqrt(v + 1)), v the square of `ucb`:
    what the model is unsure about is nearer to 1/2. So 1 / platt_slope is the noise of a like and -platt_offset /
    platt_slope the score at which it is as likely as not. Every cell without an interaction counts as evidence, so v is
    too small, and which constants are right is for held-out data to say.

    Args:
        tau: 0 asks for the user's own mix, 1 for that of nearby other communities.
        top_m: How many candidates of a region say how plausible it is.

    :Formula: mean over maps of sum_z w (min(q, e + a(n, z) / k) - min(q, e)) / sum_z w q
    :Range: [0, 1]
    :More: plausible regions that are owed and not shown
    :Cost: U N M k, M maps
    :Source: this project

    Raises:
        RecsysError: for an invalid setting, or a pool without history, maps or, where asked for, factors.
    """
    tau = check_number("negative_space: tau", tau, most=1)
    top_m = check_int("negative_space: top_m", top_m, 1, 2**31 - 1)
    prior_strength = check_number("negative_space: prior_strength", prior_strength, above=0)
    context = pool.context
    joined = context.population.tables.get("joined maps", lambda: join_map_shares(context.need_maps()))
    own, near = (
        mixes[pool.users] for mixes in context.tables.get("mixes", lambda: _compute_own_and_near_mixes(context))
    )
    q = (1 - tau) * own + tau * near
    w = _average_best_per_region(
        pool, transform_scores(pool, score_transform, platt_slope, platt_offset, "negative_space"), top_m
    )
    w *= _get_acceptance(context, prior_strength)[pool.users]
    sizes, starts = get_region_layout(context)
    owed = np.repeat(np.add.reduceat(w * q, starts, axis=1) * len(sizes), sizes, axis=1)
    return Coverage(
        joined,
        get_item_codes(pool),
        need=w / np.where(owed > 0, owed, 1.0),
        phi="linear",
        cap=q,
        slots=np.full(k, 1.0 / k),
    )


def unexplored(
    pool: Pool,
    k: int,
    *,
    prior_strength: float = 5.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Modular:
    """Return plausibility * the share of own maps in which the user's history never touched the item's region.

    A region that the user met and declined counts less (`recsys.maths.distributions.acceptance` with `prior_strength`).
    `score_transform`, `platt_slope` and `platt_offset` say what plausibility is, as in `negative_space`.

    :Formula: r(n) mean over maps of accepted(z), z the region of n, 0 where it is touched
    :Range: [0, 1]
    :More: regions that the history never touched
    :Cost: U N M, M maps
    :Source: this project

    Raises:
        RecsysError: as `negative_space` does.
    """
    prior_strength = check_number("unexplored: prior_strength", prior_strength, above=0)
    context = pool.context
    context.need_train("unexplored")
    share, accepted = np.zeros(pool.items.shape), _get_acceptance(context, prior_strength)
    for m, start in enumerate(get_region_layout(context)[1]):
        region = _get_hard_regions(context, m)[get_item_codes(pool)]
        user, place = pool.users[:, None], np.maximum(region, 0)
        new = (region >= 0) & ~_get_explored_regions(context, m)[user, place]
        share += np.where(new, accepted[user, start + place], 0.0)
    plausible = transform_scores(pool, score_transform, platt_slope, platt_offset, "unexplored")
    return Modular((plausible * share / len(context.need_maps())).astype(np.float32))


def join_map_shares(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the shares of items over the regions of all maps end to end, (I, Z)."""
    if all(m.has_single_regions for m in maps):
        return _join_single_region_maps(maps)
    joined = Csr(sparse.hstack([m.assignment for m in maps])).astype(np.float32)
    narrow: Any = Csr((joined.data, joined.indices.astype(np.int32), joined.indptr), shape=joined.shape)
    return Csr(narrow)


def _join_single_region_maps(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the same where each item has one entry in each map: catalogues of millions are joined in one pass."""
    items, start = maps[0].assignment.shape[0], 0
    regions, shares = np.empty((items, len(maps)), np.int32), np.empty((items, len(maps)), np.float32)
    for m, taste_map in enumerate(maps):
        regions[:, m], shares[:, m] = taste_map.assignment.indices + start, taste_map.assignment.data
        start += taste_map.assignment.shape[1]
    wide = regions.size > np.iinfo(np.int32).max
    pointers = np.arange(0, regions.size + 1, len(maps), dtype=np.int64 if wide else np.int32)
    return Csr((shares.ravel(), regions.ravel(), pointers), shape=(items, start))


def _get_hard_regions(context: Context, m: int) -> Ints:
    return context.population.tables.get(f"hard {m}", lambda: context.need_maps()[m].hard_regions)


def _get_explored_regions(context: Context, m: int) -> Bools:
    return context.tables.get(
        f"touched {m}", lambda: find_explored_regions(context.need_train("unexplored"), context.need_maps()[m])
    )


def _get_acceptance(context: Context, prior_strength: float) -> Doubles:
    """Return how readily users take what they met of each region of all maps, (users, Z): 1 without known dislikes."""

    def make() -> Doubles:
        train, dislikes = _get_likes_and_dislikes(context)
        usual = context.population.tables.get(
            "usual", lambda: share_of_likes(*_get_likes_and_dislikes(context.population))
        )
        maps = context.need_maps()
        return np.concatenate([acceptance(train, dislikes, m.assignment, prior_strength, usual) for m in maps], axis=1)

    return context.tables.get(f"acceptance {prior_strength}", make)


def _get_likes_and_dislikes(context: Context) -> tuple[Csr, Csr]:
    train = context.need_train("acceptance")
    return train, make_empty_matrix(train.shape) if context.dislikes is None else context.dislikes


def _compute_own_and_near_mixes(context: Context) -> tuple[Doubles, Doubles]:
    """Return each user's own mix over the regions of all maps, (users, Z), and that of nearby other communities."""
    train = context.need_train("negative_space")
    own, starts = get_map_mixes(context, "negative_space"), get_region_layout(context)[1]
    if context.population is not context:
        return own, compute_nearby_mixes(
            get_community_model(context.population), own, assign_communities(context), starts
        )
    label = cluster_users(train, context.seed)
    return own, np.concatenate(
        [nearby_community_mixes(mix, label) for mix in np.split(own, starts[1:], axis=1)], axis=1
    )


def _average_best_per_region(pool: Pool, plausibility: Doubles, top_m: int) -> Doubles:
    """Return the mean of `plausible` (U, N) over the `top_m` best candidates of each region of all maps, (U, Z)."""
    from recsys.kernels.regions import sum_best_per_region

    context = pool.context
    sizes, starts = get_region_layout(context)
    regions = context.population.tables.get(
        "hard maps", lambda: np.stack([_get_hard_regions(context, m) for m in range(len(sizes))]).astype(np.int32)
    )
    total, items = np.zeros((len(pool.users), sizes.sum())), pool.items
    if (plausibility[:, 1:] > plausibility[:, :-1]).any():  # they are not in its order already
        order = np.argsort(-plausibility, axis=1, kind="stable")
        items = np.take_along_axis(items, order, axis=1)
        plausibility = np.take_along_axis(plausibility, order, axis=1)
    sum_best_per_region(items, plausibility, regions, starts, top_m, total)
    return total / top_m
