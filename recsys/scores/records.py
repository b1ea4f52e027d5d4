"""Scores: a value for every run, metric and k, with all that tables and comparisons need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recsys.scores.intervals import Interval
from recsys.types import make_unknown_name_error
from recsys.types.arrays import Doubles, Ints, Strings
from recsys.types.evaluations import Direction


@dataclass(frozen=True, eq=False)
class Score:
    """One metric of one run at one k, over the U users that were judged."""

    run: str
    metric: str
    k: int
    value: float  # NaN where the data does not define it
    limits: Interval  # 95 %
    n_users: int  # who is behind the value: over maps, the mean number of users per map
    convention: str
    direction: Direction
    shape: Literal["users", "maps", "catalogue"]
    per_user: Doubles  # (U,) NaN where not defined; over maps the mean of those that define it; (0,) for "catalogue"
    user_contributions: Doubles  # (U,) what each user adds to the value, which is their sum; (0,) for "catalogue"
    user_weights: Doubles  # (U,) what each user adds to the weight, which sums to 1; (0,) for "catalogue"
    draws: Doubles  # bootstrap draws, or the values on subsamples: entry by entry the same draw in every run
    make_interval: Callable[[float, Doubles], Interval]  # makes limits of a value and its draws
    degrees_of_freedom: Callable[[Doubles], float]  # degrees of freedom of the error behind those limits
    counts: Mapping[str, float] = field(default_factory=dict)
    # (2, R, P) sums of contributions and of weights by halving and part of each segment; (2, 0, 0) without halvings
    halving_parts: Doubles = field(default_factory=lambda: np.empty((2, 0, 0)))


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of several runs over the same users, in the order asked for: run, metric, k."""

    cells: tuple[Score, ...]
    users: Ints  # (U,) codes of those judged
    user_ids: Strings  # (U,)
    seed: int
    n_bootstrap: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    segments: Mapping[str, Ints] = field(default_factory=dict)  # (U,) the segment of each user, -1 for none
    replicates: int = 1  # splits or seeds behind every value
    halvings: int = 0  # of the users, behind every value; 0: read by a judge that has seen everybody

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs' names."""
        return tuple(dict.fromkeys(cell.run for cell in self.cells))

    def select_run(self, run: str) -> tuple[Score, ...]:
        """Return the scores of one run.

        Raises:
            RecsysError: if there is no such run.
        """
        if run not in self.runs:
            raise make_unknown_name_error("run", run, self.runs)
        return tuple(cell for cell in self.cells if cell.run == run)


def join_scores(parts: Sequence[Scores], order: Sequence[tuple[str, int]]) -> Scores:
    """Return the scores of the same runs and users whose metrics and k, in `order`, are in several parts."""
    found = {(cell.run, cell.metric, cell.k): cell for part in parts for cell in part.cells}
    return replace(parts[0], cells=tuple(found[run, metric, k] for run in parts[0].runs for metric, k in order))
