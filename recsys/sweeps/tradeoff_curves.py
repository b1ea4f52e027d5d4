"""Gains of methods at the same loss of accuracy, read from their trade-off curves on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from recsys.scores import Score, Scores
from recsys.scores.halvings import complete_halving_variance
from recsys.scores.hypothesis_tests import find_differing_users, has_enough_users
from recsys.scores.intervals import NO_INTERVAL, percentile_interval
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.sweeps.goals import Goal
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.trials import TrialResult
from recsys.types.arrays import Doubles

LOSSES = (0.01, 0.02)
GAIN_AT_LOSS_COLUMNS = ["method", "metric", "loss", "gain", "ci_low", "ci_high", "reached", "points"]
BEST_VS_REST_COLUMNS = ["method", "rival", "metric", "loss", "difference", "ci_low", "ci_high"]


@dataclass(frozen=True, eq=False)
class GainAtLoss:
    """The relative gain of a method's curve where a metric of accuracy first has lost a share."""

    method: str
    metric: str
    loss: float
    validation_gain: float  # the same gain on validation
    value: float  # on test
    draws: Doubles  # (D,) on test
    reached: float  # share of the draws whose curve loses as much
    n_points: int
    has_interval: bool  # whether some point has so many users who differ from the base that limits may be given
    lost: Mapping[str, tuple[float, Doubles]] = field(default_factory=dict)  # by metric: its loss there, and in draws


def compute_gains_at_loss(
    plan: SweepPlan, curves: Mapping[str, Sequence[TrialResult]], scores: Scores, base: str
) -> list[GainAtLoss]:
    """Return a reading per method, gain and loss (1 %, 2 % and `plan.accuracy_budget`).

    The curve of a method starts at the base and goes through its points (`extend_curve`), in the order of their largest
    loss of any metric of accuracy on *validation*, smallest first; between two points it is straight. The gain is that
    of the first place where the loss of some metric of accuracy reaches the wanted one, so a curve that crosses it
    twice counts once; a curve that never does counts with its last point. Losses and gain of all points are drawn
    together (users, maps and halvings), and the curve is read again in each draw. Gains at the catalogue's level, whose
    draws are no bootstrap, have no reading.
    """
    cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in scores.cells}
    complete = partial(complete_halving_variance, n_halvings=scores.halvings, seed=scores.seed)
    found = []
    for name, points in curves.items():
        ordered = sorted(points, key=lambda one: compute_largest_loss(plan, one))
        ordered = [one for one in ordered if f"{name}-{one.number}" in scores.runs]
        runs = [base, *(f"{name}-{one.number}" for one in ordered)]
        for gain in plan.gain_goals:
            gains = [cells[run, gain.metric] for run in runs]
            costs = [[cells[run, one.metric] for run in runs] for one in plan.accuracies]
            if any(cell.shape == "catalogue" for row in (gains, *costs) for cell in row) or not gains[0].value > 0:
                continue
            changes = [_compute_relative_changes(*both) for both in zip(costs, plan.accuracies, strict=True)]
            lost, lost_drawn = (-np.stack([change[i] for change in changes]) for i in range(2))
            won, won_drawn = _compute_relative_changes(gains, gain)
            told = any(
                has_enough_users(find_differing_users(one, first))
                for first, *others in (*costs, gains)
                for one in others
            )
            tried = np.stack([-_build_validation_curve(ordered, one) for one in plan.accuracies])
            for loss in sorted({*LOSSES, plan.accuracy_budget}):
                places, reached = find_crossings(lost_drawn, loss)
                at, _ = find_crossings(lost[:, None], loss)
                before = interpolate_curves(tried, _build_validation_curve(ordered, gain), loss)[0]
                spent = {
                    one.metric: (float(read_curves(lost[a][None], at)[0]), complete(read_curves(lost_drawn[a], places)))
                    for a, one in enumerate(plan.accuracies)
                }
                value, drawn = float(read_curves(won[None], at)[0]), complete(read_curves(won_drawn, places))
                share, n = float(reached.mean()), len(ordered)
                found.append(GainAtLoss(name, gain.metric, loss, float(before[0]), value, drawn, share, n, told, spent))
    return found


def tabulate_gains_at_loss(gains: Sequence[GainAtLoss]) -> list[dict[str, Any]]:
    """Return a row per reading: its gain, and the loss of each metric of accuracy there, on test, with intervals."""
    rows = []
    for one in gains:
        limits = percentile_interval(one.draws) if one.has_interval else NO_INTERVAL
        row = (one.method, one.metric, one.loss, one.value, limits.low, limits.high, one.reached, one.n_points)
        rows.append(dict(zip(GAIN_AT_LOSS_COLUMNS, row, strict=True)))
        for metric, (loss, drawn) in one.lost.items():
            ends = percentile_interval(drawn) if one.has_interval else NO_INTERVAL
            rows[-1] |= dict(zip(name_loss_columns(metric), (loss, ends.low, ends.high), strict=True))
    return rows


def name_loss_columns(metric: str) -> tuple[str, str, str]:
    """Return the columns of the loss of a metric of accuracy and its limits: "loss ndcg@10", and ci_low and ci_high."""
    return f"loss {metric}", f"loss {metric} ci_low", f"loss {metric} ci_high"


def list_gain_columns(plan: SweepPlan) -> list[str]:
    """Return the columns of `tabulate_gains_at_loss`."""
    return [*GAIN_AT_LOSS_COLUMNS, *(name for one in plan.accuracies for name in name_loss_columns(one.metric))]


def tabulate_best_vs_rest(all_gains: Sequence[GainAtLoss]) -> list[dict[str, Any]]:
    """Return how far the best method is ahead of each other one on test, at the same loss: a row per rival.

    The best is the one with the largest gain on *validation*. Limits hold for all rivals at once in 95 % of samples
    (max-t over the draws that the curves share); NaN where either of two has none of its own.
    """
    rows = []
    for at in dict.fromkeys((one.metric, one.loss) for one in all_gains):
        best, *others = sorted(
            (one for one in all_gains if (one.metric, one.loss) == at), key=lambda one: -one.validation_gain
        )
        differences, low, high = compare_with_rivals(best, others)
        for one, *ends in zip(others, differences.tolist(), low.tolist(), high.tolist(), strict=True):
            row = (best.method, one.method, *at, *ends)
            rows.append(dict(zip(BEST_VS_REST_COLUMNS, row, strict=True)))
    return rows


def compare_with_rivals(one: GainAtLoss, rivals: Sequence[GainAtLoss]) -> tuple[Doubles, Doubles, Doubles]:
    """Return how far a gain is ahead of each of its rivals at the same loss, and the limits of that, (R,) each.

    Limits hold for all rivals at once in 95 % of samples (max-t over the draws that the curves share); NaN where
    either of two has none of its own.
    """
    differences = np.array([one.value - rival.value for rival in rivals], dtype=np.float64)
    told = np.array([one.has_interval and rival.has_interval for rival in rivals], dtype=bool)
    low, high = np.full((2, len(rivals)), np.nan)
    if told.any():
        drawn = np.stack([one.draws - rival.draws for rival, kept in zip(rivals, told, strict=True) if kept])
        low[told], high[told] = compute_simultaneous_limits(differences[told], drawn)
    return differences, low, high


def extend_curve(plan: SweepPlan, points: Sequence[TrialResult], trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return a front with, for each loss that it does not reach on validation, the best trial that loses as much.

    A control such as noise gains nothing, so its front ends where it begins; at the same loss it is still to be seen.
    """
    if not plan.gain_goals:
        return list(points)
    gain, curve = plan.gain_goals[0], list(points)
    for loss in (*LOSSES, plan.accuracy_budget):
        if not any(compute_largest_loss(plan, one) >= loss for one in curve):
            there = [one for one in trials if one.feasible and compute_largest_loss(plan, one) >= loss]
            curve += sorted(there, key=lambda one: -gain.sign * one.values[gain.metric])[:1]
    return curve


def compute_largest_loss(plan: SweepPlan, trial: TrialResult) -> float:
    """Return the largest loss of a trial in any metric of accuracy on validation, as a share of the base's value."""
    return max(
        one.sign * (1.0 - trial.values[one.metric] / trial.base[one.metric]) if trial.base[one.metric] else 0.0
        for one in plan.accuracies
    )


def interpolate_curves(losses: Doubles, gains: Doubles, loss: float) -> tuple[Doubles, Doubles]:
    """Return each curve's gain where some loss first reaches `loss`, (D,), and whether one does.

    Curves are rows, (D, P); losses are those of one metric, or of several, (A, D, P).

    >>> interpolate_curves(np.array([[0.0, 0.01, 0.03]]), np.array([[0.0, 0.2, 0.4]]), 0.02)[0].round(3).tolist()
    [0.3]
    """
    places, reached = find_crossings(losses if losses.ndim == 3 else losses[None], loss)
    return read_curves(gains, places), reached


def find_crossings(losses: Doubles, loss: float) -> tuple[Doubles, Doubles]:
    """Return where on each curve the first of its losses (A, D, P) reaches `loss`, (D,), and whether one does.

    A place counts points from 0 and is between two of them where it is not whole: losses are straight there. A curve
    that never loses as much is at its last point.

    >>> find_crossings(np.array([[[0.0, 0.01, 0.03]], [[0.0, 0.04, 0.04]]]), 0.02)
    (array([0.5]), array([1.]))
    """
    past = losses >= loss
    reached = past.any(axis=2)
    after = np.where(reached, past.argmax(axis=2), losses.shape[2] - 1)
    before = np.where(reached, np.maximum(after - 1, 0), after)
    low, high = (np.take_along_axis(losses, ends[..., None], axis=2)[..., 0] for ends in (before, after))
    part = np.where(high > low, (loss - low) / np.where(high > low, high - low, 1.0), 0.0)
    places = np.where(reached, before + part, losses.shape[2] - 1.0)
    return np.asarray(places.min(axis=0)), np.asarray(reached.any(axis=0), dtype=np.float64)


def read_curves(curves: Doubles, places: Doubles) -> Doubles:
    """Return the value of each curve (D, P) at its place (D,), straight between two points.

    >>> read_curves(np.array([[0.0, 0.2, 0.4]]), np.array([1.5])).round(3).tolist()
    [0.3]
    """
    rows, last = np.arange(len(curves)), curves.shape[1] - 1
    before = np.minimum(places.astype(np.int64), last)
    start, end = curves[rows, before], curves[rows, np.minimum(before + 1, last)]
    return np.asarray(start + (places - before) * (end - start), dtype=np.float64)


def _build_validation_curve(points: Sequence[TrialResult], goal: Goal) -> Doubles:
    """Return a curve on validation, from the base through its points, as relative changes, (1, P)."""
    if not points:
        return np.zeros((1, 1))
    metric = goal.metric
    changes = [goal.sign * (one.values[metric] / one.base[metric] - 1.0) if one.base[metric] else 0.0 for one in points]
    return np.array([[0.0, *changes]])


def _compute_relative_changes(cells: Sequence[Score], goal: Goal) -> tuple[Doubles, Doubles]:
    """Return relative changes from the first of the scores, (P,), and in each draw, (D, P): more is better."""
    values: Doubles = goal.sign * np.array([cell.value for cell in cells], dtype=np.float64)
    drawn: Doubles = goal.sign * np.stack([cell.draws for cell in cells], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = (drawn - drawn[:, :1]) / np.abs(drawn[:, :1])
    return (values - values[0]) / np.abs(values[:1]), np.asarray(changes, dtype=np.float64)
