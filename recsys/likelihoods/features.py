"""Features of a learned likelihood: one function for each, in plain NumPy, of one user's candidates.

Each returns (N,) numbers, one for each candidate. All that they read is the candidates, the user's own history and
tables of everybody, so that a known user and somebody new with the same history get the same values. The compiled
kernel `recsys.kernels.likelihood_features` fills all of those that it knows in one pass; these are what it is tested
against, and a function that is here alone is a feature too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys.types.arrays import Bools, Doubles, Floats, Ints, Longs

# The columns of the compiled kernel, in the order in which it fills them.
COMPILED_FEATURES = (
    "score", "score_z", "log_rank", "log_gap", "score_spread", "log_popularity", "user_log_popularity",
    "popularity_distance", "popularity_match", "history_max", "history_top3", "history_mean", "log_history",
    "head_similarity", "nearest_above", "region_plausibility", "region_share", "region_lift", "regions_explored",
    "unexplored", "unexplored_root", "unexplored_square", "unexplored_score", "unexplored_popularity",
)  # fmt: skip
HEAD = 10  # of a user's best candidates, of which `head_similarity` is the mean
TOP_M = 5  # best candidates of a region, of which `region_plausibility` is the mean
ROOT_SHIFT = 1e-4  # of `unexplored_root`: the rounding of cosines near 1 is not enlarged
PRIOR = 5.0  # positives of everybody that `region_lift` adds to a user's


@dataclass(frozen=True, eq=False)
class FeatureTables:
    """Tables of everybody that features read: made from a context once."""

    vectors: Floats  # (I, d) unit rows or 0, (0, 0) where there are none
    log_popularity: Doubles  # (I,) log(1 + users)
    usual_popularity: float  # the mean of it over everybody's positives
    regions: Ints  # (I, M) the region of each item by each own map, counted over all maps end to end, Z = none
    region_shares: Doubles  # (Z,) the share of everybody's positives in each, above 0; (0,) without maps


@dataclass(frozen=True, eq=False)
class UserCandidates:
    """The candidates of one user, best first, and the history."""

    items: Ints | Longs  # (N,) codes
    scores: Floats  # (N,) never growing
    history: Ints  # (h,) codes of the positives
    head: int  # so many of the best say how scores and regions lie
    shared: FeatureTables


def score(user: UserCandidates) -> Doubles:
    """Return the base's score."""
    return user.scores.astype(np.float64)


def score_z(user: UserCandidates) -> Doubles:
    """Return the score in standard deviations above the mean of the head; 0 where its scores are equal."""
    own, head = score(user), score(user)[: user.head]
    spread = head.std() if head.max() > head.min() else np.inf
    return np.asarray((own - head.mean()) / spread)


def log_rank(user: UserCandidates) -> Doubles:
    """Return log(1 + rank), the best candidate having rank 0."""
    return np.log1p(np.arange(len(user.items)))


def log_gap(user: UserCandidates) -> Doubles:
    """Return log(1 + the distance to the best score in standard deviations of the head)."""
    z = score_z(user)
    return np.asarray(np.log1p(np.maximum(z[0] - z, 0.0)))


def score_spread(user: UserCandidates) -> Doubles:
    """Return the standard deviation of the scores of the head, the same for all candidates of a user."""
    return np.full(len(user.items), score(user)[: user.head].std())


def log_popularity(user: UserCandidates) -> Doubles:
    """Return log(1 + the item's users in training)."""
    return user.shared.log_popularity[user.items]


def user_log_popularity(user: UserCandidates) -> Doubles:
    """Return the mean log popularity of the history; of everybody's positives where it is empty."""
    own = user.shared.log_popularity[user.history].mean() if len(user.history) else user.shared.usual_popularity
    return np.full(len(user.items), own)


def popularity_distance(user: UserCandidates) -> Doubles:
    """Return the squared difference of the item's log popularity and the user's mean."""
    return (log_popularity(user) - user_log_popularity(user)) ** 2


def popularity_match(user: UserCandidates) -> Doubles:
    """Return the product of the item's log popularity and the user's mean."""
    return log_popularity(user) * user_log_popularity(user)


def history_max(user: UserCandidates) -> Doubles:
    """Return the largest cosine to the history; 0 without one."""
    near = _compute_history_cosines(user)
    return near.max(axis=1) if near.shape[1] else np.zeros(len(near))


def history_top3(user: UserCandidates) -> Doubles:
    """Return the mean of the three largest cosines to the history."""
    near = np.sort(_compute_history_cosines(user), axis=1)[:, -3:]
    return near.mean(axis=1) if near.shape[1] else np.zeros(len(near))


def history_mean(user: UserCandidates) -> Doubles:
    """Return the mean cosine to the history."""
    near = _compute_history_cosines(user)
    return near.mean(axis=1) if near.shape[1] else np.zeros(len(near))


def log_history(user: UserCandidates) -> Doubles:
    """Return log(1 + the length of the history)."""
    return np.full(len(user.items), np.log1p(len(user.history)))


def head_similarity(user: UserCandidates) -> Doubles:
    """Return the mean cosine to the ten best candidates other than itself: how crowded its place is."""
    near, many = _compute_pool_cosines(user), min(HEAD, len(user.items))
    near[np.arange(many), np.arange(many)] = 0.0
    others = many - (np.arange(len(near)) < many)
    return np.asarray(near[:, :many].sum(axis=1) / np.maximum(others, 1))


def nearest_above(user: UserCandidates) -> Doubles:
    """Return the largest cosine to a candidate that ranks higher; 0 for the best."""
    near = np.where(np.tri(len(user.items), k=-1, dtype=bool), _compute_pool_cosines(user), -np.inf)
    near[0] = 0.0
    return np.asarray(near.max(axis=1))


def region_plausibility(user: UserCandidates) -> Doubles:
    """Return the mean plausibility of the five best candidates of the item's region, averaged over own maps.

    Plausibility is where a score lies in the range of the head; candidates that a region lacks count 0.
    """
    own, head = score(user), score(user)[: user.head]
    wide = head.max() > head.min()
    worth = (own - head.min()) / (head.max() - head.min()) if wide else np.ones(len(own))
    return _average_over_maps(user, lambda same: worth[: len(same)][same][:TOP_M].sum() / TOP_M)


def region_share(user: UserCandidates) -> Doubles:
    """Return the share of the head that lies in the item's region, averaged over own maps."""
    return _average_over_maps(user, lambda same: float(same.mean()))


def region_lift(user: UserCandidates) -> Doubles:
    """Return the log of the share of the history in the item's region over everybody's share, averaged over own maps.

    Five positives that lie as everybody's do are added to the history.
    """
    shares = np.append(user.shared.region_shares, 1.0)
    counts = _count_history_regions(user)
    lift = np.log((counts + PRIOR * shares) / (shares * (len(user.history) + PRIOR)))
    lift[-1] = 0.0
    return _average(lift[user.shared.regions[user.items]])


def regions_explored(user: UserCandidates) -> Doubles:
    """Return the share of all regions of own maps that the history touched, the same for all candidates."""
    counts = _count_history_regions(user)[:-1]
    return np.full(len(user.items), (counts > 0).mean() if len(counts) else 0.0)


def unexplored(user: UserCandidates) -> Doubles:
    """Return u, how far an item lies from where the user has been, in [0, 1].

    Half the share of own maps in which its region is untouched, half 1 - the largest cosine to the history, clipped to
    [0, 1]; one of them alone where the other cannot be said.
    """
    far = 1.0 - np.clip(history_max(user), 0.0, 1.0)
    counts = _count_history_regions(user)
    counts[-1] = 1.0
    new = _average(counts[user.shared.regions[user.items]] == 0)
    if not len(user.shared.vectors):
        return new
    return 0.5 * (new + far) if user.shared.regions.shape[1] else far


def unexplored_root(user: UserCandidates) -> Doubles:
    """Return the square root of `unexplored` + 0.0001, whose slope at 0 is finite."""
    return np.sqrt(unexplored(user) + ROOT_SHIFT)


def unexplored_square(user: UserCandidates) -> Doubles:
    """Return the square of `unexplored`."""
    return unexplored(user) ** 2


def unexplored_score(user: UserCandidates) -> Doubles:
    """Return `unexplored` times `score_z`."""
    return unexplored(user) * score_z(user)


def unexplored_popularity(user: UserCandidates) -> Doubles:
    """Return `unexplored` times `log_popularity`."""
    return unexplored(user) * log_popularity(user)


def _compute_history_cosines(user: UserCandidates) -> Doubles:
    """Return the cosines of candidates and history, (N, h)."""
    vectors = user.shared.vectors.astype(np.float64)
    return vectors[user.items] @ vectors[user.history].T if len(vectors) else np.zeros((len(user.items), 0))


def _compute_pool_cosines(user: UserCandidates) -> Doubles:
    """Return the cosines of candidates, (N, N); 0 without vectors."""
    if not len(user.shared.vectors):
        return np.zeros((len(user.items),) * 2)
    vectors = user.shared.vectors[user.items].astype(np.float64)
    return np.asarray(vectors @ vectors.T)


def _count_history_regions(user: UserCandidates) -> Doubles:
    """Return how many positives of the history lie in each region, (Z + 1,), the last one for those in none."""
    size = len(user.shared.region_shares) + 1
    return np.bincount(user.shared.regions[user.history].ravel(), minlength=size).astype(np.float64)


def _average(by_map: Doubles) -> Doubles:
    """Return the mean over maps of (N, M), 0 without any."""
    return by_map.mean(axis=1) if by_map.shape[1] else np.zeros(len(by_map))


def _average_over_maps(user: UserCandidates, summarize: Callable[[Bools], float]) -> Doubles:
    """Return for each candidate the mean over maps of a summary of which of the head lie in its region."""
    regions, none = user.shared.regions[user.items], len(user.shared.region_shares)
    found = np.zeros(regions.shape)
    for m in range(regions.shape[1]):
        for n, z in enumerate(regions[:, m]):
            found[n, m] = 0.0 if z == none else summarize(regions[: user.head, m] == z)
    return _average(found)


__all__ = [
    "head_similarity",
    "history_max",
    "history_mean",
    "history_top3",
    "log_gap",
    "log_history",
    "log_popularity",
    "log_rank",
    "nearest_above",
    "popularity_distance",
    "popularity_match",
    "region_lift",
    "region_plausibility",
    "region_share",
    "regions_explored",
    "score",
    "score_spread",
    "score_z",
    "unexplored",
    "unexplored_popularity",
    "unexplored_root",
    "unexplored_score",
    "unexplored_square",
    "user_log_popularity",
]
