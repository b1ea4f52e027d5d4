"""What nearby other communities consume and the slate does not show, and what it finds there."""

import numpy as np

from recsys import maths, seeds
from recsys.metrics.picks import blocks, picks, recall_by_map, test_users
from recsys.types import Evaluation, PerMap, TasteMap, Yardstick
from recsys.types.arrays import Bools, Doubles, Ints

_WHO = "w = 1, uniform slots of 1/k; mean over users to whom something is owed, then over maps"


def deficit(evaluation: Evaluation, k: int) -> PerMap:
    """Share of what nearby other communities consume that the slate does not show; audit maps.

    `recsys.maths.deficit` with q of `recsys.maths.near_mixes` and the slate's exposure e with slot weights 1/k, so that
    a short slate leaves exposure unused.

    :Formula: sum over regions of max(0, q - e) / sum of q, mean over maps
    :Range: [0, 1]
    :Better: less
    :Cost: M U (k + Z), M maps of Z regions
    :Source: this project
    """
    return PerMap(_deficits(evaluation, k, "audit_maps"), f"q of near other communities, audit maps, {_WHO}", -1)


def deficit_own(evaluation: Evaluation, k: int) -> PerMap:
    """`deficit` on the objectives' own maps: circular for an objective that aims at them.

    :Formula: sum over regions of max(0, q - e) / sum of q, mean over maps
    :Range: [0, 1]
    :Better: less
    :Cost: M U (k + Z), M maps of Z regions
    :Source: this project
    """
    return PerMap(_deficits(evaluation, k, "own_maps"), f"q of near other communities, own maps, {_WHO}", -1)


def out_of_bubble_recall(evaluation: Evaluation, k: int) -> PerMap:
    """Recall of the held-out positives that lie in regions nearby other communities consume more of; audit maps.

    A region lies outside of a user's bubble where their history has a smaller share of it than q, the mix of
    `recsys.maths.near_mixes`; NaN for users without history or without such positives. `counts`, means over maps:
    `users`, `held_out` such positives, `hits` among them.

    :Formula: hits in regions with p < q / held-out positives there, mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U (T + Z), M maps of Z regions, T held-out positives
    :Source: this project
    """
    yardstick = evaluation.yardstick
    outside = yardstick.tables.get("outside_bubble", lambda: _outside(yardstick))
    values, behind = recall_by_map(evaluation, k, outside, np.inf)
    convention = (
        "hits / all held-out positives in regions with less of the history than of near other communities, audit maps; "
        "mean over users with a history and such positives, then over maps, an empty slate counts 0"
    )
    return PerMap(values, convention, 1, behind)


def owed(yardstick: Yardstick, taste_map: TasteMap) -> Doubles:
    """Return what nearby other communities consume of each region, (U, Z)."""
    train = yardstick.split.train
    return maths.near_mixes(maths.user_mixes(train, taste_map.assignment), communities(yardstick))


def _deficits(evaluation: Evaluation, k: int, family: str) -> Doubles:
    yardstick = evaluation.yardstick
    maps = getattr(yardstick, family)
    mixes = _owed_by(yardstick, family)
    shown = picks(evaluation, k)
    values = np.empty((len(maps), shown.shape[0]))
    for m, (taste_map, q) in enumerate(zip(maps, mixes, strict=True)):
        for b in blocks(shown.shape[0]):
            values[m, b] = maths.deficit(q[b], maths.masses(shown[b], taste_map.assignment) / k)
    return values


def _owed_by(yardstick: Yardstick, family: str) -> list[Doubles]:
    """Return `owed` by each of a family of maps."""
    return yardstick.tables.get(f"owed.{family}", lambda: [owed(yardstick, m) for m in getattr(yardstick, family)])


def _outside(yardstick: Yardstick) -> list[Bools]:
    """Return which held-out positives lie outside of their user's bubble, by each audit map, in the test's order."""
    split, users = yardstick.split, test_users(yardstick)
    history, found = np.diff(split.train.indptr)[users] > 0, []
    for taste_map, due in zip(yardstick.audit_maps, _owed_by(yardstick, "audit_maps"), strict=True):
        beyond = maths.user_mixes(split.train, taste_map.assignment) < due
        region = taste_map.hard[split.test.indices]
        found.append(np.asarray(beyond[users, region] & (region >= 0) & history))
    return found


def communities(yardstick: Yardstick) -> Ints:
    """Return the community of each user, (U,), of the metrics' own seed."""
    split = yardstick.split
    # A seed of their own: an objective that aims at such a mix must not be judged by its own communities.
    seed = seeds.derive(split.seed, "judge")
    return yardstick.tables.get("communities", lambda: maths.communities(split.train, seed))
