"""Slates that a factor model alone would show to users."""

import numpy as np

from recsys.maths.ordering import LOWEST_SCORE, find_top_n
from recsys.maths.popularity import count_item_users
from recsys.types import Factors
from recsys.types.arrays import Csr, Doubles, Floats, Ints, Longs

BLOCK = 256  # users scored at once
SAMPLE_USERS = 4096  # users whose slates are counted
MIN_EXPOSURE = 1e-9  # slots: what rounding leaves of an item that everybody has met


def compute_model_slates(users: Floats, items: Floats, seen: Csr, k: int) -> Ints:
    """Return the k items with the largest scores of those that a user has not met, (A, k), best first, -1 = none.

    `users` (A, d) and `items` (I, d) are factors, `met` (A, I) has an entry where met; of equal scores the item that
    comes first in the catalogue.
    """
    best, ties = np.full((len(users), k), -1, np.int32), np.arange(len(items))
    for start in range(0, len(users), BLOCK):
        scores = users[start : start + BLOCK] @ items.T
        part = seen[start : start + BLOCK].tocoo()
        scores[part.row, part.col] = LOWEST_SCORE
        found = find_top_n(scores, min(k, len(items)), ties)[0]
        best[start : start + BLOCK, : found.shape[1]] = found
    return best


def make_slate_matrix(factors: Factors, seen: Csr, users: Longs, k: int) -> Csr:
    """Return 1 where an item is in the slate of k of one of `users` (A,), (I, A) float32; `seen` is (U, I)."""
    best = compute_model_slates(factors.user_factors[users], factors.item_factors, Csr(seen[users]), k)
    column, _ = np.nonzero(best >= 0)
    shape = (len(factors.item_factors), len(users))
    return Csr((np.ones(len(column), np.float32), (best[best >= 0], column)), shape=shape)


def compute_denied_exposure(factors: Factors, train: Csr, seen: Csr, k: int) -> Doubles:
    """Return the share of the exposure owed to each item that the slates of k deny, (I,) in [0, 1].

    `train` and `seen` are (U, I); `recsys.objectives.under_exposed` says what is owed and shown.
    """
    step = max(1, -(-seen.shape[0] // SAMPLE_USERS))
    sample, likes = Csr(seen[::step]), count_item_users(train)
    slots = np.minimum(k, seen.shape[1] - np.diff(sample.indptr))
    left = likes.sum() - sample @ likes
    rate = np.where(left > 0, slots / np.maximum(left, 1.0), 0.0)  # slots for each like that the user has not met
    owed = likes * (rate.sum() - sample.T @ rate)
    best = compute_model_slates(factors.user_factors[::step], factors.item_factors, sample, k)
    shown = np.bincount(best[best >= 0], minlength=seen.shape[1])
    due = owed > MIN_EXPOSURE
    return np.where(due, np.maximum(owed - shown, 0.0) / np.where(due, owed, 1.0), 0.0)
