"""The regions of several maps, counted end to end."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from recsys.types import TasteMap
from recsys.types.arrays import Csr, Ints, Longs


def join_map_shares(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the shares of items over the regions of all maps end to end, (I, Z) float32."""
    if all(m.has_single_regions for m in maps):
        return _join_single_region_maps(maps)
    joined = Csr(sparse.hstack([m.assignment for m in maps])).astype(np.float32)
    narrow: Any = Csr((joined.data, joined.indices.astype(np.int32), joined.indptr), shape=joined.shape)
    return Csr(narrow)


def _join_single_region_maps(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the same where each item has one entry in each map: catalogues of millions are joined in one pass."""
    items, start = maps[0].assignment.shape[0], 0
    regions, shares = np.empty((items, len(maps)), np.int32), np.empty((items, len(maps)), np.float32)
    for m, taste_map in enumerate(maps):
        regions[:, m], shares[:, m] = taste_map.assignment.indices + start, taste_map.assignment.data
        start += taste_map.assignment.shape[1]
    wide = regions.size > np.iinfo(np.int32).max
    pointers = np.arange(0, regions.size + 1, len(maps), dtype=np.int64 if wide else np.int32)
    return Csr((shares.ravel(), regions.ravel(), pointers), shape=(items, start))


def number_end_to_end(regions: Sequence[Ints], sizes: Longs, starts: Longs) -> Ints:
    """Return the regions (I,) of each of M maps, -1 = none, counted over all maps end to end, (I, M) int32.

    `sizes` (M,) is the number of regions of each map, `starts` (M,) the first one; the number of all stands for none.
    """
    counted: Ints = np.empty((len(regions[0]), len(regions)), np.int32)
    for m, (region, start) in enumerate(zip(regions, starts.tolist(), strict=True)):
        counted[:, m] = np.where(region < 0, np.int32(sizes.sum()), region + np.int32(start))
    return counted
