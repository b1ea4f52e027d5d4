"""Trials of one method, kept in a study that several processes may share and that a killed one goes on with."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from recsys.support import rng
from recsys.sweeps.plans import Method, SweepPlan
from recsys.sweeps.search_space import Value
from recsys.sweeps.storages import LogFunction, open_storage, shorten_read_errors
from recsys.sweeps.trials import (
    FAILURE,
    TrialFailure,
    TrialResult,
    TrialValues,
    check_study,
    list_completed_trials,
    list_results,
    list_trials_in_state,
    store_failure,
    store_result,
)
from recsys.types import RecsysError
from recsys.types.errors import describe_error

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

WORKER = "worker"
MAX_FIRST_FAILURES = 10  # trials that fail before any succeeds end a search

TrialFunction = Callable[[Mapping[str, Value]], TrialValues]


@contextmanager
def open_studies(where: str, plan: SweepPlan, data: str, log_line: LogFunction = print) -> Iterator[dict[str, "Study"]]:
    """Yield the study of each method on `data` (a fingerprint), with the trials that it has; close them at the end.

    They are in a .journal or .db file, or at the URL of a database.

    Raises:
        RecsysError: if there is no such kind of storage, it cannot be opened or used, or it is damaged.
    """
    import optuna

    with open_storage(where, log_line) as storage:
        with shorten_read_errors(where):
            studies = {
                method.name: optuna.create_study(
                    storage=storage,
                    study_name=f"{plan.name}/{method.name}/{plan.digest()}/{data[:10]}",
                    directions=["maximize" if one.maximize else "minimize" for one in plan.goals],
                    load_if_exists=True,
                )
                for method in plan.methods
            }
            for study in studies.values():
                check_study(study, plan)
        yield studies


def run_trials(
    study: "Study",
    plan: SweepPlan,
    method: Method,
    evaluate: TrialFunction,
    base: TrialValues,
    update_progress: Callable[..., None],
) -> list[TrialResult]:
    """Add trials until there are as many completed ones as the plan wants; return those, by number.

    Raises:
        RecsysError: as `iter_trials` does.
    """
    for done in iter_trials(study, plan, method, evaluate, base):
        update_progress(completed=done)
    update_progress(completed=plan.settings.trials)
    return list_results(study)[: plan.settings.trials]


def iter_trials(
    study: "Study", plan: SweepPlan, method: Method, evaluate: TrialFunction, base: TrialValues
) -> Iterator[int]:
    """Yield, before each trial that is added, how many are completed, until there are as many as the plan wants.

    A trial whose settings cannot be judged is kept as failed, and does not count; the next one draws other settings.

    Raises:
        RecsysError: if the first trials all fail, or more than the plan allows.
    """
    _fail_dead_trials(study)
    wanted, failures = plan.settings.trials, list[TrialFailure]()
    while (done := len(list_completed_trials(study))) < wanted:
        yield done
        # A sampler of its own for each trial: a search that was interrupted goes on as if it had not been.
        study.sampler = _build_sampler(plan, method, _count_drawn_trials(study))
        trial, drawn = _draw_settings(study, method)
        try:
            values = _evaluate_settings(evaluate, drawn, failures)
        except Exception as error:  # of a model, an objective or somebody's own function
            failures.append(TrialFailure(trial.number, drawn, describe_error(error)))
            store_failure(study, trial, failures[-1].reason)
            _check_failures(failures, done, plan, method)
        except BaseException:
            store_failure(study, trial)
            raise
        else:
            store_result(study, trial, plan, values, base)


def _draw_settings(study: "Study", method: Method) -> tuple["Trial", dict[str, Value]]:
    """Open a trial and draw its settings; whatever trials that were changed do to Optuna is an error of the storage."""
    import optuna

    try:
        trial = study.ask()
        trial.set_user_attr(WORKER, [socket.gethostname(), os.getpid()])
        return trial, {one.name: one.suggest(trial) for one in method.ranges}
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # what Optuna raises for contents it cannot mean
        raise optuna.exceptions.StorageInternalError(str(error)) from error


def _evaluate_settings(
    evaluate: TrialFunction, drawn: Mapping[str, Value], failures: Sequence[TrialFailure]
) -> TrialValues:
    """Return the values of drawn settings; those that failed before fail again without being tried."""
    for one in failures:
        if one.settings == drawn:
            raise RecsysError(one.reason)
    return evaluate(drawn)


def _check_failures(failures: Sequence[TrialFailure], done: int, plan: SweepPlan, method: Method) -> None:
    """Stop the search where no trial succeeds, or too many fail."""
    most, last = plan.settings.max_failures, f"the last because: {failures[-1].reason}"
    if not done and len(failures) >= min(MAX_FIRST_FAILURES, most + 1):
        raise RecsysError(
            f"{method.name}: no trial succeeds, {len(failures)} failed, {last}; expected ranges of settings that work"
        )
    if len(failures) > most:
        raise RecsysError(
            f"{method.name}: {len(failures)} trials failed, {last}; expected at most [sweep] max_failures = {most} in "
            "one start: narrow the ranges, or allow more"
        )


def compute_importances(study: "Study", plan: SweepPlan) -> list[dict[str, Any]]:
    """Return how much each setting matters to each goal: shares of the variance that settings explain (fANOVA).

    None where a goal did not vary, or there are too few trials.
    """
    import optuna

    rows = []
    for i, one in enumerate(plan.goals):
        try:
            shares = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                target=partial(_get_goal_value, i),
            )
        except (ValueError, RuntimeError, ZeroDivisionError):
            continue
        rows += [{"metric": one.metric, "setting": name, "importance": share} for name, share in shares.items()]
    return rows


def _get_goal_value(i: int, trial: "FrozenTrial") -> float:
    return float(trial.values[i])


def _count_drawn_trials(study: "Study") -> int:
    """Return how many trials were drawn; one that was interrupted does not count, and is drawn again."""
    import optuna

    state = optuna.trial.TrialState
    trials = list_trials_in_state(study, state.RUNNING, state.FAIL)
    running = sum(trial.state == state.RUNNING and WORKER in trial.user_attrs for trial in trials)
    return len(list_completed_trials(study)) + running + sum(FAILURE in trial.user_attrs for trial in trials)


def _build_sampler(plan: SweepPlan, method: Method, number: int) -> "BaseSampler":
    from optuna import samplers

    from recsys.sweeps.sobol import SobolSampler

    seed = rng.derive_seed(plan.settings.seed, "sweep", method.name, number) % 2**32
    first = rng.derive_seed(plan.settings.seed, "sweep", method.name) % 2**32
    makers: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: samplers.TPESampler(seed=seed),
        "nsga2": lambda: samplers.NSGAIISampler(seed=seed),
        "qmc": lambda: SobolSampler(method.ranges, first, number),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }
    return makers[plan.settings.sampler]()


def _fail_dead_trials(study: "Study") -> None:
    """Mark running trials as failed if their process, on this machine, has ended."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        worker: Sequence[Any] = trial.user_attrs.get(WORKER, ("", 0))
        if worker[0] == socket.gethostname() and not _is_process_alive(int(worker[1])):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another process has just closed it
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _is_process_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
