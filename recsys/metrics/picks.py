"""Tables that several metrics of one run share: what is shown to whom, and which of it is a hit."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recsys.types import Evaluation, Yardstick
from recsys.types.arrays import Bools, Csr, Doubles, Longs

BLOCK = 4096  # users at a time where a table of users and features would otherwise grow with the users


class Hits(NamedTuple):
    """Every hit of a run: H of them."""

    user: Longs  # (H,) row
    rank: Longs  # (H,) from 0
    place: Longs  # (H,) where it stands in `split.test.indices`


def picks(evaluation: Evaluation, k: int) -> Csr:
    """Return 1 where an item is among the first k of a user's slate, (U, I) float64."""
    return evaluation.tables.get(f"picks@{k}", lambda: _picks(evaluation, k))


def _picks(evaluation: Evaluation, k: int) -> Csr:
    top = evaluation.top(k)
    shown = top >= 0
    indptr = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
    items = top[shown]
    return Csr((np.ones(len(items)), items, indptr), shape=(len(top), evaluation.yardstick.split.train.shape[1]))


def hit_matrix(evaluation: Evaluation, k: int) -> Bools:
    """Return which of the first k picks are held-out positives, (U, k); slots beyond the slate are misses."""
    found = evaluation.hits[:, :k]
    return np.pad(found, ((0, 0), (0, k - found.shape[1])))


def hit_places(evaluation: Evaluation) -> Hits:
    """Return the hits of the whole slates, one by one."""
    return evaluation.tables.get("hit_places", lambda: _hit_places(evaluation))


def _hit_places(evaluation: Evaluation) -> Hits:
    user, rank = np.nonzero(evaluation.hits)
    test = evaluation.yardstick.split.test
    keys = test_users(evaluation.yardstick) * test.shape[1] + test.indices
    order = np.argsort(keys, kind="stable")
    wanted = user * test.shape[1] + evaluation.items[user, rank]
    return Hits(user, rank, order[np.searchsorted(keys[order], wanted)])


def test_users(yardstick: Yardstick) -> Longs:
    """Return the user of every held-out positive, in the order of `split.test.indices`."""
    return yardstick.tables.get("test_users", lambda: owners(yardstick.split.test))


def owners(matrix: Csr) -> Longs:
    """Return the row of every stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def n_test(evaluation: Evaluation) -> Longs:
    """Return how many held-out positives each user has, (U,)."""
    return np.diff(evaluation.yardstick.split.test.indptr).astype(np.int64)


def divide(numerator: Doubles | Longs, denominator: Doubles | Longs) -> Doubles:
    """Return the quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator > 0, numerator / denominator, np.nan), dtype=np.float64)


def blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover n rows, `BLOCK` at a time."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))
