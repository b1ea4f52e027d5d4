"""Tables of everybody that the features of a likelihood read, from a context."""

import numpy as np

from recsys.likelihoods.features import FeatureTables
from recsys.objectives.derived_tables import (
    get_item_counts,
    get_item_regions,
    get_item_vectors,
    get_log_popularity,
    get_region_like_shares,
)
from recsys.types import Context

NEEDED_BY = "a likelihood"


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
    """Return the tables of the population: each is made at the first call.

    Raises:
        RecsysError: if the context lacks histories or what the space is made of.
    """
    n, popular = get_item_counts(context, NEEDED_BY), get_log_popularity(context, NEEDED_BY)
    usual = float((popular * n).sum() / max(n.sum(), 1.0))
    vectors = np.zeros((0, 0), np.float32) if space == "none" else get_item_vectors(context, space, NEEDED_BY)
    if not has_maps:
        return FeatureTables(vectors, popular, usual, np.zeros((len(n), 0), np.int32), np.zeros(0))
    regions, shares = get_item_regions(context), get_region_like_shares(context, NEEDED_BY)
    return FeatureTables(vectors, popular, usual, regions, shares)
