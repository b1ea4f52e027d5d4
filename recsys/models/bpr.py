"""Matrix factorisation that puts what a user has before what others have."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys import seeds
from recsys.maths import counts
from recsys.models.checks import (
    Need,
    above_zero,
    at_least_one,
    enough_memory,
    for_factors,
    from_zero,
    whole_numbers,
)
from recsys.models.fits import checked_fit
from recsys.models.libraries import lowest_elsewhere, sides
from recsys.models.matrices import canonical_histories
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.extras import needs_extra
from recsys.types.models import Side
from recsys.types.numbers import make_plain

_BYTES_PER_FACTOR = 16  # the library's (4), ours (4), and their copies while they are read
_PASSES = 20  # over a history, when a user's factor is found


@dataclass(frozen=True, eq=False)
class ByPairs:
    """A fitted pairwise model: a factor for each user, a factor and a bias for each item."""

    user_factors: Floats  # (U, d)
    item_factors: Floats  # (I, d)
    biases: Floats  # (I,)
    typical: Floats  # (d,)
    popularity: Doubles  # (I,) users of each item: how often it is drawn
    rate: float
    regularization: float
    seed: int
    factors: None = None  # no least squares stands behind them

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._scores(self.user_factors[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): as training users are, from the items they hold."""
        return self._scores(self.solve(canonical_histories(histories, len(self.biases))))

    def solve(self, histories: Csr) -> Floats:
        """Return the factors of B histories (B, I), (B, d); the mean factor for an empty one."""
        from recsys.kernels.bpr import ascend

        found = np.repeat(self.typical[None], histories.shape[0], axis=0)
        start, items, biases = (a.astype(np.float64) for a in (self.typical, self.item_factors, self.biases))
        for row in range(len(found)):
            history = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            liked, other = self._pairs(history)
            if len(liked):
                found[row] = ascend(start, items, biases, liked, other, self.rate, self.regularization)
        return found

    def _pairs(self, history: Ints) -> tuple[Ints, Ints]:
        """Return items of the history and, drawn by popularity, others; a draw that the history holds is none."""
        total, n = int(self.popularity.sum()), _PASSES * len(history)
        rng = seeds.generator(self.seed, "bpr", *history.tolist())
        other = np.searchsorted(np.cumsum(self.popularity), rng.integers(0, total, n), side="right")
        kept = ~np.isin(other, history)
        liked = history[rng.integers(0, len(history), n)] if n else history
        return liked[kept].astype(np.int32), other[kept].astype(np.int32)

    def _scores(self, factors: Floats) -> Floats:
        return np.asarray(factors @ self.item_factors.T + self.biases, dtype=np.float32)


@dataclass(frozen=True)
class BPR:
    """Bayesian personalised ranking (Rendle et al. 2009), the items' side fitted by the library `implicit`.

    It is fitted by one thread, whatever the machine has: with more, the numbers would differ from run to run.
    A user's factor in `implicit` depends on the draws of all users and cannot be made for a new one. So the users'
    side is found once more: from the mean factor, by 20 passes of the same gradient steps over the user's history,
    the items fixed, drawn by the items the history holds, and averaged over the second half. A new user
    with the history of a training user so gets the same scores. A user without positives has the mean factor of
    those who have some; an item that nobody has gets the lowest bias of those that somebody has.

    docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 32
    learning_rate: float = 0.008
    regularization: float = 0.015
    iterations: int = 80
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        at_least_one("bpr", factors=self.factors, iterations=self.iterations)
        whole_numbers("bpr", seed=self.seed)
        above_zero("bpr", learning_rate=self.learning_rate)
        from_zero("bpr", regularization=self.regularization)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_factors(train, self.factors + 1, _BYTES_PER_FACTOR)

    @checked_fit("bpr")
    def fit(self, train: Csr, side: Side | None = None) -> ByPairs:
        """Fit to the positives, (U, I).

        Raises:
            RecsysError: if there are no positives, the factors are too large for the memory of this machine, or
                the steps were so long that they left the range of numbers.
        """
        enough_memory("bpr", self.need(train))
        users, items = sides("bpr", self._library(), train)
        popularity, liked = counts(train), np.diff(train.indptr) > 0
        fitted = ByPairs(
            user_factors=users[:, :-1],
            item_factors=np.ascontiguousarray(items[:, :-1]),
            biases=lowest_elsewhere(items[:, -1], popularity > 0),
            typical=users[liked, :-1].mean(axis=0),
            popularity=popularity,
            rate=float(self.learning_rate),
            regularization=float(self.regularization),
            seed=self.seed,
        )
        return replace(fitted, user_factors=fitted.solve(train))

    @needs_extra("bpr")
    def _library(self) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            num_threads=1,
            random_state=seeds.derive(self.seed, "bpr"),
        )
