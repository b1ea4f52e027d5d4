"""Tables that several metrics of one run share: what is shown to whom, and which of it is a hit."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from recsys.maths import distributions, embeddings
from recsys.maths.popularity import count_item_users
from recsys.types import Evaluation, GroundTruth, PerCatalogue
from recsys.types.arrays import Bools, Csr, Doubles, Longs
from recsys.types.evaluations import Direction

BLOCK = 4096  # users at a time where a table of users and features would otherwise grow with the users


class Hits(NamedTuple):
    """Every hit of a run: H of them."""

    user: Longs  # (H,) row
    rank: Longs  # (H,) from 0
    test_index: Longs  # (H,) where it stands in `split.test.indices`


def get_shown_matrix(evaluation: Evaluation, k: int) -> Csr:
    """Return 1 where an item is among the first k of a user's slate, (U, I) float64."""
    return evaluation.tables.get(f"picks@{k}", lambda: make_shown_matrix(evaluation, np.ones(k)))


def make_shown_matrix(evaluation: Evaluation, weights: Doubles) -> Csr:
    """Return the weight (k,) of the rank at which an item is shown to a user, (U, I) float64."""
    top = evaluation.get_top_picks(len(weights))
    shown = top >= 0
    indptr = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
    shape = (len(top), evaluation.truth.split.train.shape[1])
    return Csr((np.broadcast_to(weights, top.shape)[shown], top[shown], indptr), shape=shape)


def discounts(k: int) -> Doubles:
    """Return what each of k ranks is worth: 1 / log2(rank + 1), ranks from 1."""
    return np.asarray(1.0 / np.log2(np.arange(k) + 2.0))


def get_hits(evaluation: Evaluation) -> Hits:
    """Return the hits of the whole slates, one by one, by user and rank."""
    return evaluation.tables.get("hit_places", lambda: _find_hits(evaluation))


def get_hits_within(evaluation: Evaluation, k: int) -> Hits:
    """Return the hits among the first k of each slate, one by one, by user and rank."""
    found = get_hits(evaluation)
    if k >= evaluation.items.shape[1]:
        return found
    return evaluation.tables.get(f"hits@{k}", lambda: Hits(*(part[found.rank < k] for part in found)))


def make_hit_matrix(evaluation: Evaluation, k: int) -> Bools:
    """Return which of the first k picks are held-out positives, (U, k); slots beyond the slate are misses."""
    found, (user, rank, _) = np.zeros((len(evaluation.items), k), dtype=bool), get_hits_within(evaluation, k)
    found[user, rank] = True
    return found


def count_hits(evaluation: Evaluation, k: int) -> Longs:
    """Return how many of the first k picks are held-out positives, (U,)."""
    users = len(evaluation.items)
    return evaluation.tables.get(
        f"hit_counts@{k}", lambda: np.bincount(get_hits_within(evaluation, k).user, minlength=users)
    )


def sum_rank_weights_of_hits(evaluation: Evaluation, weights: Doubles) -> Doubles:
    """Return the sum of the weights (k,) of the ranks at which a user has hits, first to last, (U,)."""
    user, rank, _ = get_hits_within(evaluation, len(weights))
    return np.asarray(np.bincount(user, weights[rank], len(evaluation.items)), dtype=np.float64)


def _find_hits(evaluation: Evaluation) -> Hits:
    from recsys.kernels import hits  # compiled: it is slow to load

    items, test = np.ascontiguousarray(evaluation.items, dtype=np.int32), evaluation.truth.split.test
    seen, room = np.zeros(test.shape[1], dtype=np.int64), [np.empty(items.size, dtype=np.int64) for _ in Hits._fields]
    n = hits.find_hits(items, test.indptr, test.indices, seen, *room)
    return Hits(*(part[:n].copy() for part in room))


def compute_recall_by_map(
    evaluation: Evaluation, k: int, marked: Sequence[Bools], most: float
) -> tuple[Doubles, dict[str, float]]:
    """Return hits over held-out positives, at most `most` of these, among those that each of M maps marks, (M, U).

    `marked` follow `split.test.indices`. Beside it, means over maps: `users` that have some, `held_out` such positives,
    `hits` among them.
    """
    user, _, place = get_hits_within(evaluation, k)
    n_users, owner = len(evaluation.items), get_test_users(evaluation.truth)
    values, sums = np.empty((len(marked), n_users)), np.zeros(3)
    for m, some in enumerate(marked):
        found = np.bincount(user[some[place]], minlength=n_users)
        wanted = np.bincount(owner[some], minlength=n_users)
        values[m] = divide_or_nan(found, np.minimum(wanted, most))
        sums += (wanted > 0).sum(), found.sum(), wanted.sum()
    behind = (sums / max(len(marked), 1)).tolist()
    return values, dict(zip(("users", "hits", "held_out"), behind, strict=True))


def sum_over_hits(evaluation: Evaluation, values: Doubles, weights: Doubles) -> Doubles:
    """Return the sum over a user's hits of the worth of the positive times the weight of its rank, (U,).

    `worth` follows `split.test.indices`, `weights` (k,) are those of the ranks.
    """
    user, rank, place = get_hits_within(evaluation, len(weights))
    return np.asarray(np.bincount(user, weights[rank] * values[place], len(evaluation.items)), dtype=np.float64)


def mask_untested_users(evaluation: Evaluation, values: Doubles) -> Doubles:
    """Return the values (U,), NaN for users without held-out positives."""
    return np.asarray(np.where(count_test_positives(evaluation) > 0, values, np.nan))


def get_test_users(truth: GroundTruth) -> Longs:
    """Return the user of every held-out positive, in the order of `split.test.indices`."""
    return truth.tables.get("test_users", lambda: expand_row_indices(truth.split.test))


def expand_row_indices(matrix: Csr) -> Longs:
    """Return the row of every stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def count_test_positives(evaluation: Evaluation) -> Longs:
    """Return how many held-out positives each user has, (U,)."""
    truth = evaluation.truth
    return truth.tables.get("n_test", lambda: np.diff(truth.split.test.indptr).astype(np.int64))


def count_train_positives(evaluation: Evaluation) -> Longs:
    """Return how many training positives each user has, (U,)."""
    truth = evaluation.truth
    return truth.tables.get("n_train", lambda: np.diff(truth.split.train.indptr).astype(np.int64))


def get_item_popularity(truth: GroundTruth) -> Doubles:
    """Return how many users have each item among their training positives, (I,)."""
    return truth.tables.get("counts", lambda: count_item_users(truth.split.train))


def get_even_features(truth: GroundTruth) -> Csr:
    """Return each item's weight of 1 split evenly over its features, (I, F); nothing for an item without any."""
    return truth.tables.get("even_features", lambda: distributions.split_weight_evenly(truth.split.items.features))


def get_item_vectors(truth: GroundTruth, space: str) -> Doubles:
    """Return unit item vectors (I, d), 0 of an item that the space does not know: by "features" or "cooccurrence"."""
    split = truth.split
    makers = {
        "features": lambda: embeddings.feature_vectors(split.items),
        "cooccurrence": lambda: embeddings.cooccurrence_vectors(split.train),
    }
    return truth.tables.get(space, makers[space]).astype(np.float64)


def make_catalogue_metric(
    evaluation: Evaluation,
    k: int,
    statistic: Callable[[Doubles], Doubles],
    convention: str,
    direction: Direction,
    span: tuple[float, float] = (0.0, 1.0),
) -> PerCatalogue:
    """Return a statistic of how often each item of the split is shown."""
    n_items = evaluation.truth.split.train.shape[1]
    return PerCatalogue(evaluation.get_top_picks(k), n_items, statistic, convention, direction, span)


def divide_or_nan(numerator: Doubles | Longs, denominator: Doubles | Longs) -> Doubles:
    """Return the quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator > 0, numerator / denominator, np.nan), dtype=np.float64)


def iter_blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover n rows, `size` at a time."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
