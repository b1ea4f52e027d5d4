"""Calibration of scores: a logistic curve from a score to the probability of a like, fitted to held-out likes."""

import numpy as np

from recsys.maths.held_out import mark_held_out
from recsys.maths.platt import fit_platt_curve
from recsys.types import Pool, RecsysError
from recsys.types.arrays import Csr


def fit_like_probability(pool: Pool, held_out: Csr) -> dict[str, float]:
    """Return the settings `platt_slope` and `platt_offset` of score_transform="probability", fitted to likes.

    P(like) = logistic(platt_slope score + platt_offset).

    Platt's curve (`recsys.maths.platt.fit_platt_curve`) over the candidates of those users of `pool` who have positives
    in `held_out` (users, I): liked are the candidates among them. Fit it to `split.validation` with a pool of a model
    that was fitted to `split.train`, and keep the numbers (a blend in a config holds them): on what is judged later it
    would know the answers. It says how often a candidate of that score is a *logged* like, which exposure limits: a
    lower bound of liking. Linear in the number of candidates.

    Raises:
        RecsysError: if `held_out` is of other users and items, none or all of the candidates are liked, or larger
            scores do not mean more likes.
    """
    expected = (len(pool.context.user_ids), len(pool.context.item_ids))
    if held_out.shape != expected:
        raise RecsysError(f"likes: held_out has shape {held_out.shape}, expected {expected}: users and items")
    told = np.diff(held_out.indptr)[pool.users] > 0
    row, place = np.nonzero((pool.items >= 0) & told[:, None])
    liked = mark_held_out(pool.users, pool.items, held_out)[row, place]
    if not 0 < liked.sum() < len(liked):
        raise RecsysError(f"likes: {liked.sum()} of {len(liked)} candidates are held-out positives, expected a part")
    slope, offset = fit_platt_curve(pool.scores[row, place].astype(np.float64), liked)
    if not slope > 0:
        raise RecsysError(f"likes: the fitted slope is {slope:g}, expected more likes where scores are larger")
    return {"platt_slope": slope, "platt_offset": offset}
