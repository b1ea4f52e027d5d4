"""A map of the catalogue: which item lies in which region of taste."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.types.arrays import Csr, Ints
from recsys.types.checks import check_matrix
from recsys.types.errors import RecsysError

MAX_EMPTY_REGIONS = 1024  # a map of fewer items may have so many regions


@dataclass(frozen=True, eq=False)
class TasteMap:
    """An assignment of I items to Z regions: rows sum to 1, or are empty for items the map does not know."""

    name: str  # for instance "ward-24-svd32"
    assignment: Csr  # (I, Z) float32
    method: str  # how it was made, such as ward
    seed: int = 0  # of its method

    def check_assignment(self, items: int) -> None:
        """Refuse an assignment that is not of so many items, or no matrix of finite shares from 0 on.

        It has at most as many regions as items, or 1,024: arrays of users and regions are allocated by their number.

        Raises:
            RecsysError: naming the map.
        """
        place = f"map '{self.name}'"
        most = max(items, MAX_EMPTY_REGIONS)
        if self.assignment.shape[1] > most:
            raise RecsysError(f"{place} has {self.assignment.shape[1]:,} regions, expected at most {most:,}")
        check_matrix(place, self.assignment, (items, None))
        if not self.is_partition and self.assignment.nnz and self.assignment.data.min() < 0:
            raise RecsysError(f"{place} has a share of {self.assignment.data.min():.6g}, expected shares from 0 on")

    @cached_property
    def has_single_regions(self) -> bool:
        """Whether every item has exactly one entry."""
        pointers = np.asarray(self.assignment.indptr)
        return self.assignment.nnz == self.assignment.shape[0] and bool((np.diff(pointers) == 1).all())

    @cached_property
    def is_partition(self) -> bool:
        """Whether every item lies in exactly one region, wholly: with the share 1."""
        return self.has_single_regions and bool((np.asarray(self.assignment.data) == 1.0).all())

    @property
    def hard_regions(self) -> Ints:
        """The region of each item, (I,): its largest entry, the first of equals; -1 where it has none."""
        if self.is_partition or (self.has_single_regions and (self.assignment.data > 0).all()):
            return np.asarray(self.assignment.indices, dtype=np.int32)
        of = self.assignment.sorted_indices()
        row = np.repeat(np.arange(of.shape[0]), np.diff(of.indptr))
        largest = np.zeros(of.shape[0], dtype=of.dtype)
        np.maximum.at(largest, row, of.data)
        best = np.flatnonzero((of.data == largest[row]) & (of.data > 0))[::-1]  # of equals the first is written last
        region = np.full(of.shape[0], -1, dtype=np.int32)
        region[row[best]] = of.indices[best]
        return region
