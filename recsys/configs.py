"""Configs of benchmarks: TOML files, checked, with every default filled in."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recsys import metrics, models
from recsys.data.settings import TableSettings
from recsys.reranking import blends, guards
from recsys.reranking.orders import Order, check_order
from recsys.scores.intervals import MAX_BOOTSTRAP, check_bootstrap_memory
from recsys.scores.metric_names import resolve_metrics
from recsys.splits.cross_fitting import MAX_HALVINGS
from recsys.support.provenance import hash_own_modules
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml, read_toml
from recsys.types import Guard, Model, RecsysError, make_unknown_name_error
from recsys.types.names import check_file_name, check_name
from recsys.types.numbers import check_number, convert_to_float, convert_to_plain_data

Weight = float | list[float]
TABLE_SETTINGS = tuple(TableSettings.__dataclass_fields__)  # settings of a table of one's own


class Section(BaseModel):
    """A table of the file: frozen; a key it does not know is an error, and so is text, true or NaN for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSection(Section):
    """Which data: the name of a card, or the path of a table (from the config file's folder); absent beside data=."""

    name: str | None = None  # of a public dataset: `recsys data list` names them
    path: str | None = None  # of a table of one's own, from the folder of the file
    items: str | None = None  # path of a table of the catalogue, for a table of one's own
    columns: dict[str, str | int] = Field(default_factory=dict)  # our name -> the table's, or a position from 0
    item_columns: dict[str, str | int] = Field(default_factory=dict)  # the same for the table of the catalogue
    events: dict[str, float] | None = None  # event -> weight of its rows, for such a table; others are left out
    in_memory: str | None = None  # instead: what a dataset was called that was given as data=
    fingerprint: str | None = None  # of the data: other data is refused
    header: bool | None = None  # whether the first line holds names; this and what follows is found out where absent
    delimiter: str | None = None  # between cells; " " is any run of blanks
    quotes: bool | None = None  # whether " encloses cells
    decimal: Literal[".", ","] | None = None  # the decimal mark
    time_unit: str | None = None  # s, ms, us, ns, days, year, yyyymm, yyyymmdd, yyyymmddhhmm or yyyymmddhhmmss
    time_format: str | None = None  # such as "%d/%m/%Y"
    lists: bool | None = None  # whether each line is a user and its items

    @property
    def table_settings(self) -> dict[str, Any]:
        """The settings of the table's format that are given: keywords of `recsys.read_dataset`."""
        return {name: value for name in TABLE_SETTINGS if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _check_one_source(self) -> "DataSection":
        given = [where for where in ("name", "path", "in_memory") if getattr(self, where) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither name nor path"
            raise ValueError(f"has {found}, expected one of name, path and in_memory")
        of_tables = [key for key in ("items", "columns", "item_columns", "events") if getattr(self, key)]
        of_tables += self.table_settings
        if self.path is None and of_tables:
            raise ValueError(f"has {', '.join(of_tables)} beside {given[0]}: expected a path with them")
        TableSettings(**self.table_settings)
        return self


class FilterSection(Section):
    """The rows that are used, the rule of positives, and how many a user and an item must have (iterated k-core)."""

    positive: str | None = None  # such as "rating >= 4", or by the table's own name; every row where absent
    sources: list[str] | None = Field(None, min_length=1)  # whose rows are used, where the table has a source
    min_user_interactions: int = Field(0, ge=0)  # positives that a user must have to stay
    min_item_interactions: int = Field(0, ge=0)  # positives that an item must have to stay


class SplitSection(Section):
    """How positives become train, validation and test."""

    kind: Literal["global_time", "per_user_time", "leave_last", "random"] = "per_user_time"  # a function of `splits`
    validation: float = Field(0.1, ge=0)  # share of each user's positives, or of all; for `leave_last` how many
    test: float = Field(0.2, gt=0)  # the same, for test
    cold_items: Literal["drop", "keep"] = "drop"  # test items without a training positive


class ModelSection(BaseModel):
    """A model: its kind, and the settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str  # name of the model, such as `als`; its settings stand beside it

    def build_model(self, where: str) -> Model:
        """Return the model.

        Raises:
            RecsysError: for an unknown kind or setting, or a value of the wrong type.
        """
        make = models.registry.find_model(self.kind)
        known = {field.name: field for field in fields(cast(Any, make))}
        settings = self.model_extra or {}
        for name, value in settings.items():
            if name not in known:
                raise make_unknown_name_error("setting", name, known, where=f"{where} {self.kind}")
            default = known[name].default
            if convert_to_float(default) is not None:
                check_number(f"{where}: {name}", value, -math.inf)
        return cast(Model, make(**settings))


class PoolSection(Section):
    """The number of candidates, whether met items may be among them, and the share for untouched regions."""

    n: int = Field(200, ge=1)  # candidates of each user
    exclude_seen: bool = True  # whether what a user met, liked or not, is no candidate
    exploration_share: float = Field(0.0, ge=0, le=1)  # the share that is kept for regions the user never touched


class SlateSection(Section):
    """The slate lengths that are judged, how gains are scaled, and how the picks of blends are drawn and ordered."""

    k: list[int] = Field(default=[5, 10, 20], min_length=1)  # slate lengths; 10 is the headline, or the first
    scale: Literal["fitted", "none"] = "fitted"  # whether gains are divided by their spread within the pool
    order: Order = "gain"  # how the picks of blends stand: as picked, or as in the pool
    temperature: float = Field(0.0, ge=0)  # of the softmax over gains; 0 picks the largest
    epsilon: float = Field(0.0, ge=0, le=1)  # the share of slots that may show any candidate

    @field_validator("k")
    @classmethod
    def _check_lengths(cls, value: list[int]) -> list[int]:
        if min(value) < 1 or len(set(value)) < len(value):
            raise ValueError(f"is {value}, expected different whole numbers of at least 1")
        return value

    @model_validator(mode="after")
    def _check_order(self) -> "SlateSection":
        check_order(self.order, drawn=bool(self.temperature or self.epsilon))
        return self


class EvaluationSection(Section):
    """The part of the split to evaluate on, the metrics, and how users are halved and drawn."""

    split: Literal["test", "validation"] = "test"  # which part of the split holds what is to be found
    metrics: list[str] = Field(default_factory=lambda: list(metrics.STANDARD))  # by name
    n_bootstrap: int = Field(1000, ge=100, le=MAX_BOOTSTRAP)  # draws of users behind each interval
    halvings: int = Field(3, ge=0, le=MAX_HALVINGS)  # random halvings of the users, of which one half judges; 0: none

    @field_validator("metrics")
    @classmethod
    def _check_metric_names(cls, value: list[str]) -> list[str]:
        for name in value:
            if ":" not in name and name.partition("@")[0] not in metrics.__all__:
                raise make_unknown_name_error("metric", name, metrics.__all__)
        return value


class Config(Section):
    """A whole benchmark."""

    name: str = "bench"  # of the run folder
    seed: int = Field(0, ge=0, lt=2**63)  # of everything that is drawn
    data: DataSection
    filter: FilterSection = FilterSection()
    split: SplitSection = SplitSection()
    model: ModelSection = ModelSection(kind="als")
    # runs that know nothing of the user, or of the order
    baselines: list[Literal["most_popular", "random", "random_rerank"]] = ["most_popular", "random", "random_rerank"]
    models: dict[str, ModelSection] = Field(default_factory=dict)  # further models by name, each with its own pool
    pool: PoolSection = PoolSection()
    slate: SlateSection = SlateSection()
    evaluation: EvaluationSection = EvaluationSection()
    guards: dict[str, Any] = Field(default_factory=dict)  # of every run: settings by a guard's name, or lists of them
    blends: dict[str, dict[str, Any]] = Field(default_factory=dict)  # re-rankings by name: weights of objectives

    @model_validator(mode="after")
    def _check_names(self) -> "Config":
        check_file_name("name", self.name)
        for section, names in (("models", self.models), ("blends", self.blends)):
            for name in names:
                check_name(f"[{section}]: a name", name)
        return self

    @model_validator(mode="after")
    def _check_consistency(self) -> "Config":
        if max(self.slate_lengths) > self.pool.n:
            raise RecsysError(f"[slate] k is {max(self.slate_lengths)}, expected at most [pool] n = {self.pool.n}")
        self.model.build_model("[model]")
        for name, section in self.models.items():
            section.build_model(f"[models.{name}]")
        names = [run.name for run in self.list_runs()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RecsysError(f"two runs are called '{twice[0]}', expected different names")
        for run in self.list_runs():
            if run.blend is not None:
                _check_blend(run)
        check_bootstrap_memory(
            "[evaluation] n_bootstrap",
            self.evaluation.n_bootstrap,
            len(names) * len(resolve_metrics(self.evaluation.metrics, self.slate.k)),
        )
        pinned = any(guard.name == "pin" for guard in self.build_guards())
        check_order(self.slate.order, "[slate] ", pinned=pinned)
        return self

    def build_guards(self) -> list[Guard]:
        """Return the guards of every run."""
        try:
            return guards.parse_guards(self.guards)
        except RecsysError as error:
            raise RecsysError(f"[guards] {error}") from None

    def list_runs(self) -> list["RunSpec"]:
        """Return every run: controls, models, the base, and each blend at each of its weights."""
        alone = [c for c in self.baselines if c not in ("random_rerank", self.base_name)]
        specs = [RunSpec(c, "control", c, model=ModelSection(kind=c)) for c in alone]
        if "random_rerank" in self.baselines:
            specs.append(RunSpec("random_rerank", "control", "random_rerank", blend={"noise": 1.0}))
        specs.append(RunSpec(self.base_name, "base", self.base_name, blend={"relevance": 1.0}))
        specs += [RunSpec(name, "model", name, model=section) for name, section in self.models.items()]
        for name, blend in self.blends.items():
            if name != self.base_name or set(blend) != {"relevance"}:  # the base may be written out
                specs += _expand_weight_list(name, blend)
        return specs

    @property
    def base_name(self) -> str:
        """The name of the base run: the model's pool in its own order."""
        return self.model.kind

    @property
    def slate_lengths(self) -> list[int]:
        """Every slate length that is judged: those of [slate] k, and of metrics such as "ndcg@3"."""
        return sorted({*self.slate.k, *(want.k for want in resolve_metrics(self.evaluation.metrics, self.slate.k))})

    def get_pick_settings(self, run: "RunSpec") -> dict[str, Any]:
        """Return how the picks of a run are drawn and ordered: only those of blends are, the base stays the pool."""
        of = self.slate if run.kind == "blend" else SlateSection()
        return {name: getattr(of, name) for name in ("order", "temperature", "epsilon")}

    @property
    def headline_k(self) -> int:
        """The slate length of the headline: 10 where it is judged, else the first."""
        return 10 if 10 in self.slate.k else self.slate.k[0]

    def compute_digest(self) -> str:
        """Return ten characters that name the resolved settings, whatever the config is called, and the source of code
        of one's own that they name.
        """
        own = hash_own_modules(self.list_own_code())
        text = json.dumps({**self.model_dump(exclude={"name"}), **({"own": own} if own else {})}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def list_own_code(self) -> list[str]:
        """Return the objectives, guards and metrics that are code of one's own: "package.module:function"."""
        named = [*(name for blend in self.blends.values() for name in blend), *self.guards, *self.evaluation.metrics]
        return [name for name in named if ":" in name]

    def dump_settings(self) -> dict[str, Any]:
        """Return every setting, defaults filled in, ready to be written as TOML."""
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True)
class RunSpec:
    """One row of the results: a model judged by its own pool, or a blend over the base's pool."""

    name: str
    kind: Literal["control", "model", "base", "blend"]
    family: str  # the blend's name without its weight
    weight: float | None = None
    model: ModelSection | None = None
    pool: PoolSection | None = None
    blend: Mapping[str, Any] | None = None


def read_config(path: str | Path, data: Mapping[str, Any] | None = None) -> Config:
    """Return the config in a TOML file; the name of a shipped one ("ml-100k") does too. `data` is [data] without one.

    Raises:
        RecsysError: if there is no such file, it is no TOML, or it says something that cannot be.
    """
    shipped = find_shipped_folder("configs")
    file = find_toml(path, shipped)
    content = read_toml(file, f"config {file}", shipped)
    told = {} if data is None else {"data": data}
    return parse_config({"name": file.stem, **told, **content}, where=str(file), home=file.resolve().parent)


def parse_config(content: Mapping[str, Any], *, where: str = "config", home: Path | None = None) -> Config:
    """Return the config that nested tables describe; `home` is the folder that paths start from.

    Raises:
        RecsysError: for an unknown key, objective, metric, model or setting, or a value that cannot be.
    """
    try:
        config = Config.model_validate(convert_to_plain_data(content))
    except RecsysError as error:
        raise RecsysError(f"{where}: {error}") from None
    except ValidationError as error:
        raise RecsysError(f"{where}: {describe_first_problem(error, Config)}") from None
    if home is None or config.data.path is None:
        return config
    paths = {key: str(home / value) for key in ("path", "items") if (value := getattr(config.data, key))}
    return config.model_copy(update={"data": config.data.model_copy(update=paths)})


def _expand_weight_list(name: str, blend: Mapping[str, Any]) -> list[RunSpec]:
    """Return one run per weight, where one objective's weight is a list; else one run."""
    lists = [o for o, value in blend.items() if isinstance(_get_weight(value), list)]
    if len(lists) > 1:
        raise RecsysError(f"[blends.{name}]: {' and '.join(lists)} have lists of weights, expected at most one")
    if not lists:
        return [RunSpec(name, "blend", name, blend=dict(blend))]
    varied = blend[lists[0]]
    specs: list[RunSpec] = []
    if not _get_weight(varied):
        raise RecsysError(f"[blends.{name}]: {lists[0]} has an empty list, expected at least one weight")
    for weight in _get_weight(varied):
        check_number(f"[blends.{name}]: a weight of {lists[0]}", weight, -math.inf)
        value = {**varied, "weight": weight} if isinstance(varied, Mapping) else weight
        specs.append(RunSpec(f"{name}-{abs(weight):g}", "blend", name, float(weight), blend={**blend, lists[0]: value}))
    return specs


def _get_weight(value: Any) -> Any:
    return value.get("weight") if isinstance(value, Mapping) else value


def _check_blend(run: RunSpec) -> None:
    try:
        blends.parse_blend(run.blend or {})
    except RecsysError as error:
        raise RecsysError(f"[blends.{run.family}] {error}") from None
