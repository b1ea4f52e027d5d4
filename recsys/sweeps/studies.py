"""Trials of one method, kept in a study that several processes may share and that a killed one goes on with."""

import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys import seeds
from recsys.sweeps.plans import Method, Plan
from recsys.sweeps.ranges import Value
from recsys.types import RecsysError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

WORKER, FOUND = "worker", "found"


@dataclass(frozen=True)
class Found:
    """One trial that was completed."""

    number: int
    settings: Mapping[str, Value]
    values: Mapping[str, float]  # metric -> value, on validation
    base: Mapping[str, float]  # the same of the pool in its own order
    feasible: bool
    seconds: float


Judge = Callable[[Mapping[str, Value]], dict[str, float]]


def open_studies(where: str, plan: Plan, data: str) -> dict[str, "Study"]:
    """Return the study of each method on `data` (a fingerprint), with the trials that it has.

    They are in a .journal or .db file, or at the URL of a database.

    Raises:
        RecsysError: if there is no such kind of storage, or it cannot be opened.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = _storage(where)
        return {
            method.name: optuna.create_study(
                storage=storage,
                study_name=f"{plan.name}/{method.name}/{plan.digest()}/{data[:10]}",
                directions=["maximize" if one.maximize else "minimize" for one in plan.goals],
                load_if_exists=True,
            )
            for method in plan.methods
        }
    except RecsysError:
        raise
    except Exception as error:  # each database has errors of its own
        reason = str(error).strip().partition("\n")[0]
        raise RecsysError(f"storage {where}: {reason}, expected one that sweeps made, or none yet") from None


def _storage(where: str) -> "BaseStorage":
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    path = Path(where)
    if "://" in where:
        return RDBStorage(where)
    if path.suffix not in (".journal", ".db"):
        raise RecsysError(f"storage is '{where}', expected a .journal or .db file, or the URL of a database")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".db":
        return RDBStorage(f"sqlite:///{path.resolve()}")
    # Its lock is a link to this path: only where that can be followed from anywhere is a dead one seen to be old.
    return JournalStorage(JournalFileBackend(str(path.absolute())))


def search(
    study: "Study", plan: Plan, method: Method, judge: Judge, base: Mapping[str, float], tick: Callable[..., None]
) -> list[Found]:
    """Add trials until there are as many completed ones as the plan wants; return those, by number."""
    import optuna

    _fail_the_dead(study)
    wanted = plan.settings.trials
    while (done := _completed(study)) < wanted:
        tick(completed=done)
        # A sampler of its own for each trial: a search that was interrupted goes on as if it had not been.
        study.sampler = _sampler(plan, method, done + _running(study))
        trial = study.ask()
        trial.set_user_attr(WORKER, [socket.gethostname(), os.getpid()])
        try:
            values = judge({one.name: one.suggest(trial) for one in method.ranges})
        except BaseException:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        _tell(study, trial, plan, values, base)
    tick(completed=wanted)
    return found(study)[:wanted]


def _tell(study: "Study", trial: "Trial", plan: Plan, values: Mapping[str, float], base: Mapping[str, float]) -> None:
    for one in plan.bounds:
        trial.set_constraint(one.text, one.excess(values, base))
    feasible = all(one.excess(values, base) <= 0 for one in plan.bounds)
    trial.set_user_attr(FOUND, {"values": values, "base": base, "feasible": feasible})
    study.tell(trial, [values[one.metric] for one in plan.goals])


def found(study: "Study") -> list[Found]:
    """Return the completed trials of a study, by number."""
    import optuna

    complete = (optuna.trial.TrialState.COMPLETE,)
    trials = sorted(study.get_trials(deepcopy=False, states=complete), key=lambda trial: trial.number)
    return [_found(trial) for trial in trials]


def importances(study: "Study", plan: Plan) -> list[dict[str, Any]]:
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
                target=partial(_goal, i),
            )
        except (ValueError, RuntimeError, ZeroDivisionError):
            continue
        rows += [{"metric": one.metric, "setting": name, "importance": share} for name, share in shares.items()]
    return rows


def _goal(i: int, trial: "FrozenTrial") -> float:
    return float(trial.values[i])


def _running(study: "Study") -> int:
    import optuna

    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)))


def _completed(study: "Study") -> int:
    import optuna

    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def _found(trial: "FrozenTrial") -> Found:
    kept = trial.user_attrs[FOUND]
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    return Found(trial.number, trial.params, kept["values"], kept["base"], kept["feasible"], seconds)


def _sampler(plan: Plan, method: Method, number: int) -> "BaseSampler":
    from optuna import exceptions, samplers

    seed = seeds.derive(plan.settings.seed, "sweep", method.name, number) % 2**32
    first = seeds.derive(plan.settings.seed, "sweep", method.name) % 2**32
    makers: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: samplers.TPESampler(seed=seed),
        "nsga2": lambda: samplers.NSGAIISampler(seed=seed),
        "qmc": lambda: samplers.QMCSampler(seed=first, scramble=True, warn_independent_sampling=False),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ExperimentalWarning)  # of "qmc"
        return makers[plan.settings.sampler]()


def _fail_the_dead(study: "Study") -> None:
    """Close trials in flight of processes of this machine that are there no more."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        worker: Sequence[Any] = trial.user_attrs.get(WORKER, ("", 0))
        if worker[0] == socket.gethostname() and not _alive(int(worker[1])):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another process has just closed it
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
