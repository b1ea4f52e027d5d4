"""Slates held against a truth, and the three shapes of a metric's answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recsys.types.arrays import Doubles, Ints, Longs
from recsys.types.exposures import ExposureHistories
from recsys.types.folds import Judge
from recsys.types.maps import TasteMap
from recsys.types.pools import TableCache
from recsys.types.repeats import RepeatHistories
from recsys.types.splits import Split

DEFAULT_POPULARITY_EXPONENT = 0.5  # of `stratified_recall` and the like
Direction = Literal[-1, 0, 1]  # less is better, neither, more is better


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The truth of an evaluation: held-out positives of a split, and maps. Shared by all runs."""

    split: Split  # its test part holds the positives to be found
    objective_maps: tuple[TasteMap, ...] = ()  # the maps that objectives read
    audit_maps: tuple[TasteMap, ...] = ()  # by co-occurrence, none of them an objective's own
    content_maps: tuple[TasteMap, ...] = ()  # by what items are; empty where there is no content
    witness_maps: tuple[TasteMap, ...] = ()  # audit maps of the users that those of `audit_maps` are not made from
    popularity_exponent: float = DEFAULT_POPULARITY_EXPONENT  # g of credits popularity^-g, from 0 (all alike) to 1
    # users whose histories say what communities consume, ascending codes; None: all
    judge_users: Longs | None = None
    exposures: ExposureHistories | None = None  # what was shown to the users before
    repeats: RepeatHistories | None = None  # what the users own, and until when
    # Metrics keep derived tables here. A copy by `dataclasses.replace` starts without: they are of what it had before.
    tables: TableCache = field(default_factory=TableCache, init=False)  # of the split and the maps
    split_tables: TableCache = field(default_factory=TableCache, init=False)  # of the split alone; `with_judge` keeps

    def with_judge(self, judge: Judge) -> "GroundTruth":
        """Return the same truth by a judge's maps and users; tables of the split alone are made once for all judges."""
        families = {name: getattr(judge, name) for name in ("audit_maps", "objective_maps", "witness_maps")}
        made = replace(self, **families, judge_users=judge.fold.judge_users)
        object.__setattr__(made, "split_tables", self.split_tables)
        return made


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run's slates, a row for every user of the split (an empty slate is a row of -1)."""

    items: Ints  # (U, K) item codes, -1 = none, never twice in a row
    truth: GroundTruth  # shared by all runs
    like_probabilities: Doubles | None = None  # (U, K) that each pick is liked; None where slates have none
    tables: TableCache = field(default_factory=TableCache, init=False)  # metrics keep derived tables of the run here

    def get_top_picks(self, k: int) -> Ints:
        """Return the first k picks, (U, k), the same array at each call; slates shorter than k are filled with -1."""
        return self.tables.get(("top_picks", k), lambda: self._pad_top_picks(k))

    def _pad_top_picks(self, k: int) -> Ints:
        missing = max(k - self.items.shape[1], 0)
        return np.pad(self.items, ((0, 0), (0, missing)), constant_values=-1) if missing else self.items[:, :k]


@dataclass(frozen=True, eq=False)
class PerUser:
    """One number per user; NaN where the metric is not defined for that user."""

    values: Doubles  # (U,)
    convention: str  # the variant, in words: denominator, logarithm, who is averaged
    direction: Direction  # 1 where more is better, -1 where less is, 0 where neither


@dataclass(frozen=True, eq=False)
class PerMap:
    """One number per map and user; the value is the mean over maps of the mean over defined users."""

    values: Doubles  # (M, U)
    convention: str  # as in `PerUser`
    direction: Direction  # as in `PerUser`
    counts: dict[str, float] = field(default_factory=dict)  # for instance users and hits behind it


@dataclass(frozen=True, eq=False)
class PerCatalogue:
    """A statistic of how often each item is shown; `statistic` maps counts (..., I) to numbers (...)."""

    picks: Ints  # (U, k) picks, -1 = none
    n_items: int  # I
    statistic: Callable[[Doubles], Doubles]  # of counts
    convention: str  # as in `PerUser`
    direction: Direction  # as in `PerUser`
    value_range: tuple[float, float] = (-np.inf, np.inf)  # what the statistic can be: its interval ends there


MetricValues = PerUser | PerMap | PerCatalogue

__all__ = ["Evaluation", "GroundTruth", "MetricValues", "PerCatalogue", "PerMap", "PerUser"]
