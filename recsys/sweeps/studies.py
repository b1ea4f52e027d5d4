"""Trials of one method, kept in a study that several processes may share and that a killed one goes on with."""

import math
import multiprocessing
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys.support import rng
from recsys.sweeps.search_plans import SearchMethod, SearchPlan
from recsys.sweeps.search_space import Value
from recsys.sweeps.storages import LogFunction, open_storage, shorten_read_errors
from recsys.sweeps.trials import (
    DRAW,
    FAILURE,
    FOUND,
    TrialFailure,
    TrialResult,
    TrialValues,
    check_study,
    list_results,
    number_draws,
    store_failure,
    store_result,
)
from recsys.types import RecsysError
from recsys.types.errors import describe_error, restore_interrupts

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

WORKER = "worker"
MAX_FIRST_FAILURES = 10  # trials that fail before any succeeds end a search
WAIT_PAUSE = 0.1  # seconds between looks at what other processes do
# A running trial is abandoned after so many times the longest that has ended, and seconds: its machine is gone, say.
ABANDONED_TIMES, MIN_ABANDONED = 20, 60.0

TrialFunction = Callable[[Mapping[str, Value]], TrialValues]


@contextmanager
def open_studies(
    where: str, plan: SearchPlan, data: str, log_line: LogFunction = print
) -> Iterator[dict[str, "Study"]]:
    """Yield the study of each method on `data` (a fingerprint), with the trials that it has; close them at the end.

    They are in a .journal, .log or .db file, or at the URL of a database.

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
    plan: SearchPlan,
    method: SearchMethod,
    evaluate: TrialFunction,
    base: TrialValues,
    update_progress: Callable[..., None],
    *,
    wait: bool = True,
) -> list[TrialResult]:
    """Add trials until there are as many completed ones as the plan wants; return those, by number.

    Without `wait` those that other processes are at are left to them.

    Raises:
        RecsysError: as `iter_trials` does.
    """
    for done in iter_trials(study, plan, method, evaluate, base, wait=wait):
        update_progress(completed=done)
    found = list_results(study)[: plan.settings.trials]
    update_progress(completed=len(found))
    return found


def iter_trials(
    study: "Study",
    plan: SearchPlan,
    method: SearchMethod,
    evaluate: TrialFunction,
    base: TrialValues,
    *,
    wait: bool = True,
) -> Iterator[int]:
    """Yield, before each trial that is added, how many are completed, until there are as many as the plan wants.

    A trial whose settings cannot be judged is kept as failed, and does not count; the next one draws other settings.
    Where other processes are at all that are left, their end is awaited, or without `wait` the iterator ends.

    Raises:
        RecsysError: if the first trials all fail, or more than the plan allows.
    """
    wanted, failures = plan.settings.trials, list[TrialFailure]()
    while (done := len(list_results(study))) < wanted:
        yield done
        trial = _open_trial(study, plan, method)
        if trial is None and not wait:
            return
        if trial is None:
            time.sleep(WAIT_PAUSE)
            continue
        number, drawn = int(trial.user_attrs[DRAW]), _draw_settings(trial, method)
        try:
            with restore_interrupts():
                values = _evaluate_settings(evaluate, drawn, failures)
        except Exception as error:  # of a model, an objective or somebody's own function
            failures.append(TrialFailure(number, drawn, describe_error(error)))
            store_failure(study, trial, failures[-1].reason)
            _check_failures(failures, done, plan, method)
        except BaseException:
            store_failure(study, trial)
            raise
        else:
            store_result(study, trial, plan, values, base)


def _open_trial(study: "Study", plan: SearchPlan, method: SearchMethod) -> "Trial | None":
    """Return a new trial that holds the first free place in the order of one process; None where none is left.

    A process writes down the place that it takes, and reads again: of two that took the same one, the later sees the
    other. Each that sees one takes another place.
    """
    import optuna

    _fail_dead_trials(study)
    if _find_free_draw(study, plan) is None:
        return None
    study.sampler = optuna.samplers.RandomSampler()  # it draws nothing
    with _shorten_trial_errors():
        opened = study.ask()
    opened.set_user_attr(WORKER, [socket.gethostname(), os.getpid(), time.time()])
    while (draw := _find_free_draw(study, plan, opened.number)) is not None:
        opened.set_user_attr(DRAW, draw)
        if draw not in _list_held_draws(study, opened.number):
            # A sampler of its own for each trial: a search that was interrupted goes on as if it had not been.
            study.sampler = _build_sampler(plan, method, draw)
            with _shorten_trial_errors():
                return optuna.trial.Trial(study, opened._trial_id)
        time.sleep(WAIT_PAUSE * random.random())
    store_failure(study, opened)
    return None


def _find_free_draw(study: "Study", plan: SearchPlan, but: int | None = None) -> int | None:
    """Return the first place that no other trial holds, None where all are held: one for each that failed, too."""
    held = _list_held_draws(study, but)
    failed = sum(FAILURE in trial.user_attrs for trial in held.values())
    return next((draw for draw in range(plan.settings.trials + failed) if draw not in held), None)


def _list_held_draws(study: "Study", but: int | None = None) -> dict[int, "FrozenTrial"]:
    """Return the trials that hold a place, by that place, without the one of a number and without abandoned ones."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.number != but]
    spans = [trial.duration.total_seconds() for trial in trials if trial.duration and FOUND in trial.user_attrs]
    oldest = time.time() - max(MIN_ABANDONED, ABANDONED_TIMES * max(spans, default=math.inf))
    return number_draws(trial for trial in trials if trial.state.is_finished() or _get_worker(trial).started > oldest)


class _Worker(NamedTuple):
    """The process that is at a trial, and since when."""

    machine: str = ""
    process: int = 0
    started: float = math.inf


def _get_worker(trial: "FrozenTrial") -> _Worker:
    return _Worker(*trial.user_attrs.get(WORKER, ()))


@contextmanager
def _shorten_trial_errors() -> Iterator[None]:
    """Make whatever trials that were changed do to Optuna an error of the storage."""
    import optuna

    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # what Optuna raises for contents it cannot mean
        raise optuna.exceptions.StorageInternalError(str(error)) from error


def _draw_settings(trial: "Trial", method: SearchMethod) -> dict[str, Value]:
    with _shorten_trial_errors():
        return {one.name: one.suggest(trial) for one in method.ranges}


def _evaluate_settings(
    evaluate: TrialFunction, drawn: Mapping[str, Value], failures: Sequence[TrialFailure]
) -> TrialValues:
    """Return the values of drawn settings; those that failed before fail again without being tried."""
    for one in failures:
        if one.settings == drawn:
            raise RecsysError(one.reason)
    return evaluate(drawn)


def _check_failures(failures: Sequence[TrialFailure], done: int, plan: SearchPlan, method: SearchMethod) -> None:
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


def compute_importances(study: "Study", plan: SearchPlan) -> list[dict[str, Any]]:
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


def _build_sampler(plan: SearchPlan, method: SearchMethod, number: int) -> "BaseSampler":
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

    multiprocessing.active_children()  # a job of this process that was killed is gone once it has been waited for
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        worker = _get_worker(trial)
        if worker.machine == socket.gethostname() and not _is_process_alive(worker.process):
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
