"""Which part of a split each pair falls into: 0 train, 1 validation, 2 test; later others belong to none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.splits.pairs import Pairs
from recsys.types.arrays import Anys, Ints, Longs

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class PartAssignment:
    """The part of each pair, and what a reader should know of it."""

    part: Ints  # (P,) 0 train, 1 validation, 2 test
    leakage: str = ""  # whether training data may lie after test data; measured where it is not said
    test_from: int | None = None  # the first second since 1970 of test, where it is one for all users


def hold_out_last(pairs: Pairs, n_test: Longs, n_validation: Longs, order: Sequence[Anys]) -> Ints:
    """Return the part of each pair, (P,): each user's last positives are test, those before them validation.

    `n_test` and `n_validation` are how many of each user's, (U,); one positive always stays in train, and a user who
    has too few gives up validation first. `order` are the numbers (P,) that pairs are ordered by, the first decides. A
    non-positive interaction counts as seen before a cut if it precedes the user's first positive after the cut.
    """
    n = pairs.count_positives()
    test = np.minimum(n_test, np.maximum(n - 1, 0))
    validation = np.minimum(n_validation, np.maximum(n - test - 1, 0))
    rows = np.lexsort([*reversed(order), pairs.user])
    user, positive = pairs.user[rows], pairs.positive[rows]
    reached = np.cumsum(positive) - (np.cumsum(n) - n)[user]
    part = np.empty(len(rows), dtype=np.int32)
    part[rows] = (reached > (n - test - validation)[user]).astype(np.int32) + (reached > (n - test)[user])
    return part


def count_shares(n: Longs, test: float, validation: float) -> tuple[Longs, Longs]:
    """Return how many of n positives are test and validation: shares, to the nearest whole number (halves up).

    At least one is test; one always stays in train, so that a single positive has no test.

    >>> [counts.tolist() for counts in count_shares(np.array([1, 4, 10]), 0.25, 0.1)]
    [[0, 1, 3], [0, 0, 1]]
    """
    held_out = np.minimum(np.maximum(round_share(test, n), 1), np.maximum(n - 1, 0))
    return held_out, np.minimum(round_share(validation, n), np.maximum(n - held_out - 1, 0))


def round_share(share: float, n: Longs) -> Longs:
    """Return a share of n, to the nearest whole number (halves up)."""
    return np.asarray(np.floor(share * n + 0.5), dtype=np.int64)
