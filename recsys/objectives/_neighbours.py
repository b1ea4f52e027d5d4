"""Nearby communities of users, also of users that are new."""

import numpy as np

from recsys.maths.distributions import (
    cluster_users_with_axes,
    community_mixes,
    compute_nearby_weights,
    median_squared_distance,
    squared_distances,
    user_mixes,
)
from recsys.maths.embeddings import normalize_rows
from recsys.types import Context
from recsys.types.arrays import Doubles, Ints, Longs


def get_region_layout(context: Context) -> tuple[Longs, Longs]:
    """Return the number of regions of each map, and the first of each when all are numbered end to end."""

    def make() -> tuple[Longs, Longs]:
        sizes = np.array([taste_map.assignment.shape[1] for taste_map in context.need_maps()])
        return sizes, np.cumsum(sizes) - sizes

    return context.population.tables.get("layout", make)


def get_community_model(context: Context) -> tuple[Ints, Doubles, Doubles, Doubles, Doubles]:
    """Return a function that finds the nearby communities of a new user.

    The community of each user, (users,); the axes on which communities are told apart, (I, 32), and where each stands
    on them, (C, 32); its mix over the regions of all own maps, (C, Z); and the usual distance of each map, (M,).
    """

    def make() -> tuple[Ints, Doubles, Doubles, Doubles, Doubles]:
        train = context.need_train("negative_space")
        given, axes = cluster_users_with_axes(train, context.seed)
        label = np.unique(given, return_inverse=True)[1].astype(np.int32)
        places = community_mixes(normalize_rows(train @ axes).astype(np.float64), label)
        other = label[:, None] != np.arange(label.max(initial=0) + 1)
        centres, usual = [], []
        for taste_map in context.need_maps():
            own = user_mixes(train, taste_map.assignment)
            centres.append(community_mixes(own, label))
            usual.append(median_squared_distance(own, centres[-1], other))
        return label, axes, places, np.concatenate(centres, axis=1), np.array(usual)

    return context.tables.get("neighbourhood", make)


def assign_communities(context: Context) -> Longs:
    """Return the community of each user of a context that is among another, (users,): the nearest for who is new."""
    label, axes, places, *_ = get_community_model(context.population)
    stands = normalize_rows(context.need_train("negative_space") @ axes).astype(np.float64)
    nearest = squared_distances(stands, places).argmin(axis=1)
    known = nearest * 0 - 1 if context.population_codes is None else context.population_codes
    return np.where(known >= 0, label[known], nearest)


def compute_nearby_mixes(
    community_model: tuple[Ints, Doubles, Doubles, Doubles, Doubles], own: Doubles, label: Longs, starts: Longs
) -> Doubles:
    """Return the mix of nearby other communities for users of mixes `own` (B, Z), (B, Z)."""
    centres, usual = community_model[3:]
    other = label[:, None] != np.arange(len(centres))
    parts = zip(np.split(own, starts[1:], axis=1), np.split(centres, starts[1:], axis=1), usual, strict=True)
    return np.concatenate([compute_nearby_weights(mix, c, other, float(h)) @ c for mix, c, h in parts], axis=1)
