"""Slates: k picks per user, and the contribution of each objective to each pick."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recsys.types.arrays import Doubles, Floats, Ints, Longs, Strings
from recsys.types.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Slates:
    """Slates of U users; a row shorter than k ends in -1."""

    users: Ints  # (U,) codes into user_ids
    items: Ints  # (U, k) codes into item_ids, -1 = none
    scores: Floats  # (U, k) blended marginal gain at the moment of the pick
    contributions: Floats  # (U, k, O), weighted and scaled: their sum over O is `scores`
    objectives: tuple[str, ...]  # O names
    user_ids: Strings  # of the users that `users` counts
    item_ids: Strings  # (I,)
    log_propensity: Floats | None = None  # (U, k) log-probability of each pick given those before it
    scales: Mapping[str, float] = field(default_factory=dict)  # what each objective's gain was multiplied by
    guards: tuple[str, ...] = ()  # Q names of the hard rules, in the order in which they were given
    violations: Longs | None = None  # (U, Q) by how many picks or slots each is not met; None without guards
    titles: Strings | None = None  # of the items, "" where unknown; None where there is no catalogue
    like_probabilities: Doubles | None = None  # (U, k) that each pick is liked, 0 for none; None where nothing says it

    @needs_extra("recsys.Slates.to_frame")
    def to_frame(self) -> "pd.DataFrame":
        """Return one row per pick: user_id, rank (from 1), item_id, title (where there is a catalogue), score,
        `contribution_<objective>` for each objective, and log_propensity where picks are drawn.

        Raises:
            RecsysError: if pandas is not installed.
        """
        import pandas as pd

        row, rank = np.nonzero(self.items >= 0)
        item = self.items[row, rank]
        columns = {"user_id": self.user_ids[self.users[row]], "rank": (rank + 1).astype(np.int16)}
        columns["item_id"] = self.item_ids[item]
        if self.titles is not None:
            columns["title"] = self.titles[item]
        columns["score"] = self.scores[row, rank]
        for o, name in enumerate(self.objectives):
            columns[f"contribution_{name}"] = self.contributions[row, rank, o]
        if self.like_probabilities is not None:
            columns["like_probability"] = self.like_probabilities[row, rank]
        if self.log_propensity is not None:
            columns["log_propensity"] = self.log_propensity[row, rank]
        return pd.DataFrame(columns)

    def _repr_html_(self) -> str:
        from recsys.types import notebooks

        users, k = self.items.shape
        counts = [
            notebooks.format_count(users, "user"),
            notebooks.format_count(k, "pick") + " each",
            " + ".join(self.objectives),
        ]
        counts += [f"guards {', '.join(self.guards)}"] if self.guards else []
        first = range(min(users, notebooks.MAX_ROWS))
        picks = [
            notebooks.get_item_labels(self.item_ids, self.titles, self.items[u, : notebooks.MAX_PICKS]) for u in first
        ]
        rows = [[self.user_ids[self.users[u]], *shown] for u, shown in zip(first, picks, strict=True)]
        return notebooks.render_record(
            "Slates", counts, ["user", *map(str, range(1, min(k, notebooks.MAX_PICKS) + 1))], rows
        )

    @property
    def lengths(self) -> Longs:
        """How many picks each slate has, (U,): k, or fewer."""
        return np.asarray((self.items >= 0).sum(axis=1), dtype=np.int64)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in a line how many slates have fewer than k picks, if some do; nothing otherwise."""
        return describe_short_slates(self.lengths, self.items.shape[1])


def describe_short_slates(lengths: Longs, k: int) -> tuple[str, ...]:
    """Return a line that counts the slates, of these lengths (U,), with fewer than k picks; nothing if none has.

    >>> describe_short_slates(np.array([10, 7, 0]), 10)
    ('2 of 3 slates have fewer than 10 picks, 0 at least',)
    """
    short = int((lengths < k).sum())
    if not short:
        return ()
    return (f"{short:,} of {len(lengths):,} slates have fewer than {k} picks, {int(lengths.min()):,} at least",)


def sum_contributions(contributions: Floats) -> Floats:
    """Return the blended gain of each pick, (...): the sum of what each objective added, (..., T), first to last."""
    total: Floats = contributions[..., 0].copy()
    for t in range(1, contributions.shape[-1]):
        total += contributions[..., t]
    return total
