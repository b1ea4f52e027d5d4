"""Guards: hard rules of a slate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsys.types.arrays import Bools, Csr, Longs
from recsys.types.exposures import ExposureLimit
from recsys.types.pools import Pool


@dataclass(frozen=True, eq=False)
class Rule:
    """The rule of one guard for a pool of U users, a catalogue of I items and slates of k; None means no rule."""

    excluded_items: Bools | None = None  # (I,) items that may not be shown
    groups: Csr | None = None  # (I, G) above 0 where an item belongs to a group
    min_picks: Longs | None = None  # (G,) how many picks each group needs; None is 0
    max_picks: Longs | None = None  # (G,) how many it may have; None is as many as there are slots
    # (U, k) the item that a slot is kept for, -1 = none, -2 = one that is not in the catalogue
    pins: Longs | None = None
    excluded_pairs: Csr | None = None  # (U, I) other than 0 where an item may not be shown to that user


@dataclass(frozen=True, eq=False)
class Guard:
    """A hard rule of slates by its name; its rule for a pool is made when there is one."""

    name: str  # such as at_most
    make_rule: Callable[[Pool, int], Rule]  # of a pool and k
    # as a config writes it: its settings by its name there
    config_settings: Mapping[str, Mapping[str, Any]] | None = None
    is_static: bool = False  # the rule is the same whoever asks and whatever the candidates: the catalogue says it
    exposure_limit: ExposureLimit | None = None  # the rule is this limit on what was shown, and nothing else
