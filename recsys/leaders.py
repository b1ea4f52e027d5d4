"""The best items of some users, from their scores in one stretch of the catalogue after the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.maths import NEVER, in_order
from recsys.types import Split
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs


@dataclass(frozen=True, eq=False)
class Hidden:
    """What is not to be found, whatever its score."""

    met: tuple[Csr, ...]  # (U, I) each, the columns of a row in ascending order
    gone: Bools  # (I,)

    def cover(self, scores: Floats, at: Ints | Longs, users: Ints, first: int) -> None:
        """Put NEVER into scores (B, W) of the W items from `first` on; user p of P stands in row `at[p]`."""
        from recsys.kernels.leaders import forget

        kernel: Any = forget  # compiled: it has no signature that a checker could read
        gone = self.gone[first : first + scores.shape[1]]
        if gone.any():
            np.copyto(scores, NEVER, where=gone)
        for matrix in self.met:
            kernel(scores, at, users, first, matrix.indptr, matrix.indices)


def hide(split: Split, met: bool) -> Hidden:
    """Return what pools leave out: items that did not exist yet and, if asked for, what each user has met."""
    matrices = (split.train, split.train_other) if met else ()
    ordered = (matrix if matrix.has_sorted_indices else matrix.sorted_indices() for matrix in matrices)
    return Hidden(tuple(ordered), ~split.available)


def gather(
    stretches: Iterable[tuple[int, Floats]], at: Ints | Longs, users: Ints, n: int, ties: Longs, without: Hidden
) -> tuple[Ints, Floats]:
    """Return the n best items of P users and their scores, (P, n), best first, ties by `ties` (I,); -1 and 0 for none.

    `stretches` are the first item and the scores (B, W) of W items, in the order of the catalogue, and may be written
    to; user p stands in row `at[p]`.
    """
    from recsys.kernels.leaders import SPARE, close, lead

    look: Any = lead
    finish: Any = close
    room = (len(users), min(2 * n, len(ties)) + SPARE)
    found, items = np.empty(room, dtype=np.float32), np.empty(room, dtype=np.int32)
    bounds, edges, counts = np.full(len(users), NEVER), np.full(len(users), len(ties)), np.zeros(len(users), np.int64)
    for first, scores in stretches:
        without.cover(scores, at, users, first)
        look(scores, at, first, n, ties, bounds, edges, counts, found, items)
    finish(n, ties, counts, found, items)
    return in_order(items[:, :n], found[:, :n], ties)
