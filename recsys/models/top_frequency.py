"""What a user bought most often: the baseline of repeat consumption."""

from dataclasses import dataclass, field

import numpy as np

from recsys.maths.popularity import sum_item_weights
from recsys.models.checks import CheckedArrays, check_positive
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.models.purchase_counts import count_purchases
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.errors import RecsysError
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.time_weights import SECONDS_PER_DAY
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class FittedTopFrequency(CheckedArrays):
    """A fitted personal frequency: what a user bought, by how often, then what most users have."""

    counts: Csr = field(metadata=mark_user_rows("how often each item was bought"))  # (U, I) float64
    item_shares: Doubles  # (I,) popularity, from 0 to below 1
    knows_purchases: bool  # fitted to purchases, not to pairs
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_counts(Csr(self.counts[users]))

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): each positive counts as its value says."""
        return self._score_counts(canonicalize_histories(histories, len(self.item_shares)))

    def _score_counts(self, counts: Csr) -> Floats:
        scores = np.repeat(self.item_shares[None].astype(np.float32), counts.shape[0], axis=0)
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        above = self.item_shares[counts.indices] + 1.0  # what was bought stands above all that was not
        scores[rows, counts.indices] = (counts.data + above).astype(np.float32)
        return scores


@dataclass(frozen=True)
class TopFrequency:
    """Personal frequency: a user's items by how often they were bought; then all others by popularity.

    GP-TopFreq of Li et al. 2023, a strong baseline of next baskets: most of what is bought again was bought often. The
    score of an item with n purchases is 1 + n + its popularity, and its popularity alone where n is 0; popularity is
    the number of users who have it, over one more than the largest.

    Purchases are those of the side information (`recsys.splits.hold_out_repeats`); without them each positive counts
    as its value says, once as a rule. With `half_life` (days) a purchase counts 2^(-age / half_life), age the days from
    it to the last of all. It needs a pool that keeps what was met.

    Raises:
        RecsysError: if a setting is invalid.
    """

    half_life: float | None = None  # days after which a purchase counts half; by default all count alike

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        if self.half_life is not None:
            check_positive("top_frequency", half_life=self.half_life)

    @check_fit("top_frequency")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedTopFrequency:
        """Count the purchases of the positives, (U, I).

        Raises:
            RecsysError: if `half_life` is set where purchases are not known, or beside weights by age.
        """
        users = sum_item_weights(train)
        popularity = users / (users.max() + 1.0)
        purchases = None if side is None else side.purchases
        if self.half_life is not None and (purchases is None or (side is not None and side.weights is not None)):
            found = "no purchases with their times" if purchases is None else "the half-life of all data"
            expected = "expected them (recsys.splits.hold_out_repeats)" if purchases is None else "expected one of them"
            raise RecsysError(f"top_frequency: half_life: found {self.half_life!r} beside {found}, {expected}")
        if purchases is None:
            return FittedTopFrequency(train.astype(np.float64), popularity, False)
        if self.half_life is None:
            counts = count_purchases(purchases)
            if side is not None and side.weights is not None:
                counts = Csr(counts.multiply(train))
            return FittedTopFrequency(counts, popularity, True)
        ages = (purchases.end - purchases.datetime) / (self.half_life * SECONDS_PER_DAY)
        return FittedTopFrequency(count_purchases(purchases, np.exp2(-np.minimum(ages, 100.0))), popularity, True)
