"""Purchases: the positive rows of a log with their repeats, by user and time, in the codes of a split."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from recsys.types.arrays import Bools, Doubles, Floats, Ints, Longs
from recsys.types.checks import check_array, check_codes, check_finite, convert_to_codes
from recsys.types.errors import RecsysError


@dataclass(frozen=True, eq=False)
class Purchases:
    """R purchases of U users and I items, each of one item by one user at one moment; `select_purchases` makes them.

    Rows stand by user, then time, then item. A split keeps the first row of a pair, this record keeps all of them.
    """

    user: Ints  # (R,) codes of a split's users
    item: Ints  # (R,) codes of a split's items
    datetime: Longs  # (R,) seconds since 1970-01-01 UTC
    quantity: Floats  # (R,) above 0; 1 where the log has no quantities
    n_users: int  # U
    n_items: int  # I
    until: int | None = None  # seconds: purchases are known before this moment; after the last one where not given
    counts: Mapping[str, int] = field(default_factory=dict)  # rows that were left out or put together, by reason

    def __post_init__(self) -> None:
        """Refuse columns that do not go together, codes that are none, and rows in another order.

        Raises:
            RecsysError: naming the array.
        """
        for name in ("user", "item"):
            object.__setattr__(self, name, convert_to_codes(f"purchases: {name}", getattr(self, name)))
        size = (len(self.user),)
        for name, kind in (("item", "i"), ("datetime", "i"), ("quantity", "f")):
            check_array(f"purchases: {name}", getattr(self, name), size, kind)
        check_codes("purchases: user", self.user, 0, self.n_users)
        check_codes("purchases: item", self.item, 0, self.n_items)
        check_finite("purchases: quantity", self.quantity)
        if len(self) and not float(self.quantity.min()) > 0.0:
            raise RecsysError(f"purchases: quantity holds {self.quantity.min():g}, expected numbers above 0")
        if not _find_ordered_rows(self.user, self.datetime, self.item).all():
            raise RecsysError("purchases: rows do not stand by user, then time, then item")
        last = int(self.datetime.max()) if len(self) else 0
        if self.until is None:
            object.__setattr__(self, "until", last + 1)
        elif len(self) and last >= self.until:
            shown = [str(np.datetime64(int(at), "s")) for at in (self.until, last)]
            raise RecsysError(
                f"purchases: until is {shown[0]} and the last purchase is of {shown[1]}, expected none later"
            )

    def __len__(self) -> int:
        """Return R, the number of purchases."""
        return len(self.user)

    @property
    def end(self) -> int:
        """The moment before which purchases are known, in seconds since 1970."""
        return 0 if self.until is None else self.until

    @property
    def pairs(self) -> Longs:
        """The pair of each purchase as one number, user * I + item, (R,)."""
        return self.user.astype(np.int64) * self.n_items + self.item

    def take_rows(self, rows: Bools | Longs | Ints) -> "Purchases":
        """Return some of the purchases, by a mask or by codes in ascending order; what is known `until` stays."""
        taken = {name: getattr(self, name)[rows] for name in ("user", "item", "datetime", "quantity")}
        return replace(self, **taken)

    def take_before(self, moment: int) -> "Purchases":
        """Return the purchases before a moment in seconds since 1970, as they were known then."""
        kept = self.datetime < moment
        return replace(replace(self, until=None).take_rows(kept), until=min(moment, self.end))

    def sort_by_pair(self) -> Longs:
        """Return the rows by user, then item, then time, (R,)."""
        return np.argsort(self.pairs, kind="stable")


def _find_ordered_rows(user: Ints, when: Longs | Doubles, item: Ints) -> Bools:
    """Return of each row but the first whether it stands after the one before it, (R - 1,)."""
    same_user, same_time = user[1:] == user[:-1], when[1:] == when[:-1]
    after = (when[1:] > when[:-1]) | (same_time & (item[1:] > item[:-1]))
    return np.asarray((user[1:] > user[:-1]) | (same_user & after))
