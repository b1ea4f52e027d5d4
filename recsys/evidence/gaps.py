"""Gaps between the purchases of one item by one user, in days, and what is known of each when it begins."""

from dataclasses import dataclass, replace

import numpy as np

from recsys.types.arrays import Bools, Doubles, Ints, Longs
from recsys.types.purchases import Purchases
from recsys.types.time_weights import SECONDS_PER_DAY

MIN_DAYS = 0.01  # of a gap: logarithms are taken


@dataclass(frozen=True, eq=False)
class Gaps:
    """R gaps, one after each purchase of P pairs, by pair and time; the last one of a pair is censored."""

    user: Ints  # (R,)
    item: Ints  # (R,)
    start: Longs  # (R,) seconds: the purchase that the gap begins with
    days: Doubles  # (R,) until the next purchase, or until the end of what is known
    observed: Bools  # (R,) whether the next purchase is known
    count: Ints  # (R,) purchases of the pair so far, from 1 on
    span: Doubles  # (R,) days from the pair's first purchase to `start`
    n_users: int
    n_items: int
    until: int  # seconds: what is known is before this moment
    n_merged: int  # purchases that were nearer than the smallest gap to an earlier one of their pair

    def __len__(self) -> int:
        """Return R, the number of gaps."""
        return len(self.user)

    def take_rows(self, rows: Bools | Longs) -> "Gaps":
        """Return some of the gaps."""
        names = ("user", "item", "start", "days", "observed", "count", "span")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def measure_elapsed(self, moment: int) -> Doubles:
        """Return how many days of each gap had passed at a moment in seconds, 0 where it began later, (R,)."""
        return np.minimum(np.maximum(moment - self.start, 0) / SECONDS_PER_DAY, self.days)


def list_gaps(purchases: Purchases, min_gap: float = 1.0) -> Gaps:
    """Return the gaps of all pairs; purchases of a pair nearer than `min_gap` days to the one before are no new one."""
    rows = purchases.sort_by_pair()
    pair, when = purchases.pairs[rows], purchases.datetime[rows]
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = (pair[1:] == pair[:-1]) & (np.diff(when) < min_gap * SECONDS_PER_DAY)
    rows, pair, when = rows[~again], pair[~again], when[~again]
    observed = np.zeros(len(rows), dtype=bool)
    observed[:-1] = pair[1:] == pair[:-1]
    end = np.full(len(rows), purchases.end, dtype=np.int64)
    end[:-1][observed[:-1]] = when[1:][observed[:-1]]
    first = np.concatenate([[True], ~observed[:-1]])[: len(rows)]
    begins = np.flatnonzero(first)[np.cumsum(first) - 1] if len(rows) else np.zeros(0, np.int64)
    return Gaps(
        user=purchases.user[rows],
        item=purchases.item[rows],
        start=when,
        days=np.maximum((end - when) / SECONDS_PER_DAY, MIN_DAYS),
        observed=observed,
        count=(np.arange(len(rows)) - begins + 1).astype(np.int32),
        span=(when - when[begins]) / SECONDS_PER_DAY,
        n_users=purchases.n_users,
        n_items=purchases.n_items,
        until=purchases.end,
        n_merged=int(again.sum()),
    )
