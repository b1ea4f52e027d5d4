"""Judges by halves of the users: how often they call a candidate's region unexplored, and when own maps do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.maths.distributions import find_explored_regions
from recsys.types import Judge, TasteMap
from recsys.types.arrays import Csr, Doubles, Ints

MIN_JUDGE_USERS = 3000  # users of a judge below which its regions are mostly noise where items are rare
MIN_UNEXPLORED_HITS = 60  # hits of the base in unexplored regions below which no method can be told from another


@dataclass(frozen=True)
class JudgeSummary:
    """What the audit maps of one half of the users say of candidates."""

    n_users: int  # whose histories the audit maps are made from
    n_maps: int  # of the audit family
    n_regions: float  # of the mean map
    unexplored: float  # P(judge says unexplored) of a user's candidate, NaN without maps or candidates
    lift: float  # P(judge says unexplored | own maps say so) / P(judge says unexplored), NaN where own maps never do


def summarize_judge(judge: Judge, train: Csr, items: Ints) -> JudgeSummary:
    """Return what a judge says of candidates (U, N), -1 for none, of the users of `train` (U, I).

    A map says that a candidate is unexplored where no training positive of the user lies in its region. Each candidate
    counts as the share of the maps of a family that say so, of those that know the item; candidates that no map of
    either family knows are left out. With a lift of 1 own maps know nothing of what this judge calls unexplored, and an
    objective that aims at it can gain nothing by this judge.
    """
    judged, own = (_compute_unexplored_shares(maps, train, items) for maps in (judge.audit_maps, judge.objective_maps))
    known = ~np.isnan(judged) & ~np.isnan(own)
    total, weight = float(judged[known].sum()), float(own[known].sum())
    n, both = int(known.sum()), float((judged[known] * own[known]).sum())
    sizes = [taste_map.assignment.shape[1] for taste_map in judge.audit_maps]
    return JudgeSummary(
        n_users=len(judge.fold.judge_users),
        n_maps=len(sizes),
        n_regions=float(np.mean(sizes)) if sizes else float("nan"),
        unexplored=total / n if n else float("nan"),
        lift=(both / weight) / (total / n) if weight > 0 and total > 0 else float("nan"),
    )


def _compute_unexplored_shares(maps: Sequence[TasteMap], train: Csr, items: Ints) -> Doubles:
    """Return the share of the maps that know a candidate in which its region is unexplored, (U, N), NaN for none."""
    new, known = np.zeros((2, *items.shape))
    for taste_map in maps:
        region = taste_map.hard_regions
        for b in iter_blocks(len(items)):
            at = np.where(items[b] >= 0, region[np.maximum(items[b], 0)], -1)
            touched = find_explored_regions(Csr(train[b]), taste_map)
            new[b] += (at >= 0) & ~np.take_along_axis(touched, np.maximum(at, 0), axis=1)
            known[b] += at >= 0
    shares: Doubles = np.divide(new, known, out=np.full(items.shape, np.nan), where=known > 0)
    return shares
