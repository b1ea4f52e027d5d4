"""Sums of a metric's values over the folds of cross-fitting."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recsys.scores.intervals import compute_on_group_sets, count_items_by_group
from recsys.scores.runs import select_user_values
from recsys.types import MetricValues, PerCatalogue, PerMap, PerUser
from recsys.types.arrays import Bools, Doubles, Ints, Longs


@dataclass(eq=False)
class FoldSums:
    """Sums over the folds that were added, of one metric of one run."""

    n_users: int
    members: Doubles = field(
        default_factory=lambda: np.empty((0, 0))
    )  # (U, P) 1 where a user is in a part of a segment
    part_sums: list[Doubles] = field(default_factory=list)  # (2, P) of each fold: contributions and weights
    values: list[float] = field(default_factory=list)
    halvings: list[int] = field(default_factory=list)
    map_values: list[Doubles] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)  # users behind each value
    counts: list[Mapping[str, float]] = field(default_factory=list)
    answer: MetricValues | None = None
    user_sum: Doubles = field(init=False)  # (U,) of values where they are defined
    user_folds: Longs = field(init=False)  # (U,) folds in which they are
    contributions: Doubles = field(init=False)
    weights: Doubles = field(init=False)
    influence: Doubles = field(init=False)  # (U,) what a user's weight adds to the value, per unit; its sum is 0
    replicates: Doubles | float = 0.0  # of a catalogue-level metric
    last: tuple[Doubles, ...] = ()

    def __post_init__(self) -> None:
        """Start from 0."""
        self.user_sum, self.contributions, self.weights, self.influence = np.zeros((4, self.n_users))
        self.user_folds = np.zeros(self.n_users, dtype=np.int64)

    def add(self, answer: MetricValues, users: Ints, chosen: Bools, halving: int, seed: int) -> None:
        """Add the values of one fold, of the `chosen` (U,) of `users`."""
        self.answer = answer
        self.halvings.append(halving)
        if isinstance(answer, PerCatalogue):
            counts = count_items_by_group(answer.picks[users][chosen], answer.n_items, users[chosen], seed)
            self.values.append(float(answer.statistic(counts.sum(axis=0))))
            self.last = (compute_on_group_sets(counts, answer.statistic),)
            self.behind.append(0 if np.isnan(self.values[-1]) else int(chosen.sum()))
            self.map_values.append(np.empty(0))
            self.counts.append({})
        else:
            self._add_user_values(answer, users, chosen)
        self._add_last()

    def repeat_last(self, halving: int) -> None:
        """Add the values of the fold before once more."""
        self.halvings.append(halving)
        self.values.append(self.values[-1])
        self.map_values.append(self.map_values[-1])
        self.behind.append(self.behind[-1])
        self.counts.append(self.counts[-1])
        self._add_last()

    def _add_user_values(self, answer: PerUser | PerMap, users: Ints, chosen: Bools) -> None:
        values = select_user_values(answer, users)
        values = np.where(chosen, values, np.nan)
        values = values[~np.isnan(values).all(axis=1)]
        known = ~np.isnan(values)
        sizes, n_maps = known.sum(axis=1, keepdims=True), max(len(values), 1)
        filled = np.where(known, values, 0.0)
        means = filled.sum(axis=1, keepdims=True) / sizes
        per_user, defined = filled.sum(axis=0), known.sum(axis=0)
        contributions, weights = (filled / sizes).sum(axis=0) / n_maps, (known / sizes).sum(axis=0) / n_maps
        influence = contributions - (known * (means / sizes)).sum(axis=0) / n_maps
        self.values.append(float(means.mean()) if len(values) else float("nan"))
        self.map_values.append(means.ravel())
        self.behind.append(round(float(sizes.mean())) if len(values) else 0)
        behind = {**answer.counts, "maps": float(len(values))} if isinstance(answer, PerMap) else {}
        self.counts.append(behind if len(values) else {})
        self.last = (per_user / np.maximum(defined, 1), defined > 0, contributions, weights, influence)

    def _add_last(self) -> None:
        if len(self.last) == 1:
            self.replicates = self.replicates + self.last[0]
            return
        per_user, defined, contributions, weights, influence = self.last
        self.user_sum += per_user
        self.user_folds += defined.astype(np.int64)
        if self.members.size:
            self.part_sums.append(np.stack([contributions, weights]) @ self.members)
        self.contributions += contributions
        self.weights += weights
        self.influence += influence

    @property
    def halving_parts(self) -> Doubles:
        """Sums of contributions and of weights by halving and part of each segment, (2, R, P)."""
        if not self.part_sums:
            return np.empty((2, 0, 0))
        of, sums = np.array(self.halvings), np.array(self.part_sums)
        return np.stack([sums[of == halving].mean(axis=0) for halving in dict.fromkeys(self.halvings)], axis=1)

    @property
    def halving_values(self) -> Doubles:
        """The value of each halving, (R,): the mean of its two folds."""
        of, values = np.array(self.halvings), np.array(self.values)
        return np.array([values[of == halving].mean() for halving in dict.fromkeys(self.halvings)])
