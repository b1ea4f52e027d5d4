"""The leading singular vectors of the positives."""

from dataclasses import dataclass

import numpy as np

from recsys.maths.embeddings import right_singular_vectors
from recsys.models.checks import MemoryNeed, check_memory, check_positive_ints, estimate_factor_memory
from recsys.models.factor_model import FittedFactors
from recsys.models.fits import check_fit
from recsys.types.arrays import Csr
from recsys.types.models import Factors, SideInformation
from recsys.types.numbers import convert_fields_to_python

_BYTES_PER_FACTOR = 48  # Lanczos vectors (16), both sides' vectors and their products (24), ours (4), and some air


@dataclass(frozen=True)
class PureSVD:
    """Projection on the `factors` leading right singular vectors V of the positives (Cremonesi et al. 2010).

    The factor of a user with history h is V'h, the least-squares solution in which every cell counts the same and
    nothing is regularised; the scores are V V'h. There are fewer factors where the matrix has a lower rank. A user
    without positives has the mean factor of those who have some. docs/models.md says how near the default comes to
    tuned settings.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 14

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        convert_fields_to_python(self)
        check_positive_ints("pure_svd", factors=self.factors)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors, _BYTES_PER_FACTOR)

    @check_fit("pure_svd")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedFactors:
        """Fit to the positives, (U, I), the same bits on any number of cores.

        Raises:
            RecsysError: if there are no positives, or the factors are too large for the memory of this machine.
        """
        check_memory("pure_svd", self.estimate_memory(train))
        values, right = right_singular_vectors(train, min(self.factors, min(train.shape)))
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
            )
        )
