"""The search of a plan: the trials of every method, kept in a storage that a later start goes on with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.support.progress import show_progress
from recsys.sweeps.plans import Method, SweepPlan
from recsys.sweeps.search_space import Value
from recsys.sweeps.storages import LogFunction
from recsys.sweeps.studies import TrialFunction, compute_importances, open_studies, run_trials
from recsys.sweeps.trial_evaluator import TrialEvaluator
from recsys.sweeps.trials import TrialFailure, TrialResult, TrialValues, list_failures
from recsys.types import RecsysError
from recsys.types.errors import describe_error

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True, eq=False)
class SearchedTrials:
    """The trials of each method of a plan, by the method's name."""

    results: Mapping[str, list[TrialResult]]
    failures: Mapping[str, list[TrialFailure]]
    importances: Mapping[str, list[dict[str, Any]]]  # {} where they were not asked for


def search_methods(
    plan: SweepPlan,
    evaluator: TrialEvaluator,
    where: str,
    log_line: LogFunction,
    quiet: bool,
    *,
    importances: bool = True,
) -> SearchedTrials:
    """Return the trials of every method, after adding those that the storage `where` lacks.

    Raises:
        RecsysError: as `open_studies` and `run_trials` do, or if the base cannot be judged.
    """
    with open_studies(where, plan, evaluator.fingerprint, log_line) as studies:
        found = _run_all_trials(plan, studies, evaluator, quiet)
        failures = {name: list_failures(study) for name, study in studies.items()}
        shares = {name: compute_importances(study, plan) for name, study in studies.items()} if importances else {}
    return SearchedTrials(found, failures, shares)


def _run_all_trials(
    plan: SweepPlan, studies: Mapping[str, "Study"], evaluator: TrialEvaluator, quiet: bool
) -> dict[str, list[TrialResult]]:
    try:
        found, base = dict[str, list[TrialResult]](), evaluator.evaluate_config(plan.base_config())
    except Exception as error:  # such as one of somebody's own metric: then every trial would fail
        raise RecsysError(f"sweep: the base cannot be judged: {describe_error(error)}") from error
    with show_progress(quiet) as bars:
        task = bars.add_task("trials", total=plan.settings.trials * len(plan.methods))
        for i, method in enumerate(plan.methods):
            evaluate = build_trial_function(method, evaluator)
            bars.update(task, description=method.name)
            found[method.name] = run_trials(
                studies[method.name], plan, method, evaluate, base, _make_tick(bars.update, task, i, plan)
            )
    return found


def _make_tick(update: Callable[..., None], task: Any, place: int, plan: SweepPlan) -> Callable[..., None]:
    """Return a function that is told how many trials of the `place`-th method are completed."""

    def tick(completed: int) -> None:
        update(task, completed=place * plan.settings.trials + completed)

    return tick


def build_trial_function(method: Method, evaluator: TrialEvaluator) -> TrialFunction:
    """Return a function that evaluates one trial of a method."""

    def judged(values: Mapping[str, Value]) -> TrialValues:
        found = evaluator.evaluate_config(method.trial_config(values))
        for metric, value in found.whole.items():
            if not np.isfinite(value):
                raise RecsysError(f"sweep: {metric} is not defined on this data, expected metrics that are")
        return found

    return judged
