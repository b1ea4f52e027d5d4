"""Aspects of items, features or regions of the first own map, and the users' interest in them."""

from collections.abc import Sequence

import numpy as np

from recsys.maths.distributions import split_weight_evenly, user_mixes
from recsys.objectives._pool_arrays import get_item_codes
from recsys.types import Context, Coverage, Pool, RecsysError, TasteMap
from recsys.types.arrays import Csr, Doubles, Longs
from recsys.types.numbers import check_number

ASPECTS = ("features", "map")
MAX_PROBABILITY = 1.0 - 1e-12  # the largest probability whose complement has a finite logarithm worth having


def get_item_aspects(context: Context, aspects: str, who: str) -> Csr:
    """Return how much each item belongs to each aspect, (I, G): 1 for a feature that it has, or its share of a region.

    Raises:
        RecsysError: if `aspects` is neither "features" nor "map", or the pool does not have them.
    """
    if aspects not in ASPECTS:
        raise RecsysError(f"{who}: aspects is '{aspects}', expected one of {', '.join(ASPECTS)}")
    return context.need_maps()[0].assignment if aspects == "map" else context.need_items(who).features


def get_aspect_shares(context: Context, aspects: str, who: str) -> Csr:
    """Return p(g|i), (I, G) float32: an item's mass split evenly over its features, or its shares of regions."""

    def make() -> Csr:
        belongs = get_item_aspects(context, aspects, who)
        if aspects == "map":
            return belongs
        return split_weight_evenly(belongs).astype(np.float32)

    return context.population.tables.get(f"shares {aspects}", make)


def get_user_aspects(pool: Pool, aspects: str, who: str) -> Doubles:
    """Return p(g|u), the mix of aspects in each user's history, (U, G): 0 throughout without history."""
    context = pool.context
    train, split = context.need_train(who), get_aspect_shares(context, aspects, who)
    mixes = context.tables.get(f"mixes {aspects}", lambda: user_mixes(train, split))
    return mixes[pool.users]


def get_map_mixes(context: Context, who: str) -> Doubles:
    """Return the mix of each user's history over the regions of all own maps end to end, (users, Z)."""
    train = context.need_train(who)
    return context.tables.get("own mixes", lambda: compute_map_mixes(train, context.need_maps()))


def compute_map_mixes(histories: Csr, maps: Sequence[TasteMap]) -> Doubles:
    """Return the mix of each history (B, I) over the regions of all `maps` end to end, (B, Z)."""
    return np.concatenate([user_mixes(histories, taste_map.assignment) for taste_map in maps], axis=1)


def weigh_candidate_aspects(pool: Pool, aspects: Csr, weight: Doubles) -> tuple[Csr, Longs]:
    """Return the row of `aspects` (I, G) of each candidate times its `weight` (U, N), and which row is whose.

    There is a row for each user and candidate, (U N, G): what an item covers depends on who is asked.
    """
    taken: Csr = aspects[get_item_codes(pool).ravel()].astype(np.float64)
    taken.data *= np.repeat(weight.ravel(), np.diff(taken.indptr))
    return taken, np.arange(weight.size, dtype=np.int64).reshape(weight.shape)


def make_noisy_or_coverage(probability: Csr, term_rows: Longs, need: Doubles, alpha: float, who: str) -> Coverage:
    """Return the gain in sum_g need (1 - prod(1 - alpha p)) / alpha; -log of the product is what picks add up to."""
    alpha = check_number(f"{who}: alpha", alpha, above=0, most=1)
    covered = probability.copy()
    covered.data = -np.log1p(-np.minimum(alpha * probability.data, MAX_PROBABILITY))
    return Coverage(covered.astype(np.float32), term_rows, need / alpha, "exp")
