"""Regions as the assignment that a map holds."""

from collections.abc import Iterable

import numpy as np

from recsys.types.arrays import Bools, Csr, Ints

ITEMS_PER_REGION = 4


def scale_region_counts(wanted: Iterable[int], n_items: int, most: int) -> list[int]:
    """Return numbers of regions, scaled down together until the finest has `ITEMS_PER_REGION`; none twice.

    And until it has at most `most` regions; never below two.

    >>> scale_region_counts([12, 24, 48], 400, 400), scale_region_counts([12, 24, 48], 96, 400)
    ([12, 24, 48], [6, 12, 24])
    >>> scale_region_counts([12, 24, 48], 400, 4)
    [2, 4]
    """
    sizes = sorted(wanted)
    factor = min(1.0, max(min(n_items // ITEMS_PER_REGION, most), 2) / sizes[-1])
    return sorted({max(2, round(factor * n)) for n in sizes})


def make_hard_assignment(label: Ints) -> Csr:
    """Return the assignment (I, Z) of items that lie in one region each, (I,)."""
    items = np.arange(len(label))
    return Csr((np.ones(len(label), np.float32), (items, label)), shape=(len(label), int(label.max()) + 1))


def expand_to_all_items(assignment: Csr, known: Bools) -> Csr:
    """Return the assignment of the known items as one of all items, (I, Z): the others have empty rows."""
    lengths = np.zeros(len(known), dtype=np.int64)
    lengths[known] = np.diff(assignment.indptr)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Csr((assignment.data, assignment.indices, starts), shape=(len(known), assignment.shape[1]))
