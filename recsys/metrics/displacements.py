"""Which regions the slots of others went to: a matrix for reports, no metric."""

import numpy as np

from recsys import maths
from recsys.maths.divergences import total_variation
from recsys.metrics.deficits import owed
from recsys.metrics.picks import blocks, picks
from recsys.types import Evaluation, TasteMap
from recsys.types.arrays import Doubles


def region_displacement(evaluation: Evaluation, k: int, taste_map: TasteMap) -> Doubles:
    """Return the share of exposure owed to region g that went to region h, (Z, Z): the mean over users.

    q is what nearby other communities consume (`recsys.maths.near_mixes`), scaled to sum to 1, e the mix of the
    slate. Rows sum to the mean q, columns to the mean e, everything to 1; what is off the diagonal is the mean
    total variation, the least that any coupling of q and e can move, spread in proportion. Users without anything
    owed or shown on the map are left out; without any user, NaN.

    Formula: diag(min(q, e)) + max(0, q - e) max(0, e - q)' / TV(q, e).
    """
    shown, q = picks(evaluation, k), owed(evaluation.yardstick, taste_map)
    size = taste_map.assignment.shape[1]
    total, n = np.zeros((size, size)), 0
    for b in blocks(shown.shape[0]):
        e = maths.user_mixes(shown[b], taste_map.assignment)
        known = e.any(axis=1) & (q[b].sum(axis=1) > 0)
        due, e = q[b][known] / q[b][known].sum(axis=1, keepdims=True), e[known]
        moved = total_variation(due, e)[:, None]
        lost, won = np.maximum(due - e, 0.0), np.maximum(e - due, 0.0)
        total += np.diag(np.minimum(due, e).sum(axis=0)) + lost.T @ (won / np.where(moved > 0, moved, 1.0))
        n += int(known.sum())
    return total / n if n else np.full((size, size), np.nan)
