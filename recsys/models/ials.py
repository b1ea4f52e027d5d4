"""Matrix factorisation of positives with a weight for what is unobserved, by a solver of our own."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from recsys import seeds
from recsys.models import halves
from recsys.models.by_factors import ByFactors, Loss
from recsys.models.checks import (
    Need,
    above_zero,
    at_least_one,
    enough_memory,
    for_factors,
    from_zero,
    some_positives,
    whole_numbers,
)
from recsys.progress import rounds
from recsys.types.arrays import Csr, Floats, empty
from recsys.types.errors import RecsysError
from recsys.types.models import Factors, Scorer, Side
from recsys.types.numbers import make_plain

_BYTES_PER_FACTOR = 40  # of the exact half step: a side as it is and turned, in float64 and float32, and what it gives

Judge = Callable[[ByFactors], float]


@dataclass(frozen=True)
class IALS:
    """Implicit-feedback matrix factorisation with frequency-scaled regularisation (Rendle et al. 2021).

    Makes sum_H (1 - s)^2 + unobserved sum s^2 + disliked sum_D s^2 + regularization (sum_u (|H_u| + unobserved I)^nu
    |x_u|^2 + sum_i (|H_i| + unobserved U)^nu |y_i|^2) small, with scores s = x_u y_i, likes H and known dislikes D.
    With nu = 0 that is the loss of `ALS` at alpha = 1 + 1 / unobserved and alpha times the regularization, up to the
    scale of the scores.

    A half step turns both sides into the basis where the fixed one's Gram matrix is diagonal and takes two steps
    of conjugate gradients for each row of the other, preconditioned by the diagonal. When all epochs are done, the
    users' side is solved to convergence, so that a user's factor is what folding in that user's history gives. A
    user without positives has the mean factor of those who have some.

    Items start at normal factors of deviation init / sqrt(factors). `patience` is the number of epochs without a
    better validation after which training stops; 0 is never.

    The defaults of `unobserved` and `regularization` are the best of twelve pairs on the validation part of ML-100K.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 64
    unobserved: float = 0.3
    regularization: float = 0.02
    nu: float = 1.0
    iterations: int = 16
    init: float = 0.1
    disliked: float = 0.0
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        at_least_one("ials", factors=self.factors, iterations=self.iterations)
        whole_numbers("ials", patience=self.patience, seed=self.seed)
        above_zero("ials", unobserved=self.unobserved, regularization=self.regularization, init=self.init)
        from_zero("ials", nu=self.nu, disliked=self.disliked, patience=self.patience)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_factors(train, self.factors, _BYTES_PER_FACTOR)

    def fit(
        self,
        train: Csr,
        side: Side | None = None,
        *,
        start: Scorer | None = None,
        validate: Judge | None = None,
        threads: int | None = None,
    ) -> ByFactors:
        """Fit to the positives, (U, I); the result has the loss parts after each epoch. No bit depends on `threads`.

        `start` is a fitted model, of as many users, items and factors, to go on from. `validate` judges the model
        after each epoch, more is better: the best is returned, and `patience` epochs without a better one are the end.
        The losses are those before the last, exact half step.

        Raises:
            RecsysError: if there are no positives, `start` is of another shape, `validate` gives no number, or the
                factors do not fit into the memory of this machine.
        """
        from threadpoolctl import threadpool_limits

        some_positives("ials", train)
        enough_memory("ials", self.need(train))
        known = side.dislikes if side is not None and side.dislikes is not None and self.disliked else None
        dislikes = empty(train.shape) if known is None else known
        weights = (float(self.unobserved), float(self.disliked), float(self.regularization), float(self.nu))
        users, items = self._first(train, start)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count() or 1) as workers:
            steps = halves.both(train, dislikes, *weights, workers)
            with rounds("ials", self.iterations) as done:
                return self._alternate(users, items, steps, validate, done)

    def _first(self, train: Csr, start: Scorer | None) -> tuple[Floats, Floats]:
        """Return the factors to start from: the users' are found from the items' anyway."""
        n_users, n_items = train.shape
        if start is None:
            drawn = seeds.generator(self.seed, "ials").standard_normal((n_items, self.factors))
            items = (drawn * (self.init / math.sqrt(self.factors))).astype(np.float32)
            return np.zeros((n_users, self.factors), np.float32), items
        if start.factors is None:
            raise RecsysError("ials: start: found a model without factors, expected a factor model")
        users, items = start.factors.user_factors, start.factors.item_factors
        found, expected = (*users.shape, len(items)), (n_users, self.factors, n_items)
        if found != expected:
            raise RecsysError(f"ials: start: found {found} users, factors and items, expected {expected}")
        return users, items

    def _alternate(
        self,
        users: Floats,
        items: Floats,
        steps: tuple[halves.Half, halves.Half],
        validate: Judge | None,
        done: Callable[[], None],
    ) -> ByFactors:
        losses: list[Loss] = []
        best, top, since = None, -math.inf, 0
        for epoch in range(self.iterations):
            users, items, before = steps[0].improved(users, items)
            losses += [before] if epoch else []
            items, users, _ = steps[1].improved(items, users)
            done()
            if validate is None:
                continue
            fitted = self._finished(users, items, steps[0], losses)
            value, since = _judged(validate, fitted), since + 1
            if value > top:
                best, top, since = fitted, value, 0
            if self.patience and since >= self.patience:
                break
        return best or self._finished(users, items, steps[0], losses)

    def _finished(self, users: Floats, items: Floats, step: halves.Half, losses: list[Loss]) -> ByFactors:
        exact, last = step.exact(users, items)
        liked = np.diff(step.likes.indptr) > 0
        exact[~liked] = typical = exact[liked].mean(axis=0)
        factors = Factors(
            user_factors=np.ascontiguousarray(exact, dtype=np.float32),
            item_factors=np.ascontiguousarray(items, dtype=np.float32),
            typical=np.asarray(typical, dtype=np.float32),
            everywhere=float(self.unobserved),
            observed=1.0,
            pull=1.0,
            disliked=float(self.disliked),
            regularization=float(self.regularization),
            nu=float(self.nu),
        )
        return ByFactors(factors, np.array([*losses, last], dtype=np.float64))


def _judged(validate: Judge, fitted: ByFactors) -> float:
    value = float(validate(fitted))
    if not math.isfinite(value):
        raise RecsysError(f"ials: validate: found {value}, expected a finite number")
    return value
