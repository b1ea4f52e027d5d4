"""A map of the catalogue: which item lies in which region of taste."""

from dataclasses import dataclass

import numpy as np

from recsys.types.arrays import Csr, Ints
from recsys.types.checks import check_matrix
from recsys.types.errors import RecsysError


@dataclass(frozen=True, eq=False)
class TasteMap:
    """An assignment of I items to Z regions: rows sum to 1, or are empty for items the map does not know."""

    name: str  # for instance "ward-24-svd32"
    assignment: Csr  # (I, Z) float32
    method: str  # how it was made, such as ward
    seed: int = 0  # of its method

    def check_assignment(self, items: int) -> None:
        """Refuse an assignment that is not of so many items, or no matrix of finite shares from 0 on.

        Raises:
            RecsysError: naming the map.
        """
        place = f"map '{self.name}'"
        check_matrix(place, self.assignment, (items, None))
        if self.assignment.nnz and self.assignment.data.min() < 0:
            raise RecsysError(f"{place} has a share of {self.assignment.data.min():.6g}, expected shares from 0 on")

    @property
    def has_single_regions(self) -> bool:
        """Whether every item has exactly one entry."""
        return self.assignment.nnz == self.assignment.shape[0] and bool((np.diff(self.assignment.indptr) == 1).all())

    @property
    def hard_regions(self) -> Ints:
        """The region of each item, (I,): its largest entry, the first of equals; -1 where it has none."""
        if self.has_single_regions and (self.assignment.data > 0).all():
            return np.asarray(self.assignment.indices, dtype=np.int32)
        of = self.assignment.sorted_indices()
        row = np.repeat(np.arange(of.shape[0]), np.diff(of.indptr))
        largest = np.zeros(of.shape[0], dtype=of.dtype)
        np.maximum.at(largest, row, of.data)
        best = np.flatnonzero((of.data == largest[row]) & (of.data > 0))[::-1]  # of equals the first is written last
        region = np.full(of.shape[0], -1, dtype=np.int32)
        region[row[best]] = of.indices[best]
        return region
