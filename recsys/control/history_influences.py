"""Influences of history items: what each of them adds to the score of an item, by leaving it out of the fold-in."""

import numpy as np
import scipy

from recsys.maths.blocks import iter_blocks
from recsys.maths.fold_in import compute_target_weights, gram
from recsys.maths.popularity import count_item_users
from recsys.maths.region_answers import RegionAnswers, solve_with_regions, sum_region_targets, weigh_regions
from recsys.models.ease import FittedEASE
from recsys.models.factor_model import FittedFactors
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.most_popular import FittedPopularity
from recsys.models.random import FittedRandom
from recsys.models.tfidf_bm25 import weigh_entries
from recsys.models.user_knn import FittedUserKNN
from recsys.types import Factors, Scorer
from recsys.types.arrays import Csr, Doubles, Floats, Ints, Longs, make_empty_matrix

_CELLS = 4_000_000  # scores of a block of histories that are folded in at once


def compute_history_influences(
    model: Scorer, n_items: int, history: Ints, items: Ints, dislikes: Ints, common: Doubles | None = None,
    weights: Floats | None = None, answers: RegionAnswers | None = None,
) -> Doubles:  # fmt: skip
    """Return what each item of a history adds to the score of each of P items, (h, P) float64.

    It is the item's score for the `history` (codes, ascending), less its score for the history without that one item:
    exact, in the units of the model's scores. Above 0 it speaks for the item.

    `weights` (h,) say how much each item counts by its age, where the model has a half-life.

    Factor models solve the user's factor once for the history, and take each item out by the formula of Sherman and
    Morrison; known `dislikes` (codes) and `answers` about regions stay as they are, and `common` is the `gram` of the
    factors where it is at hand.
    In models of links the score is a sum over the history, whose addends are the answer. All others fold in the
    history without each of its items. A model that gives everybody one list, or draws its scores, reads no history:
    its influences are 0. So is the score of a history for which a neighbourhood model has popularity only, a list
    in other units.
    """
    if not len(history) or isinstance(model, FittedPopularity | FittedRandom):
        return np.zeros((len(history), len(items)))
    ages = np.ones(len(history), np.float32) if weights is None else weights
    if isinstance(model, FittedFactors):
        return leave_out_of_factors(model.factors, history, items, dislikes, common, weights, answers)
    if isinstance(model, FittedEASE):
        return np.asarray(ages[:, None] * model.weights[np.ix_(history, items)], dtype=np.float64)
    if isinstance(model, FittedItemSimilarity):
        worth = weigh_entries(model.similarity, ages, model.relative_lengths[history])
        links = model.links[history][:, items].toarray()
        return np.asarray(np.asarray(worth)[:, None] * links, dtype=np.float64)
    return _leave_out_of_fold(model, history, items, n_items, ages)


def leave_out_of_factors(
    factors: Factors, history: Ints, items: Ints, dislikes: Ints, common: Doubles | None = None,
    weights: Floats | None = None, answers: RegionAnswers | None = None,
) -> Doubles:  # fmt: skip
    """Return what each item of a history adds to the scores of a factor model, (h, P), as `Factors` states them.

    Without item j the normal matrix is A - b w y y', with y the factor of j, w its weight by age, and A that of the
    whole history under the ridge of a history without j: one decomposition serves all items of equal ridge.
    """
    every = factors.item_factors
    liked, asked = every[history].astype(np.float64), every[items].astype(np.float64)
    is_weighted = weights is not None and factors.oldest_target_weight is not None
    ages = np.asarray(weights, dtype=np.float64) if is_weighted else np.ones(len(history))
    targets = compute_target_weights(factors, ages) if is_weighted else factors.target_weight * ages
    fixed = gram(factors) if common is None else np.asarray(common, dtype=np.float64)
    fixed = fixed + factors.observed_weight * (liked.T * ages) @ liked
    if len(dislikes) and factors.disliked_weight:
        disliked = every[dislikes].astype(np.float64)
        fixed = fixed + factors.disliked_weight * disliked.T @ disliked
    right, size = targets @ liked, ages.sum()
    if answers is not None:
        strengths = weigh_regions(factors, answers.scatter, has_likes=True)
        fixed = fixed + (answers.rows.T * strengths) @ answers.rows
        right = right + sum_region_targets(factors, answers, has_likes=True)
    whole = asked @ _solve(factors, fixed, size, right[:, None])[:, 0]
    if len(history) == 1:
        return np.asarray((whole - asked @ _solve_without_likes(factors, dislikes, common, answers))[None])
    without = np.empty_like(liked)
    for age in np.unique(ages) if factors.nu else ages[:1]:
        alike = ages == age if factors.nu else np.ones(len(ages), bool)
        y, rest = liked[alike], right - targets[alike, None] * liked[alike]
        solved = _solve(factors, fixed, size - age, np.vstack([y, rest]).T).T
        inverse, left = solved[: len(y)], solved[len(y) :]  # A^-1 y and A^-1 of what is left of the right side
        gain = factors.observed_weight * ages[alike]
        share = gain * (y * left).sum(axis=1) / (1.0 - gain * (y * inverse).sum(axis=1))
        without[alike] = left + share[:, None] * inverse
    return np.asarray(whole - without @ asked.T)


def _solve_without_likes(
    factors: Factors, dislikes: Ints, common: Doubles | None, answers: RegionAnswers | None
) -> Doubles:
    """Return the factor of somebody who likes nothing, (d,)."""
    if answers is None:
        return factors.mean_user_factor.astype(np.float64)
    n_items = len(factors.item_factors)
    row = Csr((np.ones(len(dislikes), np.float32), dislikes, np.array([0, len(dislikes)])), shape=(1, n_items))
    shared = gram(factors) if common is None else common
    return solve_with_regions(factors, shared, make_empty_matrix((1, n_items)), row, answers).astype(np.float64)


def _solve(factors: Factors, fixed: Doubles, size: float, right: Doubles) -> Doubles:
    """Return the solutions (d, R) for the right sides (d, R), under the ridge of a history of that size."""
    d, ridge = factors.item_factors.shape[1], factors.compute_ridge(size)
    return np.asarray(scipy.linalg.cho_solve(scipy.linalg.cho_factor(fixed + ridge * np.eye(d), lower=True), right))


def _leave_out_of_fold(model: Scorer, history: Ints, items: Ints, width: int, ages: Floats) -> Doubles:
    h, popularity = len(history), None
    if isinstance(model, FittedUserKNN):
        given = count_item_users(model.train) if model.popularity is None else model.popularity
        popularity = given.astype(np.float32)
    whole = _fold(model, np.asarray(history, np.int32)[None], ages[None], width, items, popularity)[0]
    found = np.empty((h, len(items)))
    others = np.array([np.delete(np.arange(h), j) for j in range(h)], dtype=np.int64).reshape(h, h - 1)
    for part in iter_blocks(h, max(1, _CELLS // max(width, 1))):
        kept = others[part]
        found[part] = whole - _fold(model, history[kept].astype(np.int32), ages[kept], width, items, popularity)
    return found


def _fold(model: Scorer, kept: Ints, ages: Floats, width: int, items: Ints, popularity: Floats | None) -> Doubles:
    """Return the scores of B histories of one length (B, m), (B, P); 0 where a row is `popularity`."""
    pointers: Longs = np.arange(len(kept) + 1, dtype=np.int64) * kept.shape[1]
    values = ages.ravel().astype(np.float32)
    rows = Csr((values, kept.ravel(), pointers.astype(np.int32)), shape=(len(kept), width))
    scores = model.fold(rows)
    found = scores[:, items].astype(np.float64)
    if popularity is not None:
        found[(scores == popularity).all(axis=1)] = 0.0
    return np.asarray(found)
