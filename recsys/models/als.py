"""Matrix factorisation of positives, by alternating least squares."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys import seeds
from recsys.models.checks import above_zero, at_least_one
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.models import Factors


@dataclass(frozen=True, eq=False)
class ByFactors:
    """A fitted factor model: the score is the dot product of a user's and an item's factor."""

    factors: Factors

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I); 0 for users without positives."""
        return np.asarray(self.factors.user_factors[users] @ self.factors.item_factors.T, dtype=np.float32)


@dataclass(frozen=True)
class ALS:
    """Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), fitted by the library `implicit`.

    `alpha` is the confidence of an observed cell (that of the others is 1), `regularization` the weight of every
    factor's squared length. The library alternates with three steps of conjugate gradients (Takacs, Pilaszy and
    Tikk 2011); when it is done, the users' side is solved once more, exactly, so that a user's factor is what
    folding in that user's history gives. A user without positives has the factor 0.

    The defaults are the best of a small search on the validation part of ML-100K.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 64
    regularization: float = 20.0
    alpha: float = 3.0
    iterations: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        at_least_one("als", factors=self.factors, iterations=self.iterations)
        above_zero("als", regularization=self.regularization, alpha=self.alpha)

    def fit(self, train: Csr) -> ByFactors:
        """Fit to the positives, (U, I), with one BLAS thread per thread of the library: the same bits everywhere."""
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        positives = sparse.csr_matrix(train, dtype=np.float32)
        weights = {"regularization": self.regularization, "alpha": self.alpha, "use_gpu": False}
        with threadpool_limits(1, user_api="blas"):
            # `implicit` goes on from where it stands when it is fitted again: a fresh object each time.
            start = AlternatingLeastSquares(
                factors=self.factors, iterations=self.iterations, random_state=seeds.derive(self.seed, "als"), **weights
            )
            start.fit(positives, show_progress=False)
            exact = AlternatingLeastSquares(factors=self.factors, dtype=np.float64, **weights)
            exact.item_factors = start.item_factors.astype(np.float64)
            users = exact.recalculate_user(np.arange(train.shape[0]), positives)
        return ByFactors(
            Factors(
                user_factors=np.ascontiguousarray(users, dtype=np.float32),
                item_factors=np.ascontiguousarray(start.item_factors, dtype=np.float32),
                alpha=float(self.alpha),
                regularization=float(self.regularization),
            )
        )
