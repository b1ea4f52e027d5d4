"""Which points to take, decided on validation: the most gain for a loss that is surely small enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.scores import score
from recsys.scores.joints import simultaneous
from recsys.scores.records import Score
from recsys.sweeps.plans import Method, Plan
from recsys.sweeps.trials import Found
from recsys.sweeps.workshops import Workshop
from recsys.types import RecsysError, Slates
from recsys.types.arrays import Doubles


@dataclass(frozen=True)
class Choice:
    """What was chosen of one method, and why."""

    method: Method
    trial: Found | None  # None where no point keeps the loss small enough
    change: float = np.nan  # of accuracy against the base, a share of it, on validation
    bound: float = np.nan  # what this change is above, with 95 % confidence for all points of all methods together


def choose(plan: Plan, points: Mapping[str, Sequence[Found]], workshop: Workshop) -> list[Choice]:
    """Return, for each method, the point with the most gain whose accuracy is not inferior by more than `plan.spend`.

    The loss of a point is small enough if its bound lies above -spend: the lower ends of one-sided 95 % intervals that
    hold for all points of all methods at once, so that one may be picked after looking (max-t). Without a goal
    beside accuracy it is the point that is best in accuracy.

    Raises:
        RecsysError: if less of the accuracy metric is better.
    """
    named = [(method, one) for method in plan.methods for one in points[method.name]]
    changes, lowest = _bounded(plan, named, workshop) if named else (np.empty(0), np.empty(0))
    decided = (plan.gains or (plan.accuracy,))[0]
    choices = []
    for method in plan.methods:
        own = [i for i, (of, _) in enumerate(named) if of is method]
        cheap = [i for i in own if lowest[i] > -plan.spend or not plan.gains]
        best = max(cheap, key=lambda i: decided.sign * named[i][1].values[decided.metric], default=None)
        nearest = max(own, key=lambda i: lowest[i], default=None)
        if best is not None:
            choices.append(Choice(method, named[best][1], float(changes[best]), float(lowest[best])))
        elif nearest is not None:
            choices.append(Choice(method, None, float(changes[nearest]), float(lowest[nearest])))
        else:
            choices.append(Choice(method, None))
    return choices


def best_of(plan: Plan, choices: Sequence[Choice]) -> Choice | None:
    """Return the choice with the most gain on validation (or the best accuracy, where nothing else is bought)."""
    decided = (plan.gains or (plan.accuracy,))[0]
    taken = [(one.trial, one) for one in choices if one.trial is not None]
    if not taken:
        return None
    return max(taken, key=lambda pair: decided.sign * pair[0].values[decided.metric])[1]


def _bounded(plan: Plan, named: Sequence[tuple[Method, Found]], workshop: Workshop) -> tuple[Doubles, Doubles]:
    """Return the relative change of accuracy of each point, and its bound."""
    k = int(plan.accuracy.metric.partition("@")[2])
    runs: dict[str, Slates] = {"base": workshop.slates(plan.base())[k]}
    runs |= {str(i): workshop.slates(of.config(one.settings))[k] for i, (of, one) in enumerate(named)}
    config = plan.base()
    base, *others = score(
        runs, workshop.yardstick, [plan.accuracy.metric], [k], seed=config.seed, draws=config.judge.draws
    ).cells
    if base.direction != 1:
        raise RecsysError(f"[sweep] accuracy is {plan.accuracy.metric}, expected a metric of which more is better")
    return relative_bounds(others, base)


def relative_bounds(cells: Sequence[Score], base: Score) -> tuple[Doubles, Doubles]:
    """Return the change of each score as a share of the base's, and what all are above at once in 95 % of samples."""
    values = np.array([cell.value for cell in cells], dtype=np.float64) / base.value - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.stack([cell.draws for cell in cells]) / base.draws - 1.0
    return values, simultaneous(values, draws, sides=1)[0]
