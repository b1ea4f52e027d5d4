"""Linear models of which candidates are liked: a softmax over each user's list, and a logistic curve.

Both minimise sum of losses + regularization / 2 |x|^2 by Newton steps within a trust region, so that the optimum is
exact and its curvature is at hand. Their intervals are of the sandwich kind, with users as the units.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recsys.maths.platt import logistic
from recsys.types.arrays import Bools, Doubles, Longs

ROWS = 2**12  # rows whose products are summed at once
GRADIENT_TOLERANCE = 1e-7  # of the mean loss of a like


@dataclass(frozen=True, eq=False)
class Choices:
    """Sampled candidates of G users who each have some, end to end: R rows."""

    features: Doubles  # (R, F)
    liked: Bools  # (R,)
    weights: Doubles  # (R,) how many candidates each row stands for
    starts: Longs  # (G,) the first row of each user

    def sum_by_user(self, values: Doubles) -> Doubles:
        """Return the sums of (R, ...) over each user's rows, (G, ...)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))

    def sum_features_by_user(self, weights: Doubles) -> Doubles:
        """Return the sums of each user's features times the weights (R,) of rows, (G, F)."""
        ends = np.append(self.starts, len(self.liked))
        cells = sparse.csr_array((weights, np.arange(len(weights)), ends), shape=(len(self.starts), len(weights)))
        return np.asarray(cells @ self.features)

    @property
    def row_users(self) -> Longs:
        """The number of each row's user, (R,), from 0."""
        return np.repeat(np.arange(len(self.starts)), np.diff(np.append(self.starts, len(self.liked))))

    def select_users(self, chosen: Bools) -> "Choices":
        """Return the rows of some of the users, (G,)."""
        rows = chosen[self.row_users]
        lengths = np.diff(np.append(self.starts, len(self.liked)))[chosen]
        starts = np.cumsum(lengths) - lengths
        return Choices(self.features[rows], self.liked[rows], self.weights[rows], starts)


@dataclass(frozen=True, eq=False)
class FittedChoice:
    """The coefficients of the least loss."""

    coefficients: Doubles  # (F,)
    covariance: Doubles  # (F, F) of the coefficients, by the sandwich over users


def fit_softmax(choices: Choices, regularization: float, start: Doubles | None = None) -> FittedChoice:
    """Return the coefficients x under which each like is a choice from its user's list, exp(x f) / sum of w exp(x f).

    The conditional logit of McFadden (1974); a list of which rows are sampled is made up for by their weights. A user's
    likes are choices from the same list, and the loss of a user is their mean, so that users count alike, as in the
    mean of nDCG; all are scaled so that they count together as many likes as there are. Adding a number to all rows of
    a user changes nothing.
    """
    features, n_likes = choices.features, choices.sum_by_user(choices.liked.astype(np.float64))
    users, log_weights, total = choices.row_users, np.log(choices.weights), float(n_likes.sum())
    each = total / len(n_likes)  # what the likes of a user count together
    targets = choices.liked * (each / n_likes)[users]

    def compute_shares(x: Doubles) -> tuple[Doubles, float]:
        worth = features @ x
        raised = worth + log_weights
        top = np.maximum.reduceat(raised, choices.starts)
        mass = np.exp(raised - top[users])
        sums = choices.sum_by_user(mass)
        loss = each * float((np.log(sums) + top).sum()) - float(targets @ worth)
        return mass / sums[users], loss

    def compute_gradients(x: Doubles) -> tuple[float, Doubles, Doubles]:
        shares, loss = compute_shares(x)
        return loss, each * shares - targets, shares

    def compute_curvature(shares: Doubles) -> Doubles:
        means = choices.sum_features_by_user(shares)
        return each * (_sum_products(features, shares) - means.T @ means)

    return _minimize(choices, compute_gradients, compute_curvature, regularization, total, start)


def fit_logistic(choices: Choices, regularization: float, start: Doubles | None = None) -> FittedChoice:
    """Return the coefficients x under which each row is liked with logistic(x f), weighted; F's last is a constant 1.

    The constant's coefficient is not pulled to 0.
    """
    features, weights = choices.features, choices.weights
    total = float(choices.liked.sum())

    def compute_gradients(x: Doubles) -> tuple[float, Doubles, Doubles]:
        worth = features @ x
        chance = logistic(worth)
        loss = float((weights * (np.logaddexp(0.0, worth) - choices.liked * worth)).sum())
        return loss, weights * (chance - choices.liked), weights * chance * (1.0 - chance)

    def compute_curvature(bend: Doubles) -> Doubles:
        return _sum_products(features, bend)

    free = np.full(features.shape[1], regularization)
    free[-1] = 0.0
    return _minimize(choices, compute_gradients, compute_curvature, free, total, start)


def _sum_products(features: Doubles, weights: Doubles) -> Doubles:
    """Return the sum over rows of weight times the row's products, (F, F): in blocks that stay in the cache."""
    total = np.zeros((features.shape[1],) * 2)
    for first in range(0, len(features), ROWS):
        part = features[first : first + ROWS]
        total += part.T @ (part * weights[first : first + ROWS, None])
    return total


def _minimize(
    choices: Choices, gradients: Any, curvature: Any, regularization: float | Doubles, total: float,
    start: Doubles | None,
) -> FittedChoice:  # fmt: skip
    """Return the coefficients of the least loss, per like, and their sandwich."""
    from scipy.optimize import minimize  # here: it is slow to load, and few need it

    features = choices.features
    pull = np.broadcast_to(np.asarray(regularization, dtype=np.float64), features.shape[1:])

    last: dict[bytes, Any] = {}  # a step asks for the loss, its gradient and its curvature of the same coefficients

    def evaluate(x: Doubles) -> Any:
        key = x.tobytes()
        if key not in last:
            made = gradients(x)
            last.clear()
            last[key] = made
        return last[key]

    def loss(x: Doubles) -> tuple[float, Doubles]:
        value, miss, _ = evaluate(x)
        return (value + 0.5 * float(pull @ x**2)) / total, (miss @ features + pull * x) / total

    def bend(x: Doubles) -> Doubles:
        return np.asarray((curvature(evaluate(x)[2]) + np.diag(pull)) / total)

    at = np.zeros(features.shape[1]) if start is None else start
    found: Any = minimize(loss, at, jac=True, hess=bend, method="trust-exact", options={"gtol": GRADIENT_TOLERANCE})
    x = np.asarray(found.x, dtype=np.float64)
    own = choices.sum_features_by_user(evaluate(x)[1])
    inverse = np.linalg.pinv(bend(x) * total, hermitian=True)
    return FittedChoice(x, inverse @ (own.T @ own) @ inverse)
