"""Slates whose mix of regions is the user's own."""

import numpy as np
from scipy import sparse

from recsys.maths import user_mixes
from recsys.objectives._candidates import rows
from recsys.types import Context, Coverage, Pool, RecsysError
from recsys.types.arrays import Csr

TO = ("features", "map")


def calibration(pool: Pool, k: int, *, to: str = "features", alpha: float = 0.01) -> Coverage:
    """Return the gain in -KL(p || (1 - alpha) q + alpha p) (Steck 2018), with constant slot weights 1/k.

    p is the mix of the user's history, q that of the slate, over item features (each item's mass split evenly
    over its features) or over the regions of the first own map (`to="map"`). With slot weights that are not
    normalised again as the slate grows, the objective is monotone submodular.
    """
    if to not in TO:
        raise RecsysError(f"calibration: to is '{to}', expected one of {', '.join(TO)}")
    if not 0 < alpha < 1:
        raise RecsysError(f"calibration: alpha is {alpha}, expected a number between 0 and 1")
    context = pool.context
    shares = context.tables.get(f"shares {to}", lambda: _shares(context, to))
    mixes = context.tables.get(f"mixes {to}", lambda: user_mixes(context.need_train("calibration"), shares))
    p = mixes[pool.users]
    return Coverage(shares, rows(pool), need=p, phi="log", start=alpha * p, slots=np.full(k, (1 - alpha) / k))


def _shares(context: Context, to: str) -> Csr:
    if to == "map":
        return context.maps[0].assignment
    features = context.need_items("calibration").features
    totals = np.asarray(features.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1.0 / np.maximum(totals, 1.0)) @ features).astype(np.float32)
