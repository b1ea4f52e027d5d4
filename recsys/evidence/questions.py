"""Questions: items whose answers (like, dislike, unknown) tell the most about a user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsys.maths.elicitation import compute_entropy0, pick_informative_items
from recsys.maths.fold_in import cholesky_factor
from recsys.maths.popularity import count_item_users
from recsys.objectives.derived_tables import (
    get_answer_weights,
    get_factor_gram,
    get_own_and_near_mixes,
    get_prior_variances,
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
    """Items to ask a user about, in the order in which they are best asked."""

    items: tuple[str, ...]  # (n,) ids
    titles: tuple[str, ...]  # (n,) "" where the catalogue has none
    gains: Doubles  # (n,) what each answer tells, given those before: nats of information, or of entropy0
    familiarity: Doubles  # (n,) how likely it is that a user knows the item, in (0, 1)
    rule: str  # "information", or "entropy0" for a model without factors
    unknown_items: tuple[str, ...] = ()  # ids of answers that the ranker does not know
    notes: tuple[str, ...] = ()  # a plain sentence about each thing that is otherwise than asked for

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
    """Questions as codes of items."""

    items: Longs  # (n,)
    gains: Doubles  # (n,)
    rule: str


def find_questions(
    context: Context, open_items: Bools, n: int, *, deficit_weight: float = DEFICIT_WEIGHT
) -> FoundQuestions:
    """Return at most n items to ask the one user of `context` about, of those that are `open_items` (I,).

    The model's user factor has the posterior covariance S = s2 A^-1, with A the matrix of its normal equations and s2
    the variance of noise. A like weighs t (`target_weight`) in them, a dislike c (`disliked_weight`), and an item that
    the user does not know nothing. Questions are the greedy maximum of log det(I + H S H' P / s2), H the item factors
    and P the diagonal of (t P(like) + c P(dislike)) (1 + `deficit_weight` deficit): `recsys.maths.elicitation`. Models
    without factors ask by entropy0 times (1 + `deficit_weight` deficit).

    `context` has one row, with the likes and dislikes of the user, among the users of its population.
    """
    needs = np.ones(len(open_items))
    if deficit_weight:
        needs += deficit_weight * compute_region_deficits(context)
    needs = np.where(open_items, needs, 0.0)
    if context.population.factors is None:
        return _ask_by_entropy(context, needs, n)
    factors = context.need_factors(_NEEDED_BY)
    histories = context.need_weighted_train(_NEEDED_BY)
    lower = cholesky_factor(factors, get_factor_gram(context, _NEEDED_BY), histories, 0, context.dislikes)
    precisions = get_answer_weights(context, _NEEDED_BY) * needs
    bounds = get_prior_variances(context, _NEEDED_BY)
    return FoundQuestions(*pick_informative_items(factors.item_factors, lower, precisions, bounds, n), RULES[0])


def compute_region_deficits(context: Context) -> Doubles:
    """Return how much the history of the one user of `context` lacks the regions of each item, (I,) in [0, 1].

    The deficit of a region is max(0, q - p), with q the share that nearby communities have of it and p that of the
    user's history, over the largest of its map; that of an item is the mean over own maps of the deficit of its region.
    """
    own, near = get_own_and_near_mixes(context)
    lacking = np.maximum(near[0] - own[0], 0.0)
    sizes, starts = get_region_layout(context)
    largest = np.repeat(np.maximum.reduceat(lacking, starts), sizes)
    shares = lacking / np.where(largest > 0, largest, 1.0)
    return np.asarray(get_region_shares(context) @ shares / len(sizes), dtype=np.float64)


def _ask_by_entropy(context: Context, needs: Doubles, n: int) -> FoundQuestions:
    population = context.population
    likes = population.need_train(_NEEDED_BY)
    dislikes = make_empty_matrix(likes.shape) if population.dislikes is None else population.dislikes
    gains = needs * compute_entropy0(count_item_users(likes), count_item_users(dislikes), likes.shape[0])
    order = np.lexsort((get_tie_order(context, context.seed), -gains, needs <= 0))
    items = order[: min(n, int((needs > 0).sum()))]
    return FoundQuestions(items, gains[items], RULES[1])
