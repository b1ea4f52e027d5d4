"""What users may buy again: how much each of their items calls for it, and until when what they own is held back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recsys.types.arrays import Csr, Doubles, Ints, Longs
from recsys.types.checks import check_array, check_finite, check_matrix
from recsys.types.errors import RecsysError
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class RepeatHistories:
    """What each of U users bought of I items, as the guard `repeat` and the metric `over_advertising` read it.

    `recsys.evidence.build_repeats` makes one of purchases.
    """

    # (U, I) float32, above 0 where the user bought the item: the larger, the sooner it is shown again
    scores: Csr = field(metadata=mark_user_rows("how strongly each bought item calls for being bought again"))
    # (U,) from 0 to 1: the share of what a user buys that was bought before
    shares: Doubles = field(metadata=mark_user_rows("the share of purchases that are expected to be repeats"))
    # (U, I) float64 seconds since 1970: an owned item is held back before that moment
    due_from: Csr = field(metadata=mark_user_rows("until when each owned item is not shown again"))
    prior_share: float  # that of a user of whom nothing is known
    now: int  # seconds since 1970: the moment that scores are of

    def check_histories(self, place: str, size: tuple[int, int]) -> None:
        """Refuse arrays that are not of so many users and items, or hold what cannot be.

        Raises:
            RecsysError: naming the array.
        """
        for name in ("scores", "due_from"):
            check_matrix(f"{place}: {name}", getattr(self, name), size)
        check_array(f"{place}: shares", self.shares, size[:1], "f")
        check_finite(f"{place}: shares", self.shares)
        shares = np.append(self.shares, self.prior_share)
        if not (shares.min() >= 0 and shares.max() <= 1):
            raise RecsysError(
                f"{place}: shares from {shares.min():g} to {shares.max():g}, expected numbers from 0 to 1"
            )
        if self.scores.nnz and not self.scores.data.min() > 0:
            raise RecsysError(f"{place}: scores hold {self.scores.data.min():g}, expected numbers above 0")

    def take_users(self, codes: Sequence[int] | Ints | Longs) -> "RepeatHistories":
        """Return the rows of these users, in their order; -1 is a user of whom nothing is known."""
        at = np.asarray(codes, dtype=np.int64)
        known = np.flatnonzero(at >= 0)
        pick = Csr((np.ones(len(known), np.float64), (known, at[known])), shape=(len(at), self.scores.shape[0]))
        shares = np.full(len(at), self.prior_share)
        shares[known] = self.shares[at[known]]
        scores, due_from = (Csr(pick @ matrix) for matrix in (self.scores, self.due_from))
        return replace(self, scores=scores.astype(np.float32), shares=shares, due_from=due_from)

    def leave_items(self, items: Ints) -> "RepeatHistories":
        """Return the histories in which some items, codes, call for nothing."""
        ended = np.isin(self.scores.indices, items)
        if not ended.any():
            return self
        lost = np.concatenate([[0], np.cumsum(ended)])[self.scores.indptr]
        pointers = (self.scores.indptr - lost).astype(np.int32)
        left = Csr((self.scores.data[~ended], self.scores.indices[~ended], pointers), shape=self.scores.shape)
        return replace(self, scores=left)

    def find_held_back(self, now: int | None = None) -> Csr:
        """Return 1 where an item is owned and not due at a moment in seconds since 1970, (U, I); of `now` without."""
        later = self.due_from.data > (self.now if now is None else now)
        return _select_entries(self.due_from, later)

    def find_due(self, now: int | None = None) -> Csr:
        """Return the scores of the items that are not held back at a moment, (U, I), as `find_held_back`."""
        held = self.find_held_back(now)
        if not held.nnz:
            return self.scores
        left = Csr(self.scores - self.scores.multiply(held))
        left.eliminate_zeros()
        return left


def _select_entries(matrix: Csr, kept: np.ndarray) -> Csr:
    before = np.concatenate([[0], np.cumsum(kept)])
    ones = np.ones(int(before[-1]), np.float32)
    return Csr((ones, matrix.indices[kept], before[matrix.indptr].astype(np.int32)), shape=matrix.shape)
