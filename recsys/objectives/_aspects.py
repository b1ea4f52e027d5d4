"""Aspects of items: their features, or the regions of the first own map; and whom they matter to."""

from collections.abc import Sequence

import numpy as np

from recsys.maths import even_shares, user_mixes
from recsys.objectives._candidates import rows
from recsys.types import Context, Coverage, Pool, RecsysError, TasteMap
from recsys.types.arrays import Csr, Doubles, Longs

TO = ("features", "map")
CERTAIN = 1.0 - 1e-12  # the largest probability whose complement has a finite logarithm worth having


def members(context: Context, to: str, who: str) -> Csr:
    """Return how much each item belongs to each aspect, (I, G): 1 for a feature that it has, or its share of a region.

    Raises:
        RecsysError: if `to` is neither "features" nor "map", or the pool does not have them.
    """
    if to not in TO:
        raise RecsysError(f"{who}: to is '{to}', expected one of {', '.join(TO)}")
    return context.need_maps()[0].assignment if to == "map" else context.need_items(who).features


def shares(context: Context, to: str, who: str) -> Csr:
    """Return p(g|i), (I, G) float32: an item's mass split evenly over its features, or its shares of regions."""

    def make() -> Csr:
        belongs = members(context, to, who)
        if to == "map":
            return belongs
        return even_shares(belongs).astype(np.float32)

    return context.everybody.tables.get(f"shares {to}", make)


def tastes(pool: Pool, to: str, who: str) -> Doubles:
    """Return p(g|u), the mix of aspects in each user's history, (U, G): 0 throughout without history."""
    context = pool.context
    train, split = context.need_train(who), shares(context, to, who)
    mixes = context.tables.get(f"mixes {to}", lambda: user_mixes(train, split))
    return mixes[pool.users]


def own_mixes(context: Context, who: str) -> Doubles:
    """Return the mix of each user's history over the regions of all own maps end to end, (users, Z)."""
    train = context.need_train(who)
    return context.tables.get("own mixes", lambda: mixes_of(train, context.need_maps()))


def mixes_of(histories: Csr, maps: Sequence[TasteMap]) -> Doubles:
    """Return the mix of each history (B, I) over the regions of all `maps` end to end, (B, Z)."""
    return np.concatenate([user_mixes(histories, taste_map.assignment) for taste_map in maps], axis=1)


def of_candidates(pool: Pool, aspects: Csr, weight: Doubles) -> tuple[Csr, Longs]:
    """Return the row of `aspects` (I, G) of each candidate times its `weight` (U, N), and which row is whose.

    There is a row for each user and candidate, (U N, G): what an item covers depends on who is asked.
    """
    taken: Csr = aspects[rows(pool).ravel()].astype(np.float64)
    taken.data *= np.repeat(weight.ravel(), np.diff(taken.indptr))
    return taken, np.arange(weight.size, dtype=np.int64).reshape(weight.shape)


def at_least_one(probability: Csr, at: Longs, need: Doubles, alpha: float, who: str) -> Coverage:
    """Return the gain in sum_g need (1 - prod(1 - alpha p)) / alpha; -log of the product is what picks add up to."""
    if not 0 < alpha <= 1:
        raise RecsysError(f"{who}: alpha is {alpha}, expected a number above 0, at most 1")
    covered = probability.copy()
    covered.data = -np.log1p(-np.minimum(alpha * probability.data, CERTAIN))
    return Coverage(covered.astype(np.float32), at, need / alpha, "exp")
