"""Drift: how far apart the items of two halves of a log are, beside what chance alone gives."""

from dataclasses import dataclass

import numpy as np

from recsys.support import rng
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Ints

_DRAWS_AT_ONCE = 9  # columns of signs: their rows stay in the caches


@dataclass(frozen=True)
class Drift:
    """Total variation of item shares between two halves of a log, and what it is where time decides nothing."""

    distance: float  # 0 where both halves have the same shares, 1 where no item is in both
    expected: float  # mean of the draws
    p_value: float  # share of draws, and the log itself, whose distance is as large

    @property
    def beyond_chance(self) -> float:
        """The part of the distance that chance leaves room for: (distance - expected) / (1 - expected), at least 0."""
        return 0.0 if self.expected >= 1.0 else max(0.0, (self.distance - self.expected) / (1.0 - self.expected))


def measure_drift(user: Ints, item: Ints, late: Bools, n_draws: int = 99, seed: int = 0) -> Drift:
    """Return the drift between the rows of two halves: codes of users and items (R,), and which rows are `late` (R,).

    distance = 1/2 sum over items of |share in the early half - share in the late half|. Each draw exchanges the halves
    of a user's rows with probability 1/2, for all users apart: rows of one user stay together, because people's
    tastes and sessions make halves differ without any drift. A log with few users or few rows per item therefore has
    a large expected distance, and no drift beyond it.

    Raises:
        ValueError: if a half is empty.
    """
    if late.all() or not late.any():
        raise ValueError("a half without rows")
    n_users, n_items = int(user.max()) + 1, int(item.max()) + 1
    signs = np.where(late, 1.0, -1.0).astype(np.float32)
    excess = Csr((signs, (item, user)), shape=(n_items, n_users))  # of late over early rows
    total = np.bincount(item, minlength=n_items).astype(np.float64)
    distance = float(_measure_distances(total, excess, np.ones((n_users, 1), dtype=np.float32))[0])
    generator, drawn = rng.make_generator(seed, "drift"), list[Doubles]()
    for start in range(0, n_draws, _DRAWS_AT_ONCE):
        size = (n_users, min(_DRAWS_AT_ONCE, n_draws - start))
        flips = generator.integers(0, 2, size, dtype=np.int8).astype(np.float32) * 2 - 1
        drawn.append(_measure_distances(total, excess, flips))
    draws = np.concatenate(drawn)
    as_large = int((draws >= distance - 1e-12).sum())
    return Drift(distance, float(draws.mean()), (1 + as_large) / (1 + n_draws))


def _measure_distances(total: Doubles, excess: Csr, flips: Anys) -> Doubles:
    """Return the distance between halves after each of the `flips` (U, D) of users: 1 where a half is empty."""
    late = (total[:, None] + np.asarray(excess @ flips, dtype=np.float64)) / 2
    early = total[:, None] - late
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(late / late.sum(axis=0) - early / early.sum(axis=0)).sum(axis=0) / 2
    return np.asarray(np.nan_to_num(apart, nan=1.0))
