"""Which point of a front to take, decided on validation: the most gain for a loss that is surely small enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.scores import score
from recsys.sweeps.plans import Method, Plan
from recsys.sweeps.studies import Found
from recsys.sweeps.workshops import Workshop
from recsys.types import Slates

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """What was chosen of one method, and why."""

    method: Method
    trial: Found | None  # None where no point keeps the loss small enough
    change: float  # of accuracy against the base, a share of it, on validation
    bound: float  # that this change is above, with 95 % confidence


def choose(plan: Plan, method: Method, points: Sequence[Found], workshop: Workshop) -> Choice:
    """Return the point with the most gain whose accuracy is not inferior by more than `plan.spend`.

    The loss of a point counts as small enough if the lower end of the one-sided 95 % interval of its accuracy,
    relative to the base (bootstrap over users, both drawn together), lies above -spend. Without a goal beside
    accuracy it is the point that is best in the first goal.
    """
    if not points:
        return Choice(method, None, np.nan, np.nan)
    bounds = {one.number: _bound(plan, method, one, workshop) for one in points}
    if not plan.gains:
        best = max(points, key=lambda one: plan.goals[0].sign * one.values[plan.goals[0].metric])
        return Choice(method, best, *bounds[best.number])
    gain = plan.gains[0]
    cheap = [one for one in points if bounds[one.number][1] > -plan.spend]
    if not cheap:
        nearest = max(bounds.values(), key=lambda found: found[1])
        return Choice(method, None, *nearest)
    best = max(cheap, key=lambda one: gain.sign * one.values[gain.metric])
    return Choice(method, best, *bounds[best.number])


def best_of(plan: Plan, choices: Sequence[Choice]) -> Choice | None:
    """Return the choice with the most gain on validation (or the best first goal, where nothing else is bought)."""
    decided = (plan.gains or plan.goals)[0]
    taken = [(one.trial, one) for one in choices if one.trial is not None]
    if not taken:
        return None
    return max(taken, key=lambda pair: decided.sign * pair[0].values[decided.metric])[1]


def _bound(plan: Plan, method: Method, trial: Found, workshop: Workshop) -> tuple[float, float]:
    """Return the relative change of accuracy, and the lower end of its one-sided 95 % interval."""
    k = int(plan.accuracy.metric.partition("@")[2])
    config = method.config(trial.settings)
    runs: Mapping[str, Slates] = {
        "base": workshop.slates(config.model_copy(update={"blends": {}}))[k],
        "trial": workshop.slates(config)[k],
    }
    scores = score(runs, workshop.yardstick, [plan.accuracy.metric], [k], seed=config.seed, draws=config.judge.draws)
    (base,), (found,) = scores.of("base"), scores.of("trial")
    drawn = found.draws / np.where(base.draws > 0, base.draws, np.nan) - 1.0
    drawn = plan.accuracy.sign * drawn[np.isfinite(drawn)]
    change = found.value / base.value - 1.0 if base.value else np.nan
    return change, float(np.quantile(drawn, 1 - CONFIDENCE)) if len(drawn) else -np.inf
