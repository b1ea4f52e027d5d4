"""The most popular items, the same list for everybody."""

from dataclasses import dataclass

import numpy as np

from recsys.maths.popularity import count_item_users
from recsys.models.checks import CheckedArrays, check_positive
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.models.sparse_topk import sum_weighted_popularity
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints
from recsys.types.errors import RecsysError
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.time_weights import SECONDS_PER_DAY, get_positive_times


@dataclass(frozen=True, eq=False)
class FittedPopularity(CheckedArrays):
    """A fitted most-popular model."""

    counts: Floats  # (I,)
    factors: None = None
    predicted: Bools | None = None  # (I,) items that came after the fit: their counts come from their features

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return np.repeat(self.counts[None], len(users), axis=0)

    def fold(self, histories: Csr) -> Floats:
        """Return the same list for B histories (B, I), (B, I)."""
        return np.repeat(self.counts[None], canonicalize_histories(histories, len(self.counts)).shape[0], axis=0)


@dataclass(frozen=True)
class MostPopular:
    """A baseline without personalisation: an item's score is the number of users who have it.

    With `half_life` (days), a user counts 2^(-age / half_life), age the days from the positive to the latest one. With
    weights by age in the side information (`Split.with_half_life`), a user counts as much as the positive does.

    Raises:
        RecsysError: if a setting is invalid.
    """

    half_life: float | None = None  # days after which a positive counts half; by default all count alike

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        if self.half_life is not None:
            check_positive("most_popular", half_life=self.half_life)

    @check_fit("most_popular", weighs=False)
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedPopularity:
        """Count the positives, (U, I).

        Raises:
            RecsysError: if `half_life` is set and `side` has no times, or has weights by age.
        """
        popularity = sum_weighted_popularity(side)
        if popularity is not None and self.half_life is not None:
            raise RecsysError(
                f"most_popular: half_life: found {self.half_life!r} beside the half-life of all data, "
                "expected one of them"
            )
        if popularity is not None:
            return FittedPopularity(popularity.astype(np.float32))
        if self.half_life is None:
            return FittedPopularity(count_item_users(train).astype(np.float32))
        if side is None or side.times is None:
            raise RecsysError(
                f"most_popular: half_life: found {self.half_life!r} and data without times, "
                "expected data with a time column, or no half_life"
            )
        return FittedPopularity(
            _count_with_decay(train, side.times, self.half_life * SECONDS_PER_DAY).astype(np.float32)
        )


def _count_with_decay(train: Csr, times: Csr, half_life: float) -> Doubles:
    """Return the decayed count of each item, (I,)."""
    when = get_positive_times(train, times)
    weights = np.exp2((when - when.max(initial=-np.inf)) / half_life)
    return np.asarray(np.bincount(train.indices, weights=weights, minlength=train.shape[1]), dtype=np.float64)
