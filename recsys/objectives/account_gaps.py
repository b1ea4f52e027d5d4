"""Objectives that compare a slate with the shelves of other accounts."""

import numpy as np

from recsys.maths.distributions import squared_distances
from recsys.objectives._aspects import make_noisy_or_coverage, weigh_candidate_aspects
from recsys.objectives._score_transforms import transform_scores
from recsys.objectives.derived_tables import (
    get_account_bandwidth,
    get_account_mixes,
    get_account_slates,
    get_drawn_accounts,
    get_map_mixes,
)
from recsys.types import Coverage, Pool
from recsys.types.arrays import Bools, Doubles
from recsys.types.numbers import check_int, check_number


def account_gap(
    pool: Pool,
    k: int,
    *,
    accounts: int = 200,
    beta: float = 1.0,
    seed: int = 0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return the gain in the chance that something on another account's shelf is shown here and liked.

    F(S) = sum_v rho_v [1 - prod over i in S and L_v of (1 - P(like_ui))], over at most `accounts` accounts v drawn by
    `seed` among the users with a history, the same for everybody, the user's own left out. L_v is the shelf of v: the k
    items that the factor model scores highest of those that v has not met. rho_v is proportional to
    exp(-beta |p_u - p_v|^2 / h), p the mixes of histories over the regions of all own maps, h the median of the
    squared distances between the drawn accounts that differ; a user without history has no near ones: all v alike.

    P(like) on [0, 1] is as `score_transform` says, as for `relevance`: "probability" is what the formula asks for; by
    range the best candidate is sure to be liked (counted as 1 - 1e-12), and ends all shelves that it stands on.
    Monotone submodular, so that greedy selection reaches at least 1 - 1/e of the optimum.

    Args:
        accounts: How many other accounts are looked at.
        beta: How fast the likelihood of an account falls with its distance; 0 makes all alike.

    :Formula: P(like_n) sum over shelves v with n of rho_v prod over j in S and L_v of (1 - P(like_j))
    :Range: [0, 1], over a slate too
    :More: candidates that accounts a bit unlike the user's are shown
    :Cost: U (A Z + N V), A accounts, Z regions, V shelves of an item; A I d once for each k
    :Source: this project; the form is that of IA-Select (Agrawal et al. 2009)

    Raises:
        RecsysError: for an invalid setting, or a pool without histories, maps or factors.
    """
    accounts = check_int("account_gap: accounts", accounts, 1)
    beta = check_number("account_gap: beta", beta)
    seed = check_int("account_gap: seed", seed)
    context, who = pool.context, "account_gap"
    mixes, theirs = get_map_mixes(context, who), get_account_mixes(context, accounts, seed, who)
    on_shelf = get_account_slates(context, accounts, seed, k, who)
    liked, at = weigh_candidate_aspects(
        pool, on_shelf, transform_scores(pool, score_transform, platt_slope, platt_offset, who)
    )
    is_self = pool.population_codes[:, None] == get_drawn_accounts(context, accounts, seed, who)
    bandwidth = get_account_bandwidth(context, accounts, seed, who)
    rho = _weigh_accounts(mixes[pool.users], theirs, beta / bandwidth, is_self)
    return make_noisy_or_coverage(liked, at, rho, 1.0, who)


def _weigh_accounts(own: Doubles, others: Doubles, beta: float, is_self: Bools) -> Doubles:
    """Return rho, (B, A): rows sum to 1, or are 0 where there is no other account."""
    apart = np.where(own.any(axis=1, keepdims=True), squared_distances(own, others), 0.0)
    nearest = np.where(is_self, np.inf, apart).min(axis=1, keepdims=True, initial=np.inf)
    further = np.maximum(apart - np.where(np.isfinite(nearest), nearest, 0.0), 0.0)
    near = np.where(is_self, 0.0, np.exp(-beta * further))
    total = near.sum(axis=1, keepdims=True)
    return np.asarray(near / np.where(total > 0, total, 1.0))
