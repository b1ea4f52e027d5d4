"""Candidates that a user bought before, beside those that are new."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from recsys.models.fits import check_fitted
from recsys.types import Pool, RecsysError, Scorer
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.numbers import check_int
from recsys.types.repeats import RepeatHistories

P = TypeVar("P", bound=Pool)

BLOCK = 256  # users scored at once, as those of `recsys.candidates`: the last bits depend on it


def add_repeats(pool: P, model: Scorer, repeats: RepeatHistories, *, n: int = 50) -> P:
    """Return the pool with the n items of each user that call most for being bought again, beside its candidates.

    `repeats` are of the pool's users (`recsys.evidence.build_repeats`); what is held back is left out. Added items have
    the scores of `model`, and all stand best first. The guard `repeat` and the metric `over_advertising` read `repeats`
    in the pool's context.

    Raises:
        RecsysError: if n is below 1, the model is not fitted, or repeats are of other users or items.
    """
    n = check_int("add_repeats: n", n, 1)
    check_fitted("add_repeats", model)
    size = (len(pool.context.user_ids), len(pool.context.item_ids))
    if repeats.scores.shape != size:
        found = f"{repeats.scores.shape[0]:,} users and {repeats.scores.shape[1]:,} items"
        raise RecsysError(f"add_repeats: repeats are of {found}, expected {size[0]:,} and {size[1]:,}")
    chosen = find_best_repeats(Csr(repeats.find_due()[pool.users]), n)
    there = (pool.items[:, :, None] == chosen[:, None, :]).any(axis=1) if chosen.size else np.zeros(chosen.shape, bool)
    chosen = np.where(there, -1, chosen)
    items = np.concatenate([pool.items, chosen], axis=1)
    scores = np.concatenate([pool.scores, _score_items(model, pool.users, chosen, size[0])], axis=1)
    keys = np.where(items >= 0, -scores.astype(np.float64), np.inf)
    order = np.argsort(keys, axis=1, kind="stable")
    items, scores = (np.take_along_axis(array, order, axis=1) for array in (items, scores))
    width = max(int((items >= 0).sum(axis=1).max(initial=0)), pool.items.shape[1])
    context = replace(pool.context, repeats=repeats)
    return replace(
        pool,
        items=np.ascontiguousarray(items[:, :width]),
        scores=np.ascontiguousarray(scores[:, :width]),
        context=context,
    )


def find_best_repeats(scores: Csr, n: int) -> Ints:
    """Return the n items of each row with the largest scores, best first, (U, n), -1 is none."""
    rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, rows))
    place = np.arange(len(order)) - scores.indptr[rows[order]]
    kept = order[place < n]
    made = np.full((scores.shape[0], n), -1, dtype=np.int32)
    made[rows[kept], place[place < n]] = scores.indices[kept]
    return made


def _score_items(model: Scorer, users: Ints, items: Ints, n_users: int) -> Floats:
    """Return the model's scores of `items` (U, M) for their users, 0 for -1."""
    made = np.zeros(items.shape, dtype=np.float32)
    for block in np.unique(users // BLOCK).tolist():
        places = np.flatnonzero(users // BLOCK == block)
        every = np.minimum(np.arange(block * BLOCK, (block + 1) * BLOCK), n_users - 1).astype(np.int32)
        scores = np.asarray(model.score(every))
        own = items[places]
        made[places] = np.where(own >= 0, scores[users[places, None] % BLOCK, np.maximum(own, 0)], 0.0)
    return made
