"""Calibration: slates with the user's own mix of features, regions, or popular and unpopular items."""

from math import inf

import numpy as np

from recsys.objectives._pool_arrays import get_item_rows
from recsys.objectives.derived_tables import (
    get_aspect_mixes,
    get_aspect_shares,
    get_popularity_groups,
    get_popularity_mixes,
)
from recsys.types import Coverage, Pool, RecsysError
from recsys.types.arrays import Csr, Doubles
from recsys.types.numbers import check_number


def calibration(
    pool: Pool, k: int, *, aspects: str = "features", alpha: float = 0.01, half_life: float = inf, kappa: float = 0.0
) -> Coverage:
    """Return the gain in -KL(p || (1 - alpha) q + alpha p) (Steck 2018), with constant slot weights 1/k.

    p is the mix of the user's history, q that of the slate, over item features (each item's mass split evenly
    over its features) or over the regions of the first own map (`aspects="map"`). With slot weights that are not
    normalised again as the slate grows, the objective is monotone submodular.

    With `half_life` (days) a positive of the history weighs 2^(-age / half_life), its age counted back from the
    user's own last one: p is what they like of late (taste distortion: Zhao et al. 2021). By default all weigh the
    same. With `kappa` p is (n_g + kappa p_g of everybody) / (n + kappa), n_g how many of the n positives are of g:
    three items are not yet a taste. By default p is the user's own alone.

    Args:
        alpha: Share of the user's mix that is added to the slate's, so that no logarithm is of 0; above 0, below 1.
        kappa: How many positives of everybody's mix stand beside the user's own; from 0.

    :Formula: sum_g p_g (log(c_g + (1 - alpha) p(g|n) / k) - log c_g), c from alpha p on
    :Range: [0, log(1 / alpha)] nats
    :More: the features of the history, in its proportions
    :Cost: U N k g, g features of an item
    :Source: Steck 2018

    Raises:
        RecsysError: for an invalid setting, features that the data does not have, or a `half_life` where
            it has no times.
    """
    alpha, half_life = _check_settings("calibration", alpha, half_life)
    kappa = check_number("calibration: kappa", kappa)
    parts = get_aspect_shares(pool.context, aspects, "calibration")
    return _make_calibration_term(
        pool, k, parts, get_aspect_mixes(pool.context, aspects, "calibration", half_life, kappa), alpha
    )


def popularity_calibration(
    pool: Pool, k: int, *, head: float = 0.2, tail: float = 0.2, alpha: float = 0.01, half_life: float = inf
) -> Coverage:
    """Return the gain in -KL(p || (1 - alpha) q + alpha p), the mixes over popular, middling and rare items.

    Three groups of items by their number of users in training, cut at the shares `head` and `tail` of all interactions
    (`recsys.maths.popularity.group_by_popularity`); p is the mix of the user's history, q that of the slate with
    constant slot weights 1/k, `half_life` as in `calibration`.

    Abdollahpouri et al. (2021) subtract the Jensen-Shannon divergence of p and a q that is normalised to the
    slate's length at every step. That is neither monotone nor submodular, so that greedy selection guarantees
    nothing. In this form, the one of `calibration`, it is at least (1 - 1/e) of the optimum.

    Args:
        head: Share of all interactions that the popular items take.
        tail: Share of all interactions that the rare items take.
        alpha: As in `calibration`.

    :Formula: sum_g p_g (log(c_g + (1 - alpha) 1{n in g} / k) - log c_g), c from alpha p on
    :Range: [0, log(1 / alpha)] nats
    :More: popular and rare items in the history's proportions
    :Cost: U N k
    :Source: after Abdollahpouri et al. 2021, in the form of Steck 2018

    Raises:
        RecsysError: for an invalid setting, or a `half_life` where the data has no times.
    """
    head = check_number("popularity_calibration: head", head, above=0, below=1, noun="a share")
    tail = check_number("popularity_calibration: tail", tail, above=0, below=1, noun="a share")
    if head + tail > 1:
        raise RecsysError(f"popularity_calibration: head is {head} and tail is {tail}, expected at most 1 together")
    alpha, half_life = _check_settings("popularity_calibration", alpha, half_life)
    groups = get_popularity_groups(pool.context, head, tail, "popularity_calibration")
    mixes = get_popularity_mixes(pool.context, head, tail, "popularity_calibration", half_life)
    return _make_calibration_term(pool, k, groups, mixes, alpha)


def _check_settings(who: str, alpha: float, half_life: float) -> tuple[float, float]:
    alpha = check_number(f"{who}: alpha", alpha, above=0, below=1)
    if half_life == inf:
        return alpha, inf
    return alpha, check_number(f"{who}: half_life", half_life, above=0, noun="a number of days")


def _make_calibration_term(pool: Pool, k: int, parts: Csr, mixes: Doubles, alpha: float) -> Coverage:
    """Return the term that brings a slate's mix of `parts` (I, G) near to the `mixes` (users, G) of the histories."""
    p = mixes[pool.users]
    return Coverage(parts, get_item_rows(pool), need=p, phi="log", start=alpha * p, slots=np.full(k, (1 - alpha) / k))
