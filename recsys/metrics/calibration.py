"""Calibration: the distance between the features of the slate and those of the user's history.

p and q are the feature mixes of the training positives and of the slate; an item's weight is split evenly over its
features, and items without any are left out. NaN where either mix is empty.
"""

from collections.abc import Callable

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.maths.distributions import hellinger, jensen_shannon, total_variation
from recsys.metrics._shared import discounts, get_even_features, get_shown_matrix, make_shown_matrix
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Csr, Doubles

ALPHA = 0.01
RADIO_SMOOTHING = 0.001  # of either mix in the other, in `calibration_radio`

_AVERAGED_OVER = "mean over users with featured history and slate"
_EVEN_CONVENTION = f"features split evenly, no rank weights; {_AVERAGED_OVER}"


def calibration_kl(evaluation: Evaluation, k: int) -> PerUser:
    """KL divergence of the slate's features from the history's, smoothed, in nats: missing features weigh most.

    :Formula: KL(p || (1 - a) q + a p), a = 0.01
    :Range: [0, log(100)] nats
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Steck 2018
    """
    convention = f"KL(history || slate) in nats, slate smoothed by {ALPHA} of the history, {_EVEN_CONVENTION}"
    return PerUser(compare_mixes(evaluation, get_shown_matrix(evaluation, k), _smoothed_kl), convention, -1)


def calibration_kl_ranked(evaluation: Evaluation, k: int) -> PerUser:
    """`calibration_kl` with ranks: an item adds 1 / log2(r + 1) to the mix of the slate.

    :Formula: KL(p || (1 - a) q + a p), a = 0.01, q = sum of disc(r) p(g | item) / sum of disc(r)
    :Range: [0, log(100)] nats
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Steck 2018
    """
    shown = make_shown_matrix(evaluation, discounts(k))
    convention = (
        f"KL(history || slate) in nats, slate smoothed by {ALPHA} of the history, features split evenly, items by "
        f"1/log2(rank + 1); {_AVERAGED_OVER}"
    )
    return PerUser(compare_mixes(evaluation, shown, _smoothed_kl), convention, -1)


def calibration_js(evaluation: Evaluation, k: int) -> PerUser:
    """Jensen-Shannon divergence between the features of history and slate, in bits.

    :Formula: (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2
    :Range: [0, 1] bits
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Lin 1991
    """
    convention = f"Jensen-Shannon in bits, no square root, no smoothing, {_EVEN_CONVENTION}"
    return PerUser(compare_mixes(evaluation, get_shown_matrix(evaluation, k), jensen_shannon), convention, -1)


def calibration_hellinger(evaluation: Evaluation, k: int) -> PerUser:
    """Hellinger distance between the features of history and slate.

    :Formula: sqrt(sum over features of (sqrt p - sqrt q)^2 / 2)
    :Range: [0, 1]
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Hellinger 1909
    """
    convention = f"Hellinger distance, no smoothing, {_EVEN_CONVENTION}"
    return PerUser(compare_mixes(evaluation, get_shown_matrix(evaluation, k), hellinger), convention, -1)


def calibration_tv(evaluation: Evaluation, k: int) -> PerUser:
    """Total variation between the features of history and slate: the share of the slate that would have to change.

    :Formula: sum over features of |p - q| / 2
    :Range: [0, 1]
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Abdollahpouri et al. 2023
    """
    convention = f"total variation, no smoothing, {_EVEN_CONVENTION}"
    return PerUser(compare_mixes(evaluation, get_shown_matrix(evaluation, k), total_variation), convention, -1)


def calibration_radio(evaluation: Evaluation, k: int) -> PerUser:
    """Rank-aware Jensen-Shannon distance of RADio between the features of history and slate: a square root.

    An item adds 1 / r to the mix of the slate; either mix is smoothed by 0.001 of the other. The history has no ranks.

    :Formula: sqrt(JS(0.999 p + 0.001 q, 0.999 q + 0.001 p)), base 2, q = sum of (1/r) p(g | item) / sum of 1/r
    :Range: [0, 1]
    :Better: less
    :Cost: U (k + h) f + U F, h history, f features of an item
    :Source: Vrijenhoek et al. 2022
    """
    shown = make_shown_matrix(evaluation, np.asarray(1.0 / (np.arange(k) + 1.0)))
    convention = (
        f"square root of Jensen-Shannon in bits, both mixes smoothed by {RADIO_SMOOTHING}, features "
        "split evenly, items by "
        f"1/rank; {_AVERAGED_OVER}"
    )
    return PerUser(compare_mixes(evaluation, shown, radio_distance), convention, -1)


def compare_mixes(evaluation: Evaluation, shown: Csr, distance: Callable[[Doubles, Doubles], Doubles]) -> Doubles:
    """Return the distance between the feature mixes of history and slate, (U,); NaN where one is empty."""
    split, even = evaluation.truth.split, get_even_features(evaluation.truth)
    values = np.empty(shown.shape[0])
    for b in iter_blocks(shown.shape[0]):
        p, q = distributions.user_mixes(split.train[b], even), distributions.user_mixes(shown[b], even)
        values[b] = np.where(p.any(axis=1) & q.any(axis=1), distance(p, q), np.nan)
    return values


def _smoothed_kl(p: Doubles, q: Doubles) -> Doubles:
    return np.maximum(distributions.kl(p, (1.0 - ALPHA) * q + ALPHA * p), 0.0)


def radio_distance(p: Doubles, q: Doubles) -> Doubles:
    """Return the Jensen-Shannon distance over the last axis, each mix smoothed by 0.001 of the other, in [0, 1]."""
    return np.sqrt(
        jensen_shannon(
            (1.0 - RADIO_SMOOTHING) * p + RADIO_SMOOTHING * q, (1.0 - RADIO_SMOOTHING) * q + RADIO_SMOOTHING * p
        )
    )
