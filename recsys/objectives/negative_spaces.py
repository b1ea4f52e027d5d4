"""What the user would like and is never shown."""

import numpy as np
from scipy import sparse

from recsys.maths import acceptance, communities, near_mixes, touched, user_mixes
from recsys.objectives._beliefs import liking
from recsys.objectives._candidates import check_strength, rows
from recsys.types import Context, Coverage, Modular, Pool, RecsysError, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints, empty


def negative_space(
    pool: Pool,
    k: int,
    *,
    tau: float = 1.0,
    best: int = 5,
    strength: float = 5.0,
    belief: str = "score",
    threshold: float = 0.5,
    noise: float = 0.5,
) -> Coverage:
    """Return the gain in sum_z w min(q, e): the exposure owed to regions and given, averaged over the own maps.

    The reference q = (1 - tau) * own mix + tau * what nearby other communities consume. The plausibility w of
    a region is the mean plausibility of its `best` best candidates (of which it may have fewer: then the rest
    count as 0), lowered where the user met the region and declined it (`recsys.maths.acceptance` with
    `strength`). Exposure e has constant slot weights 1/k, so the objective is monotone submodular and equals
    1 - deficit, map by map. Its greedy slate is at least (1 - 1/e) of the optimum.

    A candidate's plausibility is its score within the user's pool. With `belief="posterior"` (factor models) it is
    the probability that the user likes it, Phi((score - threshold) / sqrt(s^2 + noise^2)), s = noise * `ucb`: what
    the model is unsure about is nearer to 1/2. The defaults are the middle of the 0 and 1 that factors are fitted to,
    and the largest deviation that a 0 or 1 can have. Every cell without an interaction counts as evidence, so s is
    too small, and where `noise` belongs is for held-out data to say.

    Raises:
        RecsysError: for a setting that cannot be meant, or a pool without history, maps or, where asked for, factors.
    """
    if not 0 <= tau <= 1:
        raise RecsysError(f"negative_space: tau is {tau}, expected a number from 0 to 1")
    if best < 1:
        raise RecsysError(f"negative_space: best is {best}, expected a whole number of at least 1")
    check_strength("negative_space", strength)
    context = pool.context
    joined = context.tables.get("joined maps", lambda: _join(context.maps))
    offered = _best_in_regions(pool, liking(pool, "negative_space", belief, threshold, noise), best)
    needs, caps = [], []
    for m in range(len(context.maps)):
        own, near = _mixes(context, m)
        q = (1 - tau) * own[pool.users] + tau * near[pool.users]
        w = offered[m] * _acceptance(context, m, strength)[pool.users]
        owed = (w * q).sum(axis=1, keepdims=True) * len(context.maps)
        needs.append(w / np.where(owed > 0, owed, 1.0))
        caps.append(q)
    return Coverage(
        joined,
        rows(pool),
        need=np.concatenate(needs, axis=1),
        phi="linear",
        cap=np.concatenate(caps, axis=1),
        slots=np.full(k, 1.0 / k),
    )


def untouched(
    pool: Pool,
    k: int,
    *,
    strength: float = 5.0,
    belief: str = "score",
    threshold: float = 0.5,
    noise: float = 0.5,
) -> Modular:
    """Return plausibility * the share of own maps in which the user's history never touched the item's region.

    A region that the user met and declined counts less (`recsys.maths.acceptance` with `strength`). `belief`,
    `threshold` and `noise` say what plausibility is, as in `negative_space`.

    Raises:
        RecsysError: as `negative_space` does.
    """
    check_strength("untouched", strength)
    context = pool.context
    context.need_train("untouched")
    share = np.zeros(pool.items.shape)
    for m in range(len(context.maps)):
        known = _touched(context, m)
        region = _hard(context, m)[rows(pool)]
        place = (pool.users[:, None], np.maximum(region, 0))
        share += np.where((region >= 0) & ~known[place], _acceptance(context, m, strength)[place], 0.0)
    plausible = liking(pool, "untouched", belief, threshold, noise)
    return Modular((plausible * share / max(len(context.maps), 1)).astype(np.float32))


def _join(maps: tuple[TasteMap, ...]) -> Csr:
    return sparse.csr_array(sparse.hstack([m.assignment for m in maps])).astype(np.float32)


def _hard(context: Context, m: int) -> Ints:
    return context.tables.get(f"hard {m}", lambda: context.maps[m].hard)


def _touched(context: Context, m: int) -> Bools:
    return context.tables.get(f"touched {m}", lambda: touched(context.need_train("untouched"), context.maps[m]))


def _acceptance(context: Context, m: int, strength: float) -> Doubles:
    """Return how readily users take what they met of each region of map m, (users, Z): 1 without known dislikes."""
    train, assignment = context.need_train("acceptance"), context.maps[m].assignment
    dislikes = empty(train.shape) if context.dislikes is None else context.dislikes
    return context.tables.get(f"acceptance {strength} {m}", lambda: acceptance(train, dislikes, assignment, strength))


def _mixes(context: Context, m: int) -> tuple[Doubles, Doubles]:
    """Return each user's own mix over the regions of map m, and that of nearby other communities."""
    train = context.need_train("negative_space")
    label = context.tables.get("communities", lambda: communities(train, context.seed))

    def make() -> tuple[Doubles, Doubles]:
        own = user_mixes(train, context.maps[m].assignment)
        return own, near_mixes(own, label)

    return context.tables.get(f"mixes map {m}", make)


def _best_in_regions(pool: Pool, worth: Doubles, best: int) -> list[Doubles]:
    """Return the mean `worth` (U, N) of the `best` best candidates of each region, (U, Z), for each map."""
    from recsys.kernels.regions import sum_best

    context = pool.context
    sizes = [taste_map.assignment.shape[1] for taste_map in context.maps]
    regions = context.tables.get(
        "hard maps", lambda: np.stack([_hard(context, m) for m in range(len(sizes))]).astype(np.int32)
    )
    starts = np.cumsum([0, *sizes])
    total = np.zeros((len(pool.users), starts[-1]))
    order = np.argsort(-worth, axis=1, kind="stable")
    items, worth = np.take_along_axis(pool.items, order, axis=1), np.take_along_axis(worth, order, axis=1)
    sum_best(items, worth, regions, starts, best, total)
    return np.split(total / best, starts[1:-1], axis=1)
