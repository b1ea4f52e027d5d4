"""What is held back of a history: positives that count less until their user confirms them."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs
from recsys.types.checks import check_matrix
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_number
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class HeldBack:
    """The score of each training positive of U users by which some count less.

    A positive whose score is above `threshold` counts `weight` instead of 1, until its user confirms it: a confirmed
    one has its score with a minus.
    """

    scores: Csr = field(
        metadata=mark_user_rows("how little each liked item fits the history: above the threshold it counts less, "
                                "below 0 the user confirmed it")
    )  # (U, I) float32, entries as those of train  # fmt: skip
    threshold: float  # a score above it holds a positive back; inf where no history is long enough
    weight: float  # (0, 1] how much such a positive counts

    @property
    def flags(self) -> Bools:
        """Which entries are held back and were not confirmed, (E,)."""
        return np.asarray(self.scores.data > self.threshold)

    @property
    def weights(self) -> Floats:
        """How much each entry counts, (E,) float32."""
        return np.where(self.flags, np.float32(self.weight), np.float32(1.0))

    def take_users(self, users: Ints | Longs) -> Self:
        """Return the record of some users, rows in the order of `users`."""
        return replace(self, scores=Csr(self.scores[users]))

    def find_items(self, user: int) -> Ints:
        """Return the items of a user that are held back, codes in ascending order."""
        own = slice(self.scores.indptr[user], self.scores.indptr[user + 1])
        items: Ints = self.scores.indices[own][self.scores.data[own] > self.threshold]
        return items

    def find_place(self, user: int, item: int) -> int:
        """Return the place of an entry, -1 where there is none."""
        first, end = int(self.scores.indptr[user]), int(self.scores.indptr[user + 1])
        place = first + int(np.searchsorted(self.scores.indices[first:end], item))
        return place if place < end and int(self.scores.indices[place]) == item else -1

    def confirm(self, place: int) -> Self:
        """Return the record in which an entry counts whole."""
        data = np.array(self.scores.data)
        data[place] = -abs(data[place])
        return replace(self, scores=Csr((data, self.scores.indices, self.scores.indptr), shape=self.scores.shape))

    def check_held_back(self, place: str, train: Csr) -> None:
        """Refuse scores that are not those of the positives (U, I), and numbers out of their range.

        Raises:
            RecsysError: naming `place`.
        """
        check_matrix(f"{place}: scores", self.scores, train.shape)
        if not (
            np.array_equal(self.scores.indptr, train.indptr) and np.array_equal(self.scores.indices, train.indices)
        ):
            raise RecsysError(f"{place}: scores are not those of the entries of train, expected one for each")
        check_number(f"{place}: weight", self.weight, above=0.0, most=1.0)
        if np.isnan(self.threshold):
            raise RecsysError(f"{place}: threshold is NaN, expected a number")
