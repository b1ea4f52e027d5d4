"""How unlike each other the items of one slate are."""

from collections.abc import Callable

import numpy as np

from recsys import maths
from recsys.metrics.picks import blocks, divide, picks
from recsys.types import Evaluation, PerUser, Split
from recsys.types.arrays import Doubles, Floats

_WHO = (
    "mean of 1 - cosine over pairs of shown items, pairs without {} skipped; mean over users with at least 2 such items"
)


def ild_features(evaluation: Evaluation, k: int) -> PerUser:
    """Intra-list distance by item features: mean of 1 - cosine over the pairs of a slate, in [0, 1]."""
    values = _distance(evaluation, k, "features", lambda split: maths.feature_vectors(split.items))
    return PerUser(values, "item features: " + _WHO.format("features"), 1)


def ild_cooccurrence(evaluation: Evaluation, k: int) -> PerUser:
    """Intra-list distance by shared users: mean of 1 - cosine over the pairs of a slate, in [0, 2].

    The space is `recsys.maths.cooccurrence_vectors` of the training positives, whatever model made the slate.
    """
    values = _distance(evaluation, k, "cooccurrence", lambda split: maths.cooccurrence_vectors(split.train))
    return PerUser(values, "co-occurrence in train: " + _WHO.format("training users"), 1)


def _distance(evaluation: Evaluation, k: int, space: str, make: Callable[[Split], Floats]) -> Doubles:
    yardstick = evaluation.yardstick
    vectors = yardstick.tables.get(space, lambda: make(yardstick.split)).astype(np.float64)
    lengths = (vectors**2).sum(axis=1)
    shown = picks(evaluation, k)
    usable = shown @ (lengths > 0).astype(np.float64)
    # sum of cos over pairs = (|sum of vectors|^2 - sum of |vector|^2) / 2: no table of k by k by features.
    squared = np.concatenate([((shown[b] @ vectors) ** 2).sum(axis=1) for b in blocks(shown.shape[0])])
    cosine = divide(squared - shown @ lengths, usable * (usable - 1.0))
    return np.asarray(np.clip(1.0 - cosine, 0.0, 2.0))
