"""What happened to the requests of a batch, counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from recsys.types import RecsysError


@dataclass(frozen=True)
class BatchCounts:
    """How many requests there were, and what became of them. Counts of two batches can be added."""

    users: int = 0  # requests: rows of users, or users of candidates
    slates: int = 0  # requests that are answered
    rows: int = 0  # picks
    unknown_users: int = 0  # users whom the ranker does not know, without a history: they have no slate
    forgotten_users: int = 0  # users whom its forget list took out: they have no slate
    repeated_users: int = 0  # requests of a user who was there before: the first is answered
    refused: int = 0  # requests that the ranker refuses for what they bring: they have no slate
    without_history: int = 0  # users who are answered, and of whom no liked item is known
    short_slates: int = 0  # slates of fewer than k picks
    empty_slates: int = 0  # slates without a pick: they have no row
    unknown_items: int = 0  # candidates that the ranker does not know: left out
    unknown_history: int = 0  # items that users like or dislike and that the ranker does not know: left out
    unknown_regions: int = 0  # regions that users have answered about and that the ranker does not know: left out
    unmet_guards: Mapping[str, int] = field(default_factory=dict)  # slates that a guard is not met in, by guard
    refusal: str = ""  # why the first of those that are refused is refused

    def __add__(self, other: "BatchCounts") -> "BatchCounts":
        """Return the counts of both, one after the other."""
        added: dict[str, Any] = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self) if one.type is int
        }
        unmet = Counter(self.unmet_guards) + Counter(other.unmet_guards)
        return BatchCounts(**added, unmet_guards=unmet, refusal=self.refusal or other.refusal)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON can say them."""
        return asdict(self) | {"unmet_guards": dict(self.unmet_guards)}

    @classmethod
    def from_dict(cls, told: Any, place: str) -> "BatchCounts":
        """Return the counts that `to_dict` told.

        Raises:
            RecsysError: naming `place`, for anything else.
        """
        if not _is_told(told):
            raise RecsysError(f"{place}: has no counts of a batch, expected those that it was written with")
        return cls(**told)

    def describe(self) -> tuple[str, ...]:
        """Return a plain sentence about each count that is not as one would wish.

        >>> BatchCounts(users=3, slates=2, unknown_users=1, unmet_guards={"at_least": 2}).describe()
        ('users whom the ranker does not know, without a slate: 1', 'slates in which at_least is not met: 2')
        """
        said = [f"{words}: {count:,}" for name, words in _SENTENCES.items() if (count := getattr(self, name))]
        said += [f"slates in which {name} is not met: {count:,}" for name, count in sorted(self.unmet_guards.items())]
        return (*said, *([f"the first that is refused: {self.refusal}"] if self.refusal else []))


def _is_told(found: Any) -> bool:
    """Return whether `to_dict` of some counts may have told this."""
    kinds = {one.name: one.type for one in fields(BatchCounts)}
    if not isinstance(found, dict) or found.keys() != kinds.keys():
        return False
    unmet, refusal = found["unmet_guards"], found["refusal"]
    numbers = [found[name] for name, kind in kinds.items() if kind is int]
    return (
        isinstance(refusal, str)
        and isinstance(unmet, dict)
        and all(type(one) is int and one >= 0 for one in (*numbers, *unmet.values()))
    )


_SENTENCES = {
    "unknown_users": "users whom the ranker does not know, without a slate",
    "forgotten_users": "users whom the forget list took out, without a slate",
    "repeated_users": "requests of a user who was there before, left out",
    "refused": "requests that the ranker refuses, without a slate",
    "without_history": "users of whom no liked item is known, answered as such",
    "short_slates": "slates with fewer picks than asked for",
    "empty_slates": "slates without a pick",
    "unknown_items": "candidates that the ranker does not know, left out",
    "unknown_history": "liked and disliked items that the ranker does not know, left out",
    "unknown_regions": "answers about regions that the ranker does not know, left out",
}
