"""Hazards of repurchase: what was fitted for each item, as arrays that can be saved."""

from dataclasses import dataclass

import numpy as np

from recsys.types.arrays import Doubles, Ints
from recsys.types.checks import check_array, check_codes, check_finite, convert_to_codes
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_number

N_STAGES = 3  # a share of those who buy again after one purchase, after two, and after three or more
N_FAMILIES = 3  # `recsys.maths.renewals.FAMILIES`


@dataclass(frozen=True, eq=False)
class Repurchases:
    """When the I items of a split are bought again: a gap distribution of each item, in days.

    `recsys.evidence.fit_repurchases` makes one, `predict_repurchases` reads it. Families and their parameters are those
    of `recsys.maths.renewals`; an item's are shrunk to its category's, and these to the catalogue's.
    """

    family: Ints  # (I,) codes into `recsys.maths.renewals.FAMILIES`: the one chosen for the item's category
    category: Ints  # (I,) codes from 0 on; the last one, n_categories - 1, holds the items without a category
    slope: Doubles  # (2, I) of log gaps, above 0: Weibull, log-normal
    offset: Doubles  # (2, I) the same
    share: Doubles  # (2, I, 3) of buyers who buy again, after one purchase, two, three or more
    alpha: Doubles  # (I,) of the Poisson-Gamma rate, above 0
    beta: Doubles  # (I,) in days, above 0
    mean_gap: Doubles  # (I,) in days, above 0: where its rate is largest
    held_out: Doubles  # (C + 1, 3) held-out log likelihood per gap of each family, by category; the last: all
    user_kappa: float  # how many purchases a user is worth who buys as all do; 0: no rate of users was chosen
    held_out_users: float  # held-out log likelihood per gap with the rates of users
    min_gap: float  # days: purchases of a pair that are nearer are one
    until: int  # seconds since 1970: fitted to what was known before this moment
    n_gaps: int  # observed gaps
    n_pairs: int  # pairs of user and item
    n_merged: int  # purchases that were put together with an earlier one
    n_without_category: int  # items

    def __post_init__(self) -> None:
        """Refuse arrays that do not go together, and numbers that no distribution has.

        Raises:
            RecsysError: naming the array.
        """
        for name in ("family", "category"):
            object.__setattr__(self, name, convert_to_codes(f"repurchases: {name}", getattr(self, name)))
        size = len(self.family)
        shapes: dict[str, tuple[int | None, ...]] = {"slope": (2, size), "offset": (2, size)}
        shapes |= {"share": (2, size, N_STAGES), "alpha": (size,), "beta": (size,), "mean_gap": (size,)}
        shapes["held_out"] = (None, N_FAMILIES)
        for name, shape in shapes.items():
            array = getattr(self, name)
            check_array(f"repurchases: {name}", array, shape)
            check_finite(f"repurchases: {name}", array)
            if name in ("slope", "alpha", "beta", "mean_gap") and array.size and not array.min() > 0:
                raise RecsysError(f"repurchases: {name} holds {array.min():g}, expected numbers above 0")
        check_array("repurchases: category", self.category, (size,), "i")
        check_codes("repurchases: family", self.family, 0, N_FAMILIES)
        check_codes("repurchases: category", self.category, 0, self.n_categories)
        if self.share.size and not (self.share.min() >= 0 and self.share.max() <= 1):
            raise RecsysError(f"repurchases: share holds {self.share.min():g} to {self.share.max():g}, expected 0 to 1")
        check_number("repurchases: user_kappa", self.user_kappa)
        check_number("repurchases: min_gap", self.min_gap, above=0)

    @property
    def n_items(self) -> int:
        """I, the number of items."""
        return len(self.family)

    @property
    def n_categories(self) -> int:
        """C, the number of categories, with the one of items without a category."""
        return len(self.held_out) - 1

    def describe_families(self) -> dict[str, int]:
        """Return how many items have each family."""
        names = ("weibull", "log_normal", "poisson_gamma")
        return dict(zip(names, np.bincount(self.family, minlength=N_FAMILIES).tolist(), strict=True))
