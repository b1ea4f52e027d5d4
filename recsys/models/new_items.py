"""Items that came after a model was fitted: what the model has of an item, regressed on features of items."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from recsys.maths.feature_regression import Ridge, fit_ridge
from recsys.models.bpr import FittedBPR
from recsys.models.ensemble import FittedEnsemble
from recsys.models.factor_model import FittedFactors
from recsys.models.lmf import FittedLMF
from recsys.models.most_popular import FittedPopularity
from recsys.models.random import FittedRandom
from recsys.types.arrays import Anys, Bools, Doubles
from recsys.types.errors import RecsysError
from recsys.types.models import Scorer

CAN = "als, bpr, ials, lmf, most_popular, pure_svd, random, or an ensemble of these"


class ItemPrediction(NamedTuple):
    """How a model's part was predicted."""

    part: str  # such as "factors"
    strength: float | None  # of the ridge; None: the features say nothing, and the part is the mean of other items
    explained: float  # share of the spread over items that is predicted where each is left out of the fit


def append_items(model: Scorer, n: int, where: str) -> Scorer:
    """Return a model with n more items at the end, of which it has nothing yet: `predict_items` fills them.

    Raises:
        RecsysError: for a model that features of items cannot fill.
    """
    found: Any = model
    if isinstance(model, FittedEnsemble):
        return replace(model, parts=tuple(append_items(part, n, where) for part in model.parts))
    if isinstance(model, FittedFactors):
        factors = model.factors
        told = factors.predicted
        return replace(
            model,
            factors=replace(
                factors,
                item_factors=_pad(factors.item_factors, n),
                predicted=None if told is None else _pad(told, n),
            ),
        )
    if isinstance(model, FittedRandom):
        return replace(model, n_items=model.n_items + n)
    if isinstance(model, FittedPopularity):
        told = model.predicted
        return replace(model, counts=_pad(model.counts, n), predicted=None if told is None else _pad(told, n))
    names = _ITEM_ROWS.get(type(model))
    if names is None:
        raise RecsysError(
            f"{where}: its model {type(model).__name__} has weights between users or items, which features of items "
            f"do not say, expected one of {CAN}"
        )
    return cast(Scorer, replace(found, **{name: _pad(getattr(found, name), n) for name in names}))


def predict_items(
    model: Scorer, features: Doubles, fitted: Bools, wanted: Bools
) -> tuple[Scorer, tuple[ItemPrediction, ...]]:
    """Return a model whose `wanted` items (I,) have what a ridge regression on features (I, p) makes of `fitted` ones.

    Of factor models the strength is that of the least error of scores over users (`recsys.maths.feature_regression`).
    """
    if isinstance(model, FittedEnsemble):
        done = [predict_items(part, features, fitted, wanted) for part in model.parts]
        named = [
            one._replace(part=f"{n}: {type(part).__name__}: {one.part}")
            for n, (part, told) in enumerate(done)
            for one in told
        ]
        return replace(model, parts=tuple(part for part, _ in done)), tuple(named)
    predict = _PREDICT.get(type(model))
    return (model, ()) if predict is None else predict(model, features, fitted, wanted)


def _predict_factors(
    model: FittedFactors, features: Doubles, fitted: Bools, wanted: Bools
) -> tuple[Scorer, tuple[ItemPrediction, ...]]:
    factors = model.factors
    users = factors.user_factors.astype(np.float64)
    made, told = _regress("factors", factors.item_factors, features, fitted, wanted, users.T @ users / len(users))
    predicted = wanted.copy() if factors.predicted is None else factors.predicted | wanted
    return replace(model, factors=replace(factors, item_factors=made, predicted=predicted)), (told,)


def _predict_biased_factors(
    model: Any, features: Doubles, fitted: Bools, wanted: Bools
) -> tuple[Scorer, tuple[ItemPrediction, ...]]:
    """Predict factors and biases together: a score is the product with a user's factor beside 1."""
    users = np.hstack([model.user_factors, np.ones((len(model.user_factors), 1))]).astype(np.float64)
    both = np.hstack([model.item_factors, model.biases[:, None]])
    made, told = _regress("factors and biases", both, features, fitted, wanted, users.T @ users / len(users))
    return replace(model, item_factors=np.ascontiguousarray(made[:, :-1]), biases=made[:, -1].copy()), (told,)


def _predict_counts(
    model: FittedPopularity, features: Doubles, fitted: Bools, wanted: Bools
) -> tuple[Scorer, tuple[ItemPrediction, ...]]:
    """Predict log(1 + count)."""
    logs = np.log1p(model.counts.astype(np.float64))[:, None]
    made, told = _regress("counts", logs, features, fitted, wanted, None)
    counts = model.counts.copy()
    counts[wanted] = np.maximum(np.expm1(made[wanted, 0]), 0.0)
    predicted = wanted.copy() if model.predicted is None else model.predicted | wanted
    return replace(model, counts=counts, predicted=predicted), (told,)


def _regress(
    part: str, rows: Anys, features: Doubles, fitted: Bools, wanted: Bools, metric: Doubles | None
) -> tuple[Anys, ItemPrediction]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        ridge: Ridge = fit_ridge(features[fitted], rows[fitted].astype(np.float64), metric)
        made = np.array(rows)
        made[wanted] = ridge.predict(features[wanted])
    strength = ridge.strength if np.isfinite(ridge.strength) else None
    return made, ItemPrediction(part, strength, ridge.explained)


def _pad(held: Anys, n: int) -> Anys:
    return np.concatenate([held, np.zeros((n, *held.shape[1:]), held.dtype)])


_ITEM_ROWS: dict[type[Any], tuple[str, ...]] = {
    FittedBPR: ("item_factors", "biases", "popularity"),
    FittedLMF: ("item_factors", "biases", "negative_shares"),
}
_PREDICT: dict[type[Any], Callable[..., tuple[Scorer, tuple[ItemPrediction, ...]]]] = {
    FittedFactors: _predict_factors,
    FittedBPR: _predict_biased_factors,
    FittedLMF: _predict_biased_factors,
    FittedPopularity: _predict_counts,
}
