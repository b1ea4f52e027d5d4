"""Ridge regression of several targets on features, with the strength whose leave-one-out error is least."""

from typing import NamedTuple

import numpy as np

from recsys.types.arrays import Doubles

STRENGTHS = 10.0 ** np.linspace(-3.0, 4.0, 15)  # that are tried, in units of the mean squared singular value


class Ridge(NamedTuple):
    """A fitted regression: the prediction of a row x is its mean target plus (x - mean features) weights."""

    weights: Doubles  # (p, t)
    feature_means: Doubles  # (p,)
    target_means: Doubles  # (t,)
    strength: float  # of the penalty; inf: the features say nothing, and the mean is the prediction
    explained: float  # share of the squared distance to the mean that goes when each row is predicted from the others

    def predict(self, features: Doubles) -> Doubles:
        """Return the targets of rows (n, p), (n, t)."""
        return np.asarray(self.target_means + (features - self.feature_means) @ self.weights)


def fit_ridge(features: Doubles, targets: Doubles, metric: Doubles | None = None) -> Ridge:
    """Return the ridge regression of targets (m, t) on features (m, p), in closed form, the means left free.

    W minimises |Y - X W|^2 + strength |W|^2 over centred X and Y. The strength is that of `STRENGTHS`, or infinite,
    with the least sum of e' M e over rows, e the error of a row's prediction by a fit to all others (its residual over
    1 - h, h the row's leverage: Allen 1974) and M (t, t) the `metric` of errors, which is positive semidefinite; the
    identity without. `targets` has at least two rows.
    """
    means, centre = features.mean(axis=0), targets.mean(axis=0)
    x, y = features - means, targets - centre
    rows = len(x)
    squares, basis = _decompose(x)  # (r,), (m, r) of unit columns
    root = np.eye(y.shape[1]) if metric is None else _find_root(metric)
    seen, inside = y @ root, basis.T @ y
    of_mean = float(((seen * rows / (rows - 1.0)) ** 2).sum())
    best, least = np.inf, of_mean
    for strength in STRENGTHS * squares.mean() if len(squares) else ():
        share = squares / (squares + strength)
        leverage = 1.0 / rows + (basis**2) @ share
        errors = (seen - (basis * share) @ (inside @ root)) / np.maximum(1.0 - leverage, 1e-12)[:, None]
        found = float((errors**2).sum())
        if found < least:
            best, least = float(strength), found
    weights = np.zeros((x.shape[1], y.shape[1]))
    if np.isfinite(best):
        weights = x.T @ (basis @ (inside / (squares + best)[:, None]))
    return Ridge(weights, means, centre, best, 1.0 - least / of_mean if of_mean else 0.0)


def _decompose(x: Doubles) -> tuple[Doubles, Doubles]:
    """Return the squared singular values above rounding, (r,), and the left singular vectors, (m, r)."""
    wide = x.shape[1] > len(x)
    squares, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = squares > 1e-10 * squares.max(initial=0.0)
    squares, vectors = squares[kept], vectors[:, kept]
    return squares, vectors if wide else np.asarray(x @ vectors / np.sqrt(squares))


def _find_root(metric: Doubles) -> Doubles:
    """Return R with R R' = M."""
    values, vectors = np.linalg.eigh(metric)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
