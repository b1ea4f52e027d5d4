"""A fitted model of links between items."""

from dataclasses import dataclass, field

import numpy as np

from recsys.models.checks import CheckedArrays
from recsys.models.matrices import canonicalize_histories
from recsys.models.sparse_topk import fill_with_popularity
from recsys.models.tfidf_bm25 import weigh_entries
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class FittedItemSimilarity(CheckedArrays):
    """A fitted model of links between items: the score of an item is the sum of the links to it from the history."""

    train: Csr = field(
        metadata=mark_user_rows("the liked items, and how much each counts, as the model keeps them")
    )  # (U, I)
    links: Csr  # (I, I) float32, from the item in the history to the item scored; zero diagonal
    relative_lengths: Doubles  # (I,) how many have each item, 1 on average
    similarity: str = "cosine"  # which says what an entry of the history is worth
    factors: None = None
    popularity: Doubles | None = None  # (I,) by weights by age, where it is fitted with such

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_histories(self.train[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I); popularity for one that links to nothing."""
        return self._score_histories(canonicalize_histories(histories, self.links.shape[1]))

    def _score_histories(self, histories: Csr) -> Floats:
        worth = weigh_entries(self.similarity, histories.data, self.relative_lengths[histories.indices])
        rows = Csr((worth, histories.indices, histories.indptr), shape=histories.shape)
        return fill_with_popularity((rows @ self.links).toarray().astype(np.float32), self.train, self.popularity)
