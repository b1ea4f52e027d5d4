"""Tables of everybody that the features of a likelihood read, made from a context once."""

from functools import partial

import numpy as np

from recsys.likelihoods.features import FeatureTables
from recsys.maths.popularity import count_item_users
from recsys.objectives._pool_arrays import get_item_vectors
from recsys.types import Context
from recsys.types.arrays import Floats, Ints, Longs

WHO = "a likelihood"


def find_missing_parts(context: Context, space: str, has_maps: bool) -> str:
    """Return the part that a context lacks, in words; "" if it has all."""
    if context.train is None:
        return "histories"
    population = context.population
    if space == "factors" and population.factors is None:
        return "factors"
    if space == "features" and (population.items is None or not population.items.features.nnz):
        return "item features"
    if has_maps and not (population.make_maps is not None and population.maps):
        return "own maps"
    return ""


def get_feature_tables(context: Context, space: str, has_maps: bool) -> FeatureTables:
    """Return the tables of the population, made at the first call.

    Raises:
        RecsysError: if the context lacks histories or what the space is made of.
    """
    population = context.population

    def make() -> FeatureTables:
        train = population.need_train(WHO)
        n = count_item_users(train)
        popular = np.log1p(n)
        regions, sizes = _join_regions(population) if has_maps else (np.zeros((len(n), 0), np.int32), np.zeros(0, int))
        counts = np.zeros(int(sizes.sum()) + 1)
        for m in range(regions.shape[1]):
            counts += np.bincount(regions[:, m], weights=n, minlength=len(counts))
        shares = (counts[:-1] + 1.0) / (n.sum() + np.repeat(sizes, sizes))
        usual = float(popular @ n / max(n.sum(), 1.0))
        return FeatureTables(_get_vectors(population, space), popular, usual, regions, shares)

    return population.tables.get(f"likelihood tables {space} {has_maps}", make)


def _get_vectors(population: Context, space: str) -> Floats:
    return np.zeros((0, 0), np.float32) if space == "none" else get_item_vectors(population, space, WHO)


def _join_regions(population: Context) -> tuple[Ints, Longs]:
    """Return the region of each item by each map, counted over all maps end to end, and the sizes of maps."""
    maps = population.need_maps()
    sizes = np.array([taste_map.assignment.shape[1] for taste_map in maps])
    none, start, joined = int(sizes.sum()), 0, []
    for m, taste_map in enumerate(maps):
        hard = population.tables.get(f"hard {m}", partial(getattr, taste_map, "hard_regions"))
        joined.append(np.where(hard >= 0, hard + start, none))
        start += int(sizes[m])
    return np.ascontiguousarray(np.stack(joined, axis=1), dtype=np.int32), sizes


def sort_histories(context: Context) -> tuple[Longs, Ints]:
    """Return where each user's positives start, (users + 1,), and their codes, ascending within a user."""
    train = context.need_train(WHO)
    ordered = train if train.has_sorted_indices else train.sorted_indices()
    return ordered.indptr.astype(np.int64), ordered.indices.astype(np.int32)
