"""The trials that no other beats, and which of them to take."""

from collections.abc import Sequence

import numpy as np

from recsys.sweeps.goals import Goal
from recsys.sweeps.trials import TrialResult
from recsys.types.arrays import Bools, Doubles


def find_pareto_front(trials: Sequence[TrialResult], goals: Sequence[Goal]) -> list[TrialResult]:
    """Return the feasible trials that no feasible one beats in a goal without losing in another.

    Of trials that are equal in every goal the first; in the order of the first goal, best first.
    """
    kept = [one for one in trials if one.feasible and np.isfinite(build_loss_matrix([one], goals)).all()]
    if not kept:
        return []
    table = build_loss_matrix(kept, goals)
    best = np.flatnonzero(find_undominated(table))
    _, first = np.unique(table[best], axis=0, return_index=True)
    return [kept[best[i]] for i in first]


def build_loss_matrix(trials: Sequence[TrialResult], goals: Sequence[Goal], of_base: bool = False) -> Doubles:
    """Return the trials' values (or those of their base), (T, G), turned so that less is better."""
    values = [trial.base if of_base else trial.values for trial in trials]
    return np.array([[-one.sign * found[one.metric] for one in goals] for found in values], dtype=np.float64)


def find_undominated(table: Doubles) -> Bools:
    """Return which rows no other row is at most as large as everywhere and smaller somewhere, (T,)."""
    dominated = np.zeros(len(table), dtype=bool)
    for i, row in enumerate(table):
        below = (table <= row).all(axis=1)
        dominated[i] = bool((table[below] < row).any())
    return ~dominated


def thin_front(points: Sequence[TrialResult], goals: Sequence[Goal], max_points: int) -> list[TrialResult]:
    """Return at most `most` points of a front: its ends, then always the one farthest from those taken.

    Distances are over goals scaled to their range on the front.
    """
    if len(points) <= max_points:
        return list(points)
    table = build_loss_matrix(points, goals)
    spread = np.ptp(table, axis=0)
    table = (table - table.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    taken = list(dict.fromkeys(int(i) for i in table.argmin(axis=0)))[:max_points]
    while len(taken) < max_points:
        apart = np.linalg.norm(table[:, None] - table[None, taken], axis=2).min(axis=1)
        taken.append(int(apart.argmax()))
    return [points[i] for i in sorted(taken)]


def trace_hypervolume(trials: Sequence[TrialResult], goals: Sequence[Goal], reference: Doubles) -> Doubles:
    """Return the hypervolume that the feasible trials dominate after each trial, (T,), against `reference` (G,).

    The reference is turned as `build_loss_matrix` are. With one goal it is the gain of the best over the reference.
    """
    table = build_loss_matrix(trials, goals)
    usable = np.array([one.feasible for one in trials], dtype=bool) & (table < reference).all(axis=1)
    volumes, kept, volume = np.zeros(len(trials)), np.empty((0, len(goals))), 0.0
    for i, row in enumerate(table):
        if usable[i] and not (kept <= row).all(axis=1).any():
            volume += _exclusive_volume(row, kept, reference)
            kept = np.vstack([kept[~(row <= kept).all(axis=1)], row])
        volumes[i] = volume
    return volumes


def compute_hypervolume(points: Doubles, reference: Doubles) -> float:
    """Return the volume between points (P, G) and `reference` (G,), less being better.

    While, Bradstreet and Barone (2012), "A fast way of calculating exact hypervolumes": a point adds its own box, less
    the part of it that later points fill.
    """
    order = np.lexsort(points.T[::-1])
    if points.shape[1] == 2:
        return _dominated_area(points[order], reference)
    return sum(_exclusive_volume(points[at], points[order[i + 1 :]], reference) for i, at in enumerate(order))


def _exclusive_volume(point: Doubles, others: Doubles, reference: Doubles) -> float:
    """Return the volume that a point has beside others, (P, G)."""
    limited = np.unique(np.maximum(others, point), axis=0)
    box = float(np.prod(reference - point))
    return box - compute_hypervolume(limited[find_undominated(limited)], reference) if len(limited) else box


def _dominated_area(points: Doubles, reference: Doubles) -> float:
    """Return the area that points in ascending order of the first goal dominate, (P, 2)."""
    heights = np.minimum.accumulate(np.append(reference[1], points[:, 1]))
    return float(((reference[0] - points[:, 0]) * (heights[:-1] - heights[1:])).sum())
