"""What a search asks of a plan, whatever its trials are: blends judged on a log, or policies in a simulation."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from recsys.sweeps.goals import Constraint, Goal
from recsys.sweeps.plans import SweepSection
from recsys.sweeps.search_space import Range, Value


class SearchMethod(Protocol):
    """One thing that is searched."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def ranges(self) -> tuple[Range, ...]:
        """What is varied."""
        ...

    def trial_config(self, values: Mapping[str, Value]) -> Any:
        """Return what the plan's evaluator judges, with these values of the ranges."""
        ...


class SearchPlan(Protocol):
    """A whole search."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def methods(self) -> Sequence[SearchMethod]:
        """What is searched, each with as many trials."""
        ...

    @property
    def goals(self) -> Sequence[Goal]:
        """What trials are after."""
        ...

    @property
    def constraints(self) -> Sequence[Constraint]:
        """What a trial must keep."""
        ...

    @property
    def metrics(self) -> list[str]:
        """Every metric that a trial is asked for."""
        ...

    @property
    def settings(self) -> SweepSection:
        """The section [sweep]."""
        ...

    @property
    def accuracy_budget(self) -> float:
        """The share of the base's accuracy that may be spent."""
        ...

    @property
    def user_parts(self) -> int:
        """How many parts trials are read on beside the whole; 1 is none."""
        ...

    def base_config(self) -> Any:
        """Return what everything is held against."""
        ...

    def digest(self) -> str:
        """Return what names the search."""
        ...
