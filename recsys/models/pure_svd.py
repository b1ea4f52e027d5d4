"""The leading singular vectors of the positives."""

from dataclasses import dataclass, replace

import numpy as np

from recsys.maths.embeddings import right_singular_vectors
from recsys.models.checks import MemoryNeed, check_memory, check_positive_ints, estimate_factor_memory
from recsys.models.factor_model import FittedFactors
from recsys.models.fits import check_fit
from recsys.types.arrays import Csr, Doubles
from recsys.types.models import Factors, SideInformation
from recsys.types.numbers import convert_fields_to_python

_BYTES_PER_FACTOR = 48  # Lanczos vectors (16), both sides' vectors and their products (24), ours (4), and some air
_MAX_DEFAULT_FACTORS = 256  # factors by default
_USERS_PER_HELD_OUT = 5  # every so many users' positives are predicted to choose their number


@dataclass(frozen=True)
class PureSVD:
    """Projection on the `factors` leading right singular vectors V of the positives (Cremonesi et al. 2010).

    The factor of a user with history h is V'h, the least-squares solution in which every cell counts the same and
    nothing is regularised; the scores are V V'h. Weights by age (`Split.with_half_life`) are the values of h. There
    are fewer factors where the matrix has a lower rank. A user
    without positives has the mean factor of those who have some.

    By default, `factors` is the number, at most 256, with which the singular vectors of four fifths of the users
    predict the other users' positives best: each from that user's others, by the squared error over all cells.
    docs/models.md says how near it comes to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    factors: int | None = None  # singular vectors, fewer where the rank is lower; by default from the data

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        if self.factors is not None:
            check_positive_ints("pure_svd", factors=self.factors)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors or min(_MAX_DEFAULT_FACTORS, *train.shape), _BYTES_PER_FACTOR)

    def fill_defaults(self, train: Csr) -> "PureSVD":
        """Return the settings with the number of factors that follows from the positives, (U, I)."""
        return self if self.factors is not None else replace(self, factors=choose_default_factors(train))

    @check_fit("pure_svd")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedFactors:
        """Fit to the positives, (U, I), the same bits on any number of cores.

        Raises:
            RecsysError: if there are no positives, or the factors are too large for the memory of this machine.
        """
        check_memory("pure_svd", self.estimate_memory(train))
        factors = self.fill_defaults(train).factors or 1
        values, right = right_singular_vectors(train, min(factors, *train.shape))
        items = np.ascontiguousarray(right[:, values > 0], dtype=np.float32)
        users = np.asarray(train.astype(np.float64) @ items)
        liked = np.diff(train.indptr) > 0
        users[~liked] = typical = users[liked].mean(axis=0)
        return FittedFactors(
            Factors(
                user_factors=users.astype(np.float32),
                item_factors=items,
                mean_user_factor=np.asarray(typical, dtype=np.float32),
                unobserved_weight=1.0,
                observed_weight=0.0,
                target_weight=1.0,
                disliked_weight=0.0,
                regularization=0.0,
                nu=0.0,
                oldest_target_weight=None if side is None or side.weights is None else 0.0,
            )
        )


def choose_default_factors(train: Csr) -> int:
    """Return the number of factors with the smallest `compute_leave_one_out_errors` of every fifth user.

    The singular vectors are those of the other users. It is 1 where all positives are of one of these two parts.
    """
    held = np.arange(train.shape[0]) % _USERS_PER_HELD_OUT == _USERS_PER_HELD_OUT - 1
    known, asked = Csr(train[~held]), Csr(train[held])
    if not known.nnz or not asked.nnz:
        return 1
    _, right = right_singular_vectors(known, min(_MAX_DEFAULT_FACTORS, *known.shape))
    return int(np.argmin(compute_leave_one_out_errors(asked, right))) + 1


def compute_leave_one_out_errors(histories: Csr, right: Doubles) -> Doubles:
    """Return the squared errors of V V'h, each positive predicted from the others, for each number of columns, (d,).

    `right` has orthonormal columns, (I, d). A positive x of item i is predicted by (V V'h)_i - x |v_i|^2.
    """
    histories = histories.astype(np.float64)
    own = 1.0 + np.cumsum(right**2, axis=1)
    users = histories @ right
    scores = np.cumsum(right * (histories.T @ users), axis=1)
    squares = histories.multiply(histories).sum(axis=0)
    return np.asarray(squares @ own**2 - 2.0 * (own * scores).sum(axis=0) + np.cumsum((users**2).sum(axis=0)))
