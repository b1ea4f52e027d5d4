"""Whether slates reach regions of the catalogue that a user's history never touched.

A region of a map is touched when some training positive of the user lies in it. Items that a map does not know
are neither touched nor untouched: they do not count. The plain names use the audit maps; `_own` the maps that
objectives use, `_content` the maps by what items are (`recsys.maps.content`): their rarest feature, such as a genre
or a tag, sets of features, and both with the decade.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys import maths
from recsys.metrics.picks import blocks, divide, recall_by_map, test_users
from recsys.types import Evaluation, PerMap, Yardstick
from recsys.types.arrays import Bools, Ints, Longs

Bytes = NDArray[np.int8]
Family = Literal["audit_maps", "own_maps", "content_maps"]
_SAID = {"audit_maps": "audit maps", "own_maps": "own maps", "content_maps": "content maps"}


def discovery(evaluation: Evaluation, k: int) -> PerMap:
    """Recall of held-out positives in untouched regions: hits / min(k, their number); audit maps.

    NaN for users without such positives. `counts`, means over maps: `users` that have some, `held_out` such
    positives, `hits` among them.
    Positives outside the bubble are only in the log where something exposed the user to them: a lower bound.

    :Formula: hits in untouched regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _discovery(evaluation, k, "audit_maps")


def discovery_own(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` on the objectives' own maps: circular for an objective that aims at them.

    :Formula: hits in untouched regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _discovery(evaluation, k, "own_maps")


def discovery_content(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` on maps by what items are: features, sets of features, decades.

    :Formula: hits in untouched regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _discovery(evaluation, k, "content_maps")


def untouched_share(evaluation: Evaluation, k: int) -> PerMap:
    """Share of the shown items that lie in untouched regions; audit maps.

    Neither more nor less is better: `counts["held_out"]` is the same share of the held-out positives, the mean
    over users, then maps.

    :Formula: shown items in untouched regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _untouched_share(evaluation, k, "audit_maps")


def untouched_share_own(evaluation: Evaluation, k: int) -> PerMap:
    """`untouched_share` on the objectives' own maps.

    :Formula: shown items in untouched regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _untouched_share(evaluation, k, "own_maps")


def untouched_share_content(evaluation: Evaluation, k: int) -> PerMap:
    """`untouched_share` on maps by what items are: features, sets of features, decades.

    :Formula: shown items in untouched regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _untouched_share(evaluation, k, "content_maps")


def _discovery(evaluation: Evaluation, k: int, family: Family) -> PerMap:
    yardstick = evaluation.yardstick
    places = yardstick.tables.get(f"test_places.{family}", lambda: _test_places(yardstick, family))
    values, behind = recall_by_map(evaluation, k, places == 1, k)
    convention = (
        f"hits in regions untouched by train / min(k, held-out positives there), {_SAID[family]}; mean over "
        "users with such positives, then over maps, an empty slate counts 0"
    )
    return PerMap(values, convention, 1, behind)


def _untouched_share(evaluation: Evaluation, k: int, family: Family) -> PerMap:
    yardstick = evaluation.yardstick
    regions, top = _regions(yardstick, family), evaluation.top(k)
    values = np.empty((len(regions), len(top)))
    for m, (touched, hard) in enumerate(regions):
        for b in blocks(len(top)):
            shown = np.where(top[b] >= 0, _place(touched[b], hard, np.arange(len(top[b]))[:, None], top[b]), -1)
            values[m, b] = divide((shown == 1).sum(axis=1), (shown >= 0).sum(axis=1))
    convention = (
        f"shown items in regions untouched by train / shown items that the map knows, {_SAID[family]}; "
        "mean over users with such items, then over maps"
    )
    held_out = yardstick.tables.get(f"held_out_share.{family}", lambda: _held_out_share(yardstick, family))
    return PerMap(values, convention, 0, {"held_out": held_out})


def _held_out_share(yardstick: Yardstick, family: Family) -> float:
    places = yardstick.tables.get(f"test_places.{family}", lambda: _test_places(yardstick, family))
    users, n_users = test_users(yardstick), yardstick.split.test.shape[0]
    means = []
    for row in places:
        new, known = (np.bincount(users[some], minlength=n_users) for some in (row == 1, row >= 0))
        if known.any():
            means.append(float(np.nanmean(divide(new, known))))
    return float(np.mean(means)) if means else float("nan")


def _test_places(yardstick: Yardstick, family: Family) -> Bytes:
    """Return (M, held-out positives): 1 in an untouched region, 0 in a touched one, -1 unknown to the map."""
    users, items = test_users(yardstick), yardstick.split.test.indices
    places = [_place(touched, hard, users, items) for touched, hard in _regions(yardstick, family)]
    return np.array(places, dtype=np.int8).reshape(len(places), len(items))


def _place(touched: Bools, hard: Ints, users: Longs, items: Ints) -> Bytes:
    region = hard[items]
    return np.where(region >= 0, ~touched[users, region], -1).astype(np.int8)


def _regions(yardstick: Yardstick, family: Family) -> list[tuple[Bools, Ints]]:
    """Return, for each map, which regions each user has touched (U, Z), and the region of each item (I,)."""
    train = yardstick.split.train
    maps = getattr(yardstick, family)
    return yardstick.tables.get(f"regions.{family}", lambda: [(maths.touched(train, m), m.hard) for m in maps])
