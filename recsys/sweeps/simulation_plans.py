"""Sweep files that search policies in a simulation, parsed: the simulation, the ranges and the goals."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from recsys.simulation.measures import MEASURES
from recsys.simulation.plans import (
    KindSection,
    SimulationPlan,
    build_policy,
    list_texts,
    parse_simulation,
    read_simulation,
)
from recsys.simulation.records import Policy
from recsys.support.config_layers import Layer, find_extended, merge_tables
from recsys.support.provenance import hash_own_modules
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml, read_toml
from recsys.sweeps.goals import Constraint, Goal, parse_bound
from recsys.sweeps.plans import MAX_GOALS, SweepSection, list_range_corners, read_search
from recsys.sweeps.search_space import Range, Value, fill_ranges, find_ranges
from recsys.types import RecsysError, check_choice
from recsys.types.names import check_file_name
from recsys.types.numbers import convert_to_plain_data, parse_share

SIMULATION = "simulation"  # the key that names a simulation's file
LAST = "last"  # behind a measure: its value in the last round, not the mean over rounds


class SimulationSweepSection(SweepSection):
    """[sweep] of a search in a simulation."""

    maximize: list[str] = Field(default_factory=lambda: ["true_discovery"])
    accuracy: list[str] = Field(default_factory=lambda: ["welfare"], min_length=1)  # the measures that are spent
    trials: int = Field(30, ge=1)
    front: int = Field(3, ge=0)  # of each method: the most points of its front that are simulated with other seeds
    test_seeds: int = Field(5, ge=1, le=1000)  # populations that nothing was chosen on


@dataclass(frozen=True)
class PolicyMethod:
    """A policy that is searched: its settings with a range where a number would be."""

    name: str
    settings: Mapping[str, Any]
    ranges: tuple[Range, ...]

    def fill(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Return the settings with values in the place of ranges."""
        return fill_ranges(self.settings, values, f"policies.{self.name}.")

    def trial_config(self, values: Mapping[str, Value]) -> Policy:
        """Return the policy of one trial."""
        return build_policy(f"[policies.{self.name}]", KindSection.model_validate(self.fill(values)))


@dataclass(frozen=True, eq=False)
class SimulationSweepPlan:
    """A search of policies in a simulation."""

    name: str
    base_tables: Mapping[str, Any]  # the simulation, with the base as its only policy
    base: SimulationPlan
    methods: tuple[PolicyMethod, ...]
    goals: tuple[Goal, ...]
    constraints: tuple[Constraint, ...]
    accuracies: tuple[Goal, ...]
    accuracy_budget: float
    settings: SimulationSweepSection

    @property
    def metrics(self) -> list[str]:
        """Every measure that a trial is asked for, those in the last round as MEASURE@last."""
        goals, bounds = [one.metric for one in self.goals], [one.metric for one in self.constraints]
        return list(dict.fromkeys([*(one.metric for one in self.accuracies), *goals, *bounds]))

    @property
    def measures(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(metric.partition("@")[0] for metric in self.metrics))

    @property
    def gain_goals(self) -> tuple[Goal, ...]:
        """The goals other than what is spent."""
        spent = {one.metric for one in self.accuracies}
        return tuple(one for one in self.goals if one.metric not in spent)

    @property
    def front_goals(self) -> tuple[Goal, ...]:
        """The goals of a front: those of the sweep and, where something is bought, what is spent beside them."""
        if not self.gain_goals:
            return self.goals
        return (*self.goals, *(one for one in self.accuracies if one not in self.goals))

    @property
    def user_parts(self) -> int:
        """How many seeds trials are read on, each for itself; 1 where there is one, and nothing beside the whole."""
        return self.base.settings.seeds

    @property
    def test_seeds(self) -> range:
        """The seeds that follow those on which is chosen."""
        return range(self.base.seeds.stop, self.base.seeds.stop + self.settings.test_seeds)

    def base_config(self) -> Policy:
        """Return the policy that all are held against."""
        return self.base.policies[self.base.base]

    def digest(self) -> str:
        """Return ten characters that name the search, however many trials it is to have."""
        kept = self.settings.model_dump(
            exclude={"trials", "max_failures", "storage", "accuracy_budget", "front", "test_seeds"}
        )
        texts = [text for one in self.methods for text in list_texts(one.settings)]
        made = [kept, self.base.digest, [(one.name, one.settings) for one in self.methods], hash_own_modules(texts)]
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:10]


def is_simulation_sweep(path: str | Path) -> bool:
    """Return whether a sweep file names a simulation that it searches.

    Raises:
        RecsysError: if there is no such file, or it is no TOML.
    """
    shipped = find_shipped_folder("configs") / "sweeps"
    file = find_toml(path, shipped)
    return SIMULATION in read_toml(file, f"sweep {file}", shipped)


def read_simulation_sweep(path: str | Path, *, overrides: Sequence[Layer] = (), **changes: Any) -> SimulationSweepPlan:
    """Return the search in a TOML file, or the shipped one of that name; `changes` go before what [sweep] says.

    Raises:
        RecsysError: if there is no such file, or it says something that cannot be.
    """
    said = {name: value for name, value in changes.items() if value is not None}
    return read_search(path, overrides, lambda content, file: _parse_sweep(content, file, said))


def _parse_sweep(content: dict[str, Any], file: Path, changes: Mapping[str, Any]) -> SimulationSweepPlan:
    name = content.get("name", file.stem)
    check_file_name("name" if "name" in content else "the file's name", name)
    if "extends" in content:
        raise RecsysError(f"found extends beside {SIMULATION}, expected one of them: a config or a simulation")
    settings = _parse_section(content.pop("sweep", {}), changes)
    searched = content.pop("policies", {})
    home = find_extended(str(content.pop(SIMULATION)), file.parent, find_shipped_folder("configs") / "simulations")
    simulation = read_simulation(home)
    tables = merge_tables(simulation.content, {**content, "name": name})
    policies = tables.pop("policies")
    base_name = tables.get("base") or next(iter(policies))
    check_choice("policy", base_name, policies, where="base")
    for one in find_ranges(tables):
        raise RecsysError(f"{one.name} has a range, which would change what is measured: expected ranges in [policies]")
    base_tables = {**tables, "policies": {base_name: policies[base_name]}}
    base = parse_simulation(base_tables, home=file.resolve().parent)
    methods = _build_methods(searched, policies[base_name], base_name)
    resolve = partial(_resolve_measure_name, tables["measures"])
    goals = [Goal(resolve(name), True) for name in settings.maximize]
    goals += [Goal(resolve(name), False) for name in settings.minimize]
    bounds = tuple(parse_bound(text, resolve, "welfare >= 98 % of base") for text in settings.constraints)
    spent = tuple(Goal(resolve(name), True) for name in settings.accuracy)
    budget = parse_share("accuracy_budget", settings.accuracy_budget)
    plan = SimulationSweepPlan(name, base_tables, base, methods, tuple(goals), bounds, spent, budget, settings)
    _check_goals(plan)
    return plan


def _parse_section(section: Any, changes: Mapping[str, Any]) -> SimulationSweepSection:
    if not isinstance(section, Mapping):
        raise RecsysError(f"sweep is {section!r}, expected a section [sweep]")
    try:
        return SimulationSweepSection.model_validate(convert_to_plain_data({**section, **changes}))
    except ValidationError as error:
        raise RecsysError(describe_first_problem(error, SimulationSweepSection, "sweep")) from None


def _build_methods(searched: Any, base: Mapping[str, Any], base_name: str) -> tuple[PolicyMethod, ...]:
    """Return the policies that are searched: each says what it has otherwise than the base."""
    if not isinstance(searched, Mapping) or not searched:
        raise RecsysError("nothing to search: found no [policies.NAME] with a range such as { float = [0.01, 1.0] }")
    methods = []
    for name, changes in searched.items():
        check_file_name("policy", name)
        if name == base_name:
            raise RecsysError(f"[policies.{name}] is the base, which is not searched: expected another name")
        if not isinstance(changes, Mapping):
            raise RecsysError(f"[policies.{name}] is {changes!r}, expected a section")
        tables = merge_tables(base, changes)
        ranges = tuple(find_ranges(tables, ("policies", name)))
        if not ranges:
            raise RecsysError(f"[policies.{name}] has no range, expected one such as {{ float = [0.01, 1.0] }}")
        methods.append(PolicyMethod(name, tables, ranges))
        _check_corners(methods[-1])
    return tuple(methods)


def _check_corners(method: PolicyMethod) -> None:
    """Refuse ranges of which no end makes a policy; a trial that lands elsewhere fails, and the search goes on."""
    refused: RecsysError | None = None
    for values in list_range_corners(method.ranges):
        try:
            method.trial_config(values)
        except RecsysError as error:
            refused = refused or error
        else:
            return
    if refused is not None:
        raise refused


def _resolve_measure_name(measures: Sequence[str], name: str) -> str:
    """Return MEASURE or MEASURE@last, for a measure that the simulation has."""
    bare, at, place = name.rpartition("@") if name.rpartition("@")[2] == LAST else (name, "", "")
    if "@" in bare:
        raise RecsysError(
            f"[sweep] found '{name}', expected a measure, or one in the last round such as welfare@{LAST}"
        )
    check_choice("measure", bare, dict.fromkeys([*measures, *MEASURES]), where="[sweep]")
    return f"{bare}{at}{place}"


def _check_goals(plan: SimulationSweepPlan) -> None:
    metrics = [one.metric for one in plan.goals]
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise RecsysError(f"[sweep] {metric} is a goal twice, expected it once")
    for one in plan.accuracies:
        if Goal(one.metric, maximize=False) in plan.goals:
            raise RecsysError(f"[sweep] accuracy {one.metric} is minimized, expected it among what is maximized")
    if not plan.goals:
        raise RecsysError("[sweep] has no goal, expected one such as true_discovery in maximize")
    if len(plan.front_goals) > MAX_GOALS:
        raise RecsysError(
            f"[sweep] found {len(plan.front_goals)} goals with accuracy, expected at most {MAX_GOALS}: with more, "
            "nearly every trial is on the front"
        )
