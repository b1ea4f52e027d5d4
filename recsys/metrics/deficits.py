"""What nearby communities consume and the slate does not show."""

import numpy as np

from recsys import maths, seeds
from recsys.metrics.picks import blocks, picks
from recsys.types import Evaluation, PerMap, Yardstick
from recsys.types.arrays import Csr, Doubles, Ints

_WHO = "w = 1, uniform slots of 1/k; mean over users to whom something is owed, then over maps"


def deficit(evaluation: Evaluation, k: int) -> PerMap:
    """Share of what nearby other communities consume that the slate does not show, in [0, 1]; audit maps.

    `recsys.maths.deficit` with q of `recsys.maths.near_mixes` and the slate's exposure with slot weights 1/k,
    so that a short slate leaves exposure unused. Less is better.
    """
    return PerMap(_deficits(evaluation, k, "audit_maps"), f"q of near other communities, audit maps, {_WHO}", -1)


def deficit_own(evaluation: Evaluation, k: int) -> PerMap:
    """`deficit` on the objectives' own maps: circular for an objective that aims at them."""
    return PerMap(_deficits(evaluation, k, "own_maps"), f"q of near other communities, own maps, {_WHO}", -1)


def _deficits(evaluation: Evaluation, k: int, family: str) -> Doubles:
    yardstick = evaluation.yardstick
    maps = getattr(yardstick, family)
    owed = yardstick.tables.get(f"owed.{family}", lambda: [_owed(yardstick, m.assignment) for m in maps])
    shown = picks(evaluation, k)
    values = np.empty((len(maps), shown.shape[0]))
    for m, (taste_map, q) in enumerate(zip(maps, owed, strict=True)):
        for b in blocks(shown.shape[0]):
            values[m, b] = maths.deficit(q[b], (shown[b] @ taste_map.assignment).toarray() / k)
    return values


def _owed(yardstick: Yardstick, assignment: Csr) -> Doubles:
    train = yardstick.split.train
    return maths.near_mixes(maths.user_mixes(train, assignment), _communities(yardstick))


def _communities(yardstick: Yardstick) -> Ints:
    split = yardstick.split
    # A seed of their own: an objective that aims at such a mix must not be judged by its own communities.
    seed = seeds.derive(split.seed, "judge")
    return yardstick.tables.get("communities", lambda: maths.communities(split.train, seed))
