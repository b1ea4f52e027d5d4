"""iALS: matrix factorisation of positives with a weight for unobserved cells."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from recsys.models import als_solver
from recsys.models.checks import (
    MemoryNeed,
    check_ints,
    check_memory,
    check_non_negative,
    check_positive,
    check_positive_ints,
    estimate_factor_memory,
)
from recsys.models.factor_model import FittedFactors, Loss
from recsys.models.fits import check_fit
from recsys.models.matrices import count_likes
from recsys.models.regularization import default_regularization, default_unobserved_weight
from recsys.support import rng
from recsys.support.progress import track_rounds
from recsys.types.arrays import Csr, Floats, make_empty_matrix
from recsys.types.errors import RecsysError
from recsys.types.models import Factors, Scorer, SideInformation
from recsys.types.numbers import convert_fields_to_python

_BYTES_PER_FACTOR = 40  # of the exact half step: a side as it is and turned, in float64 and float32, and what it gives
Validator = Callable[[FittedFactors], float]


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

    A positive with a weight by age w (`Split.with_half_life`) has w (1 - s)^2 in the loss, |H_u| and |H_i| are sums of
    w, and the defaults count positives by their weights.

    Items start at normal factors of deviation init / sqrt(factors). `patience` is the number of epochs without a
    better validation after which training stops; 0 is never.

    By default both weights follow from the data. `unobserved` is 10 times the share of cells that are positives, so
    that all cells together weigh 10 times as much as the positives. `regularization` is 0.65 of the `noise_level` of
    the matrix whose entry for a positive is ((|H_u| + unobserved I) (|H_i| + unobserved U))^(-nu / 2), or of its
    largest singular value if that is less. Whatever the size of the catalogue, all factors are 0 from this largest
    singular value on, and what chance adds to the matrix has singular values up to the noise level.
    `python benchmarks/defaults.py` measures what these defaults are worth.

    Raises:
        RecsysError: if a setting is invalid.
    """

    factors: int = 128  # numbers per user and item
    unobserved: float | None = None  # weight of every cell, where a positive has 1 more; by default from the data
    regularization: float | None = None  # weight of the factors' squared length; by default from the data
    nu: float = 1.0  # 0 regularises all users and items alike, 1 by how many cells count for them
    iterations: int = 16  # rounds over both sides
    init: float = 0.1  # deviation of the first item factors, times the root of their number
    disliked: float = 0.0  # further weight of a known dislike
    patience: int = 0  # rounds without a better validation before training stops; 0 is never
    seed: int = 0  # makes the draws; the same seed gives the same numbers

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("ials", factors=self.factors, iterations=self.iterations)
        check_ints("ials", patience=self.patience, seed=self.seed)
        given = {name: getattr(self, name) for name in ("unobserved", "regularization")}
        check_positive("ials", init=self.init, **{name: value for name, value in given.items() if value is not None})
        check_non_negative("ials", nu=self.nu, disliked=self.disliked, patience=self.patience)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_factor_memory(train, self.factors, _BYTES_PER_FACTOR)

    def fill_defaults(self, train: Csr, weights: Csr | None = None) -> "IALS":
        """Return the settings with the numbers that the weights get from the positives, (U, I).

        `weights` are those by age of the positives, which stand for their number then.
        """
        total = None if weights is None else float(weights.data.sum(dtype=np.float64))
        unobserved = default_unobserved_weight(train, total) if self.unobserved is None else self.unobserved
        if self.regularization is not None:
            return replace(self, unobserved=unobserved)
        sides = count_likes(train if weights is None else weights, weights is not None)
        scales = [
            (count + unobserved * others) ** (-self.nu / 2.0)
            for count, others in zip(sides, reversed(train.shape), strict=True)
        ]
        values = np.ones(train.nnz) if weights is None else weights.data.astype(np.float64)
        targets = Csr((values, train.indices, train.indptr), shape=train.shape)
        return replace(self, unobserved=unobserved, regularization=default_regularization(targets, *scales))

    @check_fit("ials", weighs=False)
    def fit(
        self,
        train: Csr,
        side: SideInformation | None = None,
        *,
        start: Scorer | None = None,
        validate: Validator | None = None,
        n_threads: int | None = None,
    ) -> FittedFactors:
        """Fit to the positives, (U, I); the result has the loss parts after each epoch. No bit depends on `threads`.

        `start` is a fitted model, of as many users, items and factors, to go on from. `validate` judges the model
        after each epoch, more is better: the best is returned, and `patience` epochs without a better one are the end.
        The losses are those before the last, exact half step.

        Raises:
            RecsysError: if there are no positives, `start` is of another shape, `validate` gives no number, or the
                factors do not fit into the memory of this machine.
        """
        from threadpoolctl import threadpool_limits

        check_memory("ials", self.estimate_memory(train))
        known = side.dislikes if side is not None and side.dislikes is not None and self.disliked else None
        dislikes = make_empty_matrix(train.shape) if known is None else known
        weights = None if side is None else side.weights
        settings = self.fill_defaults(train, weights)
        users, items = settings._make_initial_factors(train, start)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads or os.cpu_count() or 1) as workers:
            likes, loss_weights = train if weights is None else weights, settings._get_loss_weights()
            steps = als_solver.make_half_steps(likes, dislikes, *loss_weights, workers, weights is not None)
            with track_rounds("ials", self.iterations) as done:
                return settings._run_epochs(users, items, steps, validate, done)

    def _get_loss_weights(self) -> tuple[float, float, float, float]:
        """Return the weights of unobserved and disliked cells and of the regularisation, and its exponent."""
        return float(self.unobserved or 0), float(self.disliked), float(self.regularization or 0), float(self.nu)

    def _make_initial_factors(self, train: Csr, start: Scorer | None) -> tuple[Floats, Floats]:
        """Return the factors to start from: the users' are found from the items' anyway."""
        n_users, n_items = train.shape
        if start is None:
            drawn = rng.make_generator(self.seed, "ials").standard_normal((n_items, self.factors))
            items = (drawn * (self.init / math.sqrt(self.factors))).astype(np.float32)
            return np.zeros((n_users, self.factors), np.float32), items
        if start.factors is None:
            raise RecsysError("ials: start: found a model without factors, expected a factor model")
        users, items = start.factors.user_factors, start.factors.item_factors
        found, expected = (*users.shape, len(items)), (n_users, self.factors, n_items)
        if found != expected:
            raise RecsysError(f"ials: start: found {found} users, factors and items, expected {expected}")
        return users, items

    def _run_epochs(
        self,
        users: Floats,
        items: Floats,
        steps: tuple[als_solver.HalfStep, als_solver.HalfStep],
        validate: Validator | None,
        done: Callable[[], None],
    ) -> FittedFactors:
        losses: list[Loss] = []
        best, top, since = None, -math.inf, 0
        for epoch in range(self.iterations):
            users, items, before = steps[0].improve_factors(users, items)
            losses += [before] if epoch else []
            items, users, _ = steps[1].improve_factors(items, users)
            done()
            if validate is None:
                continue
            fitted = self._finish_fit(users, items, steps[0], losses)
            value, since = _validate_model(validate, fitted), since + 1
            if value > top:
                best, top, since = fitted, value, 0
            if self.patience and since >= self.patience:
                break
        return best or self._finish_fit(users, items, steps[0], losses)

    def _finish_fit(self, users: Floats, items: Floats, step: als_solver.HalfStep, losses: list[Loss]) -> FittedFactors:
        exact, last = step.solve_exactly(users, items)
        liked = np.diff(step.likes.indptr) > 0
        exact[~liked] = typical = exact[liked].mean(axis=0)
        unobserved, disliked, regularization, nu = self._get_loss_weights()
        factors = Factors(
            user_factors=np.ascontiguousarray(exact, dtype=np.float32),
            item_factors=np.ascontiguousarray(items, dtype=np.float32),
            mean_user_factor=np.asarray(typical, dtype=np.float32),
            unobserved_weight=unobserved,
            observed_weight=1.0,
            target_weight=1.0,
            disliked_weight=disliked,
            regularization=regularization,
            nu=nu,
            oldest_target_weight=0.0 if step.weighs_likes else None,
        )
        return FittedFactors(factors, np.array([*losses, last], dtype=np.float64))


def _validate_model(validate: Validator, fitted: FittedFactors) -> float:
    value = float(validate(fitted))
    if not math.isfinite(value):
        raise RecsysError(f"ials: validate: found {value}, expected a finite number")
    return value
