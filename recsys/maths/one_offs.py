"""One-offs of a history: how much a positive alone moves a profile, and how far it stands from all others of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recsys.types.arrays import Bools, Csr, Doubles, Floats, Longs

CELLS = 1 << 20  # numbers of a block of histories: memory does not grow with their number


class FoldWeights(NamedTuple):
    """The weights of a least-squares profile, as `recsys.types.Factors` has them."""

    unobserved_weight: float  # a
    observed_weight: float  # b
    target_weight: float  # t
    regularization: float
    nu: float
    ridge_cells: float | None = None  # None: a I


def measure_isolation(vectors: Floats, train: Csr, n_near: int) -> Doubles:
    """Return how far each positive stands from the rest of its history, (E,) in the order of `train` (U, I), in [0, 1].

    1 - the mean of the `n_near` largest cosines, at least 0, to the others of the history; to all of them where there
    are fewer. `vectors` (I, d) are unit rows. 0 for an only positive. Time is quadratic in the length of a history.
    """
    isolation = np.zeros(train.nnz)
    for place, real in _iter_padded_histories(train, vectors.shape[1]):
        part = vectors[train.indices[place]] * real[:, :, None]
        cosines = np.maximum(part @ part.transpose(0, 2, 1), 0.0)
        slots = np.arange(part.shape[1])
        cosines[:, slots, slots] = 0.0
        taken = min(n_near, len(slots) - 1)
        largest = np.partition(cosines, len(slots) - taken, axis=2)[:, :, len(slots) - taken :]
        others = np.minimum(real.sum(axis=1) - 1, n_near)
        near = largest.sum(axis=2, dtype=np.float64) / others[:, None]
        isolation[place[real]] = (1.0 - np.minimum(near, 1.0))[real]
    return isolation


def measure_fold_influence(item_factors: Floats, weights: FoldWeights, train: Csr) -> Doubles:
    """Return how much each positive alone moves the profile that a factor model folds in, (E,) from 0.

    The profile of a history H solves A x = t sum_H y, A = a Y'Y + b sum_H y y' + ridge I with the ridge of H. Without
    the positive j it is x - A^-1 y_j (t - b y_j x) / (1 - b y_j A^-1 y_j), by the formula of Sherman and Morrison. The
    influence is |H| |Y (x - x_without_j)| / |Y x|: what it changes in the scores of all items, beside the scores, in
    multiples of an even part. With a ridge of its own for each size (nu above 0) it is that under the ridge of H. 0 for
    an only positive. It is the root of Cook's distance (1977), up to a factor of the history's.
    """
    everything = item_factors.astype(np.float64)
    gram, influence = everything.T @ everything, np.zeros(train.nnz)
    a, b, t, regularization, nu, cells = weights
    cells = a * len(everything) if cells is None else cells
    for place, real in _iter_padded_histories(train, item_factors.shape[1]):
        part = everything[train.indices[place]] * real[:, :, None]
        sizes = real.sum(axis=1)
        ridges = regularization * (sizes + cells) ** nu
        inverse = np.linalg.inv(
            b * (part.transpose(0, 2, 1) @ part) + a * gram + ridges[:, None, None] * np.eye(len(gram))
        )
        profile = t * (inverse @ part.sum(axis=1)[:, :, None])[:, :, 0]
        moved = part @ inverse  # (B, w, d) A^-1 y_j
        leverage, fitted = (moved * part).sum(axis=2), (part @ profile[:, :, None])[:, :, 0]
        change = np.abs(t - b * fitted) / np.maximum(1.0 - b * leverage, 1e-12)
        lengths = np.sqrt(np.maximum(((moved @ gram) * moved).sum(axis=2), 0.0))
        scores = np.sqrt(np.maximum(((profile @ gram) * profile).sum(axis=1), 0.0))
        found = change * lengths * (sizes / np.where(scores > 0, scores, 1.0))[:, None]
        influence[place[real]] = found[real]
    return influence


def measure_mix_influence(region_shares: Csr, train: Csr) -> Doubles:
    """Return how much each positive alone moves the mix of its history over regions, (E,), from 0.

    With p the mean of the shares a_i (I, Z) of a history H, |H| |p - p_without_j| = |H| |a_j - p| / (|H| - 1). 0 for
    an only positive. It stands in the place of `measure_fold_influence` where a model has no factors.
    """
    sizes = np.diff(train.indptr)
    influence = np.zeros(train.nnz)
    for user in np.flatnonzero(sizes > 1):
        own = slice(train.indptr[user], train.indptr[user + 1])
        shares = region_shares[train.indices[own]]
        mix = np.asarray(shares.sum(axis=0), dtype=np.float64).ravel() / sizes[user]
        squares = np.asarray(shares.multiply(shares).sum(axis=1), dtype=np.float64).ravel()
        apart = np.sqrt(np.maximum(squares - 2.0 * (shares @ mix) + mix @ mix, 0.0))
        influence[own] = sizes[user] * apart / (sizes[user] - 1)
    return influence


def find_threshold(scores: Doubles, share: float) -> float:
    """Return the least score above which at most a `share` of the scores (n,) lies, inf where there are none.

    >>> find_threshold(np.array([0.1, 0.5, 0.2, 0.9]), 0.25)
    0.5
    """
    if not len(scores):
        return float(np.inf)
    return float(np.sort(scores)[len(scores) - 1 - int(share * len(scores))])


def _iter_padded_histories(train: Csr, width: int) -> Iterator[tuple[Longs, Bools]]:
    """Yield the places in `train` of the positives of some users, (B, w), and which of them there are.

    Only of users with two positives or more, the longest histories first.
    """
    starts, sizes = train.indptr[:-1], np.diff(train.indptr)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 1]
    first = 0
    while first < len(order):
        longest = int(sizes[order[first]])  # of those that are left
        users = order[first : first + max(1, CELLS // (max(longest, width) ** 2))]
        first += len(users)
        slots = np.arange(longest)
        real = slots < sizes[users, None]
        yield np.where(real, starts[users, None] + slots, 0).astype(np.int64), np.asarray(real)
