"""Held-out positives among candidates."""

import numpy as np

from recsys.types.arrays import Bools, Csr, Ints


def mark_held_out(users: Ints, items: Ints, held_out: Csr) -> Bools:
    """Return which candidates are positives of their user in `held_out` (users, I), (U, N); -1 is none.

    `users` (U,) are rows of it, `items` (U, N) columns.
    """
    width = held_out.shape[1]
    user, item = held_out.nonzero()
    pairs = users.astype(np.int64)[:, None] * width + items
    return np.isin(pairs, user.astype(np.int64) * width + item) & (items >= 0)
