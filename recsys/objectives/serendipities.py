"""Serendipity: plausible items that are far from the user's history."""

import numpy as np

from recsys.maths.pmi import max_entry_with_history
from recsys.maths.popularity import rank_among_unseen
from recsys.objectives._history_cosines import compute_largest_cosines
from recsys.objectives._pool_arrays import compute_plausibility, get_item_codes
from recsys.objectives.derived_tables import (
    get_npmi_matrix,
    get_popularity_ranks,
    get_user_distances,
)
from recsys.types import Modular, Pool
from recsys.types.numbers import check_int, check_number


def serendipity(pool: Pool, k: int, *, space: str = "cooccurrence") -> Modular:
    """Return plausibility * (1 - the largest similarity to the user's history), each in [0, 1].

    Plausibility is the score within the user's pool; a user without history is near nothing.

    :Formula: r(n) (1 - max(0, max over history j of cos(n, j)))
    :Range: [0, 1]
    :More: plausible items that are near nothing in the history
    :Cost: U h N d, h history
    :Source: after Adamopoulos and Tuzhilin 2014
    """
    near = compute_largest_cosines(pool, space, "serendipity")
    return Modular((compute_plausibility(pool) * (1.0 - near)).astype(np.float32))


def npmi_surprise(pool: Pool, k: int) -> Modular:
    """Return plausibility * the smallest (1 - nPMI) / 2 to the user's history, each in [0, 1].

    nPMI is the normalised pointwise mutual information of two items over training users
    (`recsys.maths.pmi.scaled_npmi_matrix`): the surprise by co-occurrence of Kaminskas and Bridge (2017), 1 where
    nobody has the item together with one of the history, 0 where everybody who has either has both. A user without
    history is near nothing. It needs memory for every pair of items that share a user.

    :Formula: r(n) min over history j of (1 - nPMI(n, j)) / 2
    :Range: [0, 1]
    :More: plausible items that people with that history do not have
    :Cost: U h N, h history; pairs of items that share a user once
    :Source: Kaminskas and Bridge 2017
    """
    train, table = pool.context.need_train("npmi_surprise"), get_npmi_matrix(pool.context, "npmi_surprise")
    near = max_entry_with_history(table, train, pool.users, get_item_codes(pool))
    return Modular((compute_plausibility(pool) * (1.0 - near)).astype(np.float32))


def unimodal_serendipity(pool: Pool, k: int, *, space: str = "cooccurrence", prior_strength: float = 5.0) -> Modular:
    """Return plausibility * exp(-((d - m) / s)^2 / 2), in [0, 1]: as far from the history as the user is used to.

    d = 1 - the largest similarity to the user's history; m and s are the mean and the standard deviation of the same
    distance of each positive of the history to the rest of it, shrunk to those of all users with `prior_strength`
    pseudo-observations (`recsys.maths.pmi.user_distance_moments`). What is nearer than usual counts less, and so does
    what is further: unexpectedness within the range that the user tolerates (Adamopoulos and Tuzhilin 2014, who add a
    term that falls with |d - m| to one of quality; as a product it counts nothing where the user would not like it).
    Time is quadratic in the length of a history, once per pool.

    :Formula: r(n) exp(-((d - m) / s)^2 / 2), d = 1 - max over history j of cos(n, j)
    :Range: [0, 1]
    :More: plausible items as far off as the user is used to
    :Cost: U h N d, h history; U h^2 d once
    :Source: Adamopoulos and Tuzhilin 2014
    """
    prior_strength = check_number("unimodal_serendipity: prior_strength", prior_strength, above=0)
    who = "unimodal_serendipity"
    away = 1.0 - compute_largest_cosines(pool, space, who)
    mean, deviation = get_user_distances(pool.context, space, prior_strength, who)
    off = (away - mean[pool.users, None]) / np.maximum(deviation[pool.users, None], 1e-6)
    return Modular((compute_plausibility(pool) * np.exp(-(off**2) / 2.0)).astype(np.float32))


def unexpected(pool: Pool, k: int, *, top: int = 100) -> Modular:
    """Return plausibility, in [0, 1], of items that are not among the `top` most popular items not met.

    That list, by number of training users, equal ones in an order drawn by the pool's seed, is the primitive
    recommender that Ge, Delgado-Battenfeld and Jannach (2010) measure unexpectedness against; what is in it gives 0,
    and so does what the user has met.

    Args:
        top: How many of the most popular items count as expected.

    :Formula: r(n) where at least `top` items not met are more popular, else 0
    :Range: [0, 1]
    :More: plausible items that are not popular
    :Cost: U N log h, h history
    :Source: Ge, Delgado-Battenfeld and Jannach 2010
    """
    top = check_int("unexpected: top", top, 1)
    met, users = pool.context.need_seen("unexpected")[pool.users], np.arange(len(pool.users))[:, None]
    before, known = rank_among_unseen(
        get_popularity_ranks(pool.context, "unexpected"), met, users, get_item_codes(pool)
    )
    outside = ~known & (before >= top)
    return Modular((compute_plausibility(pool) * outside).astype(np.float32))
