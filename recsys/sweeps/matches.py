"""Methods at the same loss: what each gains on test where its trade-off curve has lost a given share of accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsys.scores import Score, Scores
from recsys.scores.intervals import NOWHERE, percentile
from recsys.scores.verdicts import differing, enough
from recsys.sweeps.goals import Goal
from recsys.sweeps.plans import Plan
from recsys.sweeps.studies import Found
from recsys.types.arrays import Doubles

LOSSES = (0.01, 0.02)
COLUMNS = ["method", "metric", "loss", "gain", "ci_low", "ci_high", "reached", "points"]


def matched(plan: Plan, curves: Mapping[str, Sequence[Found]], scores: Scores, base: str) -> list[dict[str, Any]]:
    """Return a row per method, gain and loss (1 %, 2 % and `plan.spend`): the relative gain at that loss, on test.

    The curve of a method starts at the base and goes through its points (`continued`), in the order of their accuracy
    on *validation*, best first; between two points it is straight. The gain is that of the first place where the loss
    reaches the wanted one, so a curve that crosses it twice counts once; a curve that never does counts with its last
    point. Loss and gain of all points are drawn together (users, and maps), and the curve is read again in each draw:
    `ci_low` and `ci_high` hold in 95 %; NaN where no point has 20 users who differ from the base. `reached` is the
    share of draws whose curve has lost as much. Gains at the catalogue's level, whose draws are no bootstrap, have no
    row.
    """
    cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in scores.cells}
    rows = []
    for name, points in curves.items():
        ordered = sorted(points, key=lambda one: -plan.accuracy.sign * one.values[plan.accuracy.metric])
        runs = [run for one in ordered if (run := f"{name}-{one.number}") in scores.runs]
        for gain in plan.gains:
            found = [cells[run, gain.metric] for run in (base, *runs)]
            costs = [cells[run, plan.accuracy.metric] for run in (base, *runs)]
            if any(cell.shape == "catalogue" for cell in (*found, *costs)) or not found[0].value > 0:
                continue
            lost, lost_drawn = _changes(costs, plan.accuracy)
            won, won_drawn = _changes(found, gain)
            told = any(enough(differing(one, first)) for first, *others in (costs, found) for one in others)
            for loss in sorted({*LOSSES, plan.spend}):
                drawn, reached = read_curves(-lost_drawn, won_drawn, loss)
                limits = percentile(drawn) if told else NOWHERE
                value = float(read_curves(-lost[None], won[None], loss)[0][0])
                row = (name, gain.metric, loss, value, limits.low, limits.high, float(reached.mean()), len(runs))
                rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def continued(plan: Plan, points: Sequence[Found], trials: Sequence[Found]) -> list[Found]:
    """Return a front with, for each loss that it does not reach on validation, the best trial that loses as much.

    A control such as noise gains nothing, so its front ends where it begins; at the same loss it is still to be seen.
    """
    if not plan.gains:
        return list(points)
    gain, curve = plan.gains[0], list(points)
    for loss in (*LOSSES, plan.spend):
        if not any(_lost(plan, one) >= loss for one in curve):
            there = [one for one in trials if one.feasible and _lost(plan, one) >= loss]
            curve += sorted(there, key=lambda one: -gain.sign * one.values[gain.metric])[:1]
    return curve


def _lost(plan: Plan, trial: Found) -> float:
    """Return the share of the base's accuracy that a trial loses on validation."""
    metric = plan.accuracy.metric
    return plan.accuracy.sign * (1.0 - trial.values[metric] / trial.base[metric]) if trial.base[metric] else 0.0


def read_curves(losses: Doubles, gains: Doubles, loss: float) -> tuple[Doubles, Doubles]:
    """Return each curve's gain where it first loses `loss`, (D,), and whether it does; curves are rows, (D, P).

    >>> read_curves(np.array([[0.0, 0.01, 0.03]]), np.array([[0.0, 0.2, 0.4]]), 0.02)[0].round(3).tolist()
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


def _changes(cells: Sequence[Score], goal: Goal) -> tuple[Doubles, Doubles]:
    """Return relative changes from the first of the scores, (P,), and in each draw, (D, P): more is better."""
    values: Doubles = goal.sign * np.array([cell.value for cell in cells], dtype=np.float64)
    drawn: Doubles = goal.sign * np.stack([cell.draws for cell in cells], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = (drawn - drawn[:, :1]) / np.abs(drawn[:, :1])
    return (values - values[0]) / np.abs(values[:1]), np.asarray(changes, dtype=np.float64)
