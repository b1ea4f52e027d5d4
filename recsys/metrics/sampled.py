"""Sampled metrics: each held-out positive is ranked among a few items. For comparison with published numbers only."""

from dataclasses import dataclass

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.support import rng
from recsys.types import RecsysError, SampledNegatives, Scorer, Split
from recsys.types.arrays import Doubles, Floats, Longs
from recsys.types.numbers import check_int

BLOCK = 256  # users scored at once


@dataclass(frozen=True, eq=False)
class SampledRanks:
    """The ranks of P positives: `above` items score higher, `tied` others the same."""

    above: Longs  # (P,)
    tied: Longs  # (P,)


def draw_negatives(split: Split, n: int, seed: int) -> SampledNegatives:
    """Return n items for every held-out positive, uniformly from those that its user has neither met nor held out.

    A draw depends on the seed and on the positions of user and item in the split. All held-out positives of a user
    share one.

    Raises:
        RecsysError: if some user has fewer than n such items, or n or the seed is no whole number.
    """
    n, seed = check_int("negatives: n", n, 1), check_int("negatives: seed", seed)
    known = split.seen + split.test
    users = np.repeat(np.arange(split.shape[0], dtype=np.int32), np.diff(split.test.indptr))
    drawn = np.full((split.shape[0], n), -1, dtype=np.int32)
    for block in iter_blocks(split.shape[0], BLOCK):
        rows = np.arange(block.start, block.stop)
        numbers = rng.draw_uniforms(seed, "negatives", rows[:, None], np.arange(split.shape[1]))
        numbers[known[rows].nonzero()] = 2.0
        left = (numbers < 2.0).sum(axis=1)
        short = (left < n) & (np.diff(split.test.indptr)[rows] > 0)
        if short.any():
            user = split.user_ids[rows[short][0]]
            raise RecsysError(f"negatives: user '{user}' has {left[short][0]} items to draw from, expected {n} or more")
        if left.max(initial=0) >= n:
            drawn[rows] = np.argsort(numbers, axis=1, kind="stable")[:, :n]
    return SampledNegatives(users, split.test.indices.astype(np.int32), drawn[users], f"seed {seed}, {n} each")


def rank_sampled(scorer: Scorer, negatives: SampledNegatives) -> SampledRanks:
    """Return the rank of each positive among its own negatives, by the scores of `scorer`."""
    above, tied = (np.zeros(len(negatives.users), dtype=np.int64) for _ in range(2))
    everybody = np.unique(negatives.users)
    for block in iter_blocks(len(everybody), BLOCK):
        users = everybody[block].astype(np.int32)
        scores: Floats = scorer.score(users)
        places = np.flatnonzero((negatives.users >= users[0]) & (negatives.users <= users[-1]))
        row = np.searchsorted(users, negatives.users[places])
        mine = scores[row, negatives.items[places]][:, None]
        against = negatives.negative_items[places]
        others = scores[row[:, None], against]
        above[places] = ((others > mine) & (against >= 0)).sum(axis=1)
        tied[places] = ((others == mine) & (against >= 0)).sum(axis=1)
    return SampledRanks(above, tied)


def sampled_hit_rate(ranks: SampledRanks, k: int) -> Doubles:
    """Return the chance of each positive to be among the first k, (P,): ties are in random order, taken exactly.

    >>> sampled_hit_rate(SampledRanks(np.array([0, 1, 2]), np.array([0, 1, 0])), 2).tolist()
    [1.0, 0.5, 0.0]
    """
    return _average_over_ties(ranks, np.ones(k))


def sampled_ndcg(ranks: SampledRanks, k: int) -> Doubles:
    """Return the expected 1 / log2(rank + 1) of each positive within the first k, (P,): ties as in the hit rate."""
    return _average_over_ties(ranks, 1.0 / np.log2(np.arange(k) + 2.0))


def _average_over_ties(ranks: SampledRanks, rank_values: Doubles) -> Doubles:
    """Return the mean worth over the places that a positive and its ties fill."""
    total = np.concatenate([[0.0], np.cumsum(rank_values)])
    first, last = (np.minimum(place, len(rank_values)) for place in (ranks.above, ranks.above + ranks.tied + 1))
    return np.asarray((total[last] - total[first]) / (ranks.tied + 1.0))
