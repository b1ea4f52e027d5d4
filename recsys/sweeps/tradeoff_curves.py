"""Gains of methods at the same loss of accuracy, read from their trade-off curves on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.scores import Score, Scores
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
    """The relative gain of a method's curve where it has lost a share of accuracy."""

    method: str
    metric: str
    loss: float
    validation_gain: float  # the same gain on validation
    value: float  # on test
    draws: Doubles  # (D,) on test
    reached: float  # share of the draws whose curve loses as much
    n_points: int
    has_interval: bool  # whether some point has so many users who differ from the base that limits may be given


def compute_gains_at_loss(
    plan: SweepPlan, curves: Mapping[str, Sequence[TrialResult]], scores: Scores, base: str
) -> list[GainAtLoss]:
    """Return a reading per method, gain and loss (1 %, 2 % and `plan.accuracy_budget`).

    The curve of a method starts at the base and goes through its points (`extend_curve`), in the order of their
    accuracy on *validation*, best first; between two points it is straight. The gain is that of the first place where
    the loss reaches the wanted one, so a curve that crosses it twice counts once; a curve that never does counts with
    its last point. Loss and gain of all points are drawn together (users, and maps), and the curve is read again in
    each draw. Gains at the catalogue's level, whose draws are no bootstrap, have no reading.
    """
    cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in scores.cells}
    found = []
    for name, points in curves.items():
        ordered = sorted(points, key=lambda one: -plan.accuracy.sign * one.values[plan.accuracy.metric])
        ordered = [one for one in ordered if f"{name}-{one.number}" in scores.runs]
        runs = [base, *(f"{name}-{one.number}" for one in ordered)]
        for gain in plan.gain_goals:
            gains = [cells[run, gain.metric] for run in runs]
            costs = [cells[run, plan.accuracy.metric] for run in runs]
            if any(cell.shape == "catalogue" for cell in (*gains, *costs)) or not gains[0].value > 0:
                continue
            lost, lost_drawn = _compute_relative_changes(costs, plan.accuracy)
            won, won_drawn = _compute_relative_changes(gains, gain)
            told = any(
                has_enough_users(find_differing_users(one, first))
                for first, *others in (costs, gains)
                for one in others
            )
            for loss in sorted({*LOSSES, plan.accuracy_budget}):
                drawn, reached = interpolate_curves(-lost_drawn, won_drawn, loss)
                value = float(interpolate_curves(-lost[None], won[None], loss)[0][0])
                before = interpolate_curves(
                    -_build_validation_curve(ordered, plan.accuracy), _build_validation_curve(ordered, gain), loss
                )[0]
                share = float(reached.mean())
                found.append(
                    GainAtLoss(name, gain.metric, loss, float(before[0]), value, drawn, share, len(ordered), told)
                )
    return found


def tabulate_gains_at_loss(gains: Sequence[GainAtLoss]) -> list[dict[str, Any]]:
    """Return a row per reading: its gain on test, with an interval where one may be given."""
    rows = []
    for one in gains:
        limits = percentile_interval(one.draws) if one.has_interval else NO_INTERVAL
        row = (one.method, one.metric, one.loss, one.value, limits.low, limits.high, one.reached, one.n_points)
        rows.append(dict(zip(GAIN_AT_LOSS_COLUMNS, row, strict=True)))
    return rows


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
        told = [best.has_interval and one.has_interval for one in others]
        low, high = np.full((2, len(others)), np.nan)
        if any(told):
            values = np.array([best.value - one.value for one in others])[told]
            low[told], high[told] = compute_simultaneous_limits(
                values, np.stack([best.draws - one.draws for one in others])[told]
            )
        for one, lowest, highest in zip(others, low, high, strict=True):
            row = (best.method, one.method, *at, best.value - one.value, float(lowest), float(highest))
            rows.append(dict(zip(BEST_VS_REST_COLUMNS, row, strict=True)))
    return rows


def extend_curve(plan: SweepPlan, points: Sequence[TrialResult], trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return a front with, for each loss that it does not reach on validation, the best trial that loses as much.

    A control such as noise gains nothing, so its front ends where it begins; at the same loss it is still to be seen.
    """
    if not plan.gain_goals:
        return list(points)
    gain, curve = plan.gain_goals[0], list(points)
    for loss in (*LOSSES, plan.accuracy_budget):
        if not any(_compute_accuracy_loss(plan, one) >= loss for one in curve):
            there = [one for one in trials if one.feasible and _compute_accuracy_loss(plan, one) >= loss]
            curve += sorted(there, key=lambda one: -gain.sign * one.values[gain.metric])[:1]
    return curve


def _compute_accuracy_loss(plan: SweepPlan, trial: TrialResult) -> float:
    """Return the share of the base's accuracy that a trial loses on validation."""
    metric = plan.accuracy.metric
    return plan.accuracy.sign * (1.0 - trial.values[metric] / trial.base[metric]) if trial.base[metric] else 0.0


def interpolate_curves(losses: Doubles, gains: Doubles, loss: float) -> tuple[Doubles, Doubles]:
    """Return each curve's gain where it first loses `loss`, (D,), and whether it does; curves are rows, (D, P).

    >>> interpolate_curves(np.array([[0.0, 0.01, 0.03]]), np.array([[0.0, 0.2, 0.4]]), 0.02)[0].round(3).tolist()
    [0.3]
    """
    past = losses >= loss
    reached = past.any(axis=1)
    after = np.where(reached, past.argmax(axis=1), losses.shape[1] - 1)
    before = np.where(reached, np.maximum(after - 1, 0), after)
    rows = np.arange(len(losses))
    low, high = losses[rows, before], losses[rows, after]
    part = np.where(high > low, (loss - low) / np.where(high > low, high - low, 1.0), 0.0)
    start, end = gains[rows, before], gains[rows, after]
    return start + part * (end - start), np.asarray(reached, dtype=np.float64)


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
