"""A fitted factor model, and the loss that its factors leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.maths.fold_in import compute_target_weights, solve_user_factors
from recsys.models.checks import CheckedArrays
from recsys.models.matrices import canonicalize_histories, count_likes
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.models import Factors, SideInformation

_ROWS = 256  # users whose scores are made at once
_WIDTH = 4096  # items of a stretch: scores of a block of users that stay in the cache


class Loss(NamedTuple):
    """The three parts of a factor model's training loss; the dominant one shows which setting to tune."""

    observed: float  # at likes and known dislikes
    implicit: float  # everywhere
    regularization: float

    @property
    def total(self) -> float:
        """The training loss."""
        return self.observed + self.implicit + self.regularization


@dataclass(frozen=True, eq=False)
class FittedFactors(CheckedArrays):
    """A fitted factor model: the score is the dot product of a user's and an item's factor."""

    factors: Factors
    losses: Doubles | None = None  # (E, 3) the parts of the `Loss` after each epoch, where the model reports them

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return np.asarray(self.factors.user_factors[users] @ self.factors.item_factors.T, dtype=np.float32)

    def iter_score_blocks(self, users: Ints) -> Iterator[tuple[int, Floats]]:
        """Yield the scores of B users, (B, W), against W items after the other, and the first item of each stretch.

        All stretches have the same place in memory: the scores of one are gone when the next is asked for.
        """
        own, items = self.factors.user_factors[users], self.factors.item_factors
        room = np.empty(len(own) * min(_WIDTH, len(items)), dtype=np.float32)
        for first in range(0, len(items), _WIDTH):
            part = items[first : first + _WIDTH]
            scores = room[: len(own) * len(part)].reshape(len(own), len(part))
            yield first, np.matmul(own, part.T, out=scores, casting="same_kind")

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): each one's exact factor, the mean one if empty."""
        histories = canonicalize_histories(histories, len(self.factors.item_factors))
        return np.asarray(solve_user_factors(self.factors, histories) @ self.factors.item_factors.T, dtype=np.float32)


def compute_loss(factors: Factors, train: Csr, side: SideInformation | None = None) -> Loss:
    """Return the loss whose minimum over one side, the other fixed, `Factors` states as normal equations.

    With s a score, H the likes of `train` (U, I), D the dislikes of `side`: observed = sum_H (observed s^2 - 2 pull s
    + pull) + disliked sum_D s^2, implicit = everywhere sum s^2, regularization = sum of each factor's squared
    length times its ridge, on both sides. Who has no likes has the zero vector here, as in training. Values of `train`
    are weights by age where the factors were fitted with such.
    """
    weighs = factors.oldest_target_weight is not None
    liked = count_likes(train, weighs)
    sides = [factors.user_factors.astype(np.float64), factors.item_factors.astype(np.float64)]
    length, implicit = 0.0, np.full((sides[0].shape[1],) * 2, factors.unobserved_weight)
    for own, count, others in zip(sides, liked, reversed(train.shape), strict=True):
        own[count == 0] = 0.0
        ridges = factors.regularization * (count + factors.count_ridge_cells(others)) ** factors.nu
        length += float(ridges @ (own**2).sum(axis=1))
        implicit = implicit * (own.T @ own)
    observed = 0.0
    for start in range(0, train.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        scores = sides[0][rows] @ sides[1].T
        at = scores[train[rows].nonzero()]
        weights = train[rows].data.astype(np.float64) if weighs else np.ones(len(at))
        targets = compute_target_weights(factors, weights) if weighs else factors.target_weight
        observed += float((factors.observed_weight * weights * at**2 - 2 * targets * at + targets).sum())
        if side is not None and side.dislikes is not None:
            observed += factors.disliked_weight * float((scores[side.dislikes[rows].nonzero()] ** 2).sum())
    return Loss(observed, float(implicit.sum()), length)
