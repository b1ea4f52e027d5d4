"""Maps by what items are."""

import numpy as np
from scipy import sparse

from recsys.types.arrays import Anys, Csr
from recsys.types.datasets import Items
from recsys.types.maps import TasteMap


def content(items: Items) -> tuple[TasteMap, ...]:
    """Return the map of features (such as genres), and that of feature and decade where years are known.

    An item with g features lies in each with share 1 / g; its hard region is the first of them. In the second
    map, regions are the pairs of feature and decade that some item has. Items without features, and in the second
    map those without a year, are empty rows. () where no item has features.
    """
    item, feature = items.features.nonzero()
    if not len(item):
        return ()
    decade = (items.years // 10)[item]
    maps = [_shared("features", item, feature, len(items.ids))]
    if decade.any():
        dated = decade > 0
        pair = feature[dated].astype(np.int64) * (int(decade.max()) + 1) + decade[dated]
        maps.append(_shared("features-decade", item[dated], pair, len(items.ids)))
    return tuple(maps)


def _shared(name: str, item: Anys, region: Anys, n_items: int) -> TasteMap:
    """Return the map in which every item lies in its regions with equal shares; regions keep their order."""
    share = 1.0 / np.bincount(item, minlength=n_items)[item]
    _, region = np.unique(region, return_inverse=True)
    shape = (n_items, int(region.max()) + 1)
    assignment = sparse.coo_array((share.astype(np.float32), (item, region)), shape=shape)
    return TasteMap(name, Csr(assignment.tocsr()), "content")
