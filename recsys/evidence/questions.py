"""Questions: items whose answers (like, dislike, unknown) tell the most about a user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy  # its parts load when they are used

from recsys.maths.elicitation import compute_entropy0, pick_informative_items
from recsys.maths.fold_in import cholesky_factor
from recsys.maths.popularity import count_item_users
from recsys.maths.region_answers import RegionAnswers, cholesky_factor_with_regions, weigh_regions
from recsys.objectives.derived_tables import (
    get_answer_weights,
    get_factor_gram,
    get_own_and_near_mixes,
    get_prior_variances,
    get_region_answer_chances,
    get_region_factors,
    get_region_layout,
    get_region_shares,
    get_tie_order,
)
from recsys.types import Context
from recsys.types.arrays import Bools, Doubles, Longs, make_empty_matrix

DEFICIT_WEIGHT = 0.0  # by default
RULES = ("information", "entropy0")
_NEEDED_BY = "questions"


@dataclass(frozen=True, eq=False)
class Questions:
    """Items, or regions of own maps, to ask a user about, in the order in which they are best asked."""

    items: tuple[str, ...]  # (n,) ids; () where regions are asked about
    titles: tuple[str, ...]  # (n,) "" where the catalogue has none; of a region those of its best-known items
    gains: Doubles  # (n,) what each answer tells, given those before: nats of information, or of entropy0
    familiarity: Doubles  # (n,) how likely it is that a user knows the item, or has an answer, in (0, 1)
    rule: str  # "information", or "entropy0" for a model without factors
    unknown_items: tuple[str, ...] = ()  # ids of answers, and
    unknown_regions: tuple[str, ...] = ()  # names of regions in them that the ranker does not know
    notes: tuple[str, ...] = ()  # a plain sentence about each thing that is otherwise than asked for
    regions: tuple[str, ...] = ()  # (n,) names of regions, where these are asked about

    def to_dict(self) -> dict[str, Any]:
        """Return the questions as JSON can say them, under the names of their fields."""
        plain: Mapping[str, Any] = vars(self)
        return {
            name: value.tolist()
            if isinstance(value, np.ndarray)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in plain.items()
        }


class FoundQuestions(NamedTuple):
    """Questions as codes of items, or of regions."""

    items: Longs  # (n,)
    gains: Doubles  # (n,)
    rule: str


def find_questions(
    context: Context, open_items: Bools, n: int, *, deficit_weight: float = DEFICIT_WEIGHT,
    answers: RegionAnswers | None = None,
) -> FoundQuestions:  # fmt: skip
    """Return at most n items to ask the one user of `context` about, of those that are `open_items` (I,).

    The model's user factor has the posterior covariance S = s2 A^-1, with A the matrix of its normal equations and s2
    the variance of noise. A like weighs t (`target_weight`) in them, a dislike c (`disliked_weight`), and an item that
    the user does not know nothing. Questions are the greedy maximum of log det(I + H S H' P / s2), H the item factors
    and P the diagonal of (t P(like) + c P(dislike)) (1 + `deficit_weight` deficit): `recsys.maths.elicitation`. Models
    without factors ask by entropy0 times (1 + `deficit_weight` deficit).

    `context` has one row, with the likes and dislikes of the user, among the users of its population; `answers` are
    those about regions.
    """
    needs = np.ones(len(open_items))
    if deficit_weight:
        needs += deficit_weight * compute_region_deficits(context)
    needs = np.where(open_items, needs, 0.0)
    if context.population.factors is None:
        return _ask_by_entropy(context, needs, n)
    factors = context.need_factors(_NEEDED_BY)
    lower = _factor_precision(context, answers)
    precisions = get_answer_weights(context, _NEEDED_BY) * needs
    bounds = get_prior_variances(context, _NEEDED_BY)
    return FoundQuestions(*pick_informative_items(factors.item_factors, lower, precisions, bounds, n), RULES[0])


def find_region_questions(
    context: Context, open_regions: Bools, n: int, *, deficit_weight: float = DEFICIT_WEIGHT,
    answers: RegionAnswers | None = None,
) -> FoundQuestions:  # fmt: skip
    """Return at most n regions to ask the one user of `context` about, of those that are `open_regions` (Z,).

    Regions are those of all own maps, end to end. An answer is an observation of the mean score of the region, whose
    row is the mean factor of its items. Questions are the greedy maximum of log det(I + R S R' P / s2), as for items,
    with P the diagonal of w P(answer) (1 + `deficit_weight` deficit): w is the weight of an answer
    (`recsys.maths.region_answers`), and P(answer) the share of users whose likes make one.

    Raises:
        RecsysError: without factors or own maps.
    """
    factors, has_likes = context.need_factors(_NEEDED_BY), context.need_train(_NEEDED_BY).nnz > 0
    rows, scatter = get_region_factors(context, _NEEDED_BY)
    needs = np.where(open_regions, 1.0, 0.0)
    if deficit_weight:
        needs *= 1.0 + deficit_weight * _compute_deficit_shares(context)
    lower = _factor_precision(context, answers)
    precisions = weigh_regions(factors, scatter, has_likes) * get_region_answer_chances(context, _NEEDED_BY) * needs
    variances = (scipy.linalg.solve_triangular(lower, rows.T, lower=True) ** 2).sum(axis=0)
    return FoundQuestions(*pick_informative_items(rows, lower, precisions, variances, n), RULES[0])


def _factor_precision(context: Context, answers: RegionAnswers | None) -> Doubles:
    """Return the lower Cholesky factor of the matrix whose inverse is the covariance of the one user's factor."""
    factors, common = context.need_factors(_NEEDED_BY), get_factor_gram(context, _NEEDED_BY)
    histories = context.need_weighted_train(_NEEDED_BY)
    if answers is None:
        return cholesky_factor(factors, common, histories, 0, context.dislikes)
    return cholesky_factor_with_regions(factors, common, histories, context.dislikes, answers)


def compute_region_deficits(context: Context) -> Doubles:
    """Return how much the history of the one user of `context` lacks the regions of each item, (I,) in [0, 1].

    The deficit of a region is max(0, q - p), with q the share that nearby communities have of it and p that of the
    user's history, over the largest of its map; that of an item is the mean over own maps of the deficit of its region.
    """
    shares, n_maps = _compute_deficit_shares(context), len(get_region_layout(context)[0])
    return np.asarray(get_region_shares(context) @ shares / n_maps, dtype=np.float64)


def _compute_deficit_shares(context: Context) -> Doubles:
    """Return the deficit of each region, over the largest of its map, (Z,)."""
    own, near = get_own_and_near_mixes(context)
    lacking = np.maximum(near[0] - own[0], 0.0)
    sizes, starts = get_region_layout(context)
    largest = np.repeat(np.maximum.reduceat(lacking, starts), sizes)
    return np.asarray(lacking / np.where(largest > 0, largest, 1.0))


def _ask_by_entropy(context: Context, needs: Doubles, n: int) -> FoundQuestions:
    population = context.population
    likes = population.need_train(_NEEDED_BY)
    dislikes = make_empty_matrix(likes.shape) if population.dislikes is None else population.dislikes
    gains = needs * compute_entropy0(count_item_users(likes), count_item_users(dislikes), likes.shape[0])
    order = np.lexsort((get_tie_order(context, context.seed), -gains, needs <= 0))
    items = order[: min(n, int((needs > 0).sum()))]
    return FoundQuestions(items, gains[items], RULES[1])
