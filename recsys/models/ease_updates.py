"""EASE without some rows: the inverse Gram matrix behind the weights, updated by few rows instead of inverted anew."""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from recsys.maths.blocks import iter_blocks
from recsys.models.ease import FittedEASE
from recsys.support import rng
from recsys.types.arrays import Csr, Doubles, Floats, Ints

_CELLS = 2_000_000  # of a block of rows: 16 MB of float64
_NEAR_CELLS = 65_536  # of a block that stays in the cache: 512 kB of float64
_PROBES = 8  # vectors that a norm is estimated with, as many as the kernels take
_ALPHA = 4.0  # the norm is above the estimate with a probability of at most 4^-8 = 1.5e-5 (Halko et al. 2011, 4.3)


class UpdatedWeights(NamedTuple):
    """EASE after an update, and how far it can be from a refit."""

    fitted: FittedEASE
    bound: float  # on the difference of any weight; infinite where the update is not to be used
    residual: float  # of the probes z: the largest |P (X'X + l2 I) z - z| / |z|


def count_update_rank(after: Csr, users: Ints) -> int:
    """Return the rank of the update: 1 for a user of whom nothing is left, else 2."""
    return len(users) + int(np.count_nonzero(np.diff(after.indptr)[users]))


def update_weights(fitted: FittedEASE, after: Csr, users: Ints) -> UpdatedWeights:
    """Return EASE of the positives `after` (U, I), which differ from those it was fitted to in rows `users` alone.

    With P the inverse of X'X + l2 I, the weights are B = I - P diag(1 / diag P): P is known from B and its diagonal.
    Forgetting changes X'X by U'M U, U holding for each user the forgotten row g and, where some of it is left, the
    kept row k: (k + g)(k + g)' - k k' = g g' + k g' + g k'. So P becomes P - W (M^-1 + U W)^-1 W' with W = P U'
    (Woodbury), and B is read and written once, with the products that its bound needs.

    With A = X'X + l2 I of the remaining rows, P that is kept is wrong by E = P - A^-1. For any Z, P A Z - Z is E A Z:
    that is E times Gaussian vectors where A Z is near such. Z is P times Gaussian vectors, updated as P is, but for
    what rounding changes: what A Z is off them is known.
    """
    rows, middle = _make_update(fitted.train, after, users)
    diagonal = np.asarray(fitted.inverse_diagonal, dtype=np.float64)
    shifted = _multiply_inverse(fitted.weights, diagonal, rows)  # W', (r, I)
    solved = linalg.solve(middle + rows @ shifted.T, shifted, assume_a="sym")  # (r, I)
    changed = diagonal - np.einsum("ri,ri->i", shifted, solved)
    probes = rng.make_generator(0, "ease", "probes").standard_normal((len(diagonal), _PROBES))
    images = fitted.probe_images
    images = _multiply_probes(fitted.weights, diagonal, probes) if images is None else images
    images = images - shifted.T @ (solved @ probes)  # Z, (I, 8)
    targets = after.T @ (after @ images) + float(fitted.l2 or 0) * images  # A Z
    scaled = changed[:, None] * targets
    solved /= changed
    weights, products, widest = _update_rows(fitted.weights, diagonal / changed, shifted, solved, scaled)
    updated = FittedEASE(after, weights, inverse_diagonal=changed, l2=fitted.l2, probe_images=images)
    errors = scaled - products - images
    residual = float((np.linalg.norm(errors, axis=0) / np.linalg.norm(images, axis=0)).max())
    return UpdatedWeights(updated, _bound_difference(changed, errors, targets - probes, widest), residual)


def _multiply_probes(weights: Floats, diagonal: Doubles, probes: Doubles) -> Doubles:
    """Return P times the probes, (I, 8), with P = (I - B) diag."""
    from recsys.kernels.ease import multiply_rows

    kernel: Any = multiply_rows  # compiled: it has no signature that a checker could read
    scaled, products = np.asarray(diagonal[:, None] * probes), np.empty_like(probes)
    kernel(weights, scaled, products)
    return np.asarray(scaled - products)


def _update_rows(
    weights: Floats, scales: Doubles, left: Doubles, right: Doubles, vectors: Doubles
) -> tuple[Floats, Doubles, Floats]:
    """Return B diag(scales) + left' right without its diagonal, that times vectors (I, 8), and each column's widest."""
    from recsys.kernels.ease import update_rows

    kernel: Any = update_rows
    updated, widest = np.empty_like(weights, order="C"), np.zeros(len(weights), np.float32)
    products, n_rows = np.empty_like(vectors), max(1, _NEAR_CELLS // len(weights))
    room = np.empty((n_rows, len(weights)))
    multiply = np.multiply if len(left) == 1 else np.matmul  # BLAS is slow at an outer product
    for part in iter_blocks(len(weights), n_rows):
        change = multiply(left[:, part].T, right, out=room[: part.stop - part.start])
        kernel(weights[part], part.start, scales, change, vectors, updated[part], products[part], widest)
    return updated, products, widest


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


def _bound_difference(diagonal: Doubles, errors: Doubles, offsets: Doubles, widest: Floats) -> float:
    """Return a bound on the difference of any weight to those of the exact inverse; infinite where there is none.

    `errors` are E G + E `offsets` with Gaussian G, (I, 8). The norm of E is at most c times the longest column of E G
    but for a chance of 4^-8: at most e = c max|errors| / (1 - c max|offsets|). A weight B_ij = -P_ij / P_jj is then
    wrong by at most e (1 + |B_ij|) / (P_jj - e).
    """
    shorter = 1.0 - _estimate_norm(offsets)
    error = _estimate_norm(errors) / shorter if shorter > 0 else np.inf
    if not error < diagonal.min():
        return np.inf
    rounding = float(np.finfo(np.float32).eps) * float(widest.max())
    return float((error * (1.0 + widest) / (diagonal - error)).max()) + rounding


def _estimate_norm(images: Doubles) -> float:
    return float(_ALPHA * np.sqrt(2.0 / np.pi) * np.linalg.norm(images, axis=0).max())
