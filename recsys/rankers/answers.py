"""What a ranker answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from recsys.types.arrays import Floats, Longs


@dataclass(frozen=True, eq=False)
class Answer:
    """A slate for one request: k picks, fewer where there are not as many candidates, and why they are there."""

    items: tuple[str, ...]  # (k,) the ids of the picks, in the order in which they are to be shown
    scores: Floats  # (k,) blended gain of each at the moment of its pick
    contributions: Floats  # (k, O) what each objective added to that
    objectives: tuple[str, ...]  # O names
    relevance: Floats  # (k,) the score with which each came: the caller's, or the model's
    places: Longs  # (k,) its rank by relevance alone, from 1
    log_propensity: Floats | None  # (k,) log-probability of each pick given those before it, where picks are drawn
    seed: int  # of the draws
    policy: str  # names model, data, blend, scales and settings: equal names, equal policies
    unknown_items: tuple[str, ...]  # ids that the ranker does not know: left out of the ranking,
    unknown_history: tuple[str, ...]  # or of the history
    name_at: Callable[[int], str] = field(repr=False)  # the id of the candidate of a rank
    explain: Callable[[], tuple[str, ...]] = field(repr=False)

    @property
    def displaced(self) -> tuple[str, ...]:
        """What would stand in the slate instead of each pick by relevance alone, (k,); "" for what would anyway."""
        return displaced_by(self.places.tolist(), self.name_at)

    def sentences(self) -> tuple[str, ...]:
        """Return a plain sentence or two about each pick: the nearest liked item, and what is new to the user."""
        return self.explain()


def displaced_by(places: Sequence[int], names: Callable[[int], str]) -> tuple[str, ...]:
    """Return what each pick displaces, (k,), from the ranks of the picks by relevance alone, from 1.

    A pick whose rank is within the first k stands there by relevance too: "". The others, in their order, take the
    places of the first k that are not shown, the most relevant first; `names` gives the id of a rank.

    >>> displaced_by([1, 7, 3, 5], str)
    ('', '2', '', '4')
    """
    k = len(places)
    lost = iter([rank for rank in range(1, k + 1) if rank not in places])
    return tuple("" if place <= k else names(next(lost)) for place in places)
