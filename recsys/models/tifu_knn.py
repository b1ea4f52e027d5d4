"""Temporal item frequency of baskets, a user's own and that of near users."""

from dataclasses import dataclass, field

import numpy as np

from recsys.maths.popularity import sum_item_weights
from recsys.models.checks import CheckedArrays, MemoryNeed, check_memory, check_positive_ints
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.models.purchase_counts import count_purchases, number_baskets, weigh_baskets
from recsys.models.sparse_topk import iter_row_blocks
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.models import SideInformation
from recsys.types.numbers import check_number, convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

_BYTES_PER_POSITIVE = 24  # its vector's value and index, and what neighbours are looked for by


@dataclass(frozen=True, eq=False)
class FittedTifuKNN(CheckedArrays):
    """A fitted TIFU-kNN: it looks for neighbours when it is asked."""

    vectors: Csr = field(metadata=mark_user_rows("how often and how lately each item was bought"))  # (U, I) float64
    item_shares: Doubles  # (I,) popularity, from 0 to below 1
    knows_purchases: bool  # fitted to purchases, not to pairs
    k: int
    own_share: float
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_vectors(Csr(self.vectors[users]))

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): each is one basket; popularity of one without purchases."""
        return self._score_vectors(canonicalize_histories(histories, len(self.item_shares)).astype(np.float64))

    def _score_vectors(self, vectors: Csr) -> Floats:
        scores = np.empty(vectors.shape, np.float32)
        for part in iter_row_blocks(vectors.shape[0], max(self.vectors.shape)):
            rows = Csr(vectors[part])
            mixed = (1.0 - self.own_share) * (self._find_neighbors(rows) @ self.vectors).toarray()
            scores[part] = mixed + self.own_share * rows.toarray()
        scores[np.diff(vectors.indptr) == 0] = self.item_shares
        return scores

    def _find_neighbors(self, rows: Csr) -> Csr:
        """Return 1 / k for each of the k users nearest to each row, (B, U); of equally near ones the first."""
        lengths = np.asarray(self.vectors.multiply(self.vectors).sum(axis=1)).ravel()
        own = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
        far = np.maximum(own[:, None] + lengths - 2.0 * (rows @ self.vectors.T).toarray(), 0.0)
        far[far <= 1e-12 * (own[:, None] + lengths)] = np.inf  # the same vector: it has nothing to add
        far[:, lengths == 0] = np.inf
        k = min(self.k, far.shape[1])
        last = np.partition(far, k - 1, axis=1)[:, k - 1 : k]
        equal = far == last
        room = k - (far < last).sum(axis=1, keepdims=True)
        kept = np.isfinite(far) & ((far < last) | (equal & (np.cumsum(equal, axis=1) <= room)))
        return Csr(kept / float(self.k))


@dataclass(frozen=True)
class TifuKNN:
    """TIFU-kNN: temporal item frequency of a user's baskets, mixed with that of near users (Hu et al. 2020).

    A user's vector is the sum over baskets of their 0/1 vectors, by weight: baskets are cut into `n_groups` groups by
    time; one weighs `within_decay`^d1 / (baskets of its group) times `group_decay`^d2 / (groups), with d1 the later
    baskets of its group and d2 the later groups. Scores are `own_share` times the user's vector plus 1 - `own_share`
    times the sum of the vectors of the `k` nearest users by Euclidean distance, over k. Users with the same vector, the
    user among them, have nothing to add and are no neighbours. The defaults are those published for TaFeng.

    A basket is what a user bought at one moment, of the side information's purchases
    (`recsys.splits.hold_out_repeats`); without them the positives are one basket. Without a purchase scores are
    popularity. It needs a pool that keeps what was met.

    Raises:
        RecsysError: if a setting is invalid.
    """

    k: int = 300  # how many near users count
    within_decay: float = 0.9  # from basket to basket of a group, back in time
    group_decay: float = 0.7  # from group to group
    own_share: float = 0.7  # of the user's own vector; alpha in the paper
    n_groups: int = 7  # of a user's baskets

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("tifu_knn", k=self.k, n_groups=self.n_groups)
        for name in ("within_decay", "group_decay"):
            check_number(f"tifu_knn: {name}", getattr(self, name), above=0.0, most=1.0)
        check_number("tifu_knn: own_share", self.own_share, most=1.0)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        what, instead = f"{train.nnz:,} positives", "filter users with a larger min_user_interactions"
        return MemoryNeed(_BYTES_PER_POSITIVE * train.nnz, 12 * train.nnz, what, instead)

    @check_fit("tifu_knn")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedTifuKNN:
        """Weigh the baskets of the positives, (U, I); neighbours are looked for when users are scored.

        Raises:
            RecsysError: if there are no positives, or they are too many for the memory of this machine.
        """
        check_memory("tifu_knn", self.estimate_memory(train))
        users = sum_item_weights(train)
        popularity = users / (users.max() + 1.0)
        purchases = None if side is None else side.purchases
        if purchases is None:
            return FittedTifuKNN(train.astype(np.float64), popularity, False, self.k, float(self.own_share))
        place, baskets = number_baskets(purchases)
        decays = float(self.within_decay), float(self.group_decay)
        vectors = count_purchases(purchases, weigh_baskets(place, baskets[purchases.user], self.n_groups, *decays))
        if side is not None and side.weights is not None:
            vectors = Csr(vectors.multiply(train))
        return FittedTifuKNN(vectors, popularity, True, self.k, float(self.own_share))
