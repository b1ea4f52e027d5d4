"""How unexplored each candidate is: where its region lies on the own maps, and how far it is from the history."""

import numpy as np

from recsys.objectives._history_cosines import compute_largest_cosines
from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives.derived_tables import (
    check_space,
    get_acceptance,
    get_explored_regions,
    get_hard_regions,
    get_region_layout,
)
from recsys.types import Pool
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_number


def sum_unexplored(
    pool: Pool, prior_strength: float, distance_share: float, space: str, who: str
) -> tuple[Doubles, int]:
    """Return M u of each candidate, (U, N), and the number M of own maps; u is in [0, 1].

    u = (1 - distance_share) * the share of own maps in which the region is untouched, by acceptance, + distance_share *
    (1 - the largest cosine to the history, at least 0). A user without history is at distance 1 from everything. A pool
    that keeps tables keeps the sums: trials of other settings share them.

    Raises:
        RecsysError: for an invalid setting, or a pool without history, maps or what the space is made of.
    """
    prior_strength = check_number(f"{who}: prior_strength", prior_strength, above=0)
    distance_share = check_number(f"{who}: distance_share", distance_share, most=1)
    check_space(space, who)
    pool.context.need_train(who)
    maps = len(pool.context.need_maps())

    def make() -> Doubles:
        total = (1.0 - distance_share) * _sum_untouched(pool, prior_strength)
        if distance_share > 0:
            total += distance_share * maps * (1.0 - compute_largest_cosines(pool, space, who))
        return np.asarray(total)

    key = ("unexplored", prior_strength, distance_share, space)
    return (make() if pool.kept_arrays is None else pool.kept_arrays.get(key, make)), maps


def _sum_untouched(pool: Pool, prior_strength: float) -> Doubles:
    """Return the acceptance of each candidate's region, summed over the own maps in which it is untouched, (U, N)."""
    context = pool.context
    total, accepted = np.zeros(pool.items.shape), get_acceptance(context, prior_strength)
    codes = get_item_codes(pool)
    for m, start in enumerate(get_region_layout(context)[1]):
        region = get_hard_regions(context, m)[codes]
        user, place = pool.users[:, None], np.maximum(region, 0)
        new = (region >= 0) & ~get_explored_regions(context, m)[user, place]
        total += np.where(new, accepted[user, start + place], 0.0)
    return total
