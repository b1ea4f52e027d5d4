"""Tables that several metrics share: what a run shows to whom, and what the ground truth says of users and items."""

from collections.abc import Callable

import numpy as np

from recsys.maths import distributions, embeddings
from recsys.maths.popularity import count_item_users
from recsys.metrics.derived_tables import RunTable, SplitTable
from recsys.types import Evaluation, GroundTruth, PerCatalogue
from recsys.types.arrays import Csr, Doubles, Floats, Longs
from recsys.types.evaluations import Direction

SHOWN_MATRIX = RunTable("shown_matrix")
TEST_USERS, N_TEST, N_TRAIN = SplitTable("test_users"), SplitTable("n_test"), SplitTable("n_train")
ITEM_POPULARITY, EVEN_FEATURES = SplitTable("item_popularity"), SplitTable("even_features")
COOCCURRENCE_VECTORS, ITEM_VECTORS = SplitTable("cooccurrence_vectors"), SplitTable("item_vectors")


def get_shown_matrix(evaluation: Evaluation, k: int) -> Csr:
    """Return 1 where an item is among the first k of a user's slate, (U, I) float64."""
    return SHOWN_MATRIX.get(evaluation, lambda: make_shown_matrix(evaluation, np.ones(k)), k)


def make_shown_matrix(evaluation: Evaluation, weights: Doubles) -> Csr:
    """Return the weight (k,) of the rank at which an item is shown to a user, (U, I) float64."""
    top = evaluation.get_top_picks(len(weights))
    shown = top >= 0
    indptr = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
    shape = (len(top), evaluation.truth.split.train.shape[1])
    return Csr((np.broadcast_to(weights, top.shape)[shown], top[shown], indptr), shape=shape)


def discounts(k: int) -> Doubles:
    """Return the discount of each of k ranks: 1 / log2(rank + 1), ranks from 1."""
    return np.asarray(1.0 / np.log2(np.arange(k) + 2.0))


def mask_untested_users(evaluation: Evaluation, values: Doubles) -> Doubles:
    """Return the values (U,), NaN for users without held-out positives."""
    return np.asarray(np.where(count_test_positives(evaluation) > 0, values, np.nan))


def get_test_users(truth: GroundTruth) -> Longs:
    """Return the user of every held-out positive, in the order of `split.test.indices`."""
    return TEST_USERS.get(truth, lambda: expand_row_indices(truth.split.test))


def expand_row_indices(matrix: Csr) -> Longs:
    """Return the row of every stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def count_test_positives(evaluation: Evaluation) -> Longs:
    """Return how many held-out positives each user has, (U,)."""
    truth = evaluation.truth
    return N_TEST.get(truth, lambda: np.diff(truth.split.test.indptr).astype(np.int64))


def count_train_positives(evaluation: Evaluation) -> Longs:
    """Return how many training positives each user has, (U,)."""
    truth = evaluation.truth
    return N_TRAIN.get(truth, lambda: np.diff(truth.split.train.indptr).astype(np.int64))


def get_item_popularity(truth: GroundTruth) -> Doubles:
    """Return how many users have each item among their training positives, (I,)."""
    return ITEM_POPULARITY.get(truth, lambda: count_item_users(truth.split.train))


def get_even_features(truth: GroundTruth) -> Csr:
    """Return each item's weight of 1 split evenly over its features, (I, F); nothing for an item without any."""
    return EVEN_FEATURES.get(truth, lambda: distributions.split_weight_evenly(truth.split.items.features))


def get_cooccurrence_vectors(truth: GroundTruth) -> Floats:
    """Return unit item vectors by co-occurrence in train, (I, d) float32, 0 of an item that nobody has."""
    return COOCCURRENCE_VECTORS.get(truth, lambda: embeddings.cooccurrence_vectors(truth.split.train))


def get_item_vectors(truth: GroundTruth, space: str) -> Doubles:
    """Return unit item vectors (I, d), 0 of an item that the space does not know: by "features" or "cooccurrence"."""
    makers: dict[str, Callable[[], Floats]] = {
        "features": lambda: embeddings.feature_vectors(truth.split.items),
        "cooccurrence": lambda: get_cooccurrence_vectors(truth),
    }
    return ITEM_VECTORS.get(truth, lambda: makers[space]().astype(np.float64), space)


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
