"""Models: settings that can be fitted, and scorers of users against all items."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from recsys.types.arrays import Bools, Csr, Floats, Ints
from recsys.types.checks import check_array, check_finite
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class SideInformation:
    """Data beside the positives, matrices (U, I) and the purchases, each absent where the dataset has none."""

    dislikes: Csr | None = None  # known dislikes: stored where a user rated an item below the threshold
    times: Csr | None = None  # float64 seconds since 1970 of the training positives
    weights: Csr | None = None  # (0, 1] for each training positive: how much it counts by its age, or as a one-off
    purchases: Purchases | None = None  # every time that a positive was bought, in the codes of the U users and I items


@dataclass(frozen=True, eq=False)
class Factors:
    """User and item factors, and the weights under which a user's factor is a least-squares solution.

    The factor of a user with likes H and dislikes D solves
    (a Y'Y + b sum_H y y' + c sum_D y y' + ridge I) x = t sum_H y, with Y the item factors, a = `unobserved_weight`,
    b = `observed_weight`, c = `disliked_weight`, t = `target_weight` and ridge = regularization (|H| + z)^nu, z = a I.
    Implicit-feedback ALS (Hu, Koren and Volinsky 2008) has a = 1, b = alpha - 1, t = alpha, nu = 0; iALS (Rendle et
    al. 2021) has a = alpha0, b = t = 1; that of Spark's MLlib has a = 1, b = alpha, t = 1 + alpha, nu = 1 and z = 0
    (ALS-WR, Zhou et al. 2008), where no likes have the ridge of one. A user without likes gets `mean_user_factor`, the
    mean over users who have some, never the zero vector.

    Where a model is fitted to positives with weights by age, `oldest_target_weight` is a number, f, and the values w of
    a history count: b is b w for each like, t is f + (t - f) w, and |H| is the sum of w.

    Items that are `predicted` came after the fit: nobody could like them, and Y and I above are of the others.
    """

    user_factors: Floats = field(metadata=mark_user_rows("the factor: where the model places the user"))  # (U, d)
    item_factors: Floats  # (I, d)
    mean_user_factor: Floats  # (d,)
    unobserved_weight: float  # a, at least 0
    observed_weight: float  # b
    target_weight: float  # t
    disliked_weight: float  # c
    regularization: float  # the ridge of a user without likes is that times (a I)^nu
    nu: float  # exponent of the number of cells
    oldest_target_weight: float | None = None  # t of a positive whose weight by age is 0; None: all count alike
    ridge_cells: float | None = None  # z, the cells beside the likes that count for a ridge; None: a I
    predicted: Bools | None = None  # (I,) items whose factors come from their features; None: all were fitted

    def count_ridge_cells(self, others: int) -> float:
        """Return the cells beside the likes that count for a ridge, of as many `others` on the other side."""
        return self.unobserved_weight * others if self.ridge_cells is None else self.ridge_cells

    def compute_ridge(self, size: float) -> float:
        """Return the ridge of a user whose likes count `size`."""
        counted = size if self.ridge_cells is None else max(size, 1.0)
        return float(self.regularization * (counted + self.count_ridge_cells(self.n_fitted)) ** self.nu)

    @property
    def n_fitted(self) -> int:
        """How many items were fitted: those that a user without a like of them counts as not liked."""
        return len(self.item_factors) - (0 if self.predicted is None else int(np.count_nonzero(self.predicted)))

    def check_factors(self, place: str, shape: tuple[int, int]) -> None:
        """Refuse factors that are not of so many users and items, or no finite numbers.

        Raises:
            RecsysError: naming `place`.
        """
        for name, size in (("user_factors", shape[0]), ("item_factors", shape[1])):
            check_array(f"{place}: {name}", getattr(self, name), (size, None))
            check_finite(f"{place}: {name}", getattr(self, name))
        width = self.item_factors.shape[1]
        check_array(f"{place}: user_factors", self.user_factors, (shape[0], width))
        check_array(f"{place}: mean_user_factor", self.mean_user_factor, (width,))
        check_finite(f"{place}: mean_user_factor", self.mean_user_factor)
        for name in (
            "unobserved_weight",
            "observed_weight",
            "target_weight",
            "disliked_weight",
            "regularization",
            "nu",
        ):
            check_number(f"{place}: {name}", getattr(self, name), -math.inf)
        if self.oldest_target_weight is not None:
            check_number(f"{place}: oldest_target_weight", self.oldest_target_weight, -math.inf)
        if self.ridge_cells is not None:
            check_number(f"{place}: ridge_cells", self.ridge_cells)
        if self.predicted is not None:
            check_array(f"{place}: predicted", self.predicted, (shape[1],), "b")


class Scorer(Protocol):
    """A fitted model."""

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I) float32, finite."""
        ...

    def fold(self, histories: Csr) -> Floats:
        """Return the scores for B users whom the model has not seen, from their positives (B, I): (B, I) float32.

        A user with the history of a training user gets that user's scores; one with nothing gets what users
        like on the whole (each model says how), never zeros.
        """
        ...

    @property
    def factors(self) -> Factors | None:
        """The factors behind the scores, None where there are none."""
        ...


class Model(Protocol):
    """Settings of a model: frozen, and the same seed gives the same numbers."""

    def fit(self, train: Csr, side: SideInformation | None = None) -> Scorer:
        """Fit to the positives, (U, I), and to side information where the model uses it."""
        ...
