"""Slates in which aspects come as often as in the history: by seats, or as if drawn from it."""

import numpy as np

from recsys.maths.binomials import log_patience, log_prob_absent
from recsys.objectives._aspects import weigh_candidate_aspects
from recsys.objectives._pool_arrays import get_item_rows
from recsys.objectives._score_transforms import transform_scores
from recsys.objectives.derived_tables import (
    get_aspect_mixes,
    get_global_aspect_shares,
    get_hard_aspects,
    get_item_aspects,
)
from recsys.types import Counts, Pool, Seats
from recsys.types.arrays import Csr, Doubles
from recsys.types.numbers import check_number


def pm2(
    pool: Pool,
    k: int,
    *,
    aspects: str = "features",
    focus: float = 0.5,
    divisor: float = 2.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Seats:
    """Return focus q_y p(i, y) + (1 - focus) sum over g != y of q_g p(i, g): slots as seats of aspects (PM-2).

    Dang and Croft 2012. q_g = p(g|u) / (divisor s_g + 1) is the quotient of aspect g with s_g seats so far, y the
    aspect with the largest (the first of those within 1e-6 of it); a pick gives g its part p(i, g) / sum_g p(i, g) of
    one seat. p(g|u) is the mix of features in the user's history, or of the regions of the first own map
    (`aspects="map"`), p(i, g) = r(i) where item i has the feature g, times its share of a region, with r on [0, 1] as
    `score_transform` says, as for `relevance`. `divisor` 2 is Sainte-Lague, the paper's; 1 is D'Hondt, which favours
    what the user has most of. Relevance is part of it: the paper's rule is this objective alone. From 0 to 1; it is no
    gain in the value of a set, so greedy selection has no guarantee.

    Args:
        focus: Share of the gain that goes to the aspect whose seat is due, from 0 to 1.
        divisor: 2 is Sainte-Lague; 1 is D'Hondt, which favours the largest aspects.

    :Formula: focus q_y p(n, y) + (1 - focus) sum over g != y of q_g p(n, g)
    :Range: [0, 1]
    :More: features of the history by seats, in its proportions
    :Cost: U N k G, G features
    :Source: Dang and Croft 2012

    Raises:
        RecsysError: for an invalid setting, or a pool without histories or features.
    """
    focus = check_number("pm2: focus", focus, most=1)
    divisor = check_number("pm2: divisor", divisor, above=0)
    liked, at = weigh_candidate_aspects(
        pool,
        get_item_aspects(pool.context, aspects, "pm2"),
        transform_scores(pool, score_transform, platt_slope, platt_offset, "pm2"),
    )
    return Seats(
        Csr(liked.astype(np.float32)), at, get_aspect_mixes(pool.context, aspects, "pm2")[pool.users], focus, divisor
    )


def binomial_diversity(pool: Pool, k: int, *, aspects: str = "features", alpha: float = 0.5) -> Counts:
    """Return the growth of Coverage(S) NonRed(S): aspects come as often as in k draws from the history, [-1, 1].

    Vargas, Baltrunas, Karatzoglou and Castells 2014. X_g is binomial with k draws and p_g = alpha p_local(g|u) +
    (1 - alpha) p_global(g), the shares of the user's and of all training positives that have the feature (or lie in
    the hard region of the first own map: `aspects="map"`). Coverage = prod over g not in S of P(X_g = 0)^(1/G), G the
    number of aspects with p_g > 0, the only ones that count; NonRed = prod over the |G(S)| aspects in S of
    P(X_g >= c_g | X_g >= 1)^(1/|G(S)|), c_g the number of items of S with g. A user without history has p_global.
    Not submodular: greedy selection has no guarantee. Takes k numbers for every user and aspect.

    Args:
        alpha: Share of the user's own mix in what is expected; the rest is everybody's.

    :Formula: change of prod over g not in S of P(X = 0)^(1/G) prod over g in S of P(X >= c | X >= 1)^(1/G(S))
    :Range: [-1, 1]
    :More: features as often as in draws from the history
    :Cost: U k (N g + G), g features of an item, G of all
    :Source: Vargas et al. 2014

    Raises:
        RecsysError: for an invalid setting, or a pool without histories or features.
    """
    alpha = check_number("binomial_diversity: alpha", alpha, most=1)
    belongs = get_hard_aspects(pool.context, aspects, "binomial_diversity")
    p = _compute_aspect_chances(pool, belongs, alpha, aspects)
    some = np.maximum((p > 0).sum(axis=1, keepdims=True), 1)
    patience = log_patience(p[:, :, None], k, np.arange(k + 1))
    return Counts(belongs, get_item_rows(pool), -log_prob_absent(p, k) / some, patience)


def _compute_aspect_chances(pool: Pool, belongs: Csr, alpha: float, aspects: str) -> Doubles:
    """Return p_g of each user, (U, G)."""
    of_all = get_global_aspect_shares(pool.context, aspects, "binomial_diversity")
    histories = pool.context.need_weighted_train("binomial_diversity")[pool.users]
    sizes = np.asarray(histories.sum(axis=1, dtype=np.float64)).reshape(-1, 1)
    own = np.where(sizes > 0, (histories @ belongs).toarray() / np.where(sizes > 0, sizes, 1.0), of_all)
    return np.asarray(alpha * own + (1 - alpha) * of_all, dtype=np.float64)
