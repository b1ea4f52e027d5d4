"""The items that are worth most to each user, kept from round to round while tastes stay as they are."""

from weakref import WeakKeyDictionary

import numpy as np

from recsys.maths.ordering import find_top_n
from recsys.simulation.records import Log, Round
from recsys.types.arrays import Anys, Doubles, Ints

BEST_SHARE = 0.1  # of the catalogue, worth most to a user: what the user would like
_LOOK = 4  # times k of the best are looked at first


class BestItems:
    """What all users like best. Measures of one simulation share it: they are given the same log."""

    def __init__(self) -> None:
        """Begin without tastes."""
        self._utilities: Anys | None = None
        self._chosen: tuple[int, int, Ints] = (-1, 0, np.empty((0, 0), dtype=np.int32))

    @classmethod
    def share(cls, log: Log) -> "BestItems":
        """Return the one of the simulation with this log."""
        return _SHARED.setdefault(log, cls())

    def update(self, utilities: Anys) -> None:
        """Read tastes again where they changed."""
        if utilities is self._utilities:
            return
        self._utilities, self._chosen = utilities, (-1, 0, self._chosen[2])
        n_items = utilities.shape[1]
        most = min(n_items, max(1, round(BEST_SHARE * n_items)))
        self.items, values = find_top_n(utilities, most, np.arange(n_items))  # (U, M), best first
        self.thresholds: Anys = values[:, -1]  # (U,) from which on an item is among the user's best tenth
        self.means: Doubles = utilities.mean(axis=1, dtype=np.float64)  # (U,)

    def select_unmet(self, now: Round, k: int) -> Ints:
        """Return the k items worth most to each user of those not met before the round, (U, k); -1 for no more."""
        self.update(now.utilities)
        if self._chosen[:2] != (now.number, k):
            self._chosen = (now.number, k, self._find_unmet(now, k))
        return self._chosen[2]

    def _find_unmet(self, now: Round, k: int) -> Ints:
        met = now.log.get_closed(now.number)
        found = np.full((len(met), k), -1, dtype=np.int32)
        rows, width = np.arange(len(met)), min(_LOOK * k, self.items.shape[1])
        while len(rows) and width <= self.items.shape[1]:
            items = self.items[rows, :width]
            open_items = ~met[rows[:, None], items]
            place = np.cumsum(open_items, axis=1, dtype=np.int32) - 1
            row, column = np.nonzero(open_items & (place < k))
            found[rows[row], place[row, column]] = items[row, column]
            rows = rows[place[:, -1] < k - 1]
            width = max(width + 1, min(2 * width, self.items.shape[1]))
        if len(rows):
            assert self._utilities is not None
            values = np.where(met[rows], -np.inf, self._utilities[rows])
            n = min(k, values.shape[1])
            found[rows, :n] = find_top_n(values, n, np.arange(values.shape[1]))[0]
        return found


_SHARED: "WeakKeyDictionary[Log, BestItems]" = WeakKeyDictionary()
