"""How the attention of all users is spread over the catalogue."""

from collections.abc import Callable

import numpy as np

from recsys import maths
from recsys.types import Evaluation, PerCatalogue
from recsys.types.arrays import Doubles
from recsys.types.evaluations import Direction


def coverage(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Share of the catalogue that is shown to at least one user, in [0, 1]. It grows with the number of users."""
    return _of_counts(evaluation, k, _reached, "items shown to anybody / all items of the split", 1)


def gini(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Gini index of how often each item is shown, in [0, 1): less is more even.

    Over all I items, never-shown ones included, with denominator I (`recsys.maths.gini`).
    """
    return _of_counts(evaluation, k, maths.gini, "Gini index over all items of the split, denominator I", -1)


def _of_counts(
    evaluation: Evaluation,
    k: int,
    statistic: Callable[[Doubles], Doubles],
    convention: str,
    direction: Direction,
) -> PerCatalogue:
    n_items = evaluation.yardstick.split.train.shape[1]
    return PerCatalogue(evaluation.top(k), n_items, statistic, convention, direction, span=(0.0, 1.0))


def _reached(shown: Doubles) -> Doubles:
    return np.asarray((shown > 0).mean(axis=-1))
