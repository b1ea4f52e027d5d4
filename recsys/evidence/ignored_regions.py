"""Segments of users who ignore what they are shown of a region, while on average it is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.data.identifiers import look_up_ids
from recsys.maths.response_segments import SegmentCounts, compute_lower_tails, count_segments, fit_gamma_poisson
from recsys.maths.shrinkage import MAX_KAPPA
from recsys.splits.permissions import select_permitted_exposures
from recsys.support.rng import draw_uniforms
from recsys.types import Exposures, Items, RecsysError, TasteMap
from recsys.types.arrays import Bools, Doubles, Ints, Longs, Strings
from recsys.types.numbers import check_int

MIN_USERS = 20  # of a segment that is told of: fewer are somebody
MIN_EXPECTED = 10.0  # taken pairs that a segment must lead to expect, before it is judged
SIGNIFICANCE = 0.05  # of the rates adjusted after Benjamini and Hochberg
MIN_MEAN_RATIO = 1e-6  # where no segment took anything
SHOWN_ITEMS = 3  # that stand for a region


@dataclass(frozen=True)
class IgnoredRegion:
    """A segment of users, found on one half of what was shown, and how it takes a region in the other half.

    A pair is a user and an item that was shown to the user, however often; it is taken if the user clicked once.
    """

    region: int  # of the map
    items: tuple[str, ...]  # titles, or ids, of up to three items of the region: those shown to most users
    users: int  # members of the segment
    shown: int  # pairs of a member and an item of the region
    taken: int  # of these
    expected: float  # how many would be taken, if members took as everybody else does, at their own pace
    ratio: float  # taken over expected, shrunk to the mean over segments: the mean of its posterior
    ratio_low: float  # 95 % limits of its posterior
    ratio_high: float
    p_value: float  # of as few as taken, or fewer; adjusted after Benjamini and Hochberg

    @property
    def is_ignored(self) -> bool:
        """Whether the segment takes less of the region than others do, beyond chance."""
        return self.p_value < SIGNIFICANCE


@dataclass(frozen=True, eq=False)
class IgnoredRegions:
    """The segments of a log of exposures, the most ignored region first."""

    regions: tuple[IgnoredRegion, ...]  # those with enough users and expected takings to be judged
    user_segments: Ints = field(repr=False)  # (U,) the region that each user takes least of, -1 for none
    taken_share: float  # of all pairs
    pairs: int  # that were looked at
    n_small: int  # segments that are too small to be judged
    notes: tuple[str, ...]  # what was left out of the log, one line each

    def list_members(self, region: int, user_ids: Strings) -> tuple[str, ...]:
        """Return the ids of the users of a region's segment; `user_ids` (U,) are those that it was found for."""
        return tuple(user_ids[self.user_segments == region].tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return what is found as JSON can say it, without users."""
        rows = [{**vars(one), "items": list(one.items), "is_ignored": one.is_ignored} for one in self.regions]
        told: Mapping[str, Any] = {"pairs": self.pairs, "taken_share": self.taken_share, "n_small": self.n_small}
        return {**told, "regions": rows, "notes": list(self.notes)}


def find_ignored_regions(
    shown: Exposures, taste_map: TasteMap, user_ids: Strings, items: Items, *, seed: int = 0
) -> IgnoredRegions:
    """Return the segments of users who take less of a region than others do.

    `shown` says what was clicked; `taste_map` says in which region each of `items` (I) lies; `user_ids` (U,) are the
    users. Pairs of a user and an item are halved at random by `seed`: by the first half each user belongs to the region
    of which the user takes least, against the rates of everybody and the user's own pace. By the other half the segment
    is judged (`recsys.maths.response_segments`): how many of its pairs were taken, and how many would be, if members
    took as everybody else does. The ratio of the two is shrunk by a Gamma prior whose mean and strength are those of
    the segments (empirical Bayes); p-values are of a negative binomial, and are adjusted for the number of segments
    (Benjamini and Hochberg 1995).

    Segments of fewer than 20 users, or of fewer than 10 expected takings, are not judged, and are counted.

    Raises:
        RecsysError: if the log does not say what was clicked, has no click, or none of its pairs is known.
    """
    check_int("ignored regions: seed", seed)
    if not isinstance(shown, Exposures):
        what = f"found a {type(shown).__name__}"
        raise RecsysError(f"ignored regions: {what}, expected an Exposures: recsys.read_exposures makes one")
    if shown.clicked is None:
        raise RecsysError("ignored regions: the exposures do not say what was taken, expected a column clicked")
    usable, n_unusable = select_permitted_exposures(shown, place="ignored regions")
    notes = [f"{n_unusable:,} exposures that permit no purpose: left out"] if n_unusable else []
    user, item, taken, n_unknown = _collect_pairs(usable, user_ids, items.ids, taste_map.hard_regions)
    if n_unknown:
        notes.append(
            f"{n_unknown:,} exposures of unknown users, or of items that are unknown or lie in no region: left out"
        )
    if not len(user) or not taken.any():
        what = "no pair of a known user and item" if not len(user) else "nothing that was clicked"
        raise RecsysError(f"ignored regions: the exposures have {what}, expected some")
    regions = np.asarray(taste_map.hard_regions, dtype=np.int64)[item]
    judged = draw_uniforms(seed, "ignored regions", user, item) >= 0.5
    counts = count_segments(user, regions, taken, judged, (len(user_ids), taste_map.assignment.shape[1]))
    is_judged = (counts.users >= MIN_USERS) & (counts.expected >= MIN_EXPECTED)
    names = _name_regions(item, regions, items, np.flatnonzero(is_judged))
    found = _judge_segments(counts, np.flatnonzero(is_judged), names)
    n_small = int(((counts.users > 0) & ~is_judged).sum())
    return IgnoredRegions(found, counts.segments, float(taken.mean()), len(user), n_small, tuple(notes))


def _collect_pairs(
    shown: Exposures, user_ids: Strings, item_ids: Strings, regions: Ints
) -> tuple[Longs, Longs, Bools, int]:
    """Return user, item and whether it was clicked of each pair shown, and how many exposures are of no known pair."""
    (users, known_user), (items, known_item) = (
        look_up_ids(shown.user_ids, user_ids),
        look_up_ids(shown.item_ids, item_ids),
    )
    known_item &= np.where(known_item, regions[items], -1) >= 0 if len(items) else known_item
    kept = known_user[shown.user] & known_item[shown.item]
    key = users[shown.user[kept]] * len(item_ids) + items[shown.item[kept]]
    pairs, of = np.unique(key, return_inverse=True)
    taken = np.zeros(len(pairs), dtype=bool)
    if shown.clicked is not None:
        np.logical_or.at(taken, of, shown.clicked[kept])
    return pairs // len(item_ids), pairs % len(item_ids), taken, int((~kept).sum())


def _name_regions(item: Longs, regions: Longs, items: Items, asked: Longs) -> list[tuple[str, ...]]:
    """Return for each of the regions asked the titles, or ids, of the items that were shown to most users."""
    times = np.bincount(item, minlength=len(items.ids))
    order = np.lexsort((np.arange(len(times)), -times))
    region = np.full(len(times), -1, dtype=np.int64)
    region[item] = regions
    best = [order[region[order] == one][:SHOWN_ITEMS] for one in asked]
    return [tuple(str(items.titles[code]) or str(items.ids[code]) for code in codes) for codes in best]


def _judge_segments(
    counts: SegmentCounts, judged: Longs, names: Sequence[tuple[str, ...]]
) -> tuple[IgnoredRegion, ...]:
    """Return the segments that are judged, the most ignored region first."""
    if not len(judged):
        return ()
    from scipy import stats

    taken, expected = counts.taken[judged], counts.expected[judged]
    tails = compute_lower_tails(taken, expected, counts.variance[judged])
    p_values = stats.false_discovery_control(tails)
    ratio, low, high = _shrink_ratios(taken, expected, counts.variance[judged])
    order = np.lexsort((judged, ratio))
    return tuple(
        IgnoredRegion(
            int(judged[i]), names[i], int(counts.users[judged[i]]), int(counts.shown[judged[i]]), int(taken[i]),
            float(expected[i]), float(ratio[i]), float(low[i]), float(high[i]), float(p_values[i]),
        )
        for i in order
    )  # fmt: skip


def _shrink_ratios(taken: Doubles, expected: Doubles, variance: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the posterior mean and 95 % limits of each ratio, under a Gamma prior fitted to all of them.

    Counts are in units of their dispersion, in which they are taken to be Poisson.
    """
    from scipy import stats

    unit = variance / expected
    found, base = taken / unit, expected / unit
    mean = max(float(found.sum() / base.sum()), MIN_MEAN_RATIO)
    strength = min(fit_gamma_poisson(found, mean * base), MAX_KAPPA)
    shape, rate = strength + found, strength / mean + base
    low, high = (stats.gamma.ppf(level, shape, scale=1.0 / rate) for level in (0.025, 0.975))
    return shape / rate, np.asarray(low), np.asarray(high)
