"""One-offs: positives that fit nothing else of their history, and what tells them in a history that is new."""

from dataclasses import dataclass, field, replace

import numpy as np

from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints, Longs
from recsys.types.checks import check_array, check_finite, check_matrix
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_int, check_number
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class OneOffs:
    """The score of each training positive of U users as a one-off, and what a score is made of.

    `recsys.evidence.detect_one_offs` makes it. A positive whose score is above `threshold` counts `weight` instead of
    1, until its user confirms it: a confirmed one has its score with a minus.
    """

    scores: Csr = field(
        metadata=mark_user_rows("how much each liked item is a one-off: above the threshold it counts less, below 0 "
                                "the user confirmed it")
    )  # (U, I) float32, entries as those of train; 0 for what was bought again, or of a short history  # fmt: skip
    vectors: Floats  # (I, d) unit rows of the space `cooccurrence`, in which isolation is measured
    threshold: float  # a score above it is one of a one-off; inf where no history is long enough
    weight: float  # (0, 1] how much a one-off counts
    n_near: int  # of the nearest others that isolation is the distance to
    min_history: int  # positives below which a history has no one-off
    item_factors: Floats | None = None  # (I, f) that influence is measured with
    fold_weights: Doubles | None = None  # (5,) those of `recsys.maths.one_offs.FoldWeights`
    region_shares: Csr | None = None  # (I, Z) in the place of factors, where a model has none

    @property
    def flags(self) -> Bools:
        """Which entries are one-offs that nobody confirmed, (E,)."""
        return np.asarray(self.scores.data > self.threshold)

    @property
    def weights(self) -> Floats:
        """How much each entry counts, (E,) float32."""
        return np.where(self.flags, np.float32(self.weight), np.float32(1.0))

    def take_users(self, users: Ints | Longs) -> "OneOffs":
        """Return the one-offs of some users, rows in the order of `users`."""
        return replace(self, scores=Csr(self.scores[users]))

    def find_items(self, user: int) -> Ints:
        """Return the items of a user that are one-offs, codes in ascending order."""
        own = slice(self.scores.indptr[user], self.scores.indptr[user + 1])
        items: Ints = self.scores.indices[own][self.scores.data[own] > self.threshold]
        return items

    def find_place(self, user: int, item: int) -> int:
        """Return the place of an entry, -1 where there is none."""
        first, end = int(self.scores.indptr[user]), int(self.scores.indptr[user + 1])
        place = first + int(np.searchsorted(self.scores.indices[first:end], item))
        return place if place < end and int(self.scores.indices[place]) == item else -1

    def confirm(self, place: int) -> "OneOffs":
        """Return the one-offs in which an entry counts whole."""
        data = np.array(self.scores.data)
        data[place] = -abs(data[place])
        return replace(self, scores=Csr((data, self.scores.indices, self.scores.indptr), shape=self.scores.shape))

    def check_one_offs(self, place: str, train: Csr) -> None:
        """Refuse arrays that do not go together, or not with the positives (U, I).

        Raises:
            RecsysError: naming `place`.
        """
        n_items = train.shape[1]
        check_matrix(f"{place}: scores", self.scores, train.shape)
        if not (
            np.array_equal(self.scores.indptr, train.indptr) and np.array_equal(self.scores.indices, train.indices)
        ):
            raise RecsysError(f"{place}: scores are not those of the entries of train, expected one for each")
        check_array(f"{place}: vectors", self.vectors, (n_items, None))
        check_finite(f"{place}: vectors", self.vectors)
        check_number(f"{place}: weight", self.weight, above=0.0, most=1.0)
        check_int(f"{place}: n_near", self.n_near, 1)
        check_int(f"{place}: min_history", self.min_history, 2)
        if np.isnan(self.threshold):
            raise RecsysError(f"{place}: threshold is NaN, expected a number")
        if self.region_shares is not None:
            check_matrix(f"{place}: region_shares", self.region_shares, (n_items, self.region_shares.shape[1]))
            return
        if self.item_factors is None or self.fold_weights is None:
            raise RecsysError(f"{place}: has neither item_factors and fold_weights nor region_shares, expected either")
        check_array(f"{place}: item_factors", self.item_factors, (n_items, None))
        check_array(f"{place}: fold_weights", self.fold_weights, (5,))
        check_finite(f"{place}: item_factors", self.item_factors)
        check_finite(f"{place}: fold_weights", self.fold_weights)
