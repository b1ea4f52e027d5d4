"""The same list for everybody: what most users have."""

from dataclasses import dataclass

import numpy as np

from recsys.maths import counts
from recsys.types.arrays import Csr, Floats, Ints


@dataclass(frozen=True, eq=False)
class ByCounts:
    """A fitted most-popular model."""

    counts: Floats  # (I,)
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return np.repeat(self.counts[None], len(users), axis=0)


@dataclass(frozen=True)
class MostPopular:
    """The control that knows no user: an item's score is the number of users who have it."""

    def fit(self, train: Csr) -> ByCounts:
        """Count the positives, (U, I)."""
        return ByCounts(counts(train).astype(np.float32))
