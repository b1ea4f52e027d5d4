"""Slate regret: how far a slate represents the held-out positives worse than a greedy slate that knows them.

F(S) = sum over the held-out positives j of max(m_j, max over i in S of kappa(i, j)): kappa is the square of the cosine
where that is above 0 (1 of an item to itself), and m_j the largest kappa of the user's history. So it is the value of
`recsys.objectives.facility_location`, with targets that no model chose. Spaces are of features or of training users,
never a model's own factors: by those, a model may be nearly the best there is whatever it shows.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from recsys.maths import embeddings
from recsys.maths.blocks import iter_blocks
from recsys.metrics._shared import count_test_positives, divide_or_nan, get_item_vectors
from recsys.metrics.derived_tables import SplitTable
from recsys.types import Evaluation, GroundTruth, PerUser
from recsys.types.arrays import Csr, Doubles

USERS_AT_ONCE = 256  # users

HISTORY_KAPPAS, GREEDY_VALUES = SplitTable("history_kappas"), SplitTable("greedy_values")
SORTED_TEST = SplitTable("sorted_test")

_CONVENTION = (
    "1 - F / F of the greedy slate, targets are held-out positives, kappa = squared positive cosine, with what the "
    "history stands for; mean over users with held-out positives"
)


def slate_regret_features(evaluation: Evaluation, k: int) -> PerUser:
    """Slate regret by item features: the share of a greedy slate's value that this slate does not reach.

    The greedy slate has k items of the catalogue that the user has not met, and knows the held-out positives. Its F is
    at least 1 - 1/e of the largest: the regret against that is in [r, 1 - (1 - 1/e) (1 - r)], and r is below 0 where a
    slate is better than the greedy one. Slates are taken to hold what their users have not met. NaN where no item has
    features.

    :Formula: 1 - F(S) / F(S_greedy), F(S) = sum over j held out of max(m_j, max over i in S of kappa(i, j))
    :Range: [1 - 1 / (1 - 1/e), 1]
    :Better: less
    :Cost: U T I (F + k) once, T held-out positives, F features, on all cores
    :Source: this project; after Nemhauser, Wolsey and Fisher 1978
    """
    return PerUser(_compute_regrets(evaluation, k, "features"), f"item features: {_CONVENTION}", -1)


def slate_regret_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Slate regret by shared users: `slate_regret_features` in the space of training users.

    The space is that of `ild_cooccurrence`. NaN where nobody has a history.

    :Formula: 1 - F(S) / F(S_greedy), F(S) = sum over j held out of max(m_j, max over i in S of kappa(i, j))
    :Range: [1 - 1 / (1 - 1/e), 1]
    :Better: less
    :Cost: U T I (d + k) once, T held-out positives, d = 64, on all cores
    :Source: this project; after Nemhauser, Wolsey and Fisher 1978
    """
    return PerUser(_compute_regrets(evaluation, k, "cooccurrence"), f"co-occurrence in train: {_CONVENTION}", -1)


def _compute_regrets(evaluation: Evaluation, k: int, space: str) -> Doubles:
    from recsys.kernels import facility_location  # compiled: it is slow to load, and few need it

    fill: Any = facility_location.fill_slate_values  # it has no signature that a checker could read
    truth = evaluation.truth
    table, test, top = get_item_vectors(truth, space), _get_targets(truth), evaluation.get_top_picks(k)
    if not table.any():
        return np.full(len(top), np.nan)
    known = HISTORY_KAPPAS.get(truth, lambda: _compute_history_kappas(truth, table), space)
    best = GREEDY_VALUES.get(truth, lambda: _compute_greedy_values(truth, table, known, k), space, k)
    found = np.empty(len(top))
    fill(table, np.ascontiguousarray(top), test.indptr, test.indices, known, found)
    return 1.0 - divide_or_nan(np.where(count_test_positives(evaluation) > 0, found, np.nan), best)


def _get_targets(truth: GroundTruth) -> Csr:
    """Return the held-out positives, each user's in the order of the catalogue: sums do not depend on how they came."""
    return SORTED_TEST.get(truth, lambda: Csr(truth.split.test.sorted_indices()))


def _compute_history_kappas(truth: GroundTruth, table: Doubles) -> Doubles:
    """Return how well each held-out positive is stood for by the history of its user.

    In the order of `_get_targets`.
    """
    train, test, single = truth.split.train, _get_targets(truth), table.astype(np.float32)
    known = np.zeros(test.nnz)
    for u in np.flatnonzero(np.diff(test.indptr)):
        place = slice(test.indptr[u], test.indptr[u + 1])
        targets = test.indices[place].astype(np.int64)
        known[place] = embeddings.max_cosine_to_history(single, train, np.array([u]), targets[None])[0] ** 2
    return known


def _compute_greedy_values(truth: GroundTruth, table: Doubles, history_kappas: Doubles, k: int) -> Doubles:
    """Return F of each user's greedy slate, (U,); 0 without held-out positives."""
    from recsys.kernels import facility_location

    fill: Any = facility_location.fill_greedy_values
    split, test = truth.split, _get_targets(truth)
    order, met = np.argsort(split.item_ids, kind="stable"), split.seen
    place, ordered, barred = np.argsort(order, kind="stable"), table[order], ~split.available_items[order]
    targets, met_places, columns = (
        place[test.indices],
        place[met.indices],
        np.ascontiguousarray(ordered.T, dtype=np.float32),
    )
    values = np.empty(test.shape[0])

    def work(b: slice) -> None:
        starts, met_starts = (m.indptr[b.start : b.stop + 1] for m in (test, met))
        fill(ordered, columns, starts, targets, history_kappas, barred, met_starts, met_places, k, values[b])

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(work, iter_blocks(len(values), USERS_AT_ONCE)))
    return values
