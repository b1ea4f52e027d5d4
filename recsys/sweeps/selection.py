"""Selection on validation: the largest gain among points whose loss is within the accuracy budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.scores.records import Score
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.sweeps.plans import Method, SweepPlan
from recsys.sweeps.trial_evaluator import TrialEvaluator
from recsys.sweeps.trials import TrialResult
from recsys.types import RecsysError
from recsys.types.arrays import Doubles


@dataclass(frozen=True)
class Choice:
    """The point that was chosen of one method, and the reason."""

    method: Method
    trial: TrialResult | None  # None where no point keeps the loss small enough
    accuracy_change: float = np.nan  # of accuracy against the base, a share of it, on validation
    lower_bound: float = (
        np.nan
    )  # what this change is above, with 95 % confidence for all points of all methods together


def choose_points(
    plan: SweepPlan, points: Mapping[str, Sequence[TrialResult]], evaluator: TrialEvaluator
) -> list[Choice]:
    """Return, for each method, the point of largest gain within `plan.accuracy_budget` of the base's accuracy.

    The loss of a point is small enough if its bound lies above -spend: the lower ends of one-sided 95 % intervals that
    hold for all points of all methods at once, so that one may be picked after looking (max-t). Without a goal
    beside accuracy it is the point that is best in accuracy.

    Raises:
        RecsysError: if less of the accuracy metric is better.
    """
    named = [(method, one) for method in plan.methods for one in points[method.name]]
    changes, lowest = _bound_accuracy_changes(plan, named, evaluator) if named else (np.empty(0), np.empty(0))
    decided = (plan.gain_goals or (plan.accuracy,))[0]
    choices = []
    for method in plan.methods:
        own = [i for i, (of, _) in enumerate(named) if of is method]
        cheap = [i for i in own if lowest[i] > -plan.accuracy_budget or not plan.gain_goals]
        best = max(cheap, key=lambda i: decided.sign * named[i][1].values[decided.metric], default=None)
        nearest = max(own, key=lambda i: lowest[i], default=None)
        if best is not None:
            choices.append(Choice(method, named[best][1], float(changes[best]), float(lowest[best])))
        elif nearest is not None:
            choices.append(Choice(method, None, float(changes[nearest]), float(lowest[nearest])))
        else:
            choices.append(Choice(method, None))
    return choices


def pick_best_choice(plan: SweepPlan, choices: Sequence[Choice]) -> Choice | None:
    """Return the choice with the most gain on validation (or the best accuracy, where nothing else is bought)."""
    decided = (plan.gain_goals or (plan.accuracy,))[0]
    taken = [(one.trial, one) for one in choices if one.trial is not None]
    if not taken:
        return None
    return max(taken, key=lambda pair: decided.sign * pair[0].values[decided.metric])[1]


def _bound_accuracy_changes(
    plan: SweepPlan, named: Sequence[tuple[Method, TrialResult]], evaluator: TrialEvaluator
) -> tuple[Doubles, Doubles]:
    """Return the relative change of accuracy of each point, and its bound."""
    configs = {"base": plan.base_config()}
    configs |= {str(i): of.trial_config(one.settings) for i, (of, one) in enumerate(named)}
    base, *others = evaluator.evaluate_blends(configs, plan.accuracy.metric).cells
    if base.direction != 1:
        raise RecsysError(f"[sweep] accuracy is {plan.accuracy.metric}, expected a metric of which more is better")
    return compute_lower_bounds(others, base)


def compute_lower_bounds(cells: Sequence[Score], base: Score) -> tuple[Doubles, Doubles]:
    """Return the change of each score as a share of the base's, and what all are above at once in 95 % of samples."""
    values = np.array([cell.value for cell in cells], dtype=np.float64) / base.value - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.stack([cell.draws for cell in cells]) / base.draws - 1.0
    return values, compute_simultaneous_limits(values, draws, sides=1)[0]
