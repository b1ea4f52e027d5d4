"""Exposures: the log of what was shown, the same by user as guards and objectives read it, and limits on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.types.arrays import Bools, Ints, Longs, Strings
from recsys.types.checks import check_array, check_codes, convert_to_codes, convert_to_texts
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_number

DAY = 86_400  # seconds
MAX_DAYS = 1_000_000.0  # of a window or a cool-down
NO_CAP = 2**40  # exposures that nobody has: a limit that caps nothing


@dataclass(frozen=True, eq=False)
class Exposures:
    """The log of what was shown: R rows, one for each time that an item stood in a slate. Their order says nothing.

    `recsys.read_exposures` makes one of a table. Ids are names, as those of `Interactions`; rows hold codes into them.
    """

    user: Ints  # (R,) codes into user_ids
    item: Ints  # (R,) codes into item_ids
    datetime: Longs  # (R,) seconds since 1970-01-01 UTC
    user_ids: Strings  # (U,)
    item_ids: Strings  # (I,)
    dismissed: Bools | None = None  # (R,) whether the user said not to show the item; None: nobody did
    clicked: Bools | None = None  # (R,) whether the user took it; None: unknown
    slot: Ints | None = None  # (R,) its place in the slate, from 1; 0 where unknown
    policy: Strings | None = None  # (R,) the name of the policy that chose it, "" where unknown
    seed: Longs | None = None  # (R,) the seed of its draws, -1 where unknown
    notes: tuple[str, ...] = ()  # what was untidy and by which rule it was handled, one line each
    purposes: Bools | None = None  # (R, P) which of `purpose_names` the row may be used for
    purpose_names: tuple[str, ...] = ()  # P names, in order

    def __post_init__(self) -> None:
        """Refuse columns that do not go together, and codes that are none.

        Raises:
            RecsysError: naming the array.
        """
        for name in ("user", "item"):
            object.__setattr__(self, name, convert_to_codes(f"exposures: {name}", getattr(self, name)))
        for name in ("user_ids", "item_ids"):
            object.__setattr__(self, name, convert_to_texts(f"exposures: {name}", getattr(self, name)))
        size = (len(self.user),)
        for name, kinds in _COLUMN_KINDS.items():
            if getattr(self, name) is not None:
                check_array(f"exposures: {name}", getattr(self, name), size, kinds)
        if self.purposes is not None:
            check_array("exposures: purposes", self.purposes, (*size, len(self.purpose_names)), "b")
        check_codes("exposures: user", self.user, 0, len(self.user_ids))
        check_codes("exposures: item", self.item, 0, len(self.item_ids))

    def __len__(self) -> int:
        """Return R, the number of rows."""
        return len(self.user)


@dataclass(frozen=True, eq=False)
class ExposureHistories:
    """What was shown to each of U users before `now`: R rows side by side by user, and of a user by item, then time."""

    pointers: Longs  # (U + 1,) where the rows of each user begin
    items: Ints  # (R,) item codes, ascending for each user
    times: Longs  # (R,) seconds since 1970-01-01 UTC; one after `now` counts as `now`
    dismissed: Bools  # (R,) whether the user said not to show the item
    now: int = 0  # seconds since 1970-01-01 UTC: the moment that slates are made for

    def check_histories(self, place: str, size: tuple[int, int]) -> None:
        """Refuse arrays by which rows of (users, items) would be looked for in the wrong place.

        Raises:
            RecsysError: naming the array.
        """
        users, items = size
        pointers, rows = np.asarray(self.pointers), (len(self.items),)
        check_array(f"{place}: pointers", pointers, (users + 1,), "i")
        for name, kind in (("items", "i"), ("times", "i"), ("dismissed", "b")):
            check_array(f"{place}: {name}", getattr(self, name), rows, kind)
        check_codes(f"{place}: items", self.items, 0, items)
        falls = np.diff(self.items) < 0
        starts = pointers[1:-1]
        falls[starts[(starts > 0) & (starts < rows[0])] - 1] = False
        if pointers[0] != 0 or pointers[-1] != rows[0] or (pointers[1:] < pointers[:-1]).any() or falls.any():
            raise RecsysError(f"{place}: rows do not stand by user and item")

    def take_users(self, codes: Sequence[int] | Longs | Ints) -> "ExposureHistories":
        """Return the rows of these users, in their order; -1 is a user to whom nothing was shown."""
        at = np.asarray(codes, dtype=np.int64)
        known = np.maximum(at, 0)
        starts, lengths = self.pointers[known], np.where(at < 0, 0, self.pointers[known + 1] - self.pointers[known])
        pointers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(pointers[-1]) + np.repeat(starts - pointers[:-1], lengths)
        return replace(
            self, pointers=pointers, items=self.items[rows], times=self.times[rows], dismissed=self.dismissed[rows]
        )


@dataclass(frozen=True)
class ExposureLimit:
    """A limit on how often, and how soon again, an item is shown to a user: beyond it the item is excluded."""

    max_exposures: int = NO_CAP  # within the window
    window: int = 0  # seconds before now
    cool_down: int = 0  # seconds after a dismissal


def convert_days(place: str, days: float) -> int:
    """Return a span of days in whole seconds, 1 at least.

    Raises:
        RecsysError: naming `place`, for days that are not above 0, or more than a million.
    """
    return max(1, round(check_number(place, days, above=0, most=MAX_DAYS) * DAY))


_COLUMN_KINDS = {
    "item": "i",
    "datetime": "i",
    "dismissed": "b",
    "clicked": "b",
    "slot": "i",
    "policy": "U",
    "seed": "i",
}


def make_empty_histories(users: int, now: int = 0) -> ExposureHistories:
    """Return the histories of users to whom nothing was shown."""
    none: dict[str, Any] = {"items": np.zeros(0, np.int32), "times": np.zeros(0, np.int64)}
    return ExposureHistories(np.zeros(users + 1, np.int64), **none, dismissed=np.zeros(0, bool), now=now)
