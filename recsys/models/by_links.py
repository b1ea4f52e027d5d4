"""A fitted model of links between items."""

from dataclasses import dataclass

import numpy as np

from recsys.models.matrices import canonical_histories
from recsys.models.neighbours import or_popularity
from recsys.models.weightings import said
from recsys.types.arrays import Csr, Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class ByLinks:
    """A fitted model of links between items: the score of an item is the sum of the links to it from the history."""

    train: Csr  # (U, I)
    links: Csr  # (I, I) float32, from the item in the history to the item scored; zero diagonal
    lengths: Doubles  # (I,) how many have each item, 1 on average
    similarity: str = "cosine"  # which says what an entry of the history is worth
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._scores(self.train[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I); popularity for one that links to nothing."""
        return self._scores(canonical_histories(histories, self.links.shape[1]))

    def _scores(self, histories: Csr) -> Floats:
        worth = said(self.similarity, histories.data, self.lengths[histories.indices])
        rows = Csr((worth, histories.indices, histories.indptr), shape=histories.shape)
        return or_popularity((rows @ self.links).toarray().astype(np.float32), self.train)
