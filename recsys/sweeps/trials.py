"""Results of trials, and the reasons of failed ones, as a study keeps them."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys.sweeps.search_plans import SearchPlan
from recsys.sweeps.search_space import Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

FOUND, FAILURE = "found", "failure"
DRAW = "draw"  # the place of a trial's settings among those that one process draws, one after another


class TrialValues(NamedTuple):
    """The values of one trial by metric, over all, and over each part of `SearchPlan.user_parts`: users, or a seed."""

    whole: Mapping[str, float]
    parts: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class TrialResult:
    """One trial that was completed. Its number is the place of its settings in the order of one process."""

    number: int
    settings: Mapping[str, Value]
    values: Mapping[str, float]  # metric -> value, on validation
    base: Mapping[str, float]  # the same of the pool in its own order
    feasible: bool
    seconds: float
    parts: Sequence[Mapping[str, float]] = ()  # values over each part
    base_parts: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class TrialFailure:
    """One trial that could not be judged."""

    number: int
    settings: Mapping[str, Value]
    reason: str


def store_result(study: "Study", trial: "Trial", plan: SearchPlan, found: TrialValues, base_found: TrialValues) -> None:
    """Store the result of a trial, and mark it as complete."""
    values, base = found.whole, base_found.whole
    for one in plan.constraints:
        trial.set_constraint(one.text, one.violation(values, base))
    feasible = all(one.violation(values, base) <= 0 for one in plan.constraints)
    kept: dict[str, Any] = {"values": values, "base": base, "feasible": feasible}
    if DRAW in trial.user_attrs:
        kept |= {DRAW: trial.user_attrs[DRAW]}
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
    """Return the completed trials of a study, by number; one whose settings were judged twice is there once."""
    draws = number_draws(list_trials_in_state(study, *_get_holding_states()))
    return [_parse_result(trial, draw) for draw, trial in draws.items() if _is_completed(trial)]


def list_failures(study: "Study") -> list[TrialFailure]:
    """Return the trials of a study that could not be judged, of all starts, by number."""
    draws = number_draws(list_trials_in_state(study, *_get_holding_states()))
    return [
        TrialFailure(draw, trial.params, str(trial.user_attrs[FAILURE]))
        for draw, trial in draws.items()
        if FAILURE in trial.user_attrs
    ]


def number_draws(trials: Iterable["FrozenTrial"]) -> dict[int, "FrozenTrial"]:
    """Return the trials that hold a place in the order of one process, by that place.

    A completed trial holds one, one that failed for a reason, and a running one whose place is written down. Trials of
    an older version have none written down: they take the first free ones. Of several with the same place, a completed
    one holds it, and otherwise the first.
    """
    held: dict[int, FrozenTrial] = {}
    older: list[FrozenTrial] = []
    for trial in sorted(trials, key=lambda one: one.number):
        completed, attributes = _is_completed(trial), trial.user_attrs
        if trial.state.is_finished() and not completed and FAILURE not in attributes:
            continue  # it was interrupted: its settings are drawn again
        draw = attributes.get(FOUND, attributes).get(DRAW)  # what was found has a checksum
        if draw is None:
            older += [trial] if trial.state.is_finished() else []
        elif draw not in held or (completed and not _is_completed(held[draw])):
            held[int(draw)] = trial
    free = (place for place in count() if place not in held)
    return dict(sorted((held | dict(zip(free, older, strict=False))).items()))


def _is_completed(trial: "FrozenTrial") -> bool:
    import optuna

    return trial.state == optuna.trial.TrialState.COMPLETE


def _get_holding_states() -> tuple[Any, ...]:
    import optuna

    return (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)


def check_study(study: "Study", plan: SearchPlan) -> None:
    """Refuse a study that lacks the result of one of its trials."""
    import optuna

    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    if sorted(numbers) != [*range(len(numbers))]:
        raise ValueError(f"{study.study_name} has no trial {min({*range(len(numbers) + 1)} - {*numbers})}")
    for trial in list_trials_in_state(study, optuna.trial.TrialState.COMPLETE):
        kept = _parse_result(trial, trial.number)
        parts = plan.user_parts if plan.user_parts > 1 else 0
        complete = not {*plan.metrics} - {*kept.base} and len(kept.parts) == len(kept.base_parts) == parts
        if [kept.values[one.metric] for one in plan.goals] != trial.values or not complete:
            raise ValueError(f"the values of trial {trial.number} do not agree with what it found")
    number_draws(study.get_trials(deepcopy=False))  # places that are no numbers are refused


def list_trials_in_state(study: "Study", *states: Any) -> list["FrozenTrial"]:
    """Return the trials of a study that are in one of these states, by number."""
    return sorted(study.get_trials(deepcopy=False, states=states), key=lambda trial: trial.number)


def _parse_result(trial: "FrozenTrial", number: int) -> TrialResult:
    if FOUND not in trial.user_attrs:
        raise ValueError(f"trial {trial.number} does not say what it found")
    kept = dict(trial.user_attrs[FOUND])
    crc = kept.pop("crc", None)
    if crc is not None and crc != _checksum_result(trial.params, kept):
        raise ValueError(f"what trial {trial.number} found was changed")
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    parts = kept.get("parts", ()), kept.get("base_parts", ())
    return TrialResult(number, trial.params, kept["values"], kept["base"], kept["feasible"], seconds, *parts)


def _checksum_result(settings: Mapping[str, Value], kept: Mapping[str, Any]) -> int:
    """Return the CRC-32 of a trial's result: a database does not notice a changed digit by itself."""
    return zlib.crc32(json.dumps([settings, kept], sort_keys=True).encode())
