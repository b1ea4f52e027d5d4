"""What the user would like and is never shown."""

from typing import Any

import numpy as np
from scipy import sparse

from recsys.maths import acceptance, communities, near_mixes, share_of_likes, touched
from recsys.objectives._aspects import own_mixes
from recsys.objectives._candidates import check_strength, rows
from recsys.objectives._neighbours import layout, near, neighbourhood, neighbours
from recsys.objectives._worths import worth
from recsys.types import Context, Coverage, Modular, Pool, RecsysError, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints, empty
from recsys.types.numbers import whole


def negative_space(
    pool: Pool,
    k: int,
    *,
    tau: float = 1.0,
    best: int = 5,
    strength: float = 5.0,
    form: str = "range",
    slope: float = 0.0,
    offset: float = 0.0,
) -> Coverage:
    """Return the gain in sum_z w min(q, e): the exposure owed to regions and given, averaged over the own maps.

    The reference q = (1 - tau) * own mix + tau * what nearby other communities consume. The plausibility w of
    a region is the mean plausibility of its `best` best candidates (of which it may have fewer: then the rest
    count as 0), lowered where the user met the region and declined it (`recsys.maths.acceptance` with
    `strength`). Exposure e has constant slot weights 1/k, so the objective is monotone submodular and equals
    1 - deficit, map by map. Its greedy slate is at least (1 - 1/e) of the optimum.

    A candidate's plausibility is what its score is worth on [0, 1], as `form` says: as for `relevance`, or "posterior"
    (factor models), the probability of a like Phi((slope s + offset) / sqrt(v + 1)), v the square of `ucb`: what the
    model is unsure about is nearer to 1/2. So 1 / slope is the noise of a like and -offset / slope the score at
    which it is as likely as not. Every cell without an interaction counts as evidence, so v is too small, and which
    constants are right is for held-out data to say.

    :Formula: mean over maps of sum_z w (min(q, e + a(n, z) / k) - min(q, e)) / sum_z w q
    :Range: [0, 1]
    :More: plausible regions that are owed and not shown
    :Cost: U N M k, M maps
    :Source: this project

    Raises:
        RecsysError: for a setting that cannot be meant, or a pool without history, maps or, where asked for, factors.
    """
    if not 0 <= tau <= 1:
        raise RecsysError(f"negative_space: tau is {tau}, expected a number from 0 to 1")
    best = whole("negative_space: best", best, 1, 2**31 - 1)
    check_strength("negative_space", strength)
    context = pool.context
    joined = context.everybody.tables.get("joined maps", lambda: join(context.need_maps()))
    own, near = (mixes[pool.users] for mixes in context.tables.get("mixes", lambda: _mixes(context)))
    q = (1 - tau) * own + tau * near
    w = _best_in_regions(pool, worth(pool, form, slope, offset, "negative_space"), best)
    w *= _acceptance(context, strength)[pool.users]
    sizes, starts = layout(context)
    owed = np.repeat(np.add.reduceat(w * q, starts, axis=1) * len(sizes), sizes, axis=1)
    return Coverage(
        joined,
        rows(pool),
        need=w / np.where(owed > 0, owed, 1.0),
        phi="linear",
        cap=q,
        slots=np.full(k, 1.0 / k),
    )


def untouched(
    pool: Pool,
    k: int,
    *,
    strength: float = 5.0,
    form: str = "range",
    slope: float = 0.0,
    offset: float = 0.0,
) -> Modular:
    """Return plausibility * the share of own maps in which the user's history never touched the item's region.

    A region that the user met and declined counts less (`recsys.maths.acceptance` with `strength`). `form`, `slope`
    and `offset` say what plausibility is, as in `negative_space`.

    :Formula: r(n) mean over maps of accepted(z), z the region of n, 0 where it is touched
    :Range: [0, 1]
    :More: regions that the history never touched
    :Cost: U N M, M maps
    :Source: this project

    Raises:
        RecsysError: as `negative_space` does.
    """
    check_strength("untouched", strength)
    context = pool.context
    context.need_train("untouched")
    share, accepted = np.zeros(pool.items.shape), _acceptance(context, strength)
    for m, start in enumerate(layout(context)[1]):
        region = _hard(context, m)[rows(pool)]
        user, place = pool.users[:, None], np.maximum(region, 0)
        new = (region >= 0) & ~_touched(context, m)[user, place]
        share += np.where(new, accepted[user, start + place], 0.0)
    plausible = worth(pool, form, slope, offset, "untouched")
    return Modular((plausible * share / len(context.need_maps())).astype(np.float32))


def join(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the shares of items over the regions of all maps end to end, (I, Z)."""
    if all(m.one_each for m in maps):
        return _join_one_each(maps)
    joined = Csr(sparse.hstack([m.assignment for m in maps])).astype(np.float32)
    narrow: Any = Csr((joined.data, joined.indices.astype(np.int32), joined.indptr), shape=joined.shape)
    return Csr(narrow)


def _join_one_each(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the same where each item has one entry in each map: catalogues of millions are joined in one pass."""
    items, start = maps[0].assignment.shape[0], 0
    regions, shares = np.empty((items, len(maps)), np.int32), np.empty((items, len(maps)), np.float32)
    for m, taste_map in enumerate(maps):
        regions[:, m], shares[:, m] = taste_map.assignment.indices + start, taste_map.assignment.data
        start += taste_map.assignment.shape[1]
    wide = regions.size > np.iinfo(np.int32).max
    pointers = np.arange(0, regions.size + 1, len(maps), dtype=np.int64 if wide else np.int32)
    return Csr((shares.ravel(), regions.ravel(), pointers), shape=(items, start))


def _hard(context: Context, m: int) -> Ints:
    return context.everybody.tables.get(f"hard {m}", lambda: context.need_maps()[m].hard)


def _touched(context: Context, m: int) -> Bools:
    return context.tables.get(f"touched {m}", lambda: touched(context.need_train("untouched"), context.need_maps()[m]))


def _acceptance(context: Context, strength: float) -> Doubles:
    """Return how readily users take what they met of each region of all maps, (users, Z): 1 without known dislikes."""

    def make() -> Doubles:
        train, dislikes = _liked_and_not(context)
        usual = context.everybody.tables.get("usual", lambda: share_of_likes(*_liked_and_not(context.everybody)))
        maps = context.need_maps()
        return np.concatenate([acceptance(train, dislikes, m.assignment, strength, usual) for m in maps], axis=1)

    return context.tables.get(f"acceptance {strength}", make)


def _liked_and_not(context: Context) -> tuple[Csr, Csr]:
    train = context.need_train("acceptance")
    return train, empty(train.shape) if context.dislikes is None else context.dislikes


def _mixes(context: Context) -> tuple[Doubles, Doubles]:
    """Return each user's own mix over the regions of all maps, (users, Z), and that of nearby other communities."""
    train = context.need_train("negative_space")
    own, starts = own_mixes(context, "negative_space"), layout(context)[1]
    if context.everybody is not context:
        return own, near(neighbourhood(context.everybody), own, neighbours(context), starts)
    label = communities(train, context.seed)
    return own, np.concatenate([near_mixes(mix, label) for mix in np.split(own, starts[1:], axis=1)], axis=1)


def _best_in_regions(pool: Pool, plausible: Doubles, best: int) -> Doubles:
    """Return the mean of `plausible` (U, N) over the `best` best candidates of each region of all maps, (U, Z)."""
    from recsys.kernels.regions import sum_best

    context = pool.context
    sizes, starts = layout(context)
    regions = context.everybody.tables.get(
        "hard maps", lambda: np.stack([_hard(context, m) for m in range(len(sizes))]).astype(np.int32)
    )
    total, items = np.zeros((len(pool.users), sizes.sum())), pool.items
    if (plausible[:, 1:] > plausible[:, :-1]).any():  # they are not in its order already
        order = np.argsort(-plausible, axis=1, kind="stable")
        items = np.take_along_axis(items, order, axis=1)
        plausible = np.take_along_axis(plausible, order, axis=1)
    sum_best(items, plausible, regions, starts, best, total)
    return total / best
