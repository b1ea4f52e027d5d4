"""Whys: why an item is in a slate, why another one is not, and what would let it in, as plain records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recsys.types.numbers import convert_to_plain_data


@dataclass(frozen=True)
class Reason:
    """An item of the user's history that speaks for a pick."""

    item: str
    title: str  # "" where the data has none
    influence: float  # above 0: the pick's score by the model, less its score without this item of the history
    age_days: float | None  # days from the like to the request; None where the ranker does not know the time
    source: str  # "log": of the data that the ranker was fitted to; "request": the request brought it
    is_one_off: bool = False  # whether it counts less, because it fits nothing else of the history


@dataclass(frozen=True)
class Why:
    """Why one item is in a slate."""

    item: str
    title: str
    slot: int  # from 1
    score: float  # the blended gain at the moment of its pick: the sum of the contributions
    relevance: float  # the score with which it came
    base_rank: int  # its rank by relevance alone, from 1
    contributions: Mapping[str, float]  # what each objective added to the score
    features: Mapping[str, float]  # what each feature of a likelihood added to the relevance; {} without one
    history: tuple[Reason, ...]  # the largest influence first; () where the scores are the caller's
    displaced: str  # the item of the slate by relevance alone that it stands in place of, "" for none
    displaced_title: str
    is_pinned: bool  # a guard keeps its slot for it
    profile_free: bool  # whether the user is not looked at
    sentences: tuple[str, ...] = field(default=())  # of `recsys.control.sentences`, nothing else
    liked_regions: tuple[str, ...] = ()  # names of regions that the user said to like, and that the item lies in

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON can say it, under the names of its fields."""
        made: dict[str, Any] = convert_to_plain_data(asdict(self))
        return made


@dataclass(frozen=True)
class Change:
    """A change of a request that lets an item in: all that is named here together, and nothing less of it.

    It is confirmed: the request was run with it.
    """

    slot: int  # of the item, from 1
    slate: tuple[str, ...]  # the items of the whole answer
    weights: Mapping[str, float]  # the factor of an objective's weight, as in `rank(weights=...)`; {} for none
    nearest_tried: Mapping[str, float]  # the factor nearest to it with which the item is still out
    without_items: tuple[str, ...]  # of the history
    without_guards: tuple[str, ...]  # by name
    guard_places: tuple[int, ...]  # of these, from 0: the ranker's guards come first, then those of the request
    n: int | None  # candidates that are retrieved; None: as configured
    sentence: str


@dataclass(frozen=True)
class WhyNot:
    """Why one item is not in a slate, and the smallest changes that let it in."""

    item: str
    title: str
    stage: str  # where it is lost: a name in `recsys.control.sentences.STAGES`
    guards: tuple[str, ...]  # that keep it out
    rank: int | None  # by relevance, from 1, among all that may be shown; of `rerank` among the candidates
    n: int | None  # candidates that are retrieved; None where they are the caller's
    slate: tuple[str, ...]  # the items of the answer without it
    changes: tuple[Change, ...]  # the smallest of each kind, each confirmed; () where none was found
    tried: tuple[str, ...]  # in words: what does not let it in
    tolerance: float  # by how much, as a ratio, a factor may be larger than the smallest that was looked for
    reruns: int  # how often the request was run
    sentences: tuple[str, ...]  # of `recsys.control.sentences`, nothing else

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON can say it, under the names of its fields."""
        made: dict[str, Any] = convert_to_plain_data(asdict(self))
        return made
