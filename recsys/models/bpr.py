"""Matrix factorisation that ranks a user's positives above other items (BPR)."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.maths.popularity import count_item_users
from recsys.models.checks import (
    CheckedArrays,
    MemoryNeed,
    check_ints,
    check_memory,
    check_non_negative,
    check_positive,
    check_positive_ints,
    estimate_factor_memory,
)
from recsys.models.fits import check_fit
from recsys.models.implicit_bridge import fill_unseen_biases, fit_library_factors
from recsys.models.matrices import canonicalize_histories
from recsys.support.rng import derive_seed, make_generator
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.extras import needs_extra
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

_BYTES_PER_FACTOR = 16  # the library's (4), ours (4), and their copies while they are read
_FOLD_PASSES = 20  # over a history, when a user's factor is found


@dataclass(frozen=True, eq=False)
class FittedBPR(CheckedArrays):
    """A fitted pairwise model: a factor for each user, a factor and a bias for each item."""

    user_factors: Floats = field(metadata=mark_user_rows("the factor: where the model places the user"))  # (U, d)
    item_factors: Floats  # (I, d)
    biases: Floats  # (I,)
    mean_user_factor: Floats  # (d,)
    popularity: Doubles  # (I,) users of each item: how often it is drawn
    learning_rate: float
    regularization: float
    seed: int
    factors: None = None  # no least squares stands behind them

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._score_factors(self.user_factors[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): as training users are, from the items they hold."""
        return self._score_factors(self.solve_user_factors(canonicalize_histories(histories, len(self.biases))))

    def solve_user_factors(self, histories: Csr) -> Floats:
        """Return the factors of B histories (B, I), (B, d); the mean factor for an empty one."""
        from recsys.kernels.bpr import ascend_user_factor

        found = np.repeat(self.mean_user_factor[None], histories.shape[0], axis=0)
        start, items, biases = (a.astype(np.float64) for a in (self.mean_user_factor, self.item_factors, self.biases))
        for row in range(len(found)):
            history = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            liked, other = self._draw_pairs(history)
            if len(liked):
                found[row] = ascend_user_factor(
                    start, items, biases, liked, other, self.learning_rate, self.regularization
                )
        return found

    def _draw_pairs(self, history: Ints) -> tuple[Ints, Ints]:
        """Return items of the history and, drawn by popularity, others; a draw that the history holds is none."""
        total, n = int(self.popularity.sum()), _FOLD_PASSES * len(history)
        rng = make_generator(self.seed, "bpr", *history.tolist())
        other = np.searchsorted(np.cumsum(self.popularity), rng.integers(0, total, n), side="right")
        kept = ~np.isin(other, history)
        liked = history[rng.integers(0, len(history), n)] if n else history
        return liked[kept].astype(np.int32), other[kept].astype(np.int32)

    def _score_factors(self, factors: Floats) -> Floats:
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
        RecsysError: if a setting is invalid.
    """

    factors: int = 32  # numbers per user and item
    learning_rate: float = 0.008  # length of a gradient step
    regularization: float = 0.015  # share of the factors that each step takes off
    iterations: int = 80  # rounds over the positives
    seed: int = 0  # makes the draws; the same seed gives the same numbers

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("bpr", factors=self.factors, iterations=self.iterations)
        check_ints("bpr", seed=self.seed)
        check_positive("bpr", learning_rate=self.learning_rate)
        check_non_negative("bpr", regularization=self.regularization)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors + 1, _BYTES_PER_FACTOR)

    @check_fit("bpr", refuses="it draws positives, and none can count less: als, ials, ease and nearest neighbours can")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedBPR:
        """Fit to the positives, (U, I).

        Raises:
            RecsysError: if there are no positives, the factors are too large for the memory of this machine, or
                the steps were so long that they left the range of numbers.
        """
        check_memory("bpr", self.estimate_memory(train))
        users, items = fit_library_factors("bpr", self._make_library_model(), train)
        popularity, liked = count_item_users(train), np.diff(train.indptr) > 0
        fitted = FittedBPR(
            user_factors=users[:, :-1],
            item_factors=np.ascontiguousarray(items[:, :-1]),
            biases=fill_unseen_biases(items[:, -1], popularity > 0),
            mean_user_factor=users[liked, :-1].mean(axis=0),
            popularity=popularity,
            learning_rate=float(self.learning_rate),
            regularization=float(self.regularization),
            seed=self.seed,
        )
        return replace(fitted, user_factors=fitted.solve_user_factors(train))

    @needs_extra("bpr")
    def _make_library_model(self) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            num_threads=1,
            random_state=derive_seed(self.seed, "bpr"),
        )
