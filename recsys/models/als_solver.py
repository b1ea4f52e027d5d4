"""The two half steps of alternating least squares, on threads, with the same bits whatever their number."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from scipy import linalg

from recsys.maths.blocks import iter_blocks
from recsys.models.factor_model import Loss
from recsys.models.matrices import count_likes
from recsys.types.arrays import Anys, Csr, Doubles, Floats

_ROWS = 1024  # of a matrix product: fixed, because its last bits depend on it
_PIECES = 64  # of a half step's rows, of about equal work
_CG_APPROXIMATE = (
    2,
    1e-6,
)  # steps of conjugate gradients in a half step, and the residual beside the factor that is enough
_CG_EXACT = (1000, 1e-8)  # the same for an exact one


@dataclass(frozen=True, eq=False)
class HalfStep:
    """The fixed part of one side's least squares, the same in all epochs: N rows, M of the other side."""

    likes: Csr  # (N, M)
    dislikes: Csr  # (N, M)
    ridges: Doubles  # (N,)
    other_ridges: Doubles  # (M,)
    unobserved_weight: float
    disliked: float
    workers: ThreadPoolExecutor
    weighs_likes: bool = False  # whether a like counts as much as its value says

    def improve_factors(self, own: Floats, other: Floats) -> tuple[Floats, Floats, Loss]:
        """Return better factors of this side, those of the other in the same new basis, and the loss before.

        The basis is the one in which the Gram matrix of the other side is diagonal. Scores do not depend on it.
        """
        values, basis = self._decompose_gram(other)
        own, other = self._rotate_factors(own, basis), self._rotate_factors(other, basis)
        return self._solve_rows(own, other, values, *_CG_APPROXIMATE)

    def solve_exactly(self, own: Anys, other: Anys) -> tuple[Doubles, Loss]:
        """Return the factors of this side that solve the normal equations, in the given basis, and the loss before."""
        fixed = other.astype(np.float64)
        values, basis = self._decompose_gram(fixed)
        turned = self._rotate_factors(own.astype(np.float64), basis), self._rotate_factors(fixed, basis)
        found, _, before = self._solve_rows(*turned, values, *_CG_EXACT)
        return self._rotate_factors(found, np.ascontiguousarray(basis.T)), before

    def _decompose_gram(self, other: Anys) -> tuple[Doubles, Doubles]:
        """Return the eigenvalues (d,) and vectors (d, d) of other'other."""
        blocks = self.workers.map(lambda s: other[s].T @ other[s], iter_blocks(len(other), _ROWS))
        gram = sum((block.astype(np.float64) for block in blocks), np.zeros((other.shape[1],) * 2))
        values, basis = linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
        return np.maximum(values, 0.0), basis

    def _rotate_factors(self, factors: Anys, basis: Doubles) -> Anys:
        turned, narrow = np.empty_like(factors, order="C"), basis.astype(factors.dtype)
        list(self.workers.map(lambda s: np.matmul(factors[s], narrow, out=turned[s]), iter_blocks(len(factors), _ROWS)))
        return turned

    def _solve_rows(
        self, own: Anys, other: Anys, values: Doubles, steps: int, tolerance: float
    ) -> tuple[Anys, Anys, Loss]:
        """Improve `own` in its place: it was made by `_rotate_factors` for that."""
        from recsys.kernels.ials import solve_rows, solve_weighted_rows

        own[np.diff(self.likes.indptr) == 0] = 0.0
        implicit = self.unobserved_weight * float((own.astype(np.float64) ** 2).sum(axis=0) @ values)
        length = _compute_penalty(own, self.ridges) + _compute_penalty(other, self.other_ridges)
        # compiled: they have no signature that a checker could read
        kernel: Any = solve_weighted_rows if self.weighs_likes else solve_rows
        errors, kind = np.zeros(len(own)), own.dtype.type
        diagonal, ridges = (self.unobserved_weight * values).astype(kind), self.ridges.astype(kind)
        known = [part for csr in (self.likes, self.dislikes) for part in (csr.indptr, csr.indices)]
        if self.weighs_likes:
            known.insert(2, self.likes.data.astype(kind))
        shared: list[Any] = [other, diagonal, ridges, *known, kind(self.disliked), steps, kind(tolerance), own, errors]
        edges = _cut_rows_evenly(self.likes)
        jobs = [self.workers.submit(kernel, *piece, *shared) for piece in pairwise(edges)]
        for job in jobs:
            job.result()
        return own, other, Loss(float(errors.sum()), implicit, length)


def make_half_steps(
    likes: Csr, dislikes: Csr, unobserved_weight: float, disliked: float, regularization: float, nu: float,
    workers: ThreadPoolExecutor, weighs_likes: bool = False,
) -> tuple[HalfStep, HalfStep]:  # fmt: skip
    """Return the half steps of the rows and of the columns of `likes` (N, M).

    With `weighs_likes` a like counts as much as its value says, in the loss and in the ridges.
    """
    sides = [(_to_kernel_csr(likes), _to_kernel_csr(dislikes)), (_to_kernel_csr(likes.T), _to_kernel_csr(dislikes.T))]
    ridges = [
        regularization * (count + unobserved_weight * others).astype(np.float64) ** nu
        for count, others in zip(count_likes(likes, weighs_likes), reversed(likes.shape), strict=True)
    ]
    rows, columns = (
        HalfStep(*side, ridges[i], ridges[1 - i], unobserved_weight, disliked, workers, weighs_likes)
        for i, side in enumerate(sides)
    )
    return rows, columns


def _to_kernel_csr(matrix: Any) -> Csr:
    """Return CSR with int32 columns and int64 pointers, so that one compiled kernel reads every log."""
    plain: Any = Csr(matrix)
    parts = plain.indices.astype(np.int32, copy=False), plain.indptr.astype(np.int64, copy=False)
    plain.indices, plain.indptr = parts
    return cast(Csr, plain)


def _compute_penalty(factors: Anys, ridges: Doubles) -> float:
    return float(ridges @ np.einsum("nd,nd->n", factors, factors, dtype=np.float64))


def _cut_rows_evenly(likes: Csr) -> list[int]:
    """Return where to cut the rows into pieces of about as many entries; no row's result depends on the cuts."""
    work = likes.indptr + np.arange(len(likes.indptr))
    cuts = np.searchsorted(work, np.linspace(0, work[-1], _PIECES + 1))
    return [int(cut) for cut in np.unique(cuts)]
