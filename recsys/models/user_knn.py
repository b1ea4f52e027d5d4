"""User-based nearest neighbours."""

from dataclasses import dataclass, field

import numpy as np

from recsys.models.checks import CheckedArrays, MemoryNeed, check_memory, check_non_negative, check_positive_ints
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.models.sparse_topk import fill_with_popularity, iter_row_blocks, keep_top_k, sum_weighted_popularity
from recsys.models.tfidf_bm25 import check_similarity, compute_cosines, compute_idf, sum_rows, weigh_rows
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

_BYTES_PER_POSITIVE = 32  # its value, the length of its row, the rarity of its column, and what it says, as float64


@dataclass(frozen=True, eq=False)
class FittedUserKNN(CheckedArrays):
    """A fitted user-based model: it looks for neighbours when it is asked."""

    train: Csr = field(
        metadata=mark_user_rows("the liked items, and how much each counts, as the model keeps them")
    )  # (U, I)
    # (U, I) float64, what each user's positives say
    weights: Csr = field(metadata=mark_user_rows("the liked items, and how much each says to neighbours"))
    idf: Doubles  # (I,)
    mean_history_sum: float  # sum of a history
    k: int
    similarity: str
    shrink: float
    factors: None = None
    popularity: Doubles | None = None  # (I,) by weights by age, where it is fitted with such

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_histories(self.train[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I); popularity for one without neighbours."""
        return self._score_histories(canonicalize_histories(histories, self.train.shape[1]))

    def _score_histories(self, histories: Csr) -> Floats:
        scores = np.empty(histories.shape, np.float32)
        for part in iter_row_blocks(histories.shape[0], max(self.train.shape)):
            rows = weigh_rows(
                histories[part], self.similarity, self.idf, sum_rows(histories[part]) / self.mean_history_sum
            )
            near = compute_cosines(rows, self.weights, self.shrink)
            near[self._find_identical_users(histories[part])] = 0.0
            scores[part] = (keep_top_k(near, self.k) @ self.weights).toarray()
        return fill_with_popularity(scores, self.train, self.popularity)

    def _find_identical_users(self, histories: Csr) -> Bools:
        """Return which training users have exactly the items of each history, (B, U)."""
        ours, theirs = np.diff(histories.indptr), np.diff(self.train.indptr)
        shared = (_to_binary(histories) @ _to_binary(self.train).T).toarray()
        return np.asarray((shared == ours[:, None]) & (shared == theirs))


@dataclass(frozen=True)
class UserKNN:
    """User-based nearest neighbours (Resnick et al. 1994; Herlocker et al. 1999, for positives).

    The score of item i is the sum of sim(u, v) x_vi over the k nearest users v, with sim(u, v) = x_u . x_v /
    (|x_u| |x_v| + shrink). `similarity` says what x_vi is where v has i: "cosine" 1; "tfidf" log(U / (1 + n_i)), at
    least 0, with n_i the number of users of i; "bm25" that times 2.2 / (1.2 (0.25 + 0.75 |H_v| / mean |H|) + 1).
    Positives with a value x other than 1 say x, sqrt(x) and 2.2 x / (1.2 (...) + x), with sums of values for |H|. Of
    equally near users the first in index order is kept.

    Users with exactly the same items, the user among them, have nothing to recommend and are no neighbours: so a
    new user with the history of a known one gets the same scores. A user without neighbours gets popularity.
    docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    k: int = 300  # how many nearest users count
    similarity: str = "tfidf"  # "cosine", "tfidf" or "bm25"
    shrink: float = 3.0  # added to the product of lengths: few shared items say less

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("user_knn", k=self.k)
        check_non_negative("user_knn", shrink=self.shrink)
        check_similarity("user_knn", self.similarity)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        what, instead = f"{train.nnz:,} positives", "filter users with a larger min_user_interactions"
        return MemoryNeed(_BYTES_PER_POSITIVE * train.nnz, 8 * train.nnz, what, instead)

    @check_fit("user_knn")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedUserKNN:
        """Weigh the positives, (U, I); neighbours are looked for when users are scored.

        Raises:
            RecsysError: if there are no positives, or they are too many for the memory of this machine.
        """
        check_memory("user_knn", self.estimate_memory(train))
        rarity, average = compute_idf(train, self.similarity), float(sum_rows(train).mean())
        weights = weigh_rows(train, self.similarity, rarity, sum_rows(train) / average)
        popularity, shrink = sum_weighted_popularity(side), float(self.shrink)
        return FittedUserKNN(train, weights, rarity, average, self.k, self.similarity, shrink, popularity=popularity)


def _to_binary(rows: Csr) -> Csr:
    return Csr((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
