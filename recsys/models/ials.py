"""Matrix factorisation of positives with a weight for what is unobserved, by a solver of our own."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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
    whole_numbers,
)
from recsys.models.fits import checked_fit
from recsys.models.ridges import default_ridge, default_unobserved
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

    By default both weights follow from the data. `unobserved` is 10 times the share of cells that are positives, so
    that all cells together weigh 10 times as much as the positives. `regularization` is 0.65 of the `noise_level` of
    the matrix whose entry for a positive is ((|H_u| + unobserved I) (|H_i| + unobserved U))^(-nu / 2), or of its
    largest singular value if that is less. Whatever the size of the catalogue, all factors are 0 from this largest
    singular value on, and what chance adds to the matrix has singular values up to the noise level.
    `python benchmarks/defaults.py` measures what these defaults are worth.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    factors: int = 128
    unobserved: float | None = None
    regularization: float | None = None
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
        given = {name: getattr(self, name) for name in ("unobserved", "regularization")}
        above_zero("ials", init=self.init, **{name: value for name, value in given.items() if value is not None})
        from_zero("ials", nu=self.nu, disliked=self.disliked, patience=self.patience)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_factors(train, self.factors, _BYTES_PER_FACTOR)

    def fill_defaults(self, train: Csr) -> "IALS":
        """Return the settings with the numbers that the weights get from the positives, (U, I)."""
        unobserved = default_unobserved(train) if self.unobserved is None else self.unobserved
        if self.regularization is not None:
            return replace(self, unobserved=unobserved)
        sides = np.diff(train.indptr), np.bincount(train.indices, minlength=train.shape[1])
        scales = [
            (count + unobserved * others) ** (-self.nu / 2.0)
            for count, others in zip(sides, reversed(train.shape), strict=True)
        ]
        ones = Csr((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
        return replace(self, unobserved=unobserved, regularization=default_ridge(ones, *scales))

    @checked_fit("ials")
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

        enough_memory("ials", self.need(train))
        known = side.dislikes if side is not None and side.dislikes is not None and self.disliked else None
        dislikes = empty(train.shape) if known is None else known
        settings = self.fill_defaults(train)
        users, items = settings._first(train, start)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count() or 1) as workers:
            steps = halves.both(train, dislikes, *settings._weights(), workers)
            with rounds("ials", self.iterations) as done:
                return settings._alternate(users, items, steps, validate, done)

    def _weights(self) -> tuple[float, float, float, float]:
        """Return the weights of what is unobserved and disliked, of the regularisation, and its exponent."""
        return float(self.unobserved or 0), float(self.disliked), float(self.regularization or 0), float(self.nu)

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
        unobserved, disliked, regularization, nu = self._weights()
        factors = Factors(
            user_factors=np.ascontiguousarray(exact, dtype=np.float32),
            item_factors=np.ascontiguousarray(items, dtype=np.float32),
            typical=np.asarray(typical, dtype=np.float32),
            everywhere=unobserved,
            observed=1.0,
            pull=1.0,
            disliked=disliked,
            regularization=regularization,
            nu=nu,
        )
        return ByFactors(factors, np.array([*losses, last], dtype=np.float64))


def _judged(validate: Judge, fitted: ByFactors) -> float:
    value = float(validate(fitted))
    if not math.isfinite(value):
        raise RecsysError(f"ials: validate: found {value}, expected a finite number")
    return value
