"""Slates whose mix of regions is the user's own."""

import numpy as np

from recsys.objectives._aspects import shares, tastes
from recsys.objectives._candidates import rows
from recsys.types import Coverage, Pool, RecsysError


def calibration(pool: Pool, k: int, *, to: str = "features", alpha: float = 0.01) -> Coverage:
    """Return the gain in -KL(p || (1 - alpha) q + alpha p) (Steck 2018), with constant slot weights 1/k.

    p is the mix of the user's history, q that of the slate, over item features (each item's mass split evenly
    over its features) or over the regions of the first own map (`to="map"`). With slot weights that are not
    normalised again as the slate grows, the objective is monotone submodular.
    """
    if not 0 < alpha < 1:
        raise RecsysError(f"calibration: alpha is {alpha}, expected a number between 0 and 1")
    p = tastes(pool, to, "calibration")
    covered = shares(pool.context, to, "calibration")
    return Coverage(covered, rows(pool), need=p, phi="log", start=alpha * p, slots=np.full(k, (1 - alpha) / k))
