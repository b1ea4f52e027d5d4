"""What a fitted model is to the rest: something that scores users against all items."""

from dataclasses import dataclass
from numbers import Real
from typing import Protocol

import numpy as np

from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.checks import check_array, check_finite
from recsys.types.errors import RecsysError


@dataclass(frozen=True, eq=False)
class Side:
    """What is known beside the positives, each (U, I) and each absent where the data has none."""

    dislikes: Csr | None = None  # known dislikes: stored where a user rated an item below the threshold
    times: Csr | None = None  # float64 seconds since 1970 of the training positives


@dataclass(frozen=True, eq=False)
class Factors:
    """User and item factors, and the weights under which a user's factor is a least-squares solution.

    The factor of a user with likes H and dislikes D solves
    (everywhere Y'Y + observed sum_H y y' + disliked sum_D y y' + ridge I) x = pull sum_H y, with Y the item
    factors and ridge = regularization (|H| + everywhere I)^nu. Implicit-feedback ALS (Hu, Koren and Volinsky
    2008) has everywhere = 1, observed = alpha - 1, pull = alpha, nu = 0; iALS (Rendle et al. 2021) has
    everywhere = alpha0, observed = pull = 1. Who has no likes gets `typical`, the mean factor of those who have:
    nobody gets the zero vector.
    """

    user_factors: Floats  # (U, d)
    item_factors: Floats  # (I, d)
    typical: Floats  # (d,)
    everywhere: float
    observed: float
    pull: float
    disliked: float
    regularization: float
    nu: float

    def check(self, place: str, shape: tuple[int, int]) -> None:
        """Refuse factors that are not of so many users and items, or no finite numbers.

        Raises:
            RecsysError: naming `place`.
        """
        for name, size in (("user_factors", shape[0]), ("item_factors", shape[1])):
            check_array(f"{place}: {name}", getattr(self, name), (size, None))
            check_finite(f"{place}: {name}", getattr(self, name))
        width = self.item_factors.shape[1]
        check_array(f"{place}: user_factors", self.user_factors, (shape[0], width))
        check_array(f"{place}: typical", self.typical, (width,))
        check_finite(f"{place}: typical", self.typical)
        for name in ("everywhere", "observed", "pull", "disliked", "regularization", "nu"):
            number = getattr(self, name)
            if not isinstance(number, Real) or not np.isfinite(float(number)):
                raise RecsysError(f"{place}: {name} is {number!r}, expected a finite number")


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

    def fit(self, train: Csr, side: Side | None = None) -> Scorer:
        """Fit to the positives, (U, I), and to what is known beside them where the model has a use for it."""
        ...
