"""Slates that a factor model alone would show to users."""

import numpy as np

from recsys.maths.ordering import LOWEST_SCORE, find_top_n
from recsys.types.arrays import Csr, Floats, Ints

BLOCK = 256  # users scored at once


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
