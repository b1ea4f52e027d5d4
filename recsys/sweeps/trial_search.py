"""The search of a plan: the trials of every method, kept in a storage that a later start goes on with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recsys.support.jobs import check_jobs, run_beside
from recsys.support.progress import show_progress
from recsys.sweeps.search_plans import SearchMethod, SearchPlan
from recsys.sweeps.search_space import Value
from recsys.sweeps.storages import LogFunction, check_shared_storage
from recsys.sweeps.studies import TrialFunction, compute_importances, iter_trials, open_studies, run_trials
from recsys.sweeps.trials import TrialFailure, TrialResult, TrialValues, list_failures, list_results
from recsys.types import RecsysError
from recsys.types.errors import describe_error

if TYPE_CHECKING:
    from optuna import Study


class ConfigEvaluator(Protocol):
    """Judges what the methods of a plan make of settings."""

    @property
    def fingerprint(self) -> str:
        """What tells the data that it judges on from others."""
        ...

    def evaluate_config(self, config: Any) -> TrialValues:
        """Return the value of each metric."""
        ...


@dataclass(frozen=True, eq=False)
class SearchedTrials:
    """The trials of each method of a plan, by the method's name."""

    results: Mapping[str, list[TrialResult]]
    failures: Mapping[str, list[TrialFailure]]
    importances: Mapping[str, list[dict[str, Any]]]  # {} where they were not asked for
    wanted: int  # of each method


def check_search_jobs(jobs: int, plan: SearchPlan) -> None:
    """Refuse jobs that a search has no use for.

    Raises:
        RecsysError: if they are none from 1 to the trials that are wanted, this system cannot fork, or the storage is
            in the memory of one process.
    """
    check_jobs(jobs, plan.settings.trials * len(plan.methods), "so many trials are wanted")
    check_shared_storage(plan.settings.storage or "", jobs)


def search_methods(
    plan: SearchPlan,
    evaluator: ConfigEvaluator,
    where: str,
    log_line: LogFunction,
    quiet: bool,
    *,
    importances: bool = True,
    ends_at: float | None = None,
    jobs: int = 1,
) -> SearchedTrials:
    """Return the trials of every method, after adding those that the storage `where` lacks, by `jobs` processes.

    From `ends_at` on (`time.monotonic`) no further trial begins, and all methods have as many as that with the fewest.

    Raises:
        RecsysError: as `open_studies` and `run_trials` do, if the base cannot be judged, or a method has no trial then.
    """
    base = _evaluate_base(plan, evaluator)
    open_own = partial(open_studies, where, plan, evaluator.fingerprint)
    add_trials = partial(_add_trials, plan, evaluator=evaluator, base=base, ends_at=ends_at)

    def add_beside() -> None:
        with open_own(_say_nothing) as studies:
            add_trials(studies, update=_say_nothing, wait=False)

    with run_beside(jobs - 1, add_beside) as others, open_own(log_line) as studies:
        with show_progress(quiet) as bars:
            task = bars.add_task("trials", total=plan.settings.trials * len(plan.methods))
            for wait in (False, True):  # first what no other process is at, then what is left of it
                add_trials(studies, update=partial(bars.update, task), wait=wait)
        for number, other in enumerate(others, 2):
            if said := other.wait():
                log_line(f"job {number} of {jobs} ended early: {said}")
        found = _list_equally_many(plan, studies)
        failures = {name: list_failures(study) for name, study in studies.items()}
        shares = {name: compute_importances(study, plan) for name, study in studies.items()} if importances else {}
    return SearchedTrials(found, failures, shares, plan.settings.trials)


def _say_nothing(*said: Any, **values: Any) -> None:
    """Leave it to the process that started this one."""


def _evaluate_base(plan: SearchPlan, evaluator: ConfigEvaluator) -> TrialValues:
    try:
        return evaluator.evaluate_config(plan.base_config())
    except Exception as error:  # such as one of somebody's own metric: then every trial would fail
        raise RecsysError(f"sweep: the base cannot be judged: {describe_error(error)}") from error


def _add_trials(
    plan: SearchPlan,
    studies: Mapping[str, "Study"],
    *,
    evaluator: ConfigEvaluator,
    base: TrialValues,
    update: Callable[..., None],
    ends_at: float | None,
    wait: bool,
) -> None:
    """Add the trials that studies lack: of one method after another or, with an end, in turn."""
    if ends_at is not None:
        _add_trials_in_turn(plan, studies, evaluator, base, update, ends_at, wait)
        return
    for i, method in enumerate(plan.methods):
        evaluate = build_trial_function(method, evaluator)
        update(description=method.name)
        run_trials(studies[method.name], plan, method, evaluate, base, _make_tick(update, i, plan), wait=wait)


def _add_trials_in_turn(
    plan: SearchPlan,
    studies: Mapping[str, "Study"],
    evaluator: ConfigEvaluator,
    base: TrialValues,
    update: Callable[..., None],
    ends_at: float,
    wait: bool,
) -> None:
    """Add one trial of each method after another until `ends_at`."""
    running = {
        one.name: iter_trials(studies[one.name], plan, one, build_trial_function(one, evaluator), base, wait=wait)
        for one in plan.methods
    }
    done = dict.fromkeys(running, plan.settings.trials)
    done |= {name: next(trials, plan.settings.trials) for name, trials in running.items()}
    while (name := min(done, key=done.__getitem__)) and done[name] < plan.settings.trials:
        if time.monotonic() >= ends_at:
            break
        done[name] = next(running[name], plan.settings.trials)
        update(completed=sum(done.values()))


def _list_equally_many(plan: SearchPlan, studies: Mapping[str, "Study"]) -> dict[str, list[TrialResult]]:
    """Return the trials of each method: as many as are wanted or, where time ended, as that with the fewest has."""
    found = {name: list_results(study)[: plan.settings.trials] for name, study in studies.items()}
    fewest = min(found, key=lambda name: len(found[name]))
    if not found[fewest]:
        raise RecsysError(
            f"{fewest}: no trial ended within the timeout, expected a longer one (the trials of a start are kept)"
        )
    return {name: trials[: len(found[fewest])] for name, trials in found.items()}


def _make_tick(update: Callable[..., None], place: int, plan: SearchPlan) -> Callable[..., None]:
    """Return a function that is told how many trials of the `place`-th method are completed."""

    def tick(completed: int) -> None:
        update(completed=place * plan.settings.trials + completed)

    return tick


def build_trial_function(method: SearchMethod, evaluator: ConfigEvaluator) -> TrialFunction:
    """Return a function that evaluates one trial of a method."""

    def judged(values: Mapping[str, Value]) -> TrialValues:
        found = evaluator.evaluate_config(method.trial_config(values))
        for metric, value in found.whole.items():
            if not np.isfinite(value):
                raise RecsysError(f"sweep: {metric} is not defined on this data, expected metrics that are")
        return found

    return judged
