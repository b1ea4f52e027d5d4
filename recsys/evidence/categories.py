"""Categories of items: named features of them, or regions of a map of what describes them."""

from collections.abc import Sequence

import numpy as np

from recsys.maps import content_maps
from recsys.types.arrays import Ints
from recsys.types.datasets import Items
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_int


def categorize_items(items: Items, names: Sequence[str] | None = None, n_regions: int = 48) -> Ints:
    """Return the category of each item, (I,), from 0 on; -1 for an item without one.

    With `names`, features such as a column of departments has, an item is in the first of them that it has. Without,
    it is in its region of the content map of sets of features (k-means, `recsys.maps.content_maps`) whose number of
    regions is nearest to `n_regions`; for a log whose features are words of titles, that is a kind of goods. Where no
    such map can be made, no item has a category.

    Raises:
        RecsysError: for a name that no item has.
    """
    if names is not None:
        return _find_first_features(items, names)
    wanted = check_int("categories: n_regions", n_regions, 2)
    sets = [one for one in content_maps(items) if one.name.startswith("sets-") and "decade" not in one.name]
    if not sets:
        return np.full(len(items.ids), -1, dtype=np.int32)
    return min(sets, key=lambda one: abs(one.assignment.shape[1] - wanted)).hard_regions


def _find_first_features(items: Items, names: Sequence[str]) -> Ints:
    if isinstance(names, str) or not len(names):
        raise RecsysError(f"categories: names is {names!r}, expected a list of features")
    columns = items.features.tocsc()
    made = np.full(len(items.ids), -1, dtype=np.int32)
    for code, name in enumerate(names):
        if name not in items.feature_names:
            raise make_unknown_name_error("feature", name, items.feature_names, where="categories")
        column = items.feature_names.index(name)
        rows = columns.indices[columns.indptr[column] : columns.indptr[column + 1]]
        made[rows[made[rows] < 0]] = code
    return made
