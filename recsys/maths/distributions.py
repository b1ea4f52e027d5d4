"""Distributions over regions: a user's own mix, the mix of nearby communities, and the shortfall of a slate."""

import warnings
from collections.abc import Sequence

import numpy as np

from recsys.maths.embeddings import normalize_rows, singular_vectors
from recsys.support import rng
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Ints, Longs
from recsys.types.maps import TasteMap
from recsys.types.numbers import check_number

N_COMMUNITIES = 12
FEW_REGIONS = 64  # regions


def sum_by_region(rows: Csr, assignment: Csr) -> Anys:
    """Return how much of each region is on each shelf, `rows` @ `assignment` as a table, (U, Z).

    Where there are few regions and many shelves by a table of the assignment: the same sums in the same order, sooner.
    """
    if assignment.shape[1] <= FEW_REGIONS and rows.nnz >= assignment.shape[0]:
        return np.asarray(rows @ assignment.toarray())
    return np.asarray((rows @ assignment).toarray())


def user_mixes(train: Csr, assignment: Csr) -> Doubles:
    """Return the share of each region in each user's history, (U, Z): rows sum to 1, or are 0 without history."""
    mass = np.asarray(sum_by_region(train, assignment), dtype=np.float64)
    total = mass.sum(axis=1, keepdims=True)
    return np.asarray(mass / np.where(total > 0, total, 1.0))


def compute_map_mixes(histories: Csr, maps: Sequence[TasteMap]) -> Doubles:
    """Return the mix of each history (B, I) over the regions of all `maps` end to end, (B, Z)."""
    return np.concatenate([user_mixes(histories, taste_map.assignment) for taste_map in maps], axis=1)


def compute_map_entropies(histories: Csr, maps: Sequence[TasteMap]) -> Doubles:
    """Return the entropy of each mix over each map of several regions, a share of the largest, (M, B) in [0, 1]."""
    several = [m.assignment for m in maps if m.assignment.shape[1] > 1]
    parts = [entropy(user_mixes(histories, assignment)) / np.log(assignment.shape[1]) for assignment in several]
    return np.stack(parts) if parts else np.zeros((0, histories.shape[0]))


def split_weight_evenly(features: Csr) -> Csr:
    """Return each item's weight of 1 split evenly over its features, (I, F); nothing for an item without any."""
    sizes = np.diff(features.indptr)
    return Csr((1.0 / np.repeat(sizes, sizes), features.indices, features.indptr), shape=features.shape)


def find_explored_regions(train: Csr, taste_map: TasteMap) -> Bools:
    """Return whether some positive of the user lies in the (hard) region, (U, Z)."""
    return np.asarray(sum_by_region(train, encode_hard_regions(taste_map)) > 0)


def encode_hard_regions(taste_map: TasteMap) -> Csr:
    """Return 1 where an item lies in the (hard) region, (I, Z) float32: one in each row, none where it has none."""
    hard = taste_map.hard_regions
    known = hard >= 0
    entries = (np.ones(known.sum(), np.float32), (np.flatnonzero(known), hard[known]))
    return Csr(entries, shape=taste_map.assignment.shape)


def mostly_unexplored(histories: Csr, regions: Sequence[Ints]) -> Bools:
    """Return which items lie in regions that each of B users never touched, (B, I), by at least half of several maps.

    `regions` holds the (hard) region of each item (I,) by each map, -1 = none: an item is judged by the maps that know
    it, and one that none knows is not outside. `histories` are positives, (B, I).
    """
    owner = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    outside = np.zeros(histories.shape, dtype=np.int16)
    known = np.zeros(histories.shape[1], dtype=np.int16)
    for region in regions:
        seen = np.zeros((histories.shape[0], region.max(initial=-1) + 2), dtype=bool)
        seen[owner, region[histories.indices]] = True
        seen[:, -1] = True  # where region -1 points to: what the map does not know is not outside
        outside += ~seen[:, region]
        known += region >= 0
    return np.asarray((2 * outside >= known) & (known > 0))


def acceptance(
    train: Csr, dislikes: Csr, assignment: Csr, prior_strength: float, mean_like_share: float | None = None
) -> Doubles:
    """Return how readily each user accepts each region they met, compared with all users, (U, Z) in [0, 1].

    The posterior mean of the share of likes under a beta prior with the mean of all users and `prior_strength`
    pseudo-observations, over that mean, at most 1: a region of which a user met nothing has 1, one whose items they
    declined has less (`prior_strength` = 0 is refused: it has no mean where nothing was met). `usual` is the mean share
    of likes, where it is that of other users (`share_of_likes`).
    """
    prior_strength = check_number("prior_strength", prior_strength, above=0)
    likes = np.asarray(sum_by_region(train, assignment), dtype=np.float64)
    declined = dislikes.copy()
    declined.data = np.ones_like(declined.data)
    refusals = np.asarray(sum_by_region(declined, assignment), dtype=np.float64)
    mean_like_share = share_of_likes(train, dislikes) if mean_like_share is None else mean_like_share
    mean = (prior_strength * mean_like_share + likes) / (prior_strength + likes + refusals)
    return np.asarray(np.minimum(mean / max(mean_like_share, 1e-12), 1.0))


def share_of_likes(train: Csr, dislikes: Csr) -> float:
    """Return the share of likes among all interactions, in [0, 1]."""
    return train.nnz / max(train.nnz + dislikes.nnz, 1)


def kl(p: Doubles, q: Doubles) -> Doubles:
    """Return sum_z p log(p / q) over the last axis, in nats; terms with p = 0 are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=-1), dtype=np.float64)


def entropy(p: Doubles) -> Doubles:
    """Return -sum_z p log p over the last axis, in nats, from 0 to log Z.

    >>> entropy(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    return np.maximum(-kl(p, np.ones_like(p)), 0.0)


def deficit(q: Doubles, e: Doubles, w: Doubles | float = 1.0) -> Doubles:
    """Return sum_z w max(0, q - e) / sum_z w q over the last axis, in [0, 1]: the share that is owed and not shown.

    0 when every wanted region has its share; with w = 1 and both summing to 1 it is the total variation
    distance. NaN where nothing is owed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        missing = np.maximum(0.0, q - e)
        if isinstance(w, float) and w == 1.0:  # the same bits in half of the time
            return np.asarray(missing.sum(axis=-1) / q.sum(axis=-1), dtype=np.float64)
        return np.asarray((w * missing).sum(axis=-1) / (w * q).sum(axis=-1), dtype=np.float64)


def cluster_users(train: Csr, seed: int, n: int = N_COMMUNITIES) -> Ints:
    """Return the community of each user, (U,): spherical k-means on the users' side of a rank-32 SVD.

    There are at most n of them, and never more than users that differ.
    """
    return cluster_users_with_axes(train, seed, n)[0]


def cluster_users_with_axes(train: Csr, seed: int, n: int = N_COMMUNITIES) -> tuple[Ints, Doubles]:
    """Return the `cluster_users` of the users, (U,), and the axes (I, 32) on which they were told apart.

    Unit rows of `train` @ axes are where users stand.
    """
    from scipy.cluster.vq import kmeans2  # here: it is slow to load, and few need it

    left, values, right = singular_vectors(train, 32)
    vectors = normalize_rows(left * values).astype(np.float64)
    n = min(n, len(np.unique(vectors.round(5), axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a cluster may stay empty: its label is just not given
        _, label = kmeans2(vectors, n, minit="++", rng=rng.make_generator(seed, "communities"), missing="warn")
    return np.asarray(label, dtype=np.int32), right


def squared_distances(mixes: Doubles, others: Doubles) -> Doubles:
    """Return |p - p'|^2 between the rows of two tables of shares, (B, Z) and (A, Z): (B, A)."""
    from scipy.spatial.distance import cdist  # here: it is slow to load, and few need it

    return np.asarray(cdist(mixes, others, "sqeuclidean"), dtype=np.float64)


def nearby_community_mixes(own: Doubles, community: Ints, members: Longs | None = None) -> Doubles:
    """Return the mixes of nearby *other* communities, (U, Z), from the users' own mixes (U, Z).

    q_u = sum over c != c(u) of pi_u(c) p_c, with p_c the mean mix of community c and pi_u(c) that of
    `nearby_community_weights`. With `members` communities have the mixes of these users alone.
    """
    there = slice(None) if members is None else members
    centres = community_mixes(own[there], community[there])
    return np.asarray(nearby_community_weights(own, community, members) @ centres)


def nearby_community_weights(own: Doubles, community: Ints, members: Longs | None = None) -> Doubles:
    """Return how near each community is to each user, pi_u(c) (U, C), by the users' own mixes (U, Z): rows sum to 1.

    0 for the user's own, and for the others proportional to exp(-|p_u - p_c|^2 / h), p_c the mean mix of community c,
    h the median of the squared distances between users and other communities. Columns follow the sorted labels; where
    there is one community, it is everybody's. With `members` (codes of users, some of each community) p_c and h are
    those of these users alone.
    """
    there = slice(None) if members is None else members
    centres = community_mixes(own[there], community[there])
    other = community[:, None] != np.unique(community[there])
    bandwidth = median_squared_distance(own[there], centres, other[there])
    return compute_nearby_weights(own, centres, other, bandwidth)


def median_squared_distance(own: Doubles, centres: Doubles, other: Bools) -> float:
    """Return the median of the squared distances of mixes (U, Z) to the `centres` (C, Z) that are `other`, (U, C)."""
    return max(float(np.median(squared_distances(own, centres)[other])), 1e-12) if other.any() else 1.0


def compute_nearby_weights(own: Doubles, centres: Doubles, other: Bools, bandwidth: float) -> Doubles:
    """Return how near the communities at `centres` (C, Z) are to mixes (B, Z), (B, C).

    As `nearby_community_weights` says.

    `other` (B, C) says which are not the user's own, `usual` is the `median_squared_distance` of everybody.
    """
    if not other.any():
        return np.ones(other.shape)
    distance = squared_distances(own, centres)
    nearest = np.where(other, distance, np.inf).min(axis=1, keepdims=True)  # weight 1: however far, somebody is nearest
    weight = np.where(other, np.exp(-np.maximum(distance - nearest, 0.0) / bandwidth), 0.0)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def community_mixes(own: Doubles, community: Ints) -> Doubles:
    """Return the mean of the mixes (U, Z) of each community's users, (C, Z), by the sorted labels."""
    return np.stack([own[community == c].mean(axis=0) for c in np.unique(community)])


def jensen_shannon(p: Doubles, q: Doubles) -> Doubles:
    """Return (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 over the last axis, in bits, in [0, 1].

    >>> float(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0
    """
    middle = (p + q) / 2.0
    return np.asarray(np.clip((kl(p, middle) + kl(q, middle)) / (2.0 * np.log(2.0)), 0.0, 1.0))


def hellinger(p: Doubles, q: Doubles) -> Doubles:
    """Return sqrt(sum_z (sqrt p - sqrt q)^2 / 2) over the last axis, in [0, 1]: sqrt(1 - Bhattacharyya)."""
    return np.asarray(np.minimum(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2.0), 1.0))


def total_variation(p: Doubles, q: Doubles) -> Doubles:
    """Return sum_z |p - q| / 2 over the last axis, in [0, 1]: the least mass that must move."""
    return np.asarray(np.minimum(np.abs(p - q).sum(axis=-1) / 2.0, 1.0))
