"""Whys: why an item is in a slate, as a plain record."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON can say it, under the names of its fields."""
        made: dict[str, Any] = convert_to_plain_data(asdict(self))
        return made
