"""Checks before and after the fit of every model."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from recsys.maths.ordering import make_comparable
from recsys.models.matrices import canonicalize_positives, canonicalize_side, weigh_positives
from recsys.types.arrays import Csr
from recsys.types.errors import RecsysError, RecsysWarning
from recsys.types.models import Scorer

Fit = TypeVar("Fit", bound=Callable[..., Any])

_SAMPLED_USERS = 64  # whose scores are looked at
_MAX_CELLS = 2**22  # of them at most
_ROUNDING = float(np.finfo(np.float32).eps)


def check_fit(model: str, *, weighs: bool = True, refuses: str = "") -> Callable[[Fit], Fit]:
    """Return a decorator for the `fit` of `model`: it gets canonical matrices, and a result without spread is said.

    The positives are those of `canonicalize_positives`, the rest is that of `canonicalize_side`. Where the side
    information has weights by age, the values of the positives are multiplied by them (`weigh_positives`); with
    `weighs` False the fit reads them itself, and with `refuses` they are refused, for that reason.
    """

    def decorate(fit: Fit) -> Fit:
        @wraps(fit)
        def checked(self: Any, train: Any, side: Any = None, **settings: Any) -> Scorer:
            positives = canonicalize_positives(model, train)
            canonical = canonicalize_side(model, side, positives)
            if refuses and canonical is not None and canonical.weights is not None:
                raise RecsysError(
                    f"{model}: found weights of positives (a half-life, or one-offs), expected none: {refuses}"
                )
            weighted = weigh_positives(positives, canonical) if weighs else positives
            fitted: Scorer = fit(self, weighted, canonical, **settings)
            warn_of_ranking_problem(model, fitted, positives)
            return fitted

        return cast(Fit, checked)

    return decorate


def find_ranking_problem(fitted: Scorer, train: Csr) -> str:
    """Return why a fitted model cannot rank the items of `train` (U, I), or "" where it can.

    Scores of up to 64 users with positives are looked at. A model cannot rank if some of them are not finite, or if
    those of every user have no spread in float32: they differ by less than the rounding error of the largest, or, for
    a factor model, of the score that a positive is fitted to. A catalogue of one item has nothing to rank.
    """
    liked = np.flatnonzero(np.diff(train.indptr))
    n_users = min(_SAMPLED_USERS, max(1, _MAX_CELLS // max(train.shape[1], 1)))
    if not len(liked) or train.shape[1] < 2:
        return ""
    given = fitted.score(liked[:: -(-len(liked) // n_users)].astype(np.int32))
    try:
        scores = make_comparable(
            given, lambda found, _: RecsysError(f"a score is {found}, expected a finite number of 32 bits")
        )
    except RecsysError as error:
        return str(error)
    factors = getattr(fitted, "factors", None)
    size = 0.0 if factors is None else factors.target_weight / (factors.unobserved_weight + factors.observed_weight)
    low, high = scores.min(axis=1).astype(np.float64), scores.max(axis=1).astype(np.float64)
    rounding = _ROUNDING if scores.dtype == np.float32 else 0.0  # others are told apart to the last bit
    if (high - low > rounding * np.maximum(np.maximum(-low, high), size)).any():
        return ""
    held = " (a regularization that is too large makes all factors 0)" if factors is not None else ""
    return f"the scores of a user have no spread: those looked at are from {low.min():.3g} to {high.max():.3g}{held}"


def check_fitted(place: str, model: Any) -> None:
    """Refuse a model that is not fitted, or lacks what a fitted one has.

    Raises:
        RecsysError: naming `place` and what is lacking.
    """
    kind = type(model).__name__
    if not hasattr(model, "score"):
        raise RecsysError(f"{place}: the {kind} is not fitted, expected what its fit(split.train) returns")
    if not hasattr(model, "factors"):
        raise RecsysError(f"{place}: the {kind} has no attribute factors, expected recsys.Factors, or None without any")


def refuse_ranking_problem(place: str, fitted: Scorer, train: Csr) -> None:
    """Refuse a fitted model that cannot rank the items of `train` (U, I).

    Raises:
        RecsysError: as `check_fitted` and `find_ranking_problem` say.
    """
    check_fitted(place, fitted)
    problem = find_ranking_problem(fitted, train)
    if problem:
        raise RecsysError(f"{place}: the model cannot rank: {problem}")


def warn_of_ranking_problem(place: str, fitted: Scorer, train: Csr) -> None:
    """Warn of a fitted model that cannot rank the items of `train` (U, I), in the caller's caller."""
    problem = find_ranking_problem(fitted, train)
    if problem:
        warnings.warn(f"{place}: {problem}", RecsysWarning, stacklevel=3)
