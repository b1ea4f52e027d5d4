"""What a fitted model is to the rest: something that scores users against all items."""

from dataclasses import dataclass
from typing import Protocol

from recsys.types.arrays import Csr, Floats, Ints


@dataclass(frozen=True, eq=False)
class Factors:
    """User and item factors, and the weights under which a user's factor is a least-squares solution.

    The factor of a user with history H solves (sum_i y_i y_i' + (alpha - 1) sum_{i in H} y_i y_i' +
    regularization I) x = alpha sum_{i in H} y_i: the normal equations of implicit-feedback ALS
    (Hu, Koren and Volinsky 2008), with `alpha` the confidence of an observed cell.
    """

    user_factors: Floats  # (U, d)
    item_factors: Floats  # (I, d)
    alpha: float
    regularization: float


class Scorer(Protocol):
    """A fitted model."""

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I) float32, finite."""
        ...

    @property
    def factors(self) -> Factors | None:
        """The factors behind the scores, None where there are none."""
        ...


class Model(Protocol):
    """Settings of a model: frozen, and the same seed gives the same numbers."""

    def fit(self, train: Csr) -> Scorer:
        """Fit to the positives, (U, I)."""
        ...
