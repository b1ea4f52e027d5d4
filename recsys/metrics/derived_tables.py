"""Derived tables that metrics share: each `Table` makes its table at the first call and returns it after that.

A table is kept with what it is derived from: `SplitTable` with the split, whatever the maps, `MapTable` with a ground
truth and its maps, `RunTable` with the slates of one run. No other module indexes these caches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from recsys.types import Evaluation, GroundTruth

T = TypeVar("T")


class TableKey(NamedTuple):
    """What a table is found by."""

    name: str
    settings: tuple[object, ...] = ()  # those that it is made with


@dataclass(frozen=True)
class SplitTable:
    """A table of the split alone, or one for each choice of settings: all judges of a split share it."""

    name: str

    def get(self, truth: GroundTruth, make: Callable[[], T], *settings: object) -> T:
        """Return the table of these settings, made at the first call."""
        return truth.split_tables.get(TableKey(self.name, settings), make)


@dataclass(frozen=True)
class MapTable:
    """A table of the maps or the judging users of a ground truth, or one for each choice of settings."""

    name: str

    def get(self, truth: GroundTruth, make: Callable[[], T], *settings: object) -> T:
        """Return the table of these settings, made at the first call."""
        return truth.tables.get(TableKey(self.name, settings), make)


@dataclass(frozen=True)
class RunTable:
    """A table of the slates of one run, or one for each choice of settings."""

    name: str

    def get(self, evaluation: Evaluation, make: Callable[[], T], *settings: object) -> T:
        """Return the table of these settings, made at the first call."""
        return evaluation.tables.get(TableKey(self.name, settings), make)
