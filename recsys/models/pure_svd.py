"""The leading singular vectors of the positives."""

from dataclasses import dataclass

import numpy as np

from recsys.maths import right_singular_vectors
from recsys.models.by_factors import ByFactors
from recsys.models.checks import Need, at_least_one, enough_memory, for_factors
from recsys.models.fits import checked_fit
from recsys.types.arrays import Csr
from recsys.types.models import Factors, Side
from recsys.types.numbers import make_plain

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
        make_plain(self)
        at_least_one("pure_svd", factors=self.factors)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_factors(train, self.factors, _BYTES_PER_FACTOR)

    @checked_fit("pure_svd")
    def fit(self, train: Csr, side: Side | None = None) -> ByFactors:
        """Fit to the positives, (U, I), the same bits on any number of cores.

        Raises:
            RecsysError: if there are no positives, or the factors are too large for the memory of this machine.
        """
        enough_memory("pure_svd", self.need(train))
        values, right = right_singular_vectors(train, min(self.factors, min(train.shape)))
        items = np.ascontiguousarray(right[:, values > 0], dtype=np.float32)
        users = np.asarray(train.astype(np.float64) @ items)
        liked = np.diff(train.indptr) > 0
        users[~liked] = typical = users[liked].mean(axis=0)
        return ByFactors(
            Factors(
                user_factors=users.astype(np.float32),
                item_factors=items,
                typical=np.asarray(typical, dtype=np.float32),
                everywhere=1.0,
                observed=0.0,
                pull=1.0,
                disliked=0.0,
                regularization=0.0,
                nu=0.0,
            )
        )
