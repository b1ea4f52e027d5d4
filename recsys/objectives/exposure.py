"""Items to which the catalogue's attention does not go."""

import numpy as np

from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives._score_transforms import transform_scores
from recsys.objectives.derived_tables import get_denied_exposure, get_item_counts
from recsys.types import Modular, Pool
from recsys.types.numbers import check_number


def popularity_discount(
    pool: Pool,
    k: int,
    *,
    beta: float = 0.3,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Modular:
    """Return r(i) / n_i^beta, in [0, 1]: the score of a candidate, discounted by how many users have it.

    The discount of RP3beta (Paudel et al. 2017), for the scores of any model: beta = 0 is relevance alone, and with
    more of it the plausible among the rarely seen come first; `novelty` does not look at the score. n_i counts
    training positives, an item without any as one. What r is on [0, 1] says `score_transform`, as for `relevance`.

    Args:
        beta: Power of the popularity that the score is divided by; 0 is relevance alone.

    :Formula: r(n) / n_i^beta
    :Range: [0, 1]
    :More: the plausible among what is rarely seen
    :Cost: U N
    :Source: Paudel et al. 2017

    Raises:
        RecsysError: for a beta below 0, a form or curve that `relevance` would refuse (or "score", which has no zero
            to be a share of), or a pool without histories.
    """
    beta = check_number("popularity_discount: beta", beta)
    n = get_item_counts(pool.context, "popularity_discount")
    with np.errstate(over="ignore"):  # what is divided by infinity is 0
        divisor = np.maximum(n, 1.0) ** beta
    gain = (
        transform_scores(pool, score_transform, platt_slope, platt_offset, "popularity_discount")
        / divisor[get_item_codes(pool)]
    )
    return Modular(gain.astype(np.float32))


def under_exposed(pool: Pool, k: int) -> Modular:
    """Return the share of the exposure that each candidate's likes would earn and the model's slates deny, in [0, 1].

    [owed - shown]_+ / owed, the crowding-out of an item, 0 where nothing is owed. Shown: how often it is among the k
    items that the factor model scores highest of those that a user has not met. Owed: k slots of each such user,
    shared over what they have not met in proportion to training positives (exposure by merit, Singh and Joachims
    2018). Both are of the users of the split, of at most 4,096 of them evenly spaced, whoever is in the pool: with
    fewer users than items / k, an item is mostly shown never (1) or too often (0). Costs that many users' scores of
    all items, once for each k.

    :Formula: max(0, owed - shown) / owed
    :Range: [0, 1]
    :More: items whose likes would earn them more exposure
    :Cost: U N; 4,096 I d once for each k
    :Source: this project; exposure by merit after Singh and Joachims 2018

    Raises:
        RecsysError: for a pool without histories, or whose scores come from no factor model.
    """
    denied = get_denied_exposure(pool.context, k, "under_exposed")
    return Modular(denied[get_item_codes(pool)].astype(np.float32))
