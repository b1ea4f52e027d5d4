"""Selection on validation: the largest gain among points whose losses are within the accuracy budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    # by metric of accuracy, on validation: the change against the base as a share of it, and what this change is above,
    # with 95 % confidence for all points of all methods and all these metrics together
    accuracy_changes: Mapping[str, float] = field(default_factory=dict)
    lower_bounds: Mapping[str, float] = field(default_factory=dict)


def choose_points(
    plan: SweepPlan, points: Mapping[str, Sequence[TrialResult]], evaluator: TrialEvaluator
) -> list[Choice]:
    """Return, for each method, the point of largest gain within `plan.accuracy_budget` of the base in all accuracies.

    The loss of a point is small enough if its bounds lie above -budget: the lower ends of one-sided 95 % intervals that
    hold for all points of all methods and all metrics of accuracy at once, so that one may be picked after looking
    (max-t). Without a goal beside accuracy it is the point that is best in the first of these metrics.

    Raises:
        RecsysError: if less of a metric of accuracy is better.
    """
    named = [(method, one) for method in plan.methods for one in points[method.name]]
    changes, lower = _bound_accuracy_changes(plan, named, evaluator) if named else np.empty((2, 0, 0))
    metrics = [one.metric for one in plan.accuracies]
    lowest = lower.min(axis=1, initial=np.inf)
    decided = (plan.gain_goals or (plan.accuracy,))[0]
    choices = []
    for method in plan.methods:
        own = [i for i, (of, _) in enumerate(named) if of is method]
        cheap = [i for i in own if lowest[i] > -plan.accuracy_budget or not plan.gain_goals]
        best = max(cheap, key=lambda i: decided.sign * named[i][1].values[decided.metric], default=None)
        shown = max(own, key=lambda i: lowest[i], default=None) if best is None else best
        if shown is None:
            choices.append(Choice(method, None))
            continue
        both = (dict(zip(metrics, table[shown].tolist(), strict=True)) for table in (changes, lower))
        choices.append(Choice(method, None if best is None else named[best][1], *both))
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
    """Return the relative change of each point in each metric of accuracy, and its bound, (points, metrics) both."""
    configs = {"base": plan.base_config()}
    configs |= {str(i): of.trial_config(one.settings) for i, (of, one) in enumerate(named)}
    pairs, metrics = [], [one.metric for one in plan.accuracies]
    scores = evaluator.evaluate_blends(configs, metrics)
    for i, metric in enumerate(metrics):
        base, *others = scores.cells[i :: len(metrics)]
        if base.direction != 1:
            raise RecsysError(f"[sweep] accuracy is {metric}, expected a metric of which more is better")
        pairs += [(cell, base) for cell in others]
    changes, lower = compute_lower_bounds(pairs)
    return changes.reshape(-1, len(named)).T, lower.reshape(-1, len(named)).T


def compute_lower_bounds(pairs: Sequence[tuple[Score, Score]]) -> tuple[Doubles, Doubles]:
    """Return the change of each pair's first score as a share of its second, (P,), and lower limits of these, (P,).

    All changes lie above their limits at once in 95 % of samples.
    """
    values = np.array([cell.value / base.value - 1.0 for cell, base in pairs], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.stack([cell.draws / base.draws - 1.0 for cell, base in pairs])
    return values, compute_simultaneous_limits(values, draws, sides=1)[0]
