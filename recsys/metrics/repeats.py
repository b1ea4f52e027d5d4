"""Repeats: what a slate shows that was shown before."""

import numpy as np

from recsys.maths.exposures import count_exposures
from recsys.metrics._shared import divide_or_nan
from recsys.types import Evaluation, PerUser


def repeat_share(evaluation: Evaluation, k: int) -> PerUser:
    """Share of the items shown that were shown to the user before, by the log of exposures.

    NaN where no log says what was shown.

    :Formula: shown items with an exposure before / shown items
    :Range: [0, 1]
    :Better: less
    :Cost: U k log R, R exposures
    :Source: this project
    """
    convention = "items shown to the user before, over items shown; mean over users with a slate"
    top, histories = evaluation.get_top_picks(k), evaluation.truth.exposures
    if histories is None:
        return PerUser(np.full(len(top), np.nan), convention, -1)
    again = count_exposures(histories, top, evaluation.truth.split.shape[1]) > 0
    return PerUser(divide_or_nan(again.sum(axis=1).astype(np.float64), (top >= 0).sum(axis=1)), convention, -1)
