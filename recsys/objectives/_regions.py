"""The regions of several maps, counted end to end."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from scipy import sparse

from recsys.types import TasteMap
from recsys.types.arrays import Anys, Csr, Ints, Longs, Strings

ROWS = 2**12  # items that are interleaved at once


def join_map_shares(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the shares of items over the regions of all maps end to end, (I, Z) float32."""
    if all(m.has_single_regions for m in maps):
        return _join_single_region_maps(maps)
    joined = Csr(sparse.hstack([m.assignment for m in maps])).astype(np.float32)
    narrow: Any = Csr((joined.data, joined.indices.astype(np.int32), joined.indptr), shape=joined.shape)
    return Csr(narrow)


def _join_single_region_maps(maps: tuple[TasteMap, ...]) -> Csr:
    """Return the same where each item has one entry in each map: catalogues of millions are joined in one pass."""
    items, sizes = maps[0].assignment.shape[0], [taste_map.assignment.shape[1] for taste_map in maps]
    regions = _interleave([np.asarray(m.assignment.indices) for m in maps], np.cumsum(sizes) - sizes, np.int32)
    if all(taste_map.is_partition for taste_map in maps):
        shares = np.ones(regions.size, np.float32)
    else:
        shares = _interleave([np.asarray(m.assignment.data) for m in maps], np.zeros(len(maps)), np.float32).ravel()
    wide = regions.size > np.iinfo(np.int32).max
    pointers = np.arange(0, regions.size + 1, len(maps), dtype=np.int64 if wide else np.int32)
    return Csr((shares, regions.ravel(), pointers), shape=(items, sum(sizes)))


def _interleave(columns: Sequence[Anys], added: Anys, dtype: type[np.generic]) -> Anys:
    """Return columns (I,) plus a number each, `added` (M,), side by side, (I, M): in blocks that stay in the cache."""
    table = np.empty((len(columns[0]), len(columns)), dtype)
    for first in range(0, len(table), ROWS):
        rows = slice(first, first + ROWS)
        table[rows] = (np.array([column[rows] for column in columns], dtype) + added.astype(dtype)[:, None]).T
    return table


def number_end_to_end(regions: Sequence[Ints], sizes: Longs, starts: Longs) -> Ints:
    """Return the regions (I,) of each of M maps, -1 = none, counted over all maps end to end, (I, M) int32.

    `sizes` (M,) is the number of regions of each map, `starts` (M,) the first one; the number of all stands for none.
    """
    counted: Ints = np.empty((len(regions[0]), len(regions)), np.int32)
    for m, (region, start) in enumerate(zip(regions, starts.tolist(), strict=True)):
        counted[:, m] = np.where(region < 0, np.int32(sizes.sum()), region + np.int32(start))
    return counted


def name_regions(shares: Csr, item_ids: Strings) -> list[str]:
    """Return a name for each region, (Z,), made of the ids of its items: equal regions have equal names.

    It is a sum of one hash for each item, so that it does not depend on the order of the catalogue.
    """
    hashes = np.array(
        [int.from_bytes(blake2b(str(one).encode(), digest_size=8).digest()) for one in item_ids], np.uint64
    )
    sums = np.zeros(shares.shape[1], np.uint64)
    items = np.repeat(np.arange(shares.shape[0]), np.diff(shares.indptr))
    there = shares.data > 0
    np.add.at(sums, shares.indices[there], hashes[items[there]])
    return [f"region-{one:016x}"[:17] for one in sums.tolist()]
