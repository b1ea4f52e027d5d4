"""Item-based nearest neighbours."""

from dataclasses import dataclass, replace

import numpy as np

from recsys.models.checks import MemoryNeed, check_memory, check_non_negative, check_positive_ints
from recsys.models.fits import check_fit
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.sparse_topk import estimate_link_memory, sum_weighted_popularity
from recsys.models.tfidf_bm25 import (
    check_similarity,
    compute_idf,
    compute_relative_lengths,
    find_nearest_rows,
    weigh_rows,
)
from recsys.types.arrays import Csr
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python


@dataclass(frozen=True)
class ItemKNN:
    """Item-based nearest neighbours (Sarwar et al. 2001; Deshpande and Karypis 2004).

    The score of item i is the sum of sim(i, j) w_j over the items j of the history that are among the k nearest of i,
    sim(i, j) = x_i . x_j / (|x_i| |x_j| + shrink). `similarity` says what x_i holds for a user u who has i: "cosine"
    1; "tfidf" log(I / (1 + |H_u|)), at least 0; "bm25" that times w_i = 2.2 / (1.2 (0.25 + 0.75 n_i / mean n) + 1),
    n_i the number of users of i. w_j is 1 but for "bm25". Positives with a value x other than 1 say x, sqrt(x) and
    2.2 x / (1.2 (...) + x), with sums of values for n. These are the weightings of Ferrari Dacrema et al. (2021),
    less a factor per user that leaves the order as it is. Of equally near items the first in index order is kept. A
    user whose history has no neighbour gets popularity.

    By default, `shrink` is the mean square of the entries of all x_i, times the ratio of items to users (of those with
    positives): the fewer users stand behind the items, the less a few shared ones say. docs/models.md says how near
    the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    k: int = 300  # how many nearest items of each item count
    similarity: str = "tfidf"  # "cosine", "tfidf" or "bm25"
    shrink: float | None = None  # added to the product of lengths: few shared users say less; by default from the data

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("item_knn", k=self.k)
        if self.shrink is not None:
            check_non_negative("item_knn", shrink=self.shrink)
        check_similarity("item_knn", self.similarity)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_link_memory(train, self.k)

    def fill_defaults(self, train: Csr) -> "ItemKNN":
        """Return the settings with the number that `shrink` gets from the positives, (U, I)."""
        if self.shrink is not None:
            return self
        rows = self.weigh_items(train)
        users, items = len(np.unique(rows.indices)), np.count_nonzero(np.diff(rows.indptr))
        return replace(self, shrink=float(np.mean(rows.data**2)) * items / users)

    @check_fit("item_knn")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedItemSimilarity:
        """Fit to the positives, (U, I): exact, in blocks of items.

        Raises:
            RecsysError: if there are no positives, or the links are too large for the memory of this machine.
        """
        check_memory("item_knn", self.estimate_memory(train))
        shrink = float(self.fill_defaults(train).shrink or 0)
        links = find_nearest_rows(self.weigh_items(train), self.k, shrink)
        lengths, popularity = compute_relative_lengths(Csr(train.T)), sum_weighted_popularity(side)
        return FittedItemSimilarity(train, Csr(links.T), lengths, self.similarity, popularity=popularity)

    def weigh_items(self, train: Csr) -> Csr:
        """Return the weighted users of each item, (I, U)."""
        items = Csr(train.T)
        return weigh_rows(items, self.similarity, compute_idf(items, self.similarity), compute_relative_lengths(items))
