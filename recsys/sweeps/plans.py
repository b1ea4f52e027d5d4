"""Sweep files, parsed: the config that is searched, the ranges, and the goals."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator

from recsys import configs
from recsys.configs import Config, Section
from recsys.metrics import ACCURACY_AXES
from recsys.scores.intervals import check_bootstrap_memory
from recsys.scores.metric_names import resolve_metrics
from recsys.support.config_layers import Layer, find_extended, join_overrides, merge_tables
from recsys.support.provenance import hash_own_modules
from recsys.support.resolver import search_folder
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml, read_toml
from recsys.sweeps.goals import Constraint, Goal, parse_constraint, parse_goal
from recsys.sweeps.search_space import Range, Value, fill_ranges, find_ranges
from recsys.types import RecsysError
from recsys.types.names import check_file_name
from recsys.types.numbers import convert_to_plain_data, parse_share

P = TypeVar("P")
MAX_GOALS = 5  # goals
OWN_CODE_KEYS = (("model", "kind"), ("split", "kind"), ("data", "reader"))  # which may name code of one's own
SEARCHABLE_SECTIONS = ("model", "pool", "slate", "blends")  # sections that change what is shown, not how it is measured
HALF_LIFE = ("time", "half_life")  # which changes models, and no judge


class SweepSection(Section):
    """[sweep]: the goals of the search, and how it runs."""

    maximize: list[str] = Field(default_factory=list)
    minimize: list[str] = Field(default_factory=list)
    constraints: list[str] = Field(default_factory=list)  # such as "ndcg@10 >= 98 % of base"
    # what is spent: the metrics whose loss against the base buys the rest; the first is the one on the page's axes
    accuracy: list[str] = Field(default_factory=lambda: list(ACCURACY_AXES))
    accuracy_budget: str | float = "2%"  # how much of each of them may be spent, at most
    trials: int = Field(100, ge=1)  # of each blend, in all: a second start goes on to it
    seed: int = Field(0, ge=0, lt=2**63)
    sampler: Literal["tpe", "nsga2", "qmc", "random"] = "tpe"
    max_failures: int = Field(100, ge=0)  # of each blend in one start: with more trials that fail, the search ends
    storage: str | None = Field(
        None, repr=False
    )  # a .journal, .log or .db file, or the URL of a database; beside the results where absent
    front: int = Field(20, ge=1)  # of each blend: the most points of its front that are judged on test

    @field_validator("accuracy", mode="before")
    @classmethod
    def _list_one_metric(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class Method:
    """One thing that is searched: a blend, or (where there is none) the model; its ranges and its settings."""

    name: str
    config_tables: Mapping[str, Any]  # the config with this blend alone; a range where a number would be
    ranges: tuple[Range, ...]

    def trial_config(self, values: Mapping[str, Value], split: str = "validation") -> Config:
        """Return the config of one trial."""
        filled = fill_ranges(self.config_tables, values)
        return configs.parse_config(
            {**filled, "evaluation": {**filled.get("evaluation", {}), "split": split}}, where="sweep"
        )


@dataclass(frozen=True)
class SweepPlan:
    """A whole sweep."""

    name: str
    base_tables: Mapping[str, Any]  # the config that everything is held against, without blends
    methods: tuple[Method, ...]
    goals: tuple[Goal, ...]
    constraints: tuple[Constraint, ...]
    accuracies: tuple[Goal, ...]  # the metrics of accuracy, at least one
    accuracy_budget: float  # a share of the base's value of each of them
    settings: SweepSection
    user_parts: int = 1  # random parts of the users: where there are several, trials are read on each of them too

    @property
    def metrics(self) -> list[str]:
        """Every metric that a trial is asked for."""
        goals, bounds = [one.metric for one in self.goals], [one.metric for one in self.constraints]
        return list(dict.fromkeys([*(one.metric for one in self.accuracies), *goals, *bounds]))

    @property
    def accuracy(self) -> Goal:
        """The first metric of accuracy."""
        return self.accuracies[0]

    @property
    def front_goals(self) -> tuple[Goal, ...]:
        """The goals of a front: those of the sweep and, where accuracy buys something, its metrics beside them."""
        if not self.gain_goals:
            return self.goals
        return (*self.goals, *(one for one in self.accuracies if one not in self.goals))

    def base_config(self, split: str = "validation") -> Config:
        """Return the config of the base: the extended one's model and pool in their own order."""
        tables = {**self.base_tables, "evaluation": {**self.base_tables.get("evaluation", {}), "split": split}}
        return configs.parse_config(tables, where="sweep")

    @property
    def gain_goals(self) -> tuple[Goal, ...]:
        """The goals other than accuracy."""
        spent = {one.metric for one in self.accuracies}
        return tuple(one for one in self.goals if one.metric not in spent)

    def digest(self) -> str:
        """Return ten characters that name the search and its code of one's own, however many trials it is to have."""
        kept = self.settings.model_dump(exclude={"trials", "max_failures", "storage", "accuracy_budget", "front"})
        halvings = self.base_config().evaluation.halvings  # 0 has the name of older searches, which were read so
        made = [
            kept,
            *([{"halvings": halvings}] if halvings else []),
            *([{"user_parts": self.user_parts}] if self.user_parts > 1 else []),
            [(one.name, one.config_tables) for one in self.methods],
        ]
        objectives = [
            name for one in self.methods for blend in one.config_tables.get("blends", {}).values() for name in blend
        ]
        tables = self.base_tables
        kinds = [tables.get(section, {}).get(key) for section, key in OWN_CODE_KEYS]
        kinds += [value for one in self.methods for searched in one.ranges for value in searched.values]
        kinds = [kind for kind in kinds if isinstance(kind, str)]
        own = hash_own_modules([*objectives, *tables.get("guards", {}), *self.metrics, *kinds])
        return hashlib.sha256(json.dumps([*made, own] if own else made, sort_keys=True).encode()).hexdigest()[:10]


def read_sweep(
    path: str | Path, data: Mapping[str, Any] | None = None, *, overrides: Sequence[Layer] = (), **changes: Any
) -> SweepPlan:
    """Return the sweep in a TOML file, or the shipped one of that name; `changes` go before what [sweep] says.

    `data` is the [data] of the config that it extends, where that has none. `overrides` stand above the file, as in
    `recsys.configs.read_config`.

    Raises:
        RecsysError: if there is no such file, or it says something that cannot be.
    """
    said = {name: value for name, value in changes.items() if value is not None}
    return read_search(path, overrides, lambda content, file: _parse_sweep(content, file, said, data))


def read_search(path: str | Path, overrides: Sequence[Layer], parse: Callable[[dict[str, Any], Path], P]) -> P:
    """Return what `parse` makes of a TOML file, or the shipped sweep of that name, with `overrides` above it.

    Raises:
        RecsysError: if there is no such file, or as `parse` does.
    """
    shipped = find_shipped_folder("configs") / "sweeps"
    file = find_toml(path, shipped)
    content = read_toml(file, f"sweep {file}", shipped)

    def parse_merged(layers: Sequence[Layer]) -> P:
        with search_folder(file.resolve().parent):
            return parse(merge_tables(layers[0].content, join_overrides(layers[1:])), file)

    return configs.parse_layers(parse_merged, [Layer(str(file), content, Path.cwd()), *overrides])


def _parse_sweep(
    content: dict[str, Any], file: Path, changes: Mapping[str, Any], data: Mapping[str, Any] | None
) -> SweepPlan:
    name = content.get("name", file.stem)
    check_file_name("name" if "name" in content else "the file's name", name)
    for key in ("extends", "sweep"):
        if key not in content:
            said = "the config that is searched" if key == "extends" else "a section that says what the search is after"
            raise RecsysError(f"{key} is missing, expected {said}")
    for key in set(Config.model_fields).difference(("name", "seed", "baselines")) & set(content):
        if not isinstance(content[key], Mapping):
            raise RecsysError(f"{key} is {str(content[key])[:60]!r}, expected a section [{key}]")
    settings = _parse_sweep_section(content.pop("sweep"), changes)
    tables = {"name": name, **_read_extended_config(content.pop("extends"), file.parent, data)}
    extended, tables = tables, merge_tables(tables, content)
    methods = _build_methods(tables, content.get("blends", {}))
    searched = {one.path[0] for method in methods for one in method.ranges}
    kept = {key: extended[key] for key in ("model", "pool", "slate", "time") if key in searched and key in extended}
    if "slate" in kept:
        kept["slate"] = {**kept["slate"], "k": tables["slate"]["k"]}
    left = {"blends", *({"time"} & searched)}  # the base ages as in the extended config
    base_tables = {key: value for key, value in tables.items() if key not in left} | kept
    base = configs.parse_config(base_tables, where="sweep")
    if base.split.validation == 0:
        raise RecsysError("[split] validation is 0, expected a share of the data to choose on")
    goals = [parse_goal(name, base.headline_k, True) for name in settings.maximize]
    goals += [parse_goal(name, base.headline_k, False) for name in settings.minimize]
    accuracies = tuple(parse_goal(name, base.headline_k, True) for name in settings.accuracy)
    if not accuracies:
        raise RecsysError("[sweep] accuracy is empty, expected at least one metric such as 'ndcg'")
    goals = goals or [accuracies[0], parse_goal("discovery", base.headline_k, True)]
    bounds = tuple(parse_constraint(text, base.headline_k) for text in settings.constraints)
    spend = parse_share("accuracy_budget", settings.accuracy_budget)
    plan = SweepPlan(name, base_tables, methods, tuple(goals), bounds, accuracies, spend, settings)
    _check_sweep(plan)
    return _add_goal_metrics(plan, base)


def _add_goal_metrics(plan: SweepPlan, base: Config) -> SweepPlan:
    """Return the plan with every metric that a trial is asked for among those that are judged on test."""
    there = {f"{want.name}@{want.k}" for want in resolve_metrics(base.evaluation.metrics, base.slate.k)}
    names = [*base.evaluation.metrics, *(metric for metric in plan.metrics if metric not in there)]

    def judged(tables: Mapping[str, Any]) -> dict[str, Any]:
        return {**tables, "evaluation": {**tables.get("evaluation", {}), "metrics": names}}

    methods = tuple(replace(one, config_tables=judged(one.config_tables)) for one in plan.methods)
    return replace(plan, base_tables=judged(plan.base_tables), methods=methods)


def _parse_sweep_section(section: Any, changes: Mapping[str, Any]) -> SweepSection:
    if not isinstance(section, Mapping):
        raise RecsysError(f"sweep is {section!r}, expected a section [sweep]")
    try:
        return SweepSection.model_validate(convert_to_plain_data({**section, **changes}))
    except ValidationError as error:
        raise RecsysError(describe_first_problem(error, SweepSection, "sweep")) from None


def _read_extended_config(name: Any, home: Path, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the resolved tables of the config that a sweep file names, without its blends."""
    config = configs.read_config(find_extended(str(name), home, find_shipped_folder("configs")), data)
    return {key: value for key, value in config.dump_settings().items() if key not in ("name", "blends")}


def _build_methods(tables: Mapping[str, Any], blends: Mapping[str, Any]) -> tuple[Method, ...]:
    ranges = list(find_ranges(tables))
    for one in ranges:
        if one.path != HALF_LIFE and (one.path[0] not in SEARCHABLE_SECTIONS or one.path == ("slate", "k")):
            raise RecsysError(
                f"{one.name} has a range, which would change what is measured: expected ranges in [model], [pool], "
                "[slate], [blends] and in half_life of [time] only"
            )
    shared = tuple(one for one in ranges if one.path[0] != "blends")
    if len(blends) > 1 and shared:
        raise RecsysError(
            f"{shared[0].name} has a range beside {len(blends)} blends, which are compared over one pool: expected "
            "ranges in the blends only, or one blend"
        )
    if not ranges:
        raise RecsysError("nothing to search: found no range such as { float = [0.01, 1.0] }")
    if not blends:
        kind = tables["model"]["kind"]
        return (Method(kind if isinstance(kind, str) else "model", tables, shared),)
    methods = []
    for name, blend in blends.items():
        own = tuple(one for one in ranges if one.path[:2] == ("blends", name))
        if not own and not shared:
            raise RecsysError(f"[blends.{name}] has no range, expected one such as {{ float = [0.01, 1.0] }}")
        methods.append(Method(name, {**tables, "blends": {name: blend}}, (*shared, *own)))
    return tuple(methods)


def list_range_corners(ranges: Sequence[Range]) -> Iterator[dict[str, Value]]:
    """Yield settings at the ends of all ranges, and with each value of each range between them."""
    ends: list[dict[str, Value]] = [{one.name: one.ends[end] for one in ranges} for end in (0, 1)]
    yield from ends
    for one in ranges:
        yield from ({**end, one.name: value} for end in ends for value in one.values)


def _build_corner_configs(method: Method) -> list[Config]:
    """Return the configs at the corners of a method's ranges that are configs at all.

    A trial that lands elsewhere fails, and the search goes on; where there is no such config, it would have no trial.

    Raises:
        RecsysError: if there are none.
    """
    made, refused = [], []
    for values in list_range_corners(method.ranges):
        try:
            made.append(method.trial_config(values))
        except RecsysError as error:
            refused.append(error)
    if not made:
        raise refused[0]
    return made


def _check_sweep(plan: SweepPlan) -> None:
    """Refuse a search that cannot have a trial, before anything is computed."""
    metrics = [one.metric for one in plan.goals]
    twice = sorted({metric for metric in metrics if metrics.count(metric) > 1})
    if twice:
        raise RecsysError(f"[sweep] {twice[0]} is a goal twice, expected it once")
    for accuracy in plan.accuracies:
        if plan.accuracies.count(accuracy) > 1:
            raise RecsysError(f"[sweep] accuracy names {accuracy.metric} twice, expected it once")
        if Goal(accuracy.metric, maximize=False) in plan.goals:
            raise RecsysError(f"[sweep] accuracy {accuracy.metric} is minimized, expected it among what is maximized")
    if len(plan.front_goals) > MAX_GOALS:
        raise RecsysError(
            f"[sweep] found {len(plan.front_goals)} goals with accuracy, expected at most {MAX_GOALS}: "
            "with more, nearly every "
            "trial is on the front, and the volume that it dominates takes hours"
        )
    judged = plan.base_config()
    points = sum(min(plan.settings.front, plan.settings.trials) for _ in plan.methods)
    values = len(resolve_metrics(judged.evaluation.metrics, judged.slate.k)) * (len(judged.list_runs()) + points)
    check_bootstrap_memory("[evaluation] n_bootstrap", judged.evaluation.n_bootstrap, values)
    longest = max(int(metric.partition("@")[2]) for metric in plan.metrics)
    for method in plan.methods:
        configs = _build_corner_configs(method)
        if sum(one.kind == "blend" for one in configs[0].list_runs()) > 1:
            raise RecsysError(f"[blends.{method.name}] has a list of weights, expected a number or a range")
        n = max(config.pool.n for config in configs)
        if longest > n:
            raise RecsysError(f"[sweep] a metric at k = {longest}, expected at most [pool] n = {n}")
