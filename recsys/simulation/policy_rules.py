"""The rules of [control] and [evidence] that a recommender in a closed loop keeps, by the parsers of benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recsys.configs import ControlSection, EvidenceSection, OneOffsSection
from recsys.evidence.one_offs import detect_one_offs
from recsys.reranking.blends import parse_blend
from recsys.reranking.guards import parse_guards
from recsys.support.toml_files import describe_first_problem
from recsys.types import Guard, Model, RecsysError, Scorer, Split
from recsys.types.topics import TopicPolicy

S = TypeVar("S", bound=BaseModel)
_NO_DISMISSAL = "nobody dismisses an item there"
# rules that say nothing in a closed loop, and why
_SENSELESS = {
    "control": {
        "dials": "no request turns them there",
        "cool_down": _NO_DISMISSAL,
        "compare": "compare policies with and without a rule instead",
    },
    "evidence": {
        "guest_runs": "a history there is of one person",
        "repeat": "nothing is consumed twice there",
        "like_curve": "it reads slates and changes none",
        "like_curve_candidates": "it reads slates and changes none",
    },
    "guards": {"cool_down": _NO_DISMISSAL, "repeat": "nothing is consumed twice there"},
}


@dataclass(frozen=True, eq=False)
class PolicyRules:
    """What a recommender in a closed loop keeps to, beside its model and its blend."""

    blend: Mapping[Any, Any]  # with fatigue where [control] has it
    guards: tuple[Guard, ...]  # with the frequency caps of [control]
    topics: TopicPolicy | None  # items of its sensitive ones are neither used nor shown
    one_offs: OneOffsSection | None  # how positives that fit nothing else count less

    @property
    def reads_exposures(self) -> bool:
        """Whether slates depend on what was shown before."""
        return "fatigue" in self.blend or any(guard.exposure_limit is not None for guard in self.guards)

    def fit(self, model: Model, split: Split) -> tuple[Scorer, Split]:
        """Return a model fitted to a log, and the log with its weights: one-offs are detected by a first fit."""
        fitted = model.fit(split.train, split.side_information)
        if self.one_offs is None:
            return fitted, split
        split = detect_one_offs(split, fitted, **self.one_offs.model_dump())
        return model.fit(split.train, split.side_information), split


def parse_rules(
    blend: Mapping[Any, Any], guards: Sequence[Guard], control: Mapping[str, Any], evidence: Mapping[str, Any]
) -> PolicyRules:
    """Return the rules of a policy; `control` and `evidence` are tables as in the config of a benchmark.

    Raises:
        RecsysError: for an unknown key or a value that cannot be, a rule that makes no sense in a closed loop, and one
            that the blend or the guards have too.
    """
    rules = _parse_section(ControlSection, "control", control)
    told = _parse_section(EvidenceSection, "evidence", evidence)
    for guard in guards:
        _refuse_senseless("guards", guard.name)
        if guard.name in rules.guards:
            raise RecsysError(f"policy: guards and control both have {guard.name}, expected it in one of them")
    if rules.fatigue is not None:
        if "fatigue" in blend:
            raise RecsysError("policy: blend and control both have fatigue, expected it in one of them")
        blend = {**blend, "fatigue": rules.fatigue}
    try:
        capped = parse_guards(rules.guards)
        parse_blend(blend if rules.fatigue is not None else {"relevance": 1.0})
    except RecsysError as error:
        raise RecsysError(f"policy: control: {error}") from None
    return PolicyRules(blend, (*guards, *capped), rules.read_topics(), told.one_offs)


def _parse_section(kind: type[S], name: str, given: Mapping[str, Any]) -> S:
    if not isinstance(given, Mapping):
        raise RecsysError(f"policy: {name} is {given!r}, expected a table as [{name}] of a benchmark")
    for key in given:
        _refuse_senseless(name, key)
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        raise RecsysError(f"policy: {name}: {describe_first_problem(error, kind)}") from None


def _refuse_senseless(place: str, name: str) -> None:
    if name in _SENSELESS[place]:
        raise RecsysError(f"policy: {place} has {name}, which says nothing in a simulation: {_SENSELESS[place][name]}")
