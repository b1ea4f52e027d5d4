"""Slates in which aspects have the part of the slots that they have in the history."""

import numpy as np

from recsys.objectives._aspects import members, of_candidates, tastes
from recsys.objectives._candidates import worth
from recsys.types import Pool, RecsysError, Seats
from recsys.types.arrays import Csr


def pm2(
    pool: Pool,
    k: int,
    *,
    to: str = "features",
    focus: float = 0.5,
    divisor: float = 2.0,
    form: str = "range",
    slope: float = 0.0,
    offset: float = 0.0,
) -> Seats:
    """Return focus q_y p(i, y) + (1 - focus) sum over g != y of q_g p(i, g): slots as seats of aspects (PM-2).

    Dang and Croft 2012. q_g = p(g|u) / (divisor s_g + 1) is the quotient of aspect g with s_g seats so far, y the
    aspect with the largest (the first of those within 1e-6 of it); a pick gives g its part p(i, g) / sum_g p(i, g) of
    one seat.
    p(g|u) is the mix of features in the user's history, or of the regions of the first own map (`to="map"`),
    p(i, g) = r(i) where item i has the feature g, times its share of a region, with r on [0, 1] as `form` says, as
    for `relevance`. `divisor` 2 is Sainte-Lague, the paper's; 1 is D'Hondt, which favours what the user has most of.
    Relevance is part of it: the paper's rule is this objective alone. From 0 to 1; it is no gain in the value of a
    set, so greedy selection has no guarantee.

    Raises:
        RecsysError: for a setting that cannot be meant, or a pool without histories or features.
    """
    if not 0 <= focus <= 1:
        raise RecsysError(f"pm2: focus is {focus}, expected a number from 0 to 1")
    if not 0 < divisor < np.inf:
        raise RecsysError(f"pm2: divisor is {divisor}, expected a number above 0")
    liked, at = of_candidates(pool, members(pool.context, to, "pm2"), worth(pool, form, slope, offset, "pm2"))
    return Seats(Csr(liked.astype(np.float32)), at, tastes(pool, to, "pm2"), focus, divisor)
