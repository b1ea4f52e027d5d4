"""Communities of users, and which of them a user is near to who is none of these users."""

from collections.abc import Sequence
from typing import NamedTuple

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
from recsys.types import TasteMap
from recsys.types.arrays import Csr, Doubles, Ints, Longs


class CommunityModel(NamedTuple):
    """What tells which of C communities are near to somebody who is none of the users."""

    label: Ints  # (users,) the community of each user
    axes: Doubles  # (I, 32) on which communities are told apart
    places: Doubles  # (C, 32) where each stands on them
    centres: Doubles  # (C, Z) its mix over the regions of all own maps
    bandwidths: Doubles  # (M,) the usual squared distance in each map


def fit_community_model(train: Csr, maps: Sequence[TasteMap], seed: int) -> CommunityModel:
    """Return the communities of the users whose histories are the rows of `train` (users, I).

    Without maps there are no centres.
    """
    given, axes = cluster_users_with_axes(train, seed)
    label = np.unique(given, return_inverse=True)[1].astype(np.int32)
    places = community_mixes(normalize_rows(train @ axes).astype(np.float64), label)
    other = label[:, None] != np.arange(label.max(initial=0) + 1)
    centres, usual = [], []
    for taste_map in maps:
        own = user_mixes(train, taste_map.assignment)
        centres.append(community_mixes(own, label))
        usual.append(median_squared_distance(own, centres[-1], other))
    return CommunityModel(label, axes, places, np.concatenate([places[:, :0], *centres], axis=1), np.array(usual))


def assign_communities(model: CommunityModel, histories: Csr, codes: Longs | None) -> Longs:
    """Return the community of each row of `histories` (B, I), (B,): that of a known user, else the nearest.

    `codes` (B,) are those among the users of the model, -1 for who is new; None: all are new.
    """
    stands = normalize_rows(histories @ model.axes).astype(np.float64)
    nearest = squared_distances(stands, model.places).argmin(axis=1)
    known = nearest * 0 - 1 if codes is None else codes
    return np.where(known >= 0, model.label[known], nearest)


def compute_nearby_mixes(model: CommunityModel, own: Doubles, label: Longs, starts: Longs) -> Doubles:
    """Return what nearby other communities consume for mixes `own` (B, Z) of users of communities `label` (B,), (B, Z).

    `starts` (M,) is the first region of each map.
    """
    other = label[:, None] != np.arange(len(model.centres))
    split = (np.split(mixes, starts[1:], axis=1) for mixes in (own, model.centres))
    parts = zip(*split, model.bandwidths, strict=True)
    return np.concatenate([compute_nearby_weights(mix, c, other, float(h)) @ c for mix, c, h in parts], axis=1)
