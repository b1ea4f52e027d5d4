"""Comparison of slates with those of the base run: numbers per user for reports.

They judge two runs, so they are no metrics that a config could name. A user with an empty slate in either has NaN.
"""

from collections.abc import Iterator

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.metrics._shared import divide_or_nan
from recsys.types import Evaluation
from recsys.types.arrays import Bools, Doubles, Longs
from recsys.types.numbers import check_number

PAIRS = 512  # users at a time where every pair of places is looked at


def displaced_share(evaluation: Evaluation, base: Evaluation, k: int) -> Doubles:
    """Return the share of the base's first k items that the run does not show in its first k, (U,), in [0, 1]."""
    values = np.full(len(base.items), np.nan)
    shown = (base.get_top_picks(k) >= 0).sum(axis=1)
    for users, same in _match_ranks(evaluation, base, k):
        values[users] = 1.0 - same.sum(axis=(1, 2)) / shown[users]
    return values


def gift_harm(evaluation: Evaluation, without: Evaluation, k: int) -> Doubles:
    """Return the share of a run's first k items that are there only because of a gift, (U,), in [0, 1].

    `without` is what the same policy shows when the gift is left out of each user's history, and nothing else changes:
    an item that is not in its first k is there only because of the gift.
    """
    return displaced_share(without, evaluation, k)


def account_purity(evaluation: Evaluation, owned: Bools, k: int) -> Doubles:
    """Return the share of the first k items of each slate that belong to the person who asks, (U,), in [0, 1].

    `owned` (U, I) says which items belong to that person and not to another one of the account. Who owns what is known
    of accounts that were merged, and of no others. NaN for an empty slate.
    """
    items = evaluation.get_top_picks(k)
    there = items >= 0
    mine = there & np.take_along_axis(owned, np.maximum(items, 0), axis=1)
    return divide_or_nan(mine.sum(axis=1), there.sum(axis=1))


def rank_biased_overlap(evaluation: Evaluation, base: Evaluation, k: int, p: float = 0.9) -> Doubles:
    """Return how much the beginnings of both slates have in common, (U,), in [0, 1]: 1 for the same slates.

    (1 - p) sum over r = 1 .. s of p^(r - 1) A_r + p^s A_s, A_r = items in the first r of both / r, s the length of the
    longer slate up to k: the agreement at the end is taken to go on (RBO, Webber, Moffat and Zobel 2010).

    Raises:
        RecsysError: if p is no number above 0 and below 1.
    """
    p = check_number("rank_biased_overlap: p", p, above=0, below=1)
    ranks = np.arange(k)
    length = np.maximum(*((e.get_top_picks(k) >= 0).sum(axis=1) for e in (evaluation, base)))
    values = np.full(len(base.items), np.nan)
    later = np.maximum(ranks[:, None], ranks)  # an item of both counts from the later of its two ranks on
    for users, same in _match_ranks(evaluation, base, k):
        common = np.stack([(same & (later == r)).sum(axis=(1, 2)) for r in ranks], axis=1).cumsum(axis=1)
        agreement = common / (ranks + 1.0)
        last = length[users, None]
        inside = (1.0 - p) * p**ranks * (ranks < last)
        end = p**last * np.take_along_axis(agreement, last - 1, axis=1)
        values[users] = (agreement * inside).sum(axis=1) + end[:, 0]
    return values


def kendall_tau(evaluation: Evaluation, base: Evaluation, k: int) -> Doubles:
    """Return Kendall's tau between the orders of the items in the first k of both, (U,), in [-1, 1].

    NaN for users with fewer than two such items (Kendall 1938).
    """
    ranks = np.arange(k)
    values = np.full(len(base.items), np.nan)
    for users, same in _match_ranks(evaluation, base, k):
        both = np.asarray(same.any(axis=2))
        place = same.argmax(axis=2)  # where the base shows the run's r-th item
        pairs = both[:, :, None] & both[:, None, :] & (ranks[:, None] < ranks)
        order = np.sign(place[:, None, :] - place[:, :, None])
        values[users] = divide_or_nan((order * pairs).sum(axis=(1, 2)), pairs.sum(axis=(1, 2)))
    return values


def _match_ranks(evaluation: Evaluation, base: Evaluation, k: int) -> Iterator[tuple[Longs, Bools]]:
    """Yield some users with slates in both, and whether the run's r-th item is the base's q-th, (B, k, k)."""
    ours, theirs = evaluation.get_top_picks(k), base.get_top_picks(k)
    users = np.flatnonzero((ours >= 0).any(axis=1) & (theirs >= 0).any(axis=1))
    for b in iter_blocks(len(users), PAIRS):
        run, other = ours[users[b]], theirs[users[b]]
        yield users[b], (run[:, :, None] == other[:, None, :]) & (run >= 0)[:, :, None]
