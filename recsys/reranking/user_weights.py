"""Weights per user, from the variety of their histories."""

import numpy as np

from recsys.objectives.derived_tables import get_user_variety
from recsys.types import Pool
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_number


def entropy_weights(pool: Pool, weight: float = 1.0, *, prior_strength: float = 5.0, least: float = 0.25) -> Doubles:
    """Return a weight for each user of the pool, (U,), that is larger for users of varied tastes.

    weight * (least + (1 - least) * h_u), h_u in [0, 1] the mean over the own maps of (n_u H_u + prior_strength H) /
    ((n_u + prior_strength) log Z): H_u the entropy of the mix of the user's n_u positives over the Z regions of a map,
    H its mean over users who have any. So a short history counts little, a user without one has the weight of the mean,
    and `least` keeps the narrowest profile from 0: the narrow are whom a wider slate is for. Entropy as a tolerance for
    diversity: Di Noia et al. 2017; Liu et al. 2019.

    In a blend, {"weight": 0.2, "adapt_to": "entropy"} is the same with the defaults. A map of one region says nothing
    of variety and is left out; where there is no map, h_u is 1.

    Raises:
        RecsysError: for a prior_strength that is not above 0, a `least` that is not from 0 to 1, or a pool without
            history.
    """
    weight = check_number("entropy_weights: weight", weight, -np.inf)
    prior_strength = check_number("entropy_weights: prior_strength", prior_strength, above=0)
    least = check_number("entropy_weights: least", least, most=1)
    variety = get_user_variety(pool.context, prior_strength)
    return np.asarray(weight * (least + (1.0 - least) * variety[pool.users]), dtype=np.float64)
