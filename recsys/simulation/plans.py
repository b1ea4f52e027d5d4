"""What a file says of a simulation: a world, policies, rounds and seeds."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recsys import configs
from recsys.configs import Config, Section
from recsys.models import registry
from recsys.reranking.blends import parse_blend
from recsys.reranking.guards import parse_guards
from recsys.simulation.loop import resolve_measure
from recsys.simulation.measures import STANDARD
from recsys.simulation.named_policies import POLICIES
from recsys.simulation.policies import Recommender
from recsys.simulation.records import Policy, World
from recsys.simulation.worlds import WORLDS, Arrivals, Behaviour, TasteFlips
from recsys.simulation.worlds.accepted_ratings import build_rating_world
from recsys.simulation.worlds.enlarging import LEAST_USERS
from recsys.simulation.worlds.fitting import GROUPS, fit_tastes
from recsys.support.config_layers import Layer, read_layers
from recsys.support.provenance import hash_own_modules
from recsys.support.resolver import check_settings, list_settings, resolve_extension
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.names import check_file_name
from recsys.types.numbers import check_int

FITTED = "fitted"  # the kind of world that is fitted to the log of [data]
RATED = "accepted_ratings"  # the kind whose users are those of a log of ratings
_OF_LOG = (FITTED, RATED)
Part = TypeVar("Part", Behaviour, TasteFlips, Arrivals)
_SWITCHES: Mapping[str, Any] = {"flips": TasteFlips, "arrivals": Arrivals}  # tables of [world] beside behaviours
_PARTS = ("blend", "guards", "control", "evidence")  # tables of a recommender beside its model
_OF_DATA = ("data", "filter")  # sections that say which log a world is fitted to


class KindSection(BaseModel):
    """A world or a policy: its kind, and the settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str  # a name, or "package.module:class"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beside the kind."""
        return dict(self.model_extra or {})


class SimulationSettings(Section):
    """The file of a simulation, without the log that a world is fitted to."""

    name: str = "simulation"  # of the run folder
    seed: int = Field(0, ge=0, lt=2**31)  # the first one
    seeds: int = Field(5, ge=1, le=1000)  # how many: populations, each met by every policy
    rounds: int = Field(50, ge=1)
    base: str | None = None  # the policy that others are held against; the first where absent
    world: KindSection
    policies: dict[str, KindSection] = Field(min_length=1)
    measures: list[str] = Field(default=list(STANDARD), min_length=1)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        check_file_name("name", name)
        return name


@dataclass(frozen=True, eq=False)
class SimulationPlan:
    """A simulation as its file says it, checked."""

    settings: SimulationSettings
    policies: Mapping[str, Policy]
    world: World | None  # None: one that is made of the log of `data`
    data: Config | None  # which log
    log_settings: Mapping[str, Any]  # keywords of `fit_tastes` and `users` of `enlarge_fit`, or of `build_rating_world`
    content: Mapping[str, Any]  # the whole file, with every default

    @property
    def base(self) -> str:
        """The policy that others are held against."""
        return self.settings.base or next(iter(self.policies))

    @property
    def seeds(self) -> range:
        """The seeds of the populations."""
        return range(self.settings.seed, self.settings.seed + self.settings.seeds)

    @property
    def own_code(self) -> dict[str, str]:
        """A hash of each module of somebody's own that the file names."""
        of = self.settings
        return hash_own_modules(
            [*of.measures, *list_texts(of.world.model_dump()), *list_texts(self.content["policies"])]
        )

    @property
    def digest(self) -> str:
        """A text that depends on all that results depend on."""
        said = json.dumps([self.content, self.own_code], sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()


def read_simulation(path: str | Path, *, overrides: Sequence[Layer] = ()) -> SimulationPlan:
    """Return the simulation in a TOML file, or the shipped one of that name, with `overrides` above it.

    Raises:
        RecsysError: if there is no such file, it is no TOML, or it says something that cannot be.
    """
    shipped = find_shipped_folder("configs") / "simulations"
    file = find_toml(path, shipped)
    read = read_layers(file, shipped)
    first = Layer(str(file), {"name": file.stem}, Path.cwd())

    home, n_files = file.resolve().parent, len(read) + 1

    def parse(layers: Sequence[Layer]) -> SimulationPlan:
        with configs.merge_layers(layers, home, True, n_files) as content:
            return parse_simulation(content, home=home)

    return configs.parse_layers(parse, [first, *read, *overrides])


def parse_simulation(content: Mapping[str, Any], *, home: Path | None = None) -> SimulationPlan:
    """Return the simulation that nested tables describe; `home` is the folder that paths start from.

    Raises:
        RecsysError: for an unknown key, world, policy, measure or setting (with the nearest name), or a value that
            cannot be.
    """
    own = {key: value for key, value in content.items() if key not in _OF_DATA}
    if isinstance(own.get("policies"), Mapping):
        own["policies"] = {
            name: configs.inline_topics(one, home) if isinstance(one, Mapping) else one
            for name, one in own["policies"].items()
        }
    try:
        settings = SimulationSettings.model_validate(own)
    except ValidationError as error:
        raise RecsysError(describe_first_problem(error, SimulationSettings)) from None
    policies = {name: build_policy(f"[policies.{name}]", one) for name, one in settings.policies.items()}
    if settings.base is not None and settings.base not in policies:
        raise make_unknown_name_error("policy", settings.base, policies, where="base")
    for measure in settings.measures:
        resolve_measure(measure)
    of_data = {key: content[key] for key in _OF_DATA if key in content}
    of_log = settings.world.kind in _OF_LOG
    if of_log != ("data" in of_data):
        found = "no [data]" if of_log else "[data]"
        expected = "the log that it is made of" if of_log else "none: its users are drawn"
        raise RecsysError(f"[world] {settings.world.kind} has {found}, expected {expected}")
    data = configs.parse_config({"name": settings.name, **of_data}, where="data", home=home) if of_log else None
    world = None if of_log else build_world(settings.world)
    made = build_log_settings(settings.world, data) if data is not None else {}
    _check_flips(made.get("flips", getattr(world, "flips", None)), settings.rounds)
    tables = {
        **settings.model_dump(mode="json"),
        **({} if data is None else data.model_dump(mode="json", include=set(_OF_DATA))),
    }
    return SimulationPlan(settings, policies, world, data, made, tables)


def list_texts(found: Any) -> list[str]:
    """Return every text in nested tables, names of keys included: those of modules are among them."""
    if isinstance(found, Mapping):
        return [text for key, value in found.items() for text in (str(key), *list_texts(value))]
    if isinstance(found, list):
        return [text for value in found for text in list_texts(value)]
    return [found] if isinstance(found, str) else []


def build_world(section: KindSection) -> World:
    """Return the world that [world] describes.

    Raises:
        RecsysError: for an unknown kind or setting, or a value that cannot be.
    """
    make = resolve_extension("world", section.kind, {**WORLDS, **dict.fromkeys(_OF_LOG)}, where="[world]")
    known, given = list_settings(make, "[world]"), section.settings
    switches = [name for name in _SWITCHES if name in known and make in WORLDS.values()]
    plain = {name: value for name, value in given.items() if name not in switches}
    checked = check_settings("[world]", known, plain, "kind", noun="key")
    world: World = make(**checked, **_build_switches(given, switches))
    return world


def _build_switches(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the switches of a world by name, None for one that is not there."""
    return {
        name: _build_part(_SWITCHES[name], f"[world.{name}]", given[name]) if name in given else None for name in names
    }


def build_log_settings(section: KindSection, data: Config) -> dict[str, Any]:
    """Return the keywords of the function that makes a world of the log of [data], as [world] has them.

    Raises:
        RecsysError: for an unknown setting, or a value that cannot be.
    """
    if section.kind == FITTED:
        return build_fit_settings(section.settings)
    if data.filter.positive is not None:
        found = f"[filter] positive is {data.filter.positive!r}"
        raise RecsysError(f"{found}, expected none: liked_from of [world] says from how many stars on an item is liked")
    return build_rating_settings(section.settings)


def build_rating_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of `build_rating_world` that [world] has, with the group of each user id.

    Raises:
        RecsysError: for an unknown setting, or a value that cannot be.
    """
    taken = list_settings(build_rating_world, "[world]", n_inputs=1)
    for name in ("groups", "filters"):
        taken.pop(name)
    plain = {name: value for name, value in given.items() if name != "groups"}
    made = check_settings("[world]", taken, plain, "kind", "groups", noun="key")
    if "groups" in given:
        made["groups"] = _expect_table("[world] groups", given["groups"])
        for user, name in made["groups"].items():
            if not isinstance(name, str) or not name:
                raise RecsysError(f"[world] groups: user {user} is in {name!r}, expected the name of a group")
    return made


def build_fit_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of `fit_tastes` that [world] of the kind `fitted` has, with its behaviours and switches.

    `users` is None where its people are the users of the log.

    Raises:
        RecsysError: for an unknown setting, or a value that cannot be.
    """
    taken = list_settings(fit_tastes, "[world]", n_inputs=1)
    for name in ("behaviour", "group_behaviours", "seed"):
        taken.pop(name)
    own = ("users", "behaviour", "groups", *_SWITCHES)
    tables = {name: value for name, value in given.items() if name not in own}
    made = check_settings("[world]", taken, tables, "kind", *own, noun="key")
    made["users"] = check_int("[world] users", given["users"], LEAST_USERS) if "users" in given else None
    made["behaviour"] = _build_part(Behaviour, "[world.behaviour]", given.get("behaviour", {}))
    made |= _build_switches(given, _SWITCHES)
    of_groups = given.get("groups", {})
    if not isinstance(of_groups, Mapping):
        raise RecsysError(f"[world] groups is {of_groups!r}, expected a table of behaviours by group")
    usual = given.get("behaviour", {})
    made["group_behaviours"] = {
        name: _build_part(Behaviour, f"[world.groups.{name}]", {**usual, **_expect_table(name, one)})
        for name, one in of_groups.items()
    }
    Behaviour.check_groups(made["group_behaviours"], GROUPS)
    return made


def _check_flips(flips: TasteFlips | None, rounds: int) -> None:
    """Refuse tastes that would flip after the last round.

    Raises:
        RecsysError: naming the round.
    """
    if flips is not None and flips.share > 0 and flips.round >= rounds:
        found = f"round is {flips.round}, counted from 0"
        raise RecsysError(f"[world.flips] {found}, expected less than {rounds}, the number of rounds")


def _build_part(kind: type[Part], place: str, given: Any) -> Part:
    said = _expect_table(place, given)
    known = {one.name: one for one in fields(kind)}
    for name in said:
        if name not in known:
            raise make_unknown_name_error("key", name, known, where=place)
    try:
        return kind(**said)
    except RecsysError as error:
        raise RecsysError(f"{place} {error}") from None


def _expect_table(place: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise RecsysError(f"{place} is {given!r}, expected a table")
    return given


def build_policy(place: str, section: KindSection) -> Policy:
    """Return the policy that a section describes; a model is a name or a table with its kind.

    Raises:
        RecsysError: for an unknown kind, model, objective, guard or setting, or a value that cannot be.
    """
    make = resolve_extension("policy", section.kind, POLICIES, where=place)
    parts = _build_parts(place, section.settings) if make is Recommender else {}
    known = list_settings(make, place)
    plain = {name: value for name, value in section.settings.items() if name not in parts}
    checked = check_settings(place, known, plain, "kind", noun="key")
    try:
        policy: Policy = make(**checked, **parts)
    except RecsysError as error:
        raise RecsysError(f"{place} {error}") from None
    return policy


def _build_parts(place: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model, the blend, the guards and the rules of a recommender, each checked."""
    made: dict[str, Any] = {name: given[name] for name in _PARTS if name in given}
    model = given.get("model", "als")
    table = {"kind": model} if isinstance(model, str) else dict(_expect_table(f"{place} model", model))
    if "kind" not in table:
        raise RecsysError(f"{place} model has no kind, expected one such as als")
    made["model"] = registry.build_model(table.pop("kind"), table, f"{place} model")
    try:
        parse_blend(made.get("blend", {"relevance": 1.0}))
        if "guards" in made:
            made["guards"] = tuple(parse_guards(_expect_table("guards", made["guards"])))
    except RecsysError as error:
        raise RecsysError(f"{place} {error}") from None
    return made
