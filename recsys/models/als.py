"""Matrix factorisation of positives, by alternating least squares."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys.models.checks import (
    MemoryNeed,
    check_ints,
    check_memory,
    check_non_negative,
    check_positive,
    check_positive_ints,
    estimate_factor_memory,
)
from recsys.models.factor_model import FittedFactors
from recsys.models.fits import check_fit
from recsys.models.regularization import default_regularization, default_unobserved_weight
from recsys.support import rng
from recsys.support.forks import get_openmp_thread_limit
from recsys.support.progress import track_rounds
from recsys.types.arrays import Csr
from recsys.types.extras import needs_extra
from recsys.types.models import Factors, SideInformation
from recsys.types.numbers import convert_fields_to_python

_BYTES_PER_FACTOR = 24  # the library's (4), those of the exact users' side (8 + 8), ours (4)


@dataclass(frozen=True)
class ALS:
    """Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), fitted by the library `implicit`.

    `alpha` is the confidence of an observed cell (that of the others is 1), `regularization` the weight of every
    factor's squared length. The library alternates with three steps of conjugate gradients (Takacs, Pilaszy and
    Tikk 2011); when it is done, the users' side is solved once more, exactly, so that a user's factor is what
    folding in that user's history gives. A user without positives has the mean factor of
    those who have some.

    By default both weights follow from the data, as those of `IALS` do. `alpha` is 1 + 1 / (10 times the share of cells
    that are positives). `regularization` is alpha times 0.65 of the `noise_level` of the positives, or of their largest
    singular value if that is less: all factors are 0 from alpha times the latter on.

    A positive with a weight by age w (`Split.with_half_life`) has the confidence 1 + (alpha - 1) w, and the defaults
    count positives by their weights.

    Raises:
        RecsysError: if a setting is invalid.
    """

    factors: int = 128  # numbers per user and item
    regularization: float | None = None  # weight of the factors' squared length; by default from the data
    alpha: float | None = None  # confidence of a positive, that of other cells is 1; by default from the data
    iterations: int = 15  # rounds over both sides
    disliked: float = 0.0  # further weight of a known dislike, beside that of every cell without a positive
    seed: int = 0  # makes the draws; the same seed gives the same numbers

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("als", factors=self.factors, iterations=self.iterations)
        check_ints("als", seed=self.seed)
        given = {"regularization": self.regularization, "alpha": self.alpha}
        check_positive("als", **{name: value for name, value in given.items() if value is not None})
        check_non_negative("als", disliked=self.disliked)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors, _BYTES_PER_FACTOR)

    def fill_defaults(self, train: Csr, weights: Csr | None = None) -> "ALS":
        """Return the settings with the numbers that the weights get from the positives, (U, I).

        `weights` are those by age of the positives: together they weigh less, and a positive's target is its share of
        alpha.
        """
        total = None if weights is None else float(weights.data.sum(dtype=np.float64))
        alpha = 1.0 + 1.0 / default_unobserved_weight(train, total) if self.alpha is None else self.alpha
        if self.regularization is not None:
            return replace(self, alpha=alpha)
        targets = train if weights is None else Csr(_weigh_confidences(train, weights, alpha) / alpha)
        ridge = default_regularization(targets, *(np.ones(n) for n in train.shape))
        return replace(self, alpha=alpha, regularization=alpha * ridge)

    @needs_extra("als")
    @check_fit("als", weighs=False)
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedFactors:
        """Fit to the positives, (U, I), with one BLAS thread per thread of the library: the same bits everywhere.

        With `disliked` > 0, known dislikes count as zeros of confidence 1 + `disliked` instead of 1.
        """
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        check_memory("als", self.estimate_memory(train))
        weights_by_age = None if side is None else side.weights
        settings = self.fill_defaults(train, weights_by_age)
        alpha, regularization = float(settings.alpha or 0), float(settings.regularization or 0)
        positives = sparse.csr_matrix(self._make_confidences(train, side, alpha), dtype=np.float32)
        threads = get_openmp_thread_limit()
        weights = {"regularization": regularization, "alpha": 1.0, "use_gpu": False, "num_threads": threads}
        with threadpool_limits(1, user_api="blas"), track_rounds("als", self.iterations) as done:
            # `implicit` goes on from where it stands when it is fitted again: a fresh object each time.
            start = AlternatingLeastSquares(
                factors=self.factors,
                iterations=self.iterations,
                random_state=rng.derive_seed(self.seed, "als"),
                **weights,
            )
            start.fit(positives, show_progress=False, callback=lambda *_: done())
            exact = AlternatingLeastSquares(factors=self.factors, dtype=np.float64, **weights)
            exact.item_factors = start.item_factors.astype(np.float64)
            users = exact.recalculate_user(np.arange(train.shape[0]), positives)
        liked = np.diff(train.indptr) > 0
        users[~liked] = typical = users[liked].mean(axis=0)
        return FittedFactors(
            Factors(
                user_factors=np.ascontiguousarray(users, dtype=np.float32),
                item_factors=np.ascontiguousarray(start.item_factors, dtype=np.float32),
                mean_user_factor=np.asarray(typical, dtype=np.float32),
                unobserved_weight=1.0,
                observed_weight=alpha - 1.0,
                target_weight=alpha,
                disliked_weight=float(self.disliked),
                regularization=regularization,
                nu=0.0,
                oldest_target_weight=None if weights_by_age is None else 1.0,
            )
        )

    def _make_confidences(self, train: Csr, side: SideInformation | None, alpha: float) -> Csr:
        """Return alpha at likes and, the library's sign for dislikes, -(1 + disliked) there."""
        weights = None if side is None else side.weights
        liked = Csr(train * alpha) if weights is None else _weigh_confidences(train, weights, alpha)
        if not self.disliked or side is None or side.dislikes is None:
            return liked
        marked = side.dislikes.copy()
        marked.data = np.full(marked.nnz, -1.0 - self.disliked, np.float32)
        return Csr(liked + marked)


def _weigh_confidences(train: Csr, weights: Csr, alpha: float) -> Csr:
    """Return 1 + w (alpha x - 1) of positives of value x and weight by age w, (U, I): 1 is any other cell's."""
    confidences = 1.0 + weights.data * (train.data * alpha - 1.0)
    return Csr((confidences.astype(np.float32), train.indices, train.indptr), shape=train.shape)
