"""Coverage of features (genres, tags) in slates: how many, how evenly, and how early.

Features are sets: an item has each of its features in full. Items without features show none.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.maths import distributions
from recsys.maths.binomials import binomial_diversity as chance
from recsys.maths.blocks import iter_blocks
from recsys.metrics._hits import get_hits_within
from recsys.metrics._shared import (
    count_test_positives,
    count_train_positives,
    discounts,
    divide_or_nan,
    get_even_features,
    get_shown_matrix,
)
from recsys.metrics.alpha_ndcg_ideal import ALPHA, compute_ideal_gains
from recsys.metrics.derived_tables import RunTable, SplitTable
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs

ALPHA_IDEAL, ASPECT_HITS = SplitTable("alpha_ideal"), RunTable("aspect_hits")

OWN_SHARE_WEIGHT = 0.5  # of `binomial_diversity`: the weight of the user's own shares against those of everybody
STOP_CHANCE = 0.5  # of `err_ia`: the chance that a hit is enough, (2^1 - 1) / 2^1


class AspectHits(NamedTuple):
    """Every feature of every hit, by user, feature and rank."""

    user: Longs
    feature: Longs
    rank: Longs  # from 0
    before: Longs  # earlier hits of the user that have the feature


def alpha_ndcg(evaluation: Evaluation, k: int) -> PerUser:
    """Discounted gain of the hits' features, halved each time that a feature comes again, over a greedy ideal.

    The ideal picks, k times, the held-out positive with the largest gain, the first by item id of equals: the
    exact one is NP-hard, and at most 1 / (1 - 1/e) times as good. NaN for users without a held-out positive that has
    features.

    :Formula: sum over hits of disc(r) sum over features of (1 - a)^(times shown before), a = 0.5, over its ideal
    :Range: [0, 1 / (1 - 1/e)]
    :Better: more
    :Cost: U k T f once for the ideal, T held-out positives with f features each
    :Source: Clarke et al. 2008
    """
    truth, hits = evaluation.truth, _get_aspect_hits(evaluation, k)
    gain = _sum_by_user(hits, discounts(k)[hits.rank] * (1.0 - ALPHA) ** hits.before, len(evaluation.items))
    best = ALPHA_IDEAL.get(truth, lambda: compute_ideal_gains(truth, k) @ discounts(k), k)
    convention = (
        f"alpha = {ALPHA}, hits alone, 1/log2(rank + 1), greedy ideal of the held-out positives; mean over users "
        "with featured held-out positives, an empty slate counts 0"
    )
    return PerUser(divide_or_nan(gain, best), convention, 1)


def err_ia(evaluation: Evaluation, k: int) -> PerUser:
    """Intent-aware expected reciprocal rank: how early hits meet each of the user's tastes.

    p(g) is the share of feature g in the history, an item's weight split evenly over its features; a hit is enough for
    each of its features with chance 1/2.

    :Formula: sum over features g of p(g) sum over hits with g of (1/r) (1/2)^(1 + hits with g before)
    :Range: [0, log(2)]
    :Better: more
    :Cost: U (k f + F), f features of an item, F of all
    :Source: Chapelle et al. 2011
    """
    split, hits, even = evaluation.truth.split, _get_aspect_hits(evaluation, k), get_even_features(evaluation.truth)
    intent = np.empty(len(hits.user))
    for b in iter_blocks(len(evaluation.items)):
        inside = slice(*np.searchsorted(hits.user, [b.start, b.stop]))
        mixes = distributions.user_mixes(split.train[b], even)
        intent[inside] = mixes[hits.user[inside] - b.start, hits.feature[inside]]
    worth = intent * STOP_CHANCE * (1.0 - STOP_CHANCE) ** hits.before / (hits.rank + 1.0)
    defined = (count_test_positives(evaluation) > 0) & _has_featured_history(split.train, split.items.features)
    convention = (
        "p(g) of the history, features split evenly, R = 1/2 for a hit; mean over users with held-out positives and "
        "a featured history, an empty slate counts 0"
    )
    return PerUser(np.where(defined, _sum_by_user(hits, worth, len(evaluation.items)), np.nan), convention, 1)


def subtopic_recall(evaluation: Evaluation, k: int) -> PerUser:
    """Share of the features of the catalogue that the slate shows (S-recall).

    :Formula: features of the shown items / features that some item has
    :Range: [0, 1]
    :Better: more
    :Cost: U k f, f features of an item
    :Source: Zhai, Cohen and Lafferty 2003
    """
    features, shown = evaluation.truth.split.items.features, get_shown_matrix(evaluation, k)
    known = len(np.unique(features.indices))
    seen = np.concatenate([np.diff((shown[b] @ features).indptr) for b in iter_blocks(shown.shape[0])])
    values = divide_or_nan(seen, np.where(np.diff(shown.indptr) > 0, known, 0))
    return PerUser(values, "features shown / features of the catalogue; mean over users with a slate", 1)


def cpr(evaluation: Evaluation, k: int) -> PerUser:
    """Cumulative proportionality: whether every beginning of the slate has the features in the history's proportion.

    v = r p(g) places of the first r are due to feature g, p(g) the share of the history that has it, and c are its
    places so far; places without a featured item, the missing ones of a short slate too, count as n_r.

    :Formula: mean over r = 1 .. k of 1 - (sum of (v - c)^2 over v >= c, + n_r^2 / 2) / (sum of v^2 + r^2 / 2)
    :Range: [0, 1]
    :Better: more
    :Cost: U k F, F features
    :Source: Dang and Croft 2012
    """
    split, top = evaluation.truth.split, evaluation.get_top_picks(k)
    table = sparse.csr_array(sparse.vstack([split.items.features, Csr((1, split.items.features.shape[1]))]))
    shares = (_compute_own_shares(split.train[b], split.items.features) for b in iter_blocks(len(top)))
    parts = [_compute_proportionality(top[b], own, table) for b, own in zip(iter_blocks(len(top)), shares, strict=True)]
    defined = (top >= 0).any(axis=1) & _has_featured_history(split.train, split.items.features)
    convention = (
        "shares of the history, no relevance, places without a featured item as not relevant; mean over users with a "
        "featured history and a slate"
    )
    return PerUser(np.where(defined, np.concatenate(parts), np.nan), convention, 1)


def binomial_diversity(evaluation: Evaluation, k: int) -> PerUser:
    """How the slate's features compare with k random draws of the user's taste: all there, none too often.

    The chance of feature g at a draw is the mean of its share in the user's history and in all histories
    (`recsys.maths.binomials`). The draws are k, however short the slate.

    :Formula: prod over absent g of P(X = 0)^(1/F) times prod over the G shown of P(X >= c | X >= 1)^(1/G)
    :Range: [0, 1]
    :Better: more
    :Cost: U F, F features
    :Source: Vargas et al. 2014
    """
    split, shown = evaluation.truth.split, get_shown_matrix(evaluation, k)
    features = split.items.features[:, np.unique(split.items.features.indices)]
    everybody = np.bincount(split.train.indices, minlength=split.train.shape[1]) @ features / max(split.train.nnz, 1)
    values = np.full(shown.shape[0], np.nan)
    for b in iter_blocks(shown.shape[0] if features.shape[1] else 0):
        p = OWN_SHARE_WEIGHT * _compute_own_shares(split.train[b], features) + (1.0 - OWN_SHARE_WEIGHT) * everybody
        values[b] = chance(distributions.sum_by_region(shown[b], features).astype(np.int64), p, k)
    defined = (count_train_positives(evaluation) > 0) & (np.diff(shown.indptr) > 0)
    convention = (
        f"chances {OWN_SHARE_WEIGHT} of the history's and {1 - OWN_SHARE_WEIGHT} of everybody's shares, k draws; "
        f"mean over users with a history "
        "and a slate"
    )
    return PerUser(np.where(defined, values, np.nan), convention, 1)


def _get_aspect_hits(evaluation: Evaluation, k: int) -> AspectHits:
    return ASPECT_HITS.get(evaluation, lambda: _find_aspect_hits(evaluation, k), k)


def _find_aspect_hits(evaluation: Evaluation, k: int) -> AspectHits:
    split = evaluation.truth.split
    user, rank, place = get_hits_within(evaluation, k)
    found = split.items.features[split.test.indices[place]]
    sizes = np.diff(found.indptr)
    user, rank, feature = np.repeat(user, sizes), np.repeat(rank, sizes), found.indices.astype(np.int64)
    order = np.lexsort((rank, feature, user))
    user, rank, feature = user[order], rank[order], feature[order]
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (feature[1:] != feature[:-1])
    here = np.arange(len(user))
    return AspectHits(user, feature, rank, here - np.maximum.accumulate(np.where(new, here, 0)))


def _compute_proportionality(top: Ints, share: Doubles, table: Csr) -> Doubles:
    count, empty, total = np.zeros_like(share), np.zeros(len(top)), np.zeros(len(top))
    for r in range(top.shape[1]):
        here = table[top[:, r]]  # -1 is the last row: an item without features
        count += here.toarray()
        empty += np.diff(here.indptr) == 0
        due = (r + 1.0) * share
        worst = (due**2).sum(axis=1) + 0.5 * (r + 1.0) ** 2
        total += 1.0 - ((np.maximum(due - count, 0.0) ** 2).sum(axis=1) + 0.5 * empty**2) / worst
    return np.asarray(total / top.shape[1])


def _compute_own_shares(train: Csr, features: Csr) -> Doubles:
    """Return the share of each user's positives that have each feature, (B, F)."""
    sizes = np.maximum(np.diff(train.indptr), 1)
    return np.asarray(distributions.sum_by_region(train, features) / sizes[:, None], dtype=np.float64)


def _has_featured_history(train: Csr, features: Csr) -> Bools:
    return np.asarray(train @ (np.diff(features.indptr) > 0).astype(np.float64) > 0)


def _sum_by_user(hits: AspectHits, values: Doubles, n_users: int) -> Doubles:
    return np.asarray(np.bincount(hits.user, values, n_users), dtype=np.float64)
