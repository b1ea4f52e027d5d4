"""Hits of one run: which picks are held-out positives, at which ranks, and sums over them."""

from typing import NamedTuple

import numpy as np

from recsys.metrics._shared import divide_or_nan, get_test_users
from recsys.metrics.derived_tables import RunTable
from recsys.types import Evaluation, GroundTruth
from recsys.types.arrays import Bools, Doubles, Ints, Longs


class Hits(NamedTuple):
    """Every hit of a run: H of them."""

    user: Longs  # (H,) row
    rank: Longs  # (H,) from 0
    test_index: Longs  # (H,) where it stands in `split.test.indices`


HITS = RunTable("hits")
HITS_WITHIN = RunTable("hits_within")
HIT_COUNTS = RunTable("hit_counts")


def get_hits(evaluation: Evaluation) -> Hits:
    """Return the hits of the whole slates, one by one, by user and rank."""
    return HITS.get(evaluation, lambda: _find_hits(evaluation))


def get_hits_within(evaluation: Evaluation, k: int) -> Hits:
    """Return the hits among the first k of each slate, one by one, by user and rank."""
    found = get_hits(evaluation)
    if k >= evaluation.items.shape[1]:
        return found
    return HITS_WITHIN.get(evaluation, lambda: Hits(*(part[found.rank < k] for part in found)), k)


def make_hit_matrix(evaluation: Evaluation, k: int) -> Bools:
    """Return which of the first k picks are held-out positives, (U, k); slots beyond the slate are misses."""
    found, (user, rank, _) = np.zeros((len(evaluation.items), k), dtype=bool), get_hits_within(evaluation, k)
    found[user, rank] = True
    return found


def count_hits(evaluation: Evaluation, k: int) -> Longs:
    """Return how many of the first k picks are held-out positives, (U,)."""
    users = len(evaluation.items)
    return HIT_COUNTS.get(evaluation, lambda: np.bincount(get_hits_within(evaluation, k).user, minlength=users), k)


def sum_rank_weights_of_hits(evaluation: Evaluation, weights: Doubles) -> Doubles:
    """Return the sum of the weights (k,) of the ranks at which a user has hits, first to last, (U,)."""
    user, rank, _ = get_hits_within(evaluation, len(weights))
    return np.asarray(np.bincount(user, weights[rank], len(evaluation.items)), dtype=np.float64)


def sum_over_hits(evaluation: Evaluation, values: Doubles, weights: Doubles) -> Doubles:
    """Return the sum over a user's hits of the worth of the positive times the weight of its rank, (U,).

    `worth` follows `split.test.indices`, `weights` (k,) are those of the ranks.
    """
    user, rank, place = get_hits_within(evaluation, len(weights))
    return np.asarray(np.bincount(user, weights[rank] * values[place], len(evaluation.items)), dtype=np.float64)


class MarkedPositives(NamedTuple):
    """Held-out positives that each of M maps marks, and how many of them each user has."""

    marked: Bools  # (M, held-out positives) in the order of `split.test.indices`
    wanted: Ints  # (M, U)


def count_marked_positives(truth: GroundTruth, marked: Bools) -> MarkedPositives:
    """Return the held-out positives that each of M maps marks, (M, held-out positives), with their numbers by user."""
    n_users, owner = truth.split.test.shape[0], get_test_users(truth)
    wanted = [np.bincount(owner[some], minlength=n_users) for some in marked]
    return MarkedPositives(marked, np.array(wanted, dtype=np.int32).reshape(len(marked), n_users))


def compute_recall_by_map(
    evaluation: Evaluation, k: int, positives: MarkedPositives, most: float
) -> tuple[Doubles, dict[str, float]]:
    """Return hits over held-out positives, at most `most` of these, among those that each of M maps marks, (M, U).

    Beside it, means over maps: `users` that have some, `held_out` such positives, `hits` among them.
    """
    user, _, place = get_hits_within(evaluation, k)
    marked, wanted = positives
    of_map, hit = np.nonzero(marked[:, place])
    n_users = len(evaluation.items)
    found = np.bincount(of_map * n_users + user[hit], minlength=len(marked) * n_users).reshape(len(marked), n_users)
    sums = np.array([(wanted > 0).sum(), len(hit), wanted.sum()], dtype=np.float64)
    behind = (sums / max(len(marked), 1)).tolist()
    return divide_or_nan(found, np.minimum(wanted, most)), dict(zip(("users", "hits", "held_out"), behind, strict=True))


def _find_hits(evaluation: Evaluation) -> Hits:
    from recsys.kernels import hits  # compiled: it is slow to load

    items, test = np.ascontiguousarray(evaluation.items, dtype=np.int32), evaluation.truth.split.test
    seen, room = np.zeros(test.shape[1], dtype=np.int64), [np.empty(items.size, dtype=np.int64) for _ in Hits._fields]
    n = hits.find_hits(items, test.indptr, test.indices, seen, *room)
    return Hits(*(part[:n].copy() for part in room))
