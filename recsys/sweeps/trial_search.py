"""The search of a plan: the trials of every method, kept in a storage that a later start goes on with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.support.progress import show_progress
from recsys.sweeps.plans import Method, SweepPlan
from recsys.sweeps.search_space import Value
from recsys.sweeps.storages import LogFunction
from recsys.sweeps.studies import TrialFunction, compute_importances, iter_trials, open_studies, run_trials
from recsys.sweeps.trial_evaluator import TrialEvaluator
from recsys.sweeps.trials import TrialFailure, TrialResult, TrialValues, list_failures, list_results
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
    wanted: int  # of each method


def search_methods(
    plan: SweepPlan,
    evaluator: TrialEvaluator,
    where: str,
    log_line: LogFunction,
    quiet: bool,
    *,
    importances: bool = True,
    ends_at: float | None = None,
) -> SearchedTrials:
    """Return the trials of every method, after adding those that the storage `where` lacks.

    From `ends_at` on (`time.monotonic`) no further trial begins, and all methods have as many as that with the fewest.

    Raises:
        RecsysError: as `open_studies` and `run_trials` do, if the base cannot be judged, or a method has no trial then.
    """
    with open_studies(where, plan, evaluator.fingerprint, log_line) as studies:
        found = _run_all_trials(plan, studies, evaluator, quiet, ends_at)
        failures = {name: list_failures(study) for name, study in studies.items()}
        shares = {name: compute_importances(study, plan) for name, study in studies.items()} if importances else {}
    return SearchedTrials(found, failures, shares, plan.settings.trials)


def _run_all_trials(
    plan: SweepPlan, studies: Mapping[str, "Study"], evaluator: TrialEvaluator, quiet: bool, ends_at: float | None
) -> dict[str, list[TrialResult]]:
    try:
        found, base = dict[str, list[TrialResult]](), evaluator.evaluate_config(plan.base_config())
    except Exception as error:  # such as one of somebody's own metric: then every trial would fail
        raise RecsysError(f"sweep: the base cannot be judged: {describe_error(error)}") from error
    with show_progress(quiet) as bars:
        task = bars.add_task("trials", total=plan.settings.trials * len(plan.methods))
        if ends_at is not None:
            return _run_trials_in_turn(plan, studies, evaluator, base, partial(bars.update, task), ends_at)
        for i, method in enumerate(plan.methods):
            evaluate = build_trial_function(method, evaluator)
            bars.update(task, description=method.name)
            found[method.name] = run_trials(
                studies[method.name], plan, method, evaluate, base, _make_tick(bars.update, task, i, plan)
            )
    return found


def _run_trials_in_turn(
    plan: SweepPlan,
    studies: Mapping[str, "Study"],
    evaluator: TrialEvaluator,
    base: TrialValues,
    update_progress: Callable[..., None],
    ends_at: float,
) -> dict[str, list[TrialResult]]:
    """Add one trial of each method after another until `ends_at`; return equally many of each."""
    running = {
        one.name: iter_trials(studies[one.name], plan, one, build_trial_function(one, evaluator), base)
        for one in plan.methods
    }
    done = dict.fromkeys(running, plan.settings.trials)
    done |= {name: next(trials, plan.settings.trials) for name, trials in running.items()}
    while (name := min(done, key=done.__getitem__)) and done[name] < plan.settings.trials:
        if time.monotonic() >= ends_at:
            break
        done[name] = next(running[name], plan.settings.trials)
        update_progress(completed=sum(done.values()))
    found = {name: list_results(study) for name, study in studies.items()}
    fewest = min(found, key=lambda name: len(found[name]))
    if not found[fewest]:
        raise RecsysError(
            f"{fewest}: no trial ended within the timeout, expected a longer one (the trials of a start are kept)"
        )
    return {name: trials[: min(len(found[fewest]), plan.settings.trials)] for name, trials in found.items()}


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
