"""Negative space: plausible regions that a user is never shown, and unexplored ones."""

import numpy as np

from recsys.objectives._pool_arrays import get_item_rows
from recsys.objectives._score_transforms import transform_scores
from recsys.objectives._unexplored import sum_unexplored
from recsys.objectives.derived_tables import (
    get_acceptance,
    get_item_regions,
    get_own_and_near_mixes,
    get_region_layout,
    get_region_shares,
)
from recsys.types import Coverage, Modular, Pool
from recsys.types.arrays import Doubles
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
    joined = get_region_shares(context)
    own, near = (mixes[pool.users] for mixes in get_own_and_near_mixes(context))
    q = (1 - tau) * own + tau * near
    w = _average_best_per_region(
        pool, transform_scores(pool, score_transform, platt_slope, platt_offset, "negative_space"), top_m
    )
    w *= get_acceptance(context, prior_strength)[pool.users]
    sizes, starts = get_region_layout(context)
    owed = np.repeat(np.add.reduceat(w * q, starts, axis=1) * len(sizes), sizes, axis=1)
    return Coverage(
        joined,
        get_item_rows(pool),
        need=w / np.where(owed > 0, owed, 1.0),
        phi="linear",
        cap=q,
        slots=np.full(k, 1.0 / k),
    )


def unexplored(
    pool: Pool,
    k: int,
    *,
    distance_share: float = 0.5,
    space: str = "cooccurrence",
    prior_strength: float = 5.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Modular:
    """Return plausibility * u, u how far a candidate lies from where the user has been, each in [0, 1].

    u = (1 - distance_share) * the share of own maps in which the history never touched the item's region +
    distance_share * (1 - the largest cosine to the history, at least 0). Maps say which parts of the catalogue are new,
    the distance also tells items within one of them apart. A region that the user met and declined counts less
    (`recsys.maths.distributions.acceptance` with `prior_strength`). A user without history is at distance 1 from
    everything. `score_transform`, `platt_slope` and `platt_offset` say what plausibility is, as in `negative_space`.

    :Formula: r(n) ((1 - d) mean over maps of accepted(z) + d (1 - max(0, max over history j of cos(n, j)))), d =
        `distance_share`, z the region of n; accepted is 0 where z is touched
    :Range: [0, 1]
    :More: regions that the history never touched, and items that are near to nothing in it
    :Cost: U N (M + h d), M maps, h history
    :Source: this project

    Raises:
        RecsysError: as `negative_space` does, and if there is no such space, or the pool lacks what it is made of.
    """
    total, maps = sum_unexplored(pool, prior_strength, distance_share, space, "unexplored")
    plausible = transform_scores(pool, score_transform, platt_slope, platt_offset, "unexplored")
    return Modular((plausible * total / maps).astype(np.float32))


def _average_best_per_region(pool: Pool, plausibility: Doubles, top_m: int) -> Doubles:
    """Return the mean of `plausible` (U, N) over the `top_m` best candidates of each region of all maps, (U, Z)."""
    from recsys.kernels.regions import sum_best_per_region

    context = pool.context
    sizes = get_region_layout(context)[0]
    total, items = np.zeros((len(pool.users), sizes.sum())), pool.items
    if (plausibility[:, 1:] > plausibility[:, :-1]).any():  # they are not in its order already
        order = np.argsort(-plausibility, axis=1, kind="stable")
        items = np.take_along_axis(items, order, axis=1)
        plausibility = np.take_along_axis(plausibility, order, axis=1)
    sum_best_per_region(items, plausibility, get_item_regions(context), top_m, total)
    return total / top_m
