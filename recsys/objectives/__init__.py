"""Objectives: each a function `(pool, k, **settings)` that returns a term of one of the four shapes.

The namespace is the registry: a name in a blend is a name in `__all__`, or `package.module:function`.
"""

from recsys.objectives.calibrations import calibration, popularity_calibration
from recsys.objectives.diversities import diversity, volume
from recsys.objectives.explorations import thompson, ucb
from recsys.objectives.negative_spaces import negative_space, untouched
from recsys.objectives.novelties import novelty
from recsys.objectives.relevances import noise, relevance
from recsys.objectives.serendipities import npmi_surprise, serendipity, unexpected, unimodal_serendipity

__all__ = [
    "calibration", "diversity", "negative_space", "noise", "novelty", "npmi_surprise",
    "popularity_calibration", "relevance", "serendipity", "thompson", "ucb",
    "unexpected", "unimodal_serendipity", "untouched", "volume",
]  # fmt: skip
