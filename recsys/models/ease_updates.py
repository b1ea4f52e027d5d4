"""EASE without some rows: the inverse Gram matrix behind the weights, updated by few rows instead of inverted anew."""

from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from recsys.maths.blocks import iter_blocks
from recsys.models.ease import FittedEASE
from recsys.support import rng
from recsys.types.arrays import Csr, Doubles, Floats, Ints

_CELLS = 2_000_000  # of a block of rows: 16 MB of float64
_PROBES = 8  # vectors that a norm is estimated with
_ALPHA = 4.0  # the norm is above the estimate with a probability of at most 4^-8 = 1.5e-5 (Halko et al. 2011, 4.3)


class UpdatedWeights(NamedTuple):
    """EASE after an update, and how far it can be from a refit."""

    fitted: FittedEASE
    bound: float  # on the difference of any weight; infinite where the update is not to be used
    residual: float  # bound on the spectral norm of (X'X + l2 I) P - I


def count_update_rank(after: Csr, users: Ints) -> int:
    """Return the rank of the update: 1 for a user of whom nothing is left, else 2."""
    return len(users) + int(np.count_nonzero(np.diff(after.indptr)[users]))


def update_weights(fitted: FittedEASE, after: Csr, users: Ints) -> UpdatedWeights:
    """Return EASE of the positives `after` (U, I), which differ from those it was fitted to in rows `users` alone.

    With P the inverse of X'X + l2 I, the weights are B = I - P diag(1 / diag P): P is known from B and its diagonal.
    Forgetting changes X'X by U'M U, U holding for each user the forgotten row g and, where some of it is left, the
    kept row k: (k + g)(k + g)' - k k' = g g' + k g' + g k'. So P becomes P - W (M^-1 + U W)^-1 W' with W = P U'
    (Woodbury), and B is read and written once.
    """
    rows, middle = _make_update(fitted.train, after, users)
    diagonal = np.asarray(fitted.inverse_diagonal, dtype=np.float64)
    shifted = _multiply_inverse(fitted.weights, diagonal, rows)  # W', (r, I)
    solved = linalg.solve(middle + rows @ shifted.T, shifted, assume_a="sym")  # (r, I)
    changed = diagonal - np.einsum("ri,ri->i", shifted, solved)
    probes = rng.make_generator(0, "ease", "probes").standard_normal((len(diagonal), _PROBES))
    weights = np.empty_like(fitted.weights, order="C")
    images, widest = np.empty_like(probes), np.zeros(len(diagonal))
    scaled = changed[:, None] * probes
    for part in iter_blocks(len(diagonal), max(1, _CELLS // len(diagonal))):
        block = (fitted.weights[part] * diagonal + shifted[:, part].T @ solved) / changed
        weights[part] = block
        _clear_diagonal(weights, part)
        widest = np.maximum(widest, np.abs(weights[part]).max(axis=0))
        images[part] = scaled[part] - weights[part] @ scaled
    updated = FittedEASE(after, weights, inverse_diagonal=changed, l2=fitted.l2)
    residuals = after.T @ (after @ images) + float(fitted.l2 or 0) * images - probes
    return UpdatedWeights(updated, *_bound_difference(updated, residuals, widest))


def _make_update(before: Csr, after: Csr, users: Ints) -> tuple[Csr, Doubles]:
    """Return the rows U (r, I) of an update, and M^-1 (r, r): [[1, -1], [-1, 0]] for a kept and a forgotten row."""
    kept = after[users].astype(np.float64)
    gone = Csr(before[users].astype(np.float64) - kept)
    gone.eliminate_zeros()
    some = np.flatnonzero(np.diff(kept.indptr))
    n, k = len(users), len(some)
    middle = np.zeros((n + k, n + k))
    middle[np.arange(n), np.arange(n)] = -1.0
    middle[some, some] = 0.0
    middle[n + np.arange(k), n + np.arange(k)] = 1.0
    middle[some, n + np.arange(k)] = middle[n + np.arange(k), some] = -1.0
    return Csr(sparse.vstack([gone, kept[some]], format="csr")), middle


def _multiply_inverse(weights: Floats, diagonal: Doubles, rows: Csr) -> Doubles:
    """Return rows P, (r, I), with P = (I - B) diag: only the rows of B at items of `rows` are read."""
    items = np.unique(rows.indices)
    narrow = rows[:, items]
    product = np.zeros((rows.shape[0], len(diagonal)))
    for part in iter_blocks(len(items), max(1, _CELLS // len(diagonal))):
        product -= narrow[:, part] @ weights[items[part]].astype(np.float64)
    product[:, items] += narrow.toarray()
    return np.asarray(product * diagonal)


def _clear_diagonal(weights: Floats, part: slice) -> None:
    places = np.arange(part.start, part.stop)
    weights[places, places] = 0.0


def _bound_difference(updated: FittedEASE, residuals: Doubles, widest: Doubles) -> tuple[float, float]:
    """Return a bound on the difference of any weight to those of the exact inverse, and one on the residual's norm.

    With R = A P - I the residual of the P that is kept, A the matrix that a refit inverts, the error of P is A^-1 R,
    which has the norm of P R over 1 - |R| at most. A weight B_ij = -P_ij / P_jj is then wrong by at most
    e (1 + |B_ij|) / (P_jj - e). The norms of R and P R are estimated from above by `_PROBES` Gaussian vectors.
    """
    diagonal = np.asarray(updated.inverse_diagonal)
    residual = _estimate_norm(residuals)
    scaled = diagonal[:, None] * residuals
    images = np.empty_like(scaled)
    for part in iter_blocks(len(diagonal), max(1, _CELLS // len(diagonal))):
        images[part] = scaled[part] - updated.weights[part] @ scaled
    error = _estimate_norm(images) / (1.0 - residual) if residual < 1.0 else np.inf
    if not error < diagonal.min():
        return np.inf, residual
    rounding = float(np.finfo(np.float32).eps) * float(widest.max())
    return float((error * (1.0 + widest) / (diagonal - error)).max()) + rounding, residual


def _estimate_norm(images: Doubles) -> float:
    return float(_ALPHA * np.sqrt(2.0 / np.pi) * np.linalg.norm(images, axis=0).max())
