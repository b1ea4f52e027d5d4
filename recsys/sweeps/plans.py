"""A sweep file, read: the config that it searches, over what, and what for."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from recsys import configs
from recsys.configs import Config, Section
from recsys.files import is_at
from recsys.provenance import own_modules
from recsys.scores.intervals import check_draws
from recsys.scores.names import wanted
from recsys.shipped import folder
from recsys.sweeps.goals import Bound, Goal, bound, goal
from recsys.sweeps.ranges import Range, Value, fill, find
from recsys.types import RecsysError
from recsys.types.names import check_file_name
from recsys.types.numbers import share

MOST = 5  # goals
SEARCHED = ("model", "pool", "slate", "blends")  # sections that change what is shown, not how it is measured


class SweepSection(Section):
    """[sweep]: what the search is after, and how it goes about it."""

    maximize: list[str] = Field(default_factory=list)
    minimize: list[str] = Field(default_factory=list)
    constraints: list[str] = Field(default_factory=list)  # such as "ndcg@10 >= 98 % of base"
    accuracy: str = "ndcg"  # what is spent: the metric whose loss against the base buys the rest
    spend: str | float = "2%"  # how much of it may be spent, at most
    trials: int = Field(100, ge=1)  # of each blend, in all: a second start goes on to it
    seed: int = Field(0, ge=0, lt=2**63)
    sampler: Literal["tpe", "nsga2", "qmc", "random"] = "tpe"
    max_failures: int = Field(100, ge=0)  # of each blend in one start: with more trials that fail, the search ends
    storage: str | None = Field(
        None, repr=False
    )  # a .journal or .db file, or the URL of a database; beside the results where absent
    front: int = Field(20, ge=1)  # of each blend: the most points of its front that are judged on test


@dataclass(frozen=True)
class Method:
    """One thing that is searched: a blend, or (where there is none) the model; its ranges and its settings."""

    name: str
    tables: Mapping[str, Any]  # the config with this blend alone; a range where a number would be
    ranges: tuple[Range, ...]

    def config(self, values: Mapping[str, Value], on: str = "validation") -> Config:
        """Return the config of one trial."""
        filled = fill(self.tables, values)
        return configs.parse({**filled, "judge": {**filled.get("judge", {}), "on": on}}, where="sweep")


@dataclass(frozen=True)
class Plan:
    """A whole sweep."""

    name: str
    base_tables: Mapping[str, Any]  # the config that everything is held against, without blends
    methods: tuple[Method, ...]
    goals: tuple[Goal, ...]
    bounds: tuple[Bound, ...]
    accuracy: Goal
    spend: float  # a share of the base's accuracy
    settings: SweepSection

    @property
    def metrics(self) -> list[str]:
        """Every metric that a trial is asked for."""
        goals, bounds = [one.metric for one in self.goals], [one.metric for one in self.bounds]
        return list(dict.fromkeys([self.accuracy.metric, *goals, *bounds]))

    @property
    def weighed(self) -> tuple[Goal, ...]:
        """What a front is made of: the goals, and accuracy where it is none of them."""
        return self.goals if len(self.gains) < len(self.goals) else (*self.goals, self.accuracy)

    def base(self, on: str = "validation") -> Config:
        """Return the config of the base: the extended one's model and pool in their own order."""
        tables = {**self.base_tables, "judge": {**self.base_tables.get("judge", {}), "on": on}}
        return configs.parse(tables, where="sweep")

    @property
    def gains(self) -> tuple[Goal, ...]:
        """What is bought: the goals other than accuracy."""
        return tuple(one for one in self.goals if one.metric != self.accuracy.metric)

    def digest(self) -> str:
        """Return ten characters that name the search and its code of one's own, however many trials it is to have."""
        kept = self.settings.model_dump(exclude={"trials", "max_failures", "storage", "spend", "front"})
        made = [kept, [(one.name, one.tables) for one in self.methods]]
        objectives = [name for one in self.methods for blend in one.tables.get("blends", {}).values() for name in blend]
        own = own_modules([*objectives, *self.base_tables.get("guards", {}), *self.metrics])
        return hashlib.sha256(json.dumps([*made, own] if own else made, sort_keys=True).encode()).hexdigest()[:10]


def read(path: str | Path, data: Mapping[str, Any] | None = None, **changes: Any) -> Plan:
    """Return the sweep in a TOML file, or the shipped one of that name; `changes` go before what [sweep] says.

    `data` is the [data] of the config that it extends, where that has none.

    Raises:
        RecsysError: if there is no such file, or it says something that cannot be.
    """
    file, shipped = Path(path), folder("configs") / "sweeps" / f"{path}.toml"
    file = shipped if is_at(shipped) and not is_at(file) else file
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        there = [str(one) for one in file.parent.glob("*.toml")] if is_at(file.parent, Path.is_dir) else []
        close = get_close_matches(
            str(file), [*there, *(one.stem for one in (folder("configs") / "sweeps").glob("*.toml"))], n=1
        )
        near = f", did you mean '{close[0]}'?" if close else ""
        raise RecsysError(f"sweep {file}: {error.strerror}{near}") from None
    except (ValueError, RecursionError) as error:
        raise RecsysError(f"sweep {file}: not TOML: {error}") from None
    try:
        return _plan(content, file, {name: value for name, value in changes.items() if value is not None}, data)
    except RecsysError as error:
        raise RecsysError(f"{file}: {error}") from None


def _plan(content: dict[str, Any], file: Path, changes: Mapping[str, Any], data: Mapping[str, Any] | None) -> Plan:
    check_file_name("the file's name", file.stem)
    for key in ("extends", "sweep"):
        if key not in content:
            said = "the config that is searched" if key == "extends" else "a section that says what the search is after"
            raise RecsysError(f"{key} is missing, expected {said}")
    for key in set(Config.model_fields).difference(("name", "seed", "controls")) & set(content):
        if not isinstance(content[key], Mapping):
            raise RecsysError(f"{key} is {str(content[key])[:60]!r}, expected a section [{key}]")
    settings = _settings(content.pop("sweep"), changes)
    tables = {"name": file.stem, **_extended(content.pop("extends"), file.parent, data)}
    extended, tables = tables, _laid_over(tables, content)
    methods = _methods(tables, content.get("blends", {}))
    searched = {one.path[0] for method in methods for one in method.ranges}
    kept = {key: extended[key] for key in ("model", "pool", "slate") if key in searched and key in extended}
    if "slate" in kept:
        kept["slate"] = {**kept["slate"], "k": tables["slate"]["k"]}
    base_tables = {key: value for key, value in tables.items() if key != "blends"} | kept
    base = configs.parse(base_tables, where="sweep")
    if not base.split.validation:
        raise RecsysError("[split] validation is 0, expected a share of the data to choose on")
    goals = [goal(name, base.headline, True) for name in settings.maximize]
    goals += [goal(name, base.headline, False) for name in settings.minimize]
    accuracy = goal(settings.accuracy, base.headline, True)
    goals = goals or [accuracy, goal("discovery", base.headline, True)]
    bounds = tuple(bound(text, base.headline) for text in settings.constraints)
    spend = share("spend", settings.spend)
    plan = Plan(file.stem, base_tables, methods, tuple(goals), bounds, accuracy, spend, settings)
    _check(plan)
    return _judging(plan, base)


def _judging(plan: Plan, base: Config) -> Plan:
    """Return the plan with every metric that a trial is asked for among those that are judged on test."""
    there = {f"{want.name}@{want.k}" for want in wanted(base.judge.metrics, base.slate.k)}
    names = [*base.judge.metrics, *(metric for metric in plan.metrics if metric not in there)]

    def judged(tables: Mapping[str, Any]) -> dict[str, Any]:
        return {**tables, "judge": {**tables.get("judge", {}), "metrics": names}}

    methods = tuple(replace(one, tables=judged(one.tables)) for one in plan.methods)
    return replace(plan, base_tables=judged(plan.base_tables), methods=methods)


def _settings(section: Any, changes: Mapping[str, Any]) -> SweepSection:
    if not isinstance(section, Mapping):
        raise RecsysError(f"sweep is {section!r}, expected a section [sweep]")
    try:
        return SweepSection.model_validate({**section, **changes})
    except ValidationError as error:
        raise RecsysError(configs.first_problem(error, SweepSection, "sweep")) from None


def _extended(name: Any, home: Path, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the resolved tables of the config that a sweep file names, without its blends."""
    beside = home / str(name)
    config = configs.read(beside if is_at(beside, Path.is_file) else str(name), data)
    return {key: value for key, value in config.resolved().items() if key not in ("name", "blends")}


def _laid_over(tables: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables with those of the sweep file over them, key by key; a model of another kind replaces."""
    merged = dict(tables)
    for key, value in content.items():
        before = merged.get(key)
        other = isinstance(value, Mapping) and isinstance(before, Mapping) and value.get("kind") not in (
            None, before.get("kind"),
        )  # fmt: skip
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and not other
        merged[key] = _laid_over(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _methods(tables: Mapping[str, Any], blends: Mapping[str, Any]) -> tuple[Method, ...]:
    ranges = list(find(tables))
    for one in ranges:
        if one.path[0] not in SEARCHED or one.path == ("slate", "k"):
            raise RecsysError(
                f"{one.name} has a range, which would change what is measured: expected ranges in [model], [pool], "
                "[slate] and [blends] only"
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


def _corners(method: Method) -> Iterator[dict[str, Value]]:
    """Yield settings at the ends of all ranges, and with each value of each range between them."""
    ends: list[dict[str, Value]] = [{one.name: one.ends[end] for one in method.ranges} for end in (0, 1)]
    yield from ends
    for one in method.ranges:
        yield from ({**end, one.name: value} for end in ends for value in one.values)


def _possible(method: Method) -> list[Config]:
    """Return the configs at the corners of a method's ranges that are configs at all.

    A trial that lands elsewhere fails, and the search goes on; where there is no such config, it would have no trial.

    Raises:
        RecsysError: if there are none.
    """
    made, refused = [], []
    for values in _corners(method):
        try:
            made.append(method.config(values))
        except RecsysError as error:
            refused.append(error)
    if not made:
        raise refused[0]
    return made


def _check(plan: Plan) -> None:
    """Refuse a search that cannot have a trial, before anything is computed."""
    metrics = [one.metric for one in plan.goals]
    twice = sorted({metric for metric in metrics if metrics.count(metric) > 1})
    if twice:
        raise RecsysError(f"[sweep] {twice[0]} is a goal twice, expected it once")
    if Goal(plan.accuracy.metric, maximize=False) in plan.goals:
        raise RecsysError(f"[sweep] accuracy {plan.accuracy.metric} is minimized, expected it among what is maximized")
    if len(plan.weighed) > MOST:
        raise RecsysError(
            f"[sweep] found {len(plan.weighed)} goals with accuracy, expected at most {MOST}: with more, nearly every "
            "trial is on the front, and the volume that it dominates takes hours"
        )
    judged = plan.base()
    points = sum(min(plan.settings.front, plan.settings.trials) for _ in plan.methods)
    values = len(wanted(judged.judge.metrics, judged.slate.k)) * (len(judged.runs()) + points)
    check_draws("[judge] draws", judged.judge.draws, values)
    longest = max(int(metric.partition("@")[2]) for metric in plan.metrics)
    for method in plan.methods:
        configs = _possible(method)
        if sum(one.kind == "blend" for one in configs[0].runs()) > 1:
            raise RecsysError(f"[blends.{method.name}] has a list of weights, expected a number or a range")
        n = max(config.pool.n for config in configs)
        if longest > n:
            raise RecsysError(f"[sweep] a metric at k = {longest}, expected at most [pool] n = {n}")
