"""Curves of families, read at the accuracy budget on one part of the split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recsys.configs import Config
from recsys.scores import Scores, tabulate_differences
from recsys.support.progress import show_progress
from recsys.sweeps.pareto import find_pareto_front, thin_front
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.tradeoff_curves import GainAtLoss, compute_gains_at_loss, compute_largest_loss, extend_curve
from recsys.sweeps.trial_evaluator import TrialEvaluator
from recsys.sweeps.trials import TrialResult

if TYPE_CHECKING:
    import pandas as pd

BASE, LIKELIHOOD = "base", "likelihood"  # runs that are read beside the points of curves
MAX_LOSS = 2.0  # budgets that a point of a curve loses at most, but for the one that ends it


@dataclass(frozen=True, eq=False)
class CurveReadings:
    """Scores of all points of all curves on one part of the split, and the gain of each curve at the budget."""

    scores: Scores
    gains: Mapping[str, GainAtLoss]  # by family; {} where the base has no gain to be held against
    judge_users: int  # whose histories the smallest judge's maps are made from; 0 where users are not halved

    @property
    def base_hits(self) -> float:
        """Hits of the base in unexplored regions, the mean over maps."""
        return float(next(c for c in self.scores.select_run(BASE) if c.metric == "discovery").counts["hits"])

    def compare_with_base(self, run: str) -> "pd.DataFrame":
        """Return the differences of a run from the base, one row per metric, as `tabulate_differences` does."""
        cells = tuple(cell for cell in self.scores.cells if cell.run in (run, BASE))
        return tabulate_differences(replace(self.scores, cells=cells), BASE)


def trace_curve(plan: SweepPlan, trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the points of a family's curve: its front up to twice the budget, and a point that loses as much.

    At most `front` of [sweep] points, and one more for each loss that they do not reach.
    """
    near = [one for one in trials if compute_largest_loss(plan, one) <= MAX_LOSS * plan.accuracy_budget]
    front = thin_front(find_pareto_front(near, plan.front_goals), plan.front_goals, plan.settings.front)
    return extend_curve(plan, front, trials)


def read_curves_of_families(
    plan: SweepPlan,
    curves: Mapping[str, Sequence[TrialResult]],
    points: Mapping[str, TrialResult | None],
    evaluator: TrialEvaluator,
    split: str,
    quiet: bool,
) -> CurveReadings:
    """Return the readings of all curves on the split's part that `evaluator` judges, with those of the base.

    Beside them are read the blend of each family that would be chosen, `points`, which a thinned curve may lack, and
    the likelihood's order alone, where the plan has one.
    """
    configs = {BASE: plan.base_config(split)}
    if configs[BASE].likelihood is not None:
        configs[LIKELIHOOD] = _build_likelihood_config(configs[BASE])
    for method in plan.methods:
        point = points[method.name]
        for one in (*curves[method.name], *([] if point is None else [point])):
            configs[name_point(method.name, one)] = method.trial_config(one.settings, split)
    with show_progress(quiet) as bars:
        bars.add_task(f"curves on {split}", total=None)
        scores = evaluator.evaluate_blends(configs, plan.metrics)
    read = compute_gains_at_loss(plan, curves, scores, BASE)
    gains = {one.method: one for one in read if one.loss == plan.accuracy_budget}
    users = min((len(judge.fold.judge_users) for judge in evaluator.judges), default=0)
    return CurveReadings(scores, gains, users)


def name_point(family: str, trial: TrialResult) -> str:
    """Return the run of a trial, as `compute_gains_at_loss` knows it."""
    return f"{family}-{trial.number}"


def _build_likelihood_config(base: Config) -> Config:
    return base.model_copy(update={"blends": {f"{LIKELIHOOD} alone": {"relevance": 1.0}}})
