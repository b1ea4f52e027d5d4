"""The ideal slates of alpha-nDCG, whose gain shrinks where features come again."""

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.maths.ordering import rank_values
from recsys.types import GroundTruth
from recsys.types.arrays import Csr, Doubles, Longs

ALPHA = 0.5  # a feature that was shown once is still worth 1 - alpha; a power of 1/2 keeps ties exact


def compute_ideal_gains(truth: GroundTruth, k: int) -> Doubles:
    """Return the gain of each of k greedy picks from a user's held-out positives, (U, k)."""
    split = truth.split
    tie = rank_values(split.item_ids)
    gains = np.zeros((split.test.shape[0], k))
    for b in iter_blocks(len(gains)):
        first, last = split.test.indptr[b.start], split.test.indptr[b.stop]
        items = split.test.indices[first:last]
        row = np.repeat(np.arange(b.stop - b.start), np.diff(split.test.indptr[b.start : b.stop + 1]))
        if len(items):
            gains[b] = _compute_greedy_gains(split.items.features[items], row, tie[items], b.stop - b.start, k)
    return gains


def _compute_greedy_gains(features: Csr, row: Longs, tie: Longs, n: int, k: int) -> Doubles:
    """Return the gain of each pick, (n, k), from candidates of users `row` in order, with `features` (E, F)."""
    gains, left = np.zeros((n, k)), np.ones((n, features.shape[1]))
    entry = np.repeat(np.arange(len(row)), np.diff(features.indptr))
    cell = row[entry], features.indices
    users, starts = np.unique(row, return_index=True)
    place = np.searchsorted(users, row)
    alive = np.ones(len(row), dtype=bool)
    for step in range(min(k, int(np.bincount(row).max()))):
        gain = np.where(alive, np.bincount(entry, left[cell], minlength=len(row)), -1.0)
        best = np.maximum.reduceat(gain, starts)
        equal = alive & (gain == best[place])  # powers of 1/2: sums of them are exact, in any order
        first = np.minimum.reduceat(np.where(equal, tie, np.iinfo(np.int64).max), starts)
        chosen = equal & (tie == first[place])
        gains[users, step] = np.maximum(best, 0.0)
        alive &= ~chosen
        taken = chosen[entry]
        left[cell[0][taken], cell[1][taken]] *= 1.0 - ALPHA
    return gains
