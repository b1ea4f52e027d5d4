"""How much worse a slate stands for what the user would like than the best one that greedy selection finds.

F(S) = sum over the held-out positives j of max(m_j, max over i in S of kappa(i, j)): kappa is the square of the cosine
where that is above 0 (1 of an item to itself), and m_j the largest kappa of the user's history. So it is the value of
`recsys.objectives.facility_location`, with targets that no model chose. Spaces are of features or of training users,
never a model's own factors: by those, a model may be nearly the best there is whatever it shows.
"""

import numpy as np

from recsys import maths
from recsys.metrics.picks import divide, n_test, vectors_of
from recsys.types import Evaluation, PerUser, Yardstick
from recsys.types.arrays import Csr, Doubles, Ints, Longs

DIGITS = 9  # gains alike up to it are equal: the item that comes first by its id is taken

_WHO = (
    "1 - F / F of the greedy slate, targets are held-out positives, kappa = squared positive cosine, with what the "
    "history stands for; mean over users with held-out positives"
)


def slate_regret_features(evaluation: Evaluation, k: int) -> PerUser:
    """Slate regret by item features: the share of what a greedy slate stands for that this one does not.

    The greedy slate has k items of the catalogue that the user has not met, and knows the held-out positives. Its F is
    at least 1 - 1/e of the largest: the regret against that is in [r, 1 - (1 - 1/e) (1 - r)], and r is below 0 where a
    slate is better than the greedy one. Slates are taken to hold what their users have not met. NaN where no item has
    features.

    :Formula: 1 - F(S) / F(S_greedy), F(S) = sum over j held out of max(m_j, max over i in S of kappa(i, j))
    :Range: [1 - 1 / (1 - 1/e), 1]
    :Better: less
    :Cost: U T I (F + k) once, T held-out positives, F features
    :Source: this project; after Nemhauser, Wolsey and Fisher 1978
    """
    return PerUser(_regrets(evaluation, k, "features"), f"item features: {_WHO}", -1)


def slate_regret_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Slate regret by shared users: `slate_regret_features` in the space of training users.

    The space is that of `ild_cooccurrence`. NaN where nobody has a history.

    :Formula: 1 - F(S) / F(S_greedy), F(S) = sum over j held out of max(m_j, max over i in S of kappa(i, j))
    :Range: [1 - 1 / (1 - 1/e), 1]
    :Better: less
    :Cost: U T I (d + k) once, T held-out positives, d = 64
    :Source: this project; after Nemhauser, Wolsey and Fisher 1978
    """
    return PerUser(_regrets(evaluation, k, "cooccurrence"), f"co-occurrence in train: {_WHO}", -1)


def _regrets(evaluation: Evaluation, k: int, space: str) -> Doubles:
    yardstick = evaluation.yardstick
    table, test, top = vectors_of(yardstick, space), _targets(yardstick), evaluation.top(k)
    if not table.any():
        return np.full(len(top), np.nan)
    known = yardstick.tables.get(f"known {space}", lambda: _stood_for(yardstick, table))
    best = yardstick.tables.get(f"greedy {space}@{k}", lambda: _greedy_values(yardstick, table, known, k))
    found = np.full(len(top), np.nan)
    for u in np.flatnonzero(n_test(evaluation)):
        place = slice(test.indptr[u], test.indptr[u + 1])
        shown = top[u][top[u] >= 0]
        near = _kappa(table, shown, test.indices[place]).max(axis=0, initial=0.0)
        found[u] = np.maximum(known[place], near).sum()
    return 1.0 - divide(found, best)


def _targets(yardstick: Yardstick) -> Csr:
    """Return the held-out positives, each user's in the order of the catalogue: sums do not depend on how they came."""
    return yardstick.tables.get("targets", lambda: Csr(yardstick.split.test.sorted_indices()))


def _stood_for(yardstick: Yardstick, table: Doubles) -> Doubles:
    """Return how well each held-out positive is stood for by the history of its user, in the order of `_targets`."""
    train, test, single = yardstick.split.train, _targets(yardstick), table.astype(np.float32)
    known = np.zeros(test.nnz)
    for u in np.flatnonzero(np.diff(test.indptr)):
        place = slice(test.indptr[u], test.indptr[u + 1])
        targets = test.indices[place].astype(np.int64)
        known[place] = maths.nearest_in_profile(single, train, np.array([u]), targets[None])[0] ** 2
    return known


def _greedy_values(yardstick: Yardstick, table: Doubles, known: Doubles, k: int) -> Doubles:
    """Return F of each user's greedy slate, (U,); 0 without held-out positives."""
    split, test = yardstick.split, _targets(yardstick)
    order, met = np.argsort(split.item_ids, kind="stable"), split.met
    place, ordered, values = np.argsort(order), table[order], np.zeros(len(split.user_ids))
    for u in np.flatnonzero(np.diff(test.indptr)):
        part = slice(test.indptr[u], test.indptr[u + 1])
        kappa = _kappa(ordered, np.arange(len(order)), place[test.indices[part]])
        kappa[~split.available[order]] = 0.0
        kappa[place[met.indices[met.indptr[u] : met.indptr[u + 1]]]] = 0.0
        values[u] = _greedy_value(kappa, known[part], k)
    return values


def _greedy_value(kappa: Doubles, covered: Doubles, k: int) -> float:
    """Return F of k greedy picks from the rows of `kappa` (N, T), with targets `covered` (T,) to begin with.

    Gains only fall: an old one is a bound, and whoever is first and keeps it when asked again is the best.
    """
    bounds = np.maximum(kappa - covered, 0.0).sum(axis=1).round(DIGITS)
    for _ in range(min(k, len(kappa))):
        pick = bounds.argmax()
        while (gain := np.maximum(kappa[pick] - covered, 0.0).sum().round(DIGITS)) < bounds[pick]:
            bounds[pick] = gain
            pick = bounds.argmax()
        covered = np.maximum(covered, kappa[pick])
    return float(covered.sum())


def _kappa(table: Doubles, items: Ints | Longs, targets: Ints | Longs) -> Doubles:
    near = np.clip(table[items] @ table[targets].T, 0.0, 1.0) ** 2
    near[items[:, None] == targets] = 1.0
    return near
