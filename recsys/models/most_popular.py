"""The same list for everybody: what most users have."""

from dataclasses import dataclass

import numpy as np

from recsys.maths import counts
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.models import Side


@dataclass(frozen=True, eq=False)
class ByCounts:
    """A fitted most-popular model."""

    counts: Floats  # (I,)
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return np.repeat(self.counts[None], len(users), axis=0)

    def fold(self, histories: Csr) -> Floats:
        """Return the same list for B histories (B, I), (B, I)."""
        return np.repeat(self.counts[None], histories.shape[0], axis=0)


@dataclass(frozen=True)
class MostPopular:
    """The control that knows no user: an item's score is the number of users who have it."""

    def fit(self, train: Csr, side: Side | None = None) -> ByCounts:
        """Count the positives, (U, I)."""
        return ByCounts(counts(train).astype(np.float32))
