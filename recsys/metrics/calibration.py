"""How far the features of a slate are from those of the user's history."""

import numpy as np

from recsys import maths
from recsys.metrics.picks import blocks, picks
from recsys.types import Evaluation, Items, PerUser
from recsys.types.arrays import Csr, Doubles

ALPHA = 0.01


def calibration_kl(evaluation: Evaluation, k: int) -> PerUser:
    """KL(p || (1 - alpha) q + alpha p) in nats, alpha = 0.01, from 0 to log 100 (Steck 2018): less is nearer.

    p and q are the feature mixes of the training positives and of the slate; an item's weight is split evenly
    over its features, and items without any are left out. NaN where either mix is empty.
    """
    split = evaluation.yardstick.split
    even = evaluation.yardstick.tables.get("even_features", lambda: _even(split.items))
    shown = picks(evaluation, k)
    parts = [_divergence(split.train[b], shown[b], even) for b in blocks(shown.shape[0])]
    convention = (
        "KL(history || slate) in nats, slate smoothed by 0.01 of the history, features split evenly, "
        "no rank weights; mean over users with featured history and slate"
    )
    return PerUser(np.concatenate(parts), convention, -1)


def _even(items: Items) -> Csr:
    sizes = np.diff(items.features.indptr)
    return Csr(
        (1.0 / np.repeat(sizes, sizes), items.features.indices, items.features.indptr), shape=items.features.shape
    )


def _divergence(train: Csr, shown: Csr, even: Csr) -> Doubles:
    p = maths.user_mixes(train, even)
    q = maths.user_mixes(shown, even)
    values = np.maximum(maths.kl(p, (1.0 - ALPHA) * q + ALPHA * p), 0.0)
    return np.where(p.any(axis=1) & q.any(axis=1), values, np.nan)
