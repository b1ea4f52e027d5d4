"""Discovery: whether slates reach regions of the catalogue that a user's history never touched.

A region of a map is touched when some training positive of the user lies in it. Items that a map does not know are
neither touched nor unexplored: they do not count. The plain names use the audit maps; `_own` the maps that objectives
use, `_content` the maps by what items are (`recsys.maps.content_maps`): their rarest feature, such as a genre or a tag,
sets of features, and both with the decade.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.metrics._hits import MarkedPositives, compute_recall_by_map, count_marked_positives
from recsys.metrics._shared import divide_or_nan, get_test_users
from recsys.metrics.derived_tables import MapTable
from recsys.types import Evaluation, GroundTruth, PerMap, TasteMap
from recsys.types.arrays import Csr, Doubles, Ints, Longs

REGION_PLACES, TEST_PLACES = MapTable("region_places"), MapTable("test_places")
UNEXPLORED_POSITIVES, HELD_OUT_SHARE = MapTable("unexplored_positives"), MapTable("held_out_share")
WITNESSED_POSITIVES = MapTable("witnessed_positives")

Bytes = NDArray[np.int8]
MapFamily = Literal["audit_maps", "objective_maps", "content_maps", "witness_maps"]
_WITNESSES: tuple[MapFamily, MapFamily] = ("audit_maps", "witness_maps")
_FAMILY_NAMES = {"audit_maps": "audit maps", "objective_maps": "own maps", "content_maps": "content maps"}


def discovery(evaluation: Evaluation, k: int) -> PerMap:
    """Recall of held-out positives in unexplored regions: hits / min(k, their number); audit maps.

    NaN for users without such positives. `counts`, means over maps: `users` that have some, `held_out` such
    positives, `hits` among them.
    Positives outside the bubble are only in the log where something exposed the user to them: a lower bound.

    :Formula: hits in unexplored regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery(evaluation, k, "audit_maps")


def discovery_own(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` on the objectives' own maps: circular for an objective that aims at them.

    :Formula: hits in unexplored regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery(evaluation, k, "objective_maps")


def discovery_content(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` on content maps: features, sets of features, decades.

    :Formula: hits in unexplored regions / min(k, held-out positives there), mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    return _compute_discovery(evaluation, k, "content_maps")


def discovery_two_witnesses(evaluation: Evaluation, k: int) -> PerMap:
    """`discovery` where a region counts as unexplored only if an audit map of either half of the users says so.

    Maps of the two halves are paired by their place in the family: same method, size and seed. It needs
    `GroundTruth.witness_maps`, which cross-fitting brings. Those are made from the users that the slates' tables are
    made from, too: a second column beside `discovery`, with fewer hits behind it.

    :Formula: hits in regions unexplored by both maps / min(k, held-out positives there), mean over pairs of maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U T, M maps, T held-out positives
    :Source: this project
    """
    truth = evaluation.truth

    def make() -> MarkedPositives:
        one, other = (_get_test_places(truth, family) for family in _WITNESSES)
        pairs = min(len(one), len(other))
        return count_marked_positives(truth, (one[:pairs] == 1) & (other[:pairs] == 1))

    values, behind = compute_recall_by_map(evaluation, k, WITNESSED_POSITIVES.get(truth, make), k)
    convention = (
        "hits in regions unexplored by train / min(k, held-out positives there), where audit maps of both halves of "
        "the users say so; mean over users with such positives, then over pairs of maps, an empty slate counts 0"
    )
    return PerMap(values, convention, 1, behind)


def unexplored_share(evaluation: Evaluation, k: int) -> PerMap:
    """Share of the shown items that lie in unexplored regions; audit maps.

    Neither more nor less is better: `counts["held_out"]` is the same share of the held-out positives, the mean
    over users, then maps.

    :Formula: shown items in unexplored regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _unexplored_share(evaluation, k, "audit_maps")


def unexplored_share_own(evaluation: Evaluation, k: int) -> PerMap:
    """`unexplored_share` on the objectives' own maps.

    :Formula: shown items in unexplored regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _unexplored_share(evaluation, k, "objective_maps")


def unexplored_share_content(evaluation: Evaluation, k: int) -> PerMap:
    """`unexplored_share` on content maps: features, sets of features, decades.

    :Formula: shown items in unexplored regions / shown items that the map knows, mean over maps
    :Range: [0, 1]
    :Better: neither
    :Cost: M U k, M maps
    :Source: this project
    """
    return _unexplored_share(evaluation, k, "content_maps")


def find_unexplored_positives(truth: GroundTruth, family: MapFamily) -> MarkedPositives:
    """Return, for each map of the family, which held-out positives lie in a region that their user never touched."""
    return UNEXPLORED_POSITIVES.get(
        truth, lambda: count_marked_positives(truth, _get_test_places(truth, family) == 1), family
    )


def _get_test_places(truth: GroundTruth, family: MapFamily) -> Bytes:
    return TEST_PLACES.get(truth, lambda: _classify_test_items(truth, family), family)


def _compute_discovery(evaluation: Evaluation, k: int, family: MapFamily) -> PerMap:
    positives = find_unexplored_positives(evaluation.truth, family)
    values, behind = compute_recall_by_map(evaluation, k, positives, k)
    convention = (
        f"hits in regions unexplored by train / min(k, held-out positives there), {_FAMILY_NAMES[family]}; mean over "
        "users with such positives, then over maps, an empty slate counts 0"
    )
    return PerMap(values, convention, 1, behind)


def _unexplored_share(evaluation: Evaluation, k: int, family: MapFamily) -> PerMap:
    truth = evaluation.truth
    regions, top = _get_region_places(truth, family), evaluation.get_top_picks(k)
    new, known = np.zeros((2, len(regions), len(top)), dtype=np.int64)
    for b in iter_blocks(len(top)):
        ranks = np.ascontiguousarray(top[b].T)  # a row for each rank: users side by side are counted sooner
        for m, (places, region) in enumerate(regions):
            shown = _classify_items(places[b], region, np.arange(ranks.shape[1]), ranks)
            new[m, b], known[m, b] = (shown == 1).sum(axis=0), (shown >= 0).sum(axis=0)
    values = divide_or_nan(new, known)
    convention = (
        f"shown items in regions unexplored by train / shown items that the map knows, {_FAMILY_NAMES[family]}; "
        "mean over users with such items, then over maps"
    )
    held_out = HELD_OUT_SHARE.get(truth, lambda: _compute_held_out_share(truth, family), family)
    return PerMap(values, convention, 0, {"held_out": held_out})


def _compute_held_out_share(truth: GroundTruth, family: MapFamily) -> float:
    shares = compute_held_out_shares(truth, family)
    means = [float(np.nanmean(row)) for row in shares if not np.isnan(row).all()]
    return float(np.mean(means)) if means else float("nan")


def compute_held_out_shares(truth: GroundTruth, family: MapFamily) -> Doubles:
    """Return the share of each user's held-out positives, of those that a map knows, in unexplored regions, (M, U)."""
    places, users, n_users = _get_test_places(truth, family), get_test_users(truth), truth.split.test.shape[0]
    found = np.full((len(places), n_users), np.nan)
    for m, row in enumerate(places):
        new, known = (np.bincount(users[some], minlength=n_users) for some in (row == 1, row >= 0))
        found[m] = divide_or_nan(new, known)
    return found


def _classify_test_items(truth: GroundTruth, family: MapFamily) -> Bytes:
    """Return (M, held-out positives): 1 in an unexplored region, 0 in a touched one, -1 unknown to the map."""
    users, items = get_test_users(truth), truth.split.test.indices
    found = [_classify_items(places, region, users, items) for places, region in _get_region_places(truth, family)]
    return np.array(found, dtype=np.int8).reshape(len(found), len(items))


def _classify_items(places: Bytes, region: Ints, users: Longs, items: Ints) -> Bytes:
    """Return the place that each item has for its user, from a map's `_get_region_places`; -1 where there is none."""
    return np.asarray(places.ravel().take(users * places.shape[1] + region.take(items)), dtype=np.int8)


def _get_region_places(truth: GroundTruth, family: MapFamily) -> list[tuple[Bytes, Ints]]:
    """Return, for each map, what each region is to each user (U, Z + 1), and the region of each item (I + 1,).

    1 is unexplored, 0 touched, and the last, where items are that the map does not know and the one that is none, -1.
    """
    train, maps = truth.split.train, getattr(truth, family)
    return REGION_PLACES.get(truth, lambda: [_make_region_places(train, m) for m in maps], family)


def _make_region_places(train: Csr, taste_map: TasteMap) -> tuple[Bytes, Ints]:
    explored, hard = distributions.find_explored_regions(train, taste_map), taste_map.hard_regions
    places = np.full((len(explored), explored.shape[1] + 1), -1, dtype=np.int8)
    places[:, :-1] = ~explored
    return places, np.append(np.where(hard >= 0, hard, explored.shape[1]), explored.shape[1])
