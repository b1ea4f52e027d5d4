"""Matrix factorisation of the odds that a user has an item."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from recsys import seeds
from recsys.maths import counts
from recsys.models.checks import (
    Need,
    above_zero,
    at_least_one,
    enough_memory,
    for_factors,
    whole_numbers,
)
from recsys.models.fits import checked_fit
from recsys.models.libraries import lowest_elsewhere, sides
from recsys.models.matrices import canonical_histories
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.extras import needs_extra
from recsys.types.models import Side
from recsys.types.numbers import make_plain

_BYTES_PER_FACTOR = 24  # the library's (4) with its sums of squares (4), ours (4), float64 while they are solved (8)
_STEPS = 100


@dataclass(frozen=True, eq=False)
class ByOdds:
    """A fitted logistic model; the last factor of a user is the user's bias, that of an item is 1."""

    user_factors: Floats  # (U, d + 1)
    item_factors: Floats  # (I, d + 1)
    biases: Floats  # (I,)
    typical: Floats  # (d + 1,)
    shares: Doubles  # (I,) how often an item is drawn as a negative
    negatives: int  # draws for each positive
    regularization: float
    factors: None = None  # no least squares stands behind them

    def score(self, users: Ints) -> Floats:
        """Return the log-odds of B users for all I items, (B, I)."""
        return self._scores(self.user_factors[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the log-odds of B histories (B, I), (B, I): each one's exact factor; the mean one for an empty one."""
        return self._scores(self.solve(canonical_histories(histories, len(self.biases))))

    def solve(self, histories: Csr) -> Floats:
        """Return the factors of B histories (B, I), (B, d + 1); the mean factor for an empty one."""
        found = np.repeat(self.typical[None], histories.shape[0], axis=0)
        items, biases = self.item_factors.astype(np.float64), self.biases.astype(np.float64)
        for row in range(len(found)):
            history = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            if len(history):
                # The library draws no more negatives than an item has numbers: factors and two biases.
                drawn = min(items.shape[1] + 1, self.negatives * len(history))
                found[row] = _most_likely(items, biases, history, drawn * self.shares, self.regularization)
        return found

    def _scores(self, factors: Floats) -> Floats:
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
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 56
    learning_rate: float = 0.66
    regularization: float = 4.8
    iterations: int = 30
    negatives: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        at_least_one("lmf", factors=self.factors, iterations=self.iterations, negatives=self.negatives)
        whole_numbers("lmf", seed=self.seed)
        above_zero("lmf", learning_rate=self.learning_rate, regularization=self.regularization)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_factors(train, self.factors + 2, _BYTES_PER_FACTOR)

    @checked_fit("lmf")
    def fit(self, train: Csr, side: Side | None = None) -> ByOdds:
        """Fit to the positives, (U, I).

        Raises:
            RecsysError: if there are no positives, the factors are too large for the memory of this machine, or
                the steps were so long that they left the range of numbers.
        """
        enough_memory("lmf", self.need(train))
        _, items = sides("lmf", self._library(), train)
        popularity, liked = counts(train), np.diff(train.indptr) > 0
        nobody = np.zeros((len(liked), self.factors + 1), np.float32)
        fitted = ByOdds(
            user_factors=nobody,
            item_factors=np.delete(items, -2, axis=1),
            biases=lowest_elsewhere(items[:, -2], popularity > 0),
            typical=nobody[0],
            shares=popularity / popularity.sum(),
            negatives=self.negatives,
            regularization=float(self.regularization),
        )
        users = fitted.solve(train)
        users[~liked] = typical = users[liked].mean(axis=0)
        return replace(fitted, user_factors=users, typical=typical)

    @needs_extra("lmf")
    def _library(self) -> Any:
        from implicit.cpu.lmf import LogisticMatrixFactorization

        return LogisticMatrixFactorization(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            neg_prop=self.negatives,
            num_threads=1,
            random_state=seeds.derive(self.seed, "lmf"),
        )


def _most_likely(items: Doubles, biases: Doubles, history: Ints, negative: Doubles, regularization: float) -> Doubles:
    """Return the factor that maximises the penalised likelihood: one liked cell each, `negative` of the others."""
    weight, factor = negative.copy(), np.zeros(items.shape[1])
    weight[history] += 1.0
    ridge = regularization * np.eye(len(factor))

    def likelihood(x: Doubles) -> float:
        margins = items @ x + biases
        return float(margins[history].sum() - weight @ np.logaddexp(0.0, margins) - regularization * x @ x / 2.0)

    reached = likelihood(factor)
    for _ in range(_STEPS):
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
