"""Logistic matrix factorisation: the odds that a user has an item."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from recsys.maths.popularity import count_item_users
from recsys.models.checks import (
    CheckedArrays,
    MemoryNeed,
    check_ints,
    check_memory,
    check_positive,
    check_positive_ints,
    estimate_factor_memory,
)
from recsys.models.fits import check_fit
from recsys.models.implicit_bridge import fill_unseen_biases, fit_library_factors
from recsys.models.matrices import canonicalize_histories
from recsys.support import rng
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.extras import needs_extra
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

_BYTES_PER_FACTOR = 24  # the library's (4) with its sums of squares (4), ours (4), float64 while they are solved (8)
_NEWTON_STEPS = 100


@dataclass(frozen=True, eq=False)
class FittedLMF(CheckedArrays):
    """A fitted logistic model; the last factor of a user is the user's bias, that of an item is 1."""

    user_factors: Floats = field(metadata=mark_user_rows("the factor: where the model places the user"))  # (U, d + 1)
    item_factors: Floats  # (I, d + 1)
    biases: Floats  # (I,)
    mean_user_factor: Floats  # (d + 1,)
    negative_shares: Doubles  # (I,) how often an item is drawn as a negative
    negatives: int  # draws for each positive
    regularization: float
    factors: None = None  # no least squares stands behind them

    def score(self, users: Ints) -> Floats:
        """Return the log-odds of B users for all I items, (B, I)."""
        return self._score_factors(self.user_factors[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the log-odds of B histories (B, I), (B, I): each one's exact factor; the mean one for an empty one."""
        return self._score_factors(self.solve_user_factors(canonicalize_histories(histories, len(self.biases))))

    def solve_user_factors(self, histories: Csr) -> Floats:
        """Return the factors of B histories (B, I), (B, d + 1); the mean factor for an empty one."""
        found = np.repeat(self.mean_user_factor[None], histories.shape[0], axis=0)
        items, biases = self.item_factors.astype(np.float64), self.biases.astype(np.float64)
        for row in range(len(found)):
            history = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            if len(history):
                # The library draws no more negatives than an item has numbers: factors and two biases.
                drawn = min(items.shape[1] + 1, self.negatives * len(history))
                found[row] = _maximize_likelihood(
                    items, biases, history, np.asarray(drawn * self.negative_shares, np.float64), self.regularization
                )
        return found

    def _score_factors(self, factors: Floats) -> Floats:
        return np.asarray(factors @ self.item_factors.T + self.biases, dtype=np.float32)


@dataclass(frozen=True)
class LMF:
    """Logistic matrix factorisation (Johnson 2014), the items' side fitted by the library `implicit`.

    It is fitted by one thread, whatever the machine has: the numbers depend on how many there are.
    The library draws min(factors + 2, negatives |H|) negatives of a user, by popularity. When it is done, the users'
    side is solved once more: a user's factor maximises the likelihood that the library climbs in expectation, sum_H
    log sigma(s) + sum_i weight_i log sigma(-s) - regularization |x|^2 / 2, by Newton steps to working precision (each
    takes I d^2 operations). So a new user with the history of a training user gets the same scores. A user without
    positives has the mean factor of those who have some; an item that nobody has gets the lowest bias of those
    that somebody has.

    docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    factors: int = 56  # numbers per user and item
    learning_rate: float = 0.66  # length of AdaGrad's steps
    regularization: float = 4.8  # weight of the factors' squared length
    iterations: int = 30  # rounds over users and items
    negatives: int = 30  # draws of other items for each positive
    seed: int = 0  # makes the draws; the same seed gives the same numbers

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("lmf", factors=self.factors, iterations=self.iterations, negatives=self.negatives)
        check_ints("lmf", seed=self.seed)
        check_positive("lmf", learning_rate=self.learning_rate, regularization=self.regularization)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors + 2, _BYTES_PER_FACTOR)

    @check_fit("lmf", refuses="it draws positives, and none can count less: als, ials, ease and nearest neighbours can")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedLMF:
        """Fit to the positives, (U, I).

        Raises:
            RecsysError: if there are no positives, the factors are too large for the memory of this machine, or
                the steps were so long that they left the range of numbers.
        """
        check_memory("lmf", self.estimate_memory(train))
        _, items = fit_library_factors("lmf", self._make_library_model(), train)
        popularity, liked = count_item_users(train), np.diff(train.indptr) > 0
        nobody = np.zeros((len(liked), self.factors + 1), np.float32)
        fitted = FittedLMF(
            user_factors=nobody,
            item_factors=np.delete(items, -2, axis=1),
            biases=fill_unseen_biases(items[:, -2], popularity > 0),
            mean_user_factor=nobody[0],
            negative_shares=popularity / popularity.sum(),
            negatives=self.negatives,
            regularization=float(self.regularization),
        )
        users = fitted.solve_user_factors(train)
        users[~liked] = typical = users[liked].mean(axis=0)
        return replace(fitted, user_factors=users, mean_user_factor=typical)

    @needs_extra("lmf")
    def _make_library_model(self) -> Any:
        from implicit.cpu.lmf import LogisticMatrixFactorization

        return LogisticMatrixFactorization(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            neg_prop=self.negatives,
            num_threads=1,
            random_state=rng.derive_seed(self.seed, "lmf"),
        )


def _maximize_likelihood(
    items: Doubles, biases: Doubles, history: Ints, negative: Doubles, regularization: float
) -> Doubles:
    """Return the factor that maximises the penalised likelihood: one liked cell each, `negative` of the others."""
    weight, factor = negative.copy(), np.zeros(items.shape[1])
    weight[history] += 1.0
    ridge = regularization * np.eye(len(factor))

    def likelihood(x: Doubles) -> float:
        margins = items @ x + biases
        return float(margins[history].sum() - weight @ np.logaddexp(0.0, margins) - regularization * x @ x / 2.0)

    reached = likelihood(factor)
    for _ in range(_NEWTON_STEPS):
        odds = expit(items @ factor + biases)
        slope = items[history].sum(axis=0) - items.T @ (weight * odds) - regularization * factor
        curvature = (items * (weight * odds * (1.0 - odds))[:, None]).T @ items + ridge
        step = cho_solve(cho_factor(curvature), slope)
        while (ahead := likelihood(factor + step)) < reached and np.abs(step).max() > 1e-9:
            step = step / 2.0
        factor, reached = factor + step, ahead
        if np.abs(step).max() <= 1e-9:
            break
    return factor
