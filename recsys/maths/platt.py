"""From scores to probabilities: the logistic curve, its fit, and the softmax over candidates."""

from typing import Any

import numpy as np

from recsys.types.arrays import Bools, Doubles


def logistic(x: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def softmax(scores: Doubles, there: Bools) -> Doubles:
    """Return exp(score) over its sum for each user's candidates, (U, N), 0 where there is none: rows sum to 1.

    The values of a row do not depend on how many places without a candidate follow it.
    """
    top = np.where(there, scores, -np.inf).max(axis=1, keepdims=True, initial=-1e300)
    mass = np.where(there, np.exp(np.minimum(scores - top, 0.0)), 0.0)
    return np.asarray(mass / np.maximum(np.cumsum(mass, axis=1)[:, -1:], 1e-300))


def fit_platt_curve(scores: Doubles, liked: Bools) -> tuple[float, float]:
    """Return slope and offset of the curve logistic(slope s + offset) that says best which scores (n,) are liked.

    Of the largest likelihood under Platt's targets, (n1 + 1) / (n1 + 2) for the n1 that are liked and 1 / (n0 + 2)
    for the n0 others: finite where scores separate them, and 0 slope where all scores are equal (Platt 1999; Lin,
    Lin and Weng 2007). In units of the scores' deviation while it is searched: s -> a s + b changes the fitted
    probabilities by rounding alone.
    """
    from scipy.optimize import minimize  # here: it is slow to load, and few need it

    middle, spread = float(scores.mean()), float(scores.std())
    if not spread > 0:
        spread = 1.0
    s = (scores - middle) / spread
    n1 = int(liked.sum())
    target = np.where(liked, (n1 + 1) / (n1 + 2), 1 / (len(s) - n1 + 2))

    def loss(x: Doubles) -> tuple[float, Doubles]:
        z = x[0] * s + x[1]
        miss = logistic(z) - target
        return float((np.logaddexp(0.0, z) - target * z).mean()), np.array([(miss * s).mean(), miss.mean()])

    def bend(x: Doubles) -> Doubles:
        p = logistic(x[0] * s + x[1])
        v = p * (1 - p)
        return np.array([[(v * s * s).mean(), (v * s).mean()], [(v * s).mean(), v.mean()]])

    start = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    found: Any = minimize(loss, start, jac=True, hess=bend, method="trust-exact", options={"gtol": 1e-9})
    slope = float(found.x[0]) / spread
    return slope, float(found.x[1]) - slope * middle
