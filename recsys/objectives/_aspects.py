"""Aspects of items: their features, or the regions of the first own map; and whom they matter to."""

import numpy as np

from recsys.maths import even_shares, user_mixes
from recsys.objectives._candidates import rows
from recsys.types import Context, Pool, RecsysError
from recsys.types.arrays import Csr, Doubles, Longs

TO = ("features", "map")


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

    return context.tables.get(f"shares {to}", make)


def tastes(pool: Pool, to: str, who: str) -> Doubles:
    """Return p(g|u), the mix of aspects in each user's history, (U, G): 0 throughout without history."""
    context = pool.context
    train, split = context.need_train(who), shares(context, to, who)
    mixes = context.tables.get(f"mixes {to}", lambda: user_mixes(train, split))
    return mixes[pool.users]


def of_candidates(pool: Pool, aspects: Csr, weight: Doubles) -> tuple[Csr, Longs]:
    """Return the row of `aspects` (I, G) of each candidate times its `weight` (U, N), and which row is whose.

    There is a row for each user and candidate, (U N, G): what an item covers depends on who is asked.
    """
    taken: Csr = aspects[rows(pool).ravel()].astype(np.float64)
    taken.data *= np.repeat(weight.ravel(), np.diff(taken.indptr))
    return taken, np.arange(weight.size, dtype=np.int64).reshape(weight.shape)
