"""Results of trials, and the reasons of failed ones, as a study keeps them."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.search_space import Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

FOUND, FAILURE = "found", "failure"


class TrialValues(NamedTuple):
    """The values of one blend by metric, over all users and over those of each part of `SweepPlan.user_parts`."""

    whole: Mapping[str, float]
    parts: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class TrialResult:
    """One trial that was completed."""

    number: int
    settings: Mapping[str, Value]
    values: Mapping[str, float]  # metric -> value, on validation
    base: Mapping[str, float]  # the same of the pool in its own order
    feasible: bool
    seconds: float
    parts: Sequence[Mapping[str, float]] = ()  # values over the users of each part
    base_parts: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class TrialFailure:
    """One trial that could not be judged."""

    number: int
    settings: Mapping[str, Value]
    reason: str


def store_result(study: "Study", trial: "Trial", plan: SweepPlan, found: TrialValues, base_found: TrialValues) -> None:
    """Store the result of a trial, and mark it as complete."""
    values, base = found.whole, base_found.whole
    for one in plan.constraints:
        trial.set_constraint(one.text, one.violation(values, base))
    feasible = all(one.violation(values, base) <= 0 for one in plan.constraints)
    kept = {"values": values, "base": base, "feasible": feasible}
    if found.parts:
        kept |= {"parts": [*found.parts], "base_parts": [*base_found.parts]}
    trial.set_user_attr(FOUND, {**kept, "crc": _checksum_result(trial.params, kept)})
    study.tell(trial, [values[one.metric] for one in plan.goals])


def store_failure(study: "Study", trial: "Trial", reason: str = "") -> None:
    """Keep that a trial failed, and why; without a reason it was interrupted."""
    import optuna

    if reason:
        trial.set_user_attr(FAILURE, reason)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def list_results(study: "Study") -> list[TrialResult]:
    """Return the completed trials of a study, by number."""
    return [_parse_result(trial) for trial in list_completed_trials(study)]


def list_failures(study: "Study") -> list[TrialFailure]:
    """Return the trials of a study that could not be judged, of all starts, by number."""
    import optuna

    trials = list_trials_in_state(study, optuna.trial.TrialState.FAIL)
    return [
        TrialFailure(trial.number, trial.params, str(trial.user_attrs[FAILURE]))
        for trial in trials
        if FAILURE in trial.user_attrs  # others were interrupted
    ]


def check_study(study: "Study", plan: SweepPlan) -> None:
    """Refuse a study that lacks the result of one of its trials."""
    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    if sorted(numbers) != [*range(len(numbers))]:
        raise ValueError(f"{study.study_name} has no trial {min({*range(len(numbers) + 1)} - {*numbers})}")
    for trial in list_completed_trials(study):
        kept = _parse_result(trial)
        parts = plan.user_parts if plan.user_parts > 1 else 0
        complete = not {*plan.metrics} - {*kept.base} and len(kept.parts) == len(kept.base_parts) == parts
        if [kept.values[one.metric] for one in plan.goals] != trial.values or not complete:
            raise ValueError(f"the values of trial {trial.number} do not agree with what it found")


def list_trials_in_state(study: "Study", *states: Any) -> list["FrozenTrial"]:
    """Return the trials of a study that are in one of these states, by number."""
    return sorted(study.get_trials(deepcopy=False, states=states), key=lambda trial: trial.number)


def list_completed_trials(study: "Study") -> list["FrozenTrial"]:
    """Return the trials that are completed, by number."""
    import optuna

    return list_trials_in_state(study, optuna.trial.TrialState.COMPLETE)


def _parse_result(trial: "FrozenTrial") -> TrialResult:
    if FOUND not in trial.user_attrs:
        raise ValueError(f"trial {trial.number} does not say what it found")
    kept = dict(trial.user_attrs[FOUND])
    crc = kept.pop("crc", None)
    if crc is not None and crc != _checksum_result(trial.params, kept):
        raise ValueError(f"what trial {trial.number} found was changed")
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    parts = kept.get("parts", ()), kept.get("base_parts", ())
    return TrialResult(trial.number, trial.params, kept["values"], kept["base"], kept["feasible"], seconds, *parts)


def _checksum_result(settings: Mapping[str, Value], kept: Mapping[str, Any]) -> int:
    """Return the CRC-32 of a trial's result: a database does not notice a changed digit by itself."""
    return zlib.crc32(json.dumps([settings, kept], sort_keys=True).encode())
