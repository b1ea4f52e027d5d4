"""Configs of benchmarks: TOML files, checked, with every default filled in."""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from recsys import metrics, models, objectives, splits
from recsys.control.topics import read_policy_tables, read_topic_policy, resolve_policy_paths
from recsys.data.readers import list_path_settings, resolve_reader
from recsys.data.settings import TableSettings
from recsys.evidence.like_curves import N_CANDIDATES
from recsys.likelihoods.records import list_feature_names
from recsys.reranking import blends, guards
from recsys.reranking.dials import parse_control
from recsys.reranking.orders import Order, check_order
from recsys.scores.intervals import MAX_BOOTSTRAP, check_bootstrap_memory
from recsys.scores.metric_names import resolve_metrics
from recsys.splits.cross_fitting import MAX_HALVINGS
from recsys.support.config_layers import Layer, join_overrides, merge_tables, read_layers
from recsys.support.moved_paths import find_moved_paths
from recsys.support.provenance import hash_own_modules
from recsys.support.resolver import (
    check_settings,
    list_public,
    list_settings,
    name_extension,
    resolve_extension,
    search_folder,
)
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml
from recsys.types import Dataset, Guard, Model, RecsysError, Split, make_unknown_name_error
from recsys.types.evaluations import DEFAULT_POPULARITY_EXPONENT
from recsys.types.moments import parse_moment
from recsys.types.names import check_file_name, check_name
from recsys.types.numbers import check_number, convert_to_plain_data
from recsys.types.time_weights import SHORT_SHARE, TimeDecay
from recsys.types.topics import TopicPolicy

LIKELIHOOD_RUN = "likelihood"  # the run of the likelihood's order alone
CONTROL_GUARDS = ("frequency_cap", "cool_down")  # guards that [control] may have
KEEP_RUN, REPEAT_RUN = "keep_met", "repeat"  # the runs of [evidence.repeat] compare
RANKERS_OF_REPEATS = ("tifu_knn", "top_frequency")  # models of what was met: their pools keep it
BLEND_GUARDS = "guards"  # the key of a blend's own guards, among its objectives
Weight = float | list[float]
Parsed = TypeVar("Parsed")
# keys that are paths, beside the card of [data] and the settings of a reader
FILE_KEYS = {
    "data": ("path", "items"),
    "shown": ("path",),
    "likelihood": ("items",),
    "filter": ("forget_list",),
    "control": ("topics",),
}
TABLE_SETTINGS = tuple(TableSettings.__dataclass_fields__)  # settings of a table of one's own


class Section(BaseModel):
    """A table of the file: frozen; a key it does not know is an error, and so is text, true or NaN for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSection(BaseModel):
    """Which data: a card, a table, or a reader of one's own; absent beside data=. Paths start from the config's folder.

    Beside a reader, other keys are its settings.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    name: str | None = None  # of a card, or the path of a card's TOML file
    path: str | None = None  # of a table
    reader: str | None = None  # "package.module:function" that returns a Dataset, or a table
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
        if self.reader is not None:
            return self
        given = [where for where in ("name", "path", "in_memory") if getattr(self, where) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither name nor path"
            raise ValueError(f"has {found}, expected one of name, path, reader and in_memory")
        of_tables = [key for key in ("items", "columns", "item_columns", "events") if getattr(self, key)]
        of_tables += self.table_settings
        if self.path is None and of_tables:
            raise ValueError(f"has {', '.join(of_tables)} beside {given[0]}: expected a path with them")
        TableSettings(**self.table_settings)
        return self

    @property
    def reader_settings(self) -> dict[str, Any]:
        """The settings of the reader: every key that is set beside it."""
        said = {
            name: value for name, value in self if name not in ("reader", "fingerprint") and value not in (None, {})
        }
        return said if self.reader is not None else {}

    def check_keys(self) -> None:
        """Refuse a key that there is not, and a reader or settings of it that there are not.

        Raises:
            RecsysError: with the nearest key.
        """
        if self.reader is not None:
            resolve_reader(self.reader, self.reader_settings, "[data] reader")
        for key in self.model_extra or {} if self.reader is None else ():
            raise make_unknown_name_error("key", key, DataSection.model_fields, where="[data]")


class ShownSection(Section):
    """The log of what was shown before, which guards, objectives and metrics read. Its path starts from the config."""

    path: str | None = None  # of a table
    in_memory: str | None = None  # instead: the digest of a log that was given as shown=
    columns: dict[str, str | int] = Field(default_factory=dict)  # our name -> the table's, or a position from 0
    now: int | str | None = None  # when slates are made: seconds since 1970, or ISO 8601; the latest exposure if absent
    header: bool | None = None  # whether the first line holds names; this and what follows is found out where absent
    delimiter: str | None = None  # between cells; " " is any run of blanks
    quotes: bool | None = None  # whether " encloses cells
    decimal: Literal[".", ","] | None = None  # the decimal mark
    time_unit: str | None = None  # as in [data]
    time_format: str | None = None  # such as "%d/%m/%Y"

    @property
    def table_settings(self) -> dict[str, Any]:
        """The settings of the table's format that are given: keywords of `recsys.read_exposures`."""
        names = (name for name in TABLE_SETTINGS if name in ShownSection.model_fields)
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _check_source(self) -> "ShownSection":
        if (self.path is None) == (self.in_memory is None):
            raise ValueError("has both or neither of path and in_memory, expected one of them")
        if self.now is not None:
            parse_moment("now", self.now)
        TableSettings(**self.table_settings)
        return self


class TimeSection(Section):
    """How fast training positives age: one of age a, in days before `now`, weighs 2^(-a / half_life)."""

    # days after which a positive counts half; "validation" chooses among half_lives and none, by the base model's NDCG
    half_life: float | Literal["validation"]
    half_lives: list[float] = Field(default=[7.0, 30.0, 90.0, 365.0], min_length=1)  # days that are tried then
    now: int | str | None = None  # seconds since 1970, or ISO 8601; the latest training positive if absent
    # days of a part of each weight that forgets fast, so that profiles have two speeds; one speed where absent
    short_half_life: float | None = Field(None, gt=0)
    short_share: float = Field(SHORT_SHARE, gt=0, lt=1)  # of a positive of age 0 that is of that part
    short_half_lives: list[float] = []  # days that "validation" tries with each longer half-life
    short_shares: list[float] = Field(default=[0.25, 0.5], min_length=1)  # shares that are tried then

    @field_validator("half_life", mode="before")
    @classmethod
    def _check_half_life(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "validation":
            raise ValueError(f"is {value!r}, expected days above 0, or 'validation'")
        return value

    @model_validator(mode="after")
    def _check_moment(self) -> "TimeSection":
        for days in (self.half_life, *self.half_lives):
            if days != "validation":
                check_number("half_life", days, above=0.0)
        for days in self.short_half_lives:
            check_number("short_half_lives", days, above=0.0)
        for share in self.short_shares:
            check_number("short_shares", share, above=0.0, below=1.0)
        self._check_speeds()
        if self.now is not None:
            parse_moment("now", self.now)
        return self

    @property
    def defaults(self) -> set[str]:
        """The keys of two speeds that say nothing: a config that leaves them out is the same."""
        fields = ((name, one) for name, one in TimeSection.model_fields.items() if name.startswith("short_"))
        return {name for name, one in fields if getattr(self, name) == one.default}

    def _check_speeds(self) -> None:
        chosen = self.half_life == "validation"
        if chosen and self.short_half_life is not None:
            raise ValueError("short_half_life: found one beside half_life = 'validation', expected short_half_lives")
        if not chosen and self.short_half_lives:
            raise ValueError("short_half_lives: found some beside a half_life of days, expected half_life 'validation'")
        if not isinstance(self.half_life, str) and self.short_half_life is not None:
            TimeDecay(self.half_life, None, self.short_half_life, self.short_share)


class FilterSection(Section):
    """The rows that are used, the rule of positives, and how many a user and an item must have (iterated k-core)."""

    positive: str | None = None  # such as "rating >= 4", or by the table's own name; every row where absent
    sources: list[str] | None = Field(None, min_length=1)  # whose rows are used, where the table has a source
    purposes: list[str] | None = Field(None, min_length=1)  # a row is used if it permits each of them
    forget_list: str | None = None  # the file that names rows to leave out (`recsys forget`), from the config's folder
    min_user_interactions: int = Field(0, ge=0)  # positives that a user must have to stay
    min_item_interactions: int = Field(0, ge=0)  # positives that an item must have to stay


class SplitSection(BaseModel):
    """How positives become train, validation and test; other keys are settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    kind: str = "per_user_time"  # a name in `recsys.splits`, or "package.module:function"
    validation: float | None = Field(0.1, ge=0)  # share of each user's positives, or of all; for `leave_last` how many
    test: float | None = Field(0.2, gt=0)  # the same, for test
    cold_items: Literal["drop", "keep"] = "drop"  # test items without a training positive

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, content: Any, info: ValidationInfo) -> Any:
        """Fill in what the kind takes where nothing is said; what is wrong is said by `resolve_split`."""
        if not isinstance(content, Mapping) or not _is_checked(info):
            return content
        try:
            known = cls._list_settings(content.get("kind", cls.model_fields["kind"].default))
        except RecsysError:
            return content
        filled: dict[str, Any] = {"test": None, "validation": None}
        for name, one in known.items():
            shared = cls.model_fields.get(name)
            ours = shared is not None and isinstance(one.default, float)
            filled[name] = shared.default if ours and shared is not None else one.default
        return {**{name: value for name, value in filled.items() if value is not Parameter.empty}, **content}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of this kind, beside the filter's."""
        said = {"test": self.test, "validation": self.validation, **(self.model_extra or {})}
        return {name: value for name, value in said.items() if value is not None}

    def resolve_split(
        self, filtering: "FilterSection", seed: int, topics: TopicPolicy | None = None
    ) -> Callable[[Dataset], Split]:
        """Return the function that splits a dataset as the config says.

        Raises:
            RecsysError: for an unknown kind or setting, or a filter that the kind does not take.
        """
        make, known = _resolve_split(self.kind), self._list_settings(self.kind)
        settings = {name: _fit_number(value, known.get(name)) for name, value in self.settings.items()}
        settings = check_settings("[split]", known, settings, "kind", "cold_items", noun="key")
        taken = list_settings(make, "[split]", n_inputs=1)
        for section, said in (("filter", filtering.model_dump()), ("split", {"cold_items": self.cold_items})):
            for name, value in said.items():
                if name in taken:
                    settings[name] = value
                elif value not in (0, None, "drop"):
                    raise RecsysError(f"[{section}] {name} is {value!r}, and the split {self.kind} does not take it")
        if topics is not None:
            if "topics" not in taken:
                raise RecsysError(f"[control] topics is set, and the split {self.kind} does not take it")
            settings["topics"] = topics
        if "seed" in taken:
            settings["seed"] = seed
        return partial(make, **settings)

    @classmethod
    def _list_settings(cls, kind: str) -> dict[str, Parameter]:
        shared = {*FilterSection.model_fields, "cold_items", "seed", "topics"}
        taken = list_settings(_resolve_split(kind), f"[split] {kind}", n_inputs=1)
        return {name: one for name, one in taken.items() if name not in shared}


class ModelSection(BaseModel):
    """A model: its kind, and the settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str  # name of the model, such as `als`; its settings stand beside it

    def build_model(self, where: str) -> Model:
        """Return the model.

        Raises:
            RecsysError: for an unknown kind or setting, or a value of the wrong type.
        """
        return cast(Model, models.registry.build_model(self.kind, self.model_extra or {}, where))


class PoolSection(Section):
    """The number of candidates, whether met items may be among them, and the share for untouched regions."""

    n: int = Field(200, ge=1)  # candidates of each user
    exclude_seen: bool = True  # whether what a user met, liked or not, is no candidate
    exploration_share: float = Field(0.0, ge=0, le=1)  # the share that is kept for regions the user never touched


class LikelihoodSection(Section):
    """A likelihood that is learned from validation likes: it orders the pool of blends, and is a run of its own."""

    kind: Literal["softmax", "logistic"] = "softmax"  # a choice from each user's list, or calibrated log-odds of a like
    features: list[str] | None = Field(None, min_length=1)  # by name; all that the data allows where absent
    space: Literal["cooccurrence", "factors", "features", "none"] | None = None  # of cosines; factors where there are
    n: int = Field(120, ge=2)  # of each user's best candidates that it is fitted to
    keep_top: int = Field(30, ge=1)  # of these, the best that are all looked at
    sample_share: float = Field(0.25, gt=0, le=1)  # the share of the others that is looked at, with weights
    regularization: float = Field(10.0, gt=0)  # weight of the coefficients' squared length
    n_folds: int = Field(5, ge=2)  # of users, for its accuracy out of fold
    columns: list[str] | None = Field(None, min_length=1)  # numbers of items that are features too, by name
    items: str | None = None  # path of the table that has them: that of [data] where absent; all columns without names

    @field_validator("features")
    @classmethod
    def _check_features(cls, value: list[str] | None) -> list[str] | None:
        for name in value or []:
            if name not in list_feature_names():
                raise make_unknown_name_error("feature", name, list_feature_names())
        return value


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


class ControlSection(Section):
    """Rules: topics that are neither used nor shown, limits of what is shown again, and the dials of a ranker."""

    # objective -> the least and the largest factor by which a request, or a user, may multiply its weight
    dials: dict[str, list[float]] = Field(default_factory=dict)
    topics: str | dict[str, Any] | None = None  # a policy of topics: path of a TOML file, or its tables
    # of every run, on [shown]: exposures of an item, m, within window_days; a list of such limits
    frequency_cap: dict[str, Any] | list[dict[str, Any]] | None = None
    cool_down: dict[str, Any] | None = None  # of every run, on [shown]: days after a dismissal
    fatigue: float | dict[str, Any] | None = None  # in every blend, on [shown]: its weight, or weight and settings
    compare: bool = True  # whether a benchmark makes each run without each rule too, and says what it costs

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_name(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "compare_topics" in content:
            raise ValueError("has compare_topics, expected compare, which holds for every rule")
        return content

    @property
    def guards(self) -> dict[str, Any]:
        """The guards that are rules, as [guards] has them."""
        return {name: value for name in CONTROL_GUARDS if (value := getattr(self, name)) is not None}

    @property
    def defaults(self) -> set[str]:
        """The keys that say nothing: a config that leaves them out is the same."""
        fields = ControlSection.model_fields.items()
        return {name for name, one in fields if name != "dials" and getattr(self, name) == one.default}

    def select_rules(self, objectives: Collection[str]) -> dict[str, Any]:
        """Return the rules as `recsys.Ranker.fit` takes them, those of `objectives`."""
        return {"dials": {name: ends for name, ends in self.dials.items() if name in objectives}}

    def read_topics(self) -> TopicPolicy | None:
        """Return the policy of topics, None where there is none.

        Raises:
            RecsysError: as `recsys.control.topics.read_topic_policy` does.
        """
        return None if self.topics is None else read_topic_policy(self.topics, "[control] topics")


class OneOffsSection(Section):
    """Positives that fit nothing else of their history, and were not bought again: they count less, and are told."""

    share: float = Field(0.02, gt=0, lt=1)  # of the training positives of long enough histories that are flagged
    weight: float = Field(0.1, gt=0, le=1)  # how much a flagged one counts
    n_near: int = Field(3, ge=1)  # of the nearest others of the history that isolation is the distance to
    min_history: int = Field(6, ge=2)  # positives below which a history has none


class GuestRunsSection(Section):
    """Positives in a row that fit none of the rest of their history: they count less, and are told."""

    share: float = Field(0.02, gt=0, lt=1)  # of the histories with a run that are flagged
    weight: float = Field(0.1, gt=0, le=1)  # how much a positive of a flagged run counts
    shortest: int = Field(8, ge=2)  # positives of a run; a history of fewer than twice as many has none
    longest: int = Field(12, ge=2)  # positives of a run
    max_days: float = Field(1.0, gt=0)  # that a run spans at most

    @model_validator(mode="after")
    def _check_lengths(self) -> "GuestRunsSection":
        if self.longest < self.shortest:
            raise ValueError(f"has longest = {self.longest}, expected at least {self.shortest}, as shortest is")
        return self


class RepeatSection(Section):
    """What users buy again: held out beside what is new, and slots for it where the guard `repeat` keeps some."""

    # what takes slots: what was bought, by how often, or by how likely it is to be in the window; or what goes with it
    score: Literal["frequency", "hazard", "complements"] = "frequency"
    share: float = Field(0.1, gt=0, le=1)  # of the slots, that complements take
    window: float = Field(30.0, gt=0)  # days after a purchase in which complements are bought and shown
    min_lift: float = Field(2.0, ge=0)  # of a complement
    by: Literal["lift", "probability"] = "lift"  # which of its complements is shown first
    half_life: float | None = Field(None, gt=0)  # days after which a purchase counts half; all alike where absent
    hold_back_durables: bool = False  # whether what takes longer than the window to be bought again waits until due
    n: int = Field(50, ge=1)  # of each user's items that call for it most, how many are candidates
    compare: bool = True  # whether the base is also judged with the guard, and by a pool that keeps what was met

    @model_validator(mode="after")
    def _check_score(self) -> "RepeatSection":
        if self.score == "hazard" and self.half_life is not None:
            raise ValueError("has a half_life beside score = 'hazard', expected one of them")
        for_complements, others = ("share", "window", "min_lift", "by"), ("half_life", "hold_back_durables")
        for name in others if self.score == "complements" else for_complements:
            if name in self.model_fields_set:
                raise ValueError(f"has {name} beside score = '{self.score}', which does not read it")
        return self


class EvidenceSection(Section):
    """What rows of a history say beyond which items were liked, and how likely each pick is liked."""

    one_offs: OneOffsSection | None = None  # without it all positives count whole
    guest_runs: GuestRunsSection | None = None  # without it runs that fit none of their history count whole
    repeat: RepeatSection | None = None  # without it held-out parts are first purchases alone
    # whether a curve from scores to probabilities of a like is fitted to validation and read on the picks of each run
    like_curve: bool = False
    like_curve_candidates: int = Field(N_CANDIDATES, ge=1)  # best candidates of each user that it is fitted to


class EvaluationSection(Section):
    """The part of the split to evaluate on, the metrics, and how users are halved and drawn."""

    split: Literal["test", "validation"] = "test"  # which part of the split holds what is to be found
    metrics: list[str] = Field(default_factory=lambda: list(metrics.STANDARD))  # by name
    n_bootstrap: int = Field(1000, ge=100, le=MAX_BOOTSTRAP)  # draws of users behind each interval
    halvings: int = Field(3, ge=0, le=MAX_HALVINGS)  # random halvings of the users, of which one half judges; 0: none
    # g of stratified metrics, in which a held-out positive counts popularity^-g
    popularity_exponent: float = Field(DEFAULT_POPULARITY_EXPONENT, ge=0, le=1)

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
    shown: ShownSection | None = None  # without it nothing is known of what was shown before
    filter: FilterSection = FilterSection()
    split: SplitSection = Field(default_factory=SplitSection)
    time: TimeSection | None = None  # without it training positives count alike, whenever they were
    model: ModelSection = ModelSection(kind="als")
    # runs that know nothing of the user, or of the order
    baselines: list[Literal["most_popular", "random", "random_rerank"]] = ["most_popular", "random", "random_rerank"]
    models: dict[str, ModelSection] = Field(default_factory=dict)  # further models by name, each with its own pool
    pool: PoolSection = PoolSection()
    likelihood: LikelihoodSection | None = None  # without it blends start from the model's own scores
    slate: SlateSection = SlateSection()
    evaluation: EvaluationSection = EvaluationSection()
    guards: dict[str, Any] = Field(default_factory=dict)  # of every run: settings by a guard's name, or lists of them
    # re-rankings by name: weights of objectives, and `guards` that this blend alone has
    blends: dict[str, dict[str, Any]] = Field(default_factory=dict)
    evidence: EvidenceSection | None = None  # without it a history says which items were liked, and no more
    control: ControlSection | None = None  # without it requests may turn each dial as they like

    @model_validator(mode="after")
    def _check_names(self, info: ValidationInfo) -> "Config":
        if _is_checked(info):
            self.data.check_keys()
        check_file_name("name", self.name)
        for section, names in (("models", self.models), ("blends", self.blends)):
            for name in names:
                check_name(f"[{section}]: a name", name)
        return self

    @model_validator(mode="after")
    def _check_consistency(self, info: ValidationInfo) -> "Config":
        if not _is_checked(info):
            return self
        if max(self.slate_lengths) > self.pool.n:
            raise RecsysError(f"[slate] k is {max(self.slate_lengths)}, expected at most [pool] n = {self.pool.n}")
        self.split.resolve_split(self.filter, self.seed, self.read_topics())
        if self.likelihood is not None and self.split.validation == 0:
            raise RecsysError("[split] validation is 0, expected a share of likes that [likelihood] is fitted to")
        self._check_like_curve()
        self.model.build_model("[model]")
        for name, section in self.models.items():
            section.build_model(f"[models.{name}]")
        names = [run.name for run in self.list_runs()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RecsysError(f"two runs are called '{twice[0]}', expected different names")
        self._check_rules()
        for run in self.list_runs():
            if run.blend is not None:
                _check_blend(run)
            self._check_exposures(run)
        if self.control is not None:
            parse_control({"dials": self.control.dials}, self.list_objectives(), "[control]")
        check_bootstrap_memory(
            "[evaluation] n_bootstrap",
            self.evaluation.n_bootstrap,
            len(names) * len(resolve_metrics(self.evaluation.metrics, self.slate.k)),
        )
        pinned = any(guard.name == "pin" for run in self.list_runs() for guard in self.build_guards(run))
        check_order(self.slate.order, "[slate] ", pinned=pinned)
        return self

    def _check_like_curve(self) -> None:
        """Refuse a like curve where there is no validation to fit it to, or where it would be judged by that."""
        if self.evidence is None or not self.evidence.like_curve:
            return
        if self.split.validation == 0:
            raise RecsysError(
                "[split] validation is 0, expected a share of likes that [evidence] like_curve is fitted to"
            )
        if self.evaluation.split == "validation":
            raise RecsysError(
                "[evaluation] split is validation, expected test: [evidence] like_curve is fitted to validation"
            )

    def build_guards(self, run: "RunSpec | None" = None) -> list[Guard]:
        """Return the guards of every run, and those that `run` alone has."""
        made = []
        of_run, of_control = {} if run is None else run.guards, {} if self.control is None else self.control.guards
        for where, content in (("[guards]", self.guards), ("[control]", of_control), ("guards", of_run)):
            try:
                made += guards.parse_guards(content)
            except RecsysError as error:
                place = f"[blends.{run.family}] " if where == "guards" and run is not None else ""
                raise RecsysError(f"{place}{where} {error}") from None
        return made

    @property
    def shared_guards(self) -> dict[str, Any]:
        """The settings of the guards of every run: those of [guards], and the rules of [control]."""
        return {**self.guards, **({} if self.control is None else self.control.guards)}

    @property
    def compares_rules(self) -> bool:
        """Whether a benchmark makes each run without each rule too."""
        return self.control is None or self.control.compare

    def _check_rules(self) -> None:
        """Refuse a rule of [control] that is given elsewhere too, or has no run to hold for."""
        rules = {} if self.control is None else self.control.guards
        for run in self.list_runs():
            for place, content in (("[guards]", self.guards), (f"[blends.{run.family}] guards", run.guards)):
                for name in sorted(rules.keys() & content.keys()):
                    raise RecsysError(f"{place} and [control] both have {name}, expected it in one of them")
        try:
            blends.parse_blend({"relevance": 1.0, **self._shared_objectives})
        except RecsysError as error:
            raise RecsysError(f"[control] {error}") from None
        for name, blend in self.blends.items():
            for objective in sorted(self._shared_objectives.keys() & blend.keys()):
                raise RecsysError(f"[blends.{name}] and [control] both have {objective}, expected it in one of them")

    def _check_exposures(self, run: "RunSpec") -> None:
        """Refuse guards and objectives that read what was shown where no log says it."""
        reads = [guard.name for guard in self.build_guards(run) if guard.exposure_limit is not None]
        reads += [name for name in run.blend or {} if name == "fatigue"]
        again = any(guard.name == "repeat" for guard in self.build_guards(run))
        if again and (self.evidence is None or self.evidence.repeat is None):
            raise RecsysError("repeat needs to know what was bought before, expected [evidence.repeat]")
        if reads and self.shown is None:
            raise RecsysError(f"{reads[0]} needs what was shown before, expected [shown] with the path of a log")

    def list_runs(self) -> list["RunSpec"]:
        """Return every run: controls, models, the base, and each blend at each of its weights."""
        alone = [c for c in self.baselines if c not in ("random_rerank", self.base_name)]
        specs = [RunSpec(c, "control", c, model=ModelSection(kind=c)) for c in alone]
        if "random_rerank" in self.baselines:
            specs.append(RunSpec("random_rerank", "control", "random_rerank", blend={"noise": 1.0}))
        if self.evidence is not None and self.evidence.repeat is not None and self.evidence.repeat.compare:
            kept = self.pool.model_copy(update={"exclude_seen": False})
            specs.append(RunSpec(KEEP_RUN, "model", KEEP_RUN, blend={"relevance": 1.0}, pool=kept))
            specs.append(RunSpec(REPEAT_RUN, "model", REPEAT_RUN, blend={"relevance": 1.0}, guards={"repeat": {}}))
        specs.append(RunSpec(self.base_name, "base", self.base_name, blend={"relevance": 1.0}))
        for name, section in self.models.items():
            again = section.kind in RANKERS_OF_REPEATS
            kept_pool = self.pool.model_copy(update={"exclude_seen": False}) if again else None
            specs.append(RunSpec(name, "model", name, model=section, pool=kept_pool))
        if self.likelihood is not None:
            specs.append(RunSpec(LIKELIHOOD_RUN, "model", LIKELIHOOD_RUN, blend={"relevance": 1.0}, by_likelihood=True))
        for name, blend in self.blends.items():
            if name != self.base_name or set(blend) != {"relevance"}:  # the base may be written out
                made = _expand_weight_list(name, {**blend, **self._shared_objectives})
                specs += [replace(run, by_likelihood=self.likelihood is not None) for run in made]
        return specs

    @property
    def _shared_objectives(self) -> dict[str, Any]:
        fatigue = None if self.control is None else self.control.fatigue
        return {} if fatigue is None else {"fatigue": fatigue}

    def read_topics(self) -> TopicPolicy | None:
        """Return the policy of [control] topics, None where there is none."""
        return None if self.control is None else self.control.read_topics()

    def list_objectives(self) -> set[str]:
        """Return the objectives of all runs, by name."""
        return {name for run in self.list_runs() for name in run.blend or ()}

    @property
    def base_name(self) -> str:
        """The name of the base run: the model's pool in its own order."""
        return models.registry.convert_to_config_name(self.model.kind)

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
        """The slate length of the headline: of those that metrics are judged at 10, else the first of [slate] k."""
        asked = [name.partition("@")[2] for name in self.evaluation.metrics]
        if not asked or not all(asked):
            here = self.slate.k
        else:  # each metric names its own k
            judged = {int(k) for k in asked}
            here = [k for k in self.slate.k if k in judged] or sorted(judged)
        return 10 if 10 in here else here[0]

    def compute_digest(self) -> str:
        """Return ten characters that name the resolved settings, whatever the config is called, and the source of code
        of one's own that they name.
        """
        own = hash_own_modules(self.list_own_code())
        optional = ("likelihood", "shown", "control", "time", "evidence")
        absent = {name for name in optional if getattr(self, name) is None}
        without: dict[str, Any] = dict.fromkeys(("name", *absent), True)
        if self.control is not None:
            without["control"] = self.control.defaults
        if self.time is not None:
            without["time"] = self.time.defaults
        text = json.dumps({**self.model_dump(exclude=without), **({"own": own} if own else {})}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def list_own_code(self) -> list[str]:
        """Return every name of the config that is code of one's own: "package.module:function"."""
        named = [*(name for blend in self.blends.values() for name in blend), *self.guards, *self.evaluation.metrics]
        named += [name for run in self.list_runs() for name in run.guards]
        named += [
            *([] if self.data.reader is None else [self.data.reader]),
            self.split.kind,
            self.model.kind,
            *(section.kind for section in self.models.values()),
        ]
        return [name for name in named if ":" in name]

    def dump_settings(self) -> dict[str, Any]:
        """Return every setting, defaults filled in, ready to be written as TOML."""
        without = None if self.control is None else {"control": self.control.defaults}
        return self.model_dump(exclude=without, exclude_none=True)


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
    by_likelihood: bool = False  # whether its pool has the scores and the order of [likelihood]
    guards: Mapping[str, Any] = field(default_factory=dict)  # those that it has beside [guards]
    time: TimeSection | None = None  # a half-life of its own, in place of that of [time]


def read_config(
    path: str | Path,
    data: Mapping[str, Any] | None = None,
    *,
    shown: Mapping[str, Any] | None = None,
    check: bool = True,
    overrides: Sequence[Layer] = (),
) -> Config:
    """Return the config in a TOML file; the name of a shipped one ("ml-100k") does too.

    `data` and `shown` are [data] and [shown] where it has none. What the file `extends` stands below it, key by key,
    and `overrides` (`recsys.support.config_layers.parse_override`) stand above it.

    Code of somebody's own that it names is looked for on the import path, and last in the folder of the file. Without
    `check` nothing is imported: enough to read what a finished run was made with.

    Raises:
        RecsysError: if there is no such file, it is no TOML, or it says something that cannot be: with the file or the
            override that says it.
    """
    shipped = find_shipped_folder("configs")
    file = find_toml(path, shipped)
    read = read_layers(file, shipped)
    said = {name for one in read for name in one.content}
    told = {key: of for key, of in (("data", data), ("shown", shown)) if of is not None and key not in said}
    first = Layer(str(file), {**told, "name": file.stem}, Path.cwd())
    if file.name == "config.toml":  # of a run folder, which may have been moved
        read[-1] = read[-1]._replace(content=find_moved_paths(read[-1].content, read[-1].home))
    below = [one._replace(content={key: value for key, value in one.content.items() if key != "name"}) for one in read]
    layers = [first, *below[:-1], read[-1], *overrides]

    def parse(several: Sequence[Layer]) -> Config:
        return _parse_layers(several, file.resolve().parent, check, len(layers) - len(overrides))

    return parse_layers(parse, layers)


def parse_layers(parse: Callable[[Sequence[Layer]], Parsed], layers: Sequence[Layer]) -> Parsed:
    """Return what `parse` makes of all layers; an error names the layer without which it is not there."""
    try:
        return parse(layers)
    except RecsysError as error:
        line = str(error)
    for n in range(1, len(layers)):
        try:
            parse(layers[:n])
        except RecsysError as error:
            if str(error) == line:
                raise RecsysError(f"{layers[n - 1].origin}: {line}") from None
    raise RecsysError(f"{layers[-1].origin}: {line}")


def _parse_layers(layers: Sequence[Layer], home: Path, check: bool, n_files: int) -> Config:
    """Return the config of some layers, of which the first `n_files` are files; its paths start from `home`."""
    with merge_layers(layers, home, check, n_files) as content:
        return _parse_tables(content, home, check)


@contextmanager
def merge_layers(layers: Sequence[Layer], home: Path, check: bool, n_files: int) -> Iterator[dict[str, Any]]:
    """Give the tables of some layers, of which the first `n_files` are files, with paths that start from `home`.

    Meanwhile modules of somebody's own are looked for in the folder of each file, where `check` says so.
    """
    with ExitStack() as stack:
        for one in reversed(layers[1:n_files] if check else ()):
            stack.enter_context(search_folder(one.home))
        content: dict[str, Any] = {}
        for one in layers[:n_files]:
            content = merge_tables(content, one.content if one.home == home else _resolve_paths(one, content, check))
        above = join_overrides(layers[n_files:])
        if above:
            changed = Layer("", above, layers[-1].home)
            content = merge_tables(content, _resolve_paths(changed, content, check))
        yield content


def _resolve_paths(layer: Layer, below: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Return the tables of a layer with its paths starting from its own folder; `below` are those that it changes."""
    made = dict(layer.content)
    data = made.get("data")
    reader = merge_tables(below, made).get("data", {}).get("reader") if isinstance(data, Mapping) else None
    of_reader = list_path_settings(reader, "[data] reader") if check and isinstance(reader, str) else []
    for section, keys in {**FILE_KEYS, "data": (*FILE_KEYS["data"], *of_reader)}.items():
        table = made.get(section)
        if isinstance(table, Mapping):
            paths = {key: str(layer.home / table[key]) for key in keys if isinstance(table.get(key), str)}
            if section == "data" and isinstance(table.get("name"), str) and table["name"].endswith(".toml"):
                paths["name"] = str(layer.home / table["name"])
            made[section] = {**table, **paths}
    topics = made["control"].get("topics") if isinstance(made.get("control"), Mapping) else None
    if isinstance(topics, Mapping):
        made["control"] = {**made["control"], "topics": resolve_policy_paths(topics, layer.home)}
    return made


def parse_config(
    content: Mapping[str, Any], *, where: str = "config", home: Path | None = None, check: bool = True
) -> Config:
    """Return the config that nested tables describe; `home` is the folder that paths start from.

    Objectives, metrics, models, splits, readers and guards are named, or given themselves. `home` is also the last
    folder that modules of somebody's own are looked for in. Without `check` nothing is imported.

    Raises:
        RecsysError: for an unknown key, objective, metric, model, split, guard or setting, or a value that cannot be.
    """
    try:
        return _parse_tables(content, home, check)
    except RecsysError as error:
        raise RecsysError(f"{where}: {error}") from None


def _parse_tables(content: Mapping[str, Any], home: Path | None, check: bool) -> Config:
    """Return the config of nested tables, its paths starting from `home`; errors do not say where they stand."""
    of_reader: list[str] = []
    try:
        if check:
            content = inline_topics(content, home)
        with search_folder(home if check else None):
            config = Config.model_validate(convert_to_plain_data(_name_extensions(content)), context={"check": check})
            if check and config.data.reader is not None:
                of_reader = list_path_settings(config.data.reader, "[data] reader")
    except ValidationError as error:
        raise RecsysError(describe_first_problem(error, Config)) from None
    if home is None:
        return config
    card = config.data.name is not None and config.data.name.endswith(".toml")
    keys = {"path", "items", *(("name",) if card else ()), *of_reader}
    paths = {key: str(home / value) for key in keys if (value := getattr(config.data, key, None))}
    changed: dict[str, Any] = {"data": config.data.model_copy(update=paths)}
    if config.shown is not None and config.shown.path is not None:
        changed["shown"] = config.shown.model_copy(update={"path": str(home / config.shown.path)})
    if config.likelihood is not None and config.likelihood.items is not None:
        changed["likelihood"] = config.likelihood.model_copy(update={"items": str(home / config.likelihood.items)})
    if config.filter.forget_list is not None:
        changed["filter"] = config.filter.model_copy(update={"forget_list": str(home / config.filter.forget_list)})
    return config.model_copy(update=changed)


def inline_topics(content: Mapping[str, Any], home: Path | None) -> Mapping[str, Any]:
    """Return tables with the policy of [control] topics in them, in place of the path of its file."""
    control = content.get("control")
    if not isinstance(control, Mapping) or not isinstance(control.get("topics"), str | Path | Mapping):
        return content
    topics, home = control["topics"], home or Path()
    if isinstance(topics, Mapping):
        return {**content, "control": {**control, "topics": resolve_policy_paths(topics, home)}}
    return {**content, "control": {**control, "topics": read_policy_tables(home / topics, "[control] topics")}}


def _resolve_split(kind: str) -> Callable[..., Split]:
    found: Callable[..., Split] = resolve_extension("split", kind, list_public(splits), where="[split] kind")
    if next(iter(list_settings(found, f"[split] kind: '{kind}'")), "") == "pairs":
        raise RecsysError(f"[split] kind: '{kind}' is a rule, expected the split that recsys.splits.define_split makes")
    return found


def _fit_number(value: Any, known: Parameter | None) -> Any:
    """Return 1.0 as 1 where a whole number is expected: TOML's readers tell the two apart."""
    whole = known is not None and isinstance(known.default, int) and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _is_checked(info: ValidationInfo) -> bool:
    """Return whether names are resolved: False for the config of a finished run that is only read."""
    return not isinstance(info.context, Mapping) or bool(info.context.get("check", True))


def _name_extensions(content: Any) -> Any:
    """Return nested tables with every function and class as the name that a file would have for it."""
    if isinstance(content, Mapping):
        return {_name_extensions(key): _name_extensions(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_name_extensions(value) for value in content]
    if callable(content):
        registries = [*map(list_public, (objectives, metrics, splits, guards)), models.registry.list_models()]
        known = next((names for names in registries if any(one is content for one in names.values())), {})
        return name_extension(content, known, importable=True)
    return content


def _expand_weight_list(name: str, blend: Mapping[str, Any]) -> list[RunSpec]:
    """Return one run per weight, where one objective's weight is a list; else one run."""
    limits = blend.get(BLEND_GUARDS, {})
    if not isinstance(limits, Mapping):
        raise RecsysError(f"[blends.{name}] {BLEND_GUARDS} is {limits!r}, expected a table as [guards]")
    if limits:
        runs = _expand_weight_list(name, {key: value for key, value in blend.items() if key != BLEND_GUARDS})
        return [replace(run, guards=limits) for run in runs]
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
