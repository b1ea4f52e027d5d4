"""The best items of some users, from their scores in one stretch of the catalogue after the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.maths.ordering import LOWEST_SCORE, sort_best_first
from recsys.types import Split
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs


@dataclass(frozen=True, eq=False)
class ItemMask:
    """Items that are not retrieved, whatever their score."""

    seen: tuple[Csr, ...]  # (U, I) each, the columns of a row in ascending order
    unavailable: Bools  # (I,)

    def mask_scores(self, scores: Floats, rows: Ints | Longs, users: Ints, first: int) -> None:
        """Set the scores (B, W) of masked items, among the W from `first` on, to LOWEST_SCORE; user p has `rows[p]`."""
        from recsys.kernels.topk import mask_seen_items

        kernel: Any = mask_seen_items  # compiled: it has no signature that a checker could read
        gone = self.unavailable[first : first + scores.shape[1]]
        if gone.any():
            np.copyto(scores, LOWEST_SCORE, where=gone)
        for matrix in self.seen:
            kernel(scores, rows, users, first, matrix.indptr, matrix.indices)


def make_item_mask(split: Split, hide_seen: bool) -> ItemMask:
    """Return the mask of a pool: items that did not exist yet and, if asked for, items that each user has met."""
    matrices = (split.train, split.train_negatives) if hide_seen else ()
    ordered = (matrix if matrix.has_sorted_indices else matrix.sorted_indices() for matrix in matrices)
    return ItemMask(tuple(ordered), ~split.available_items)


def collect_top_items(
    score_blocks: Iterable[tuple[int, Floats]],
    rows: Ints | Longs,
    users: Ints,
    n: int,
    ties: Longs,
    item_mask: ItemMask,
) -> tuple[Ints, Floats]:
    """Return the n best items of P users and their scores, (P, n), best first, ties by `ties` (I,); -1 and 0 for none.

    `score_blocks` yields the first item and the scores (B, W) of W items, in the order of the catalogue; the scores may
    be written to. The row of user p is `rows[p]`.
    """
    from recsys.kernels.topk import SPARE_ROOM, finish_topk, update_topk

    look: Any = update_topk
    finish: Any = finish_topk
    room = (len(users), min(2 * n, len(ties)) + SPARE_ROOM)
    found, items = np.empty(room, dtype=np.float32), np.empty(room, dtype=np.int32)
    bounds, edges, counts = (
        np.full(len(users), LOWEST_SCORE),
        np.full(len(users), len(ties)),
        np.zeros(len(users), np.int64),
    )
    for first, scores in score_blocks:
        item_mask.mask_scores(scores, rows, users, first)
        look(scores, rows, first, n, ties, bounds, edges, counts, found, items)
    finish(n, ties, counts, found, items)
    return sort_best_first(items[:, :n], found[:, :n], ties)
