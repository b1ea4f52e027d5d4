"""Maps by content: genres, tags, words of descriptions, decades."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from recsys.maps import regions
from recsys.maps.assignments import expand_to_all_items, make_hard_assignment, scale_region_counts
from recsys.maps.protocols import derive_map_seed, limit_to_one_thread, read_map_settings
from recsys.maths.embeddings import feature_idf, idf_feature_vectors
from recsys.types.arrays import Anys, Csr, Doubles, Ints, Longs
from recsys.types.datasets import Items
from recsys.types.extras import needs_extra
from recsys.types.maps import TasteMap


@needs_extra("recsys.maps.content_maps")
def content_maps(items: Items) -> tuple[TasteMap, ...]:
    """Return the maps by features (such as genres, tags, words), by sets of features, and by both with the decade.

    "features": an item lies in each of its features with a share in proportion to log(1 + I / items with it); its hard
    region is the rarest, the first of equals. "sets-12" and so on: clusters of items whose features are alike, rare
    features counting more. "-decade": the pairs of feature, or of the broadest sets, and decade, where years are known.
    Sizes, the seed and the smallest region are those of `configs/audit.toml`: fewer items are no feature, and with a
    decade they go with the nearest one. What a map cannot place (no feature, no year) is an empty row. () where no item
    has features.
    """
    settings = read_map_settings()["content"]
    least = int(np.ceil(settings["smallest"] * len(items.ids)))
    return tuple(made for made in _make_content_maps(items, settings, least) if made.assignment.shape[1])


def _make_content_maps(items: Items, settings: Mapping[str, Any], least: int) -> Iterator[TasteMap]:
    """Yield the maps by single features and by sets; those without years have no region with a decade."""
    decade = items.years // 10
    item, feature = (codes.astype(np.int64) for codes in items.features.nonzero())
    usual = (np.bincount(feature) >= least)[feature]
    item, feature = item[usual], feature[usual]
    yield _make_weighted_map("features", item, feature, len(items.ids))
    yield _make_weighted_map("features-decade", *_pair_with_decades(item, feature, decade, least), len(items.ids))
    known = np.diff(items.features.indptr) > 0
    seed = derive_map_seed(settings["seed"], "content", "kmeans")
    sets = _cluster_feature_sets(items.features[np.flatnonzero(known)], settings, seed)
    for n, label in sets.items():
        yield TasteMap(f"sets-{n}", expand_to_all_items(make_hard_assignment(label), known), "kmeans", seed)
    for n in sorted(sets)[:1]:
        pairs = _pair_with_decades(np.flatnonzero(known), sets[n], decade, least)
        yield _make_weighted_map(f"sets-{n}-decade", *pairs, len(items.ids), "kmeans", seed)


def _cluster_feature_sets(features: Csr, settings: Mapping[str, Any], seed: int) -> dict[int, Ints]:
    """Return the regions of items, all of them with features, for each size, by spherical k-means."""
    distinct = len({row.tobytes() for row in np.split(features.indices, features.indptr[1:-1])})
    if distinct < 2:
        return {}
    with limit_to_one_thread():
        vectors = idf_feature_vectors(features, settings["dimensions"])
        sizes = scale_region_counts(settings["regions"], len(vectors), distinct)
        return {n: regions.cluster_by_kmeans(vectors, n, settings["starts"], seed) for n in sizes}


def _pair_with_decades(item: Longs, group: Anys, decade: Ints, least: int) -> tuple[Longs, Longs]:
    """Return the items with a year, and the pair of group and decade in which each is.

    A pair of fewer than `least` goes with the nearest decade of its group that has as many, the earlier of equals; if
    none has, with the group's most frequent.
    """
    there = decade[item] > 0
    item, when = item[there], decade[item[there]].astype(np.int64)
    base = int(when.max(initial=0)) + 1
    pairs, place, n = np.unique(group[there] * np.int64(base) + when, return_inverse=True, return_counts=True)
    goes = np.arange(len(pairs))
    for small in np.flatnonzero(n < least):
        same = np.flatnonzero(pairs // base == pairs[small] // base)
        wide = same[n[same] >= least]
        far = np.abs(pairs[wide] - pairs[small])
        goes[small] = wide[far.argmin()] if len(wide) else same[n[same].argmax()]
    return item, pairs[goes[place]]


def _make_weighted_map(
    name: str, item: Longs, region: Anys, n_items: int, method: str = "content", seed: int = 0
) -> TasteMap:
    """Return the map in which items lie in regions by their rarity; regions keep their order."""
    kept, place = np.unique(region, return_inverse=True)
    lies = Csr((np.ones(len(item)), (item, place)), shape=(n_items, len(kept)))
    weight = lies @ sparse.diags_array(feature_idf(lies))
    total: Doubles = np.asarray(weight.sum(axis=1)).ravel()
    share = sparse.diags_array(1.0 / np.where(total > 0, total, 1.0)) @ weight
    return TasteMap(name, Csr(share.astype(np.float32)), method, seed)
