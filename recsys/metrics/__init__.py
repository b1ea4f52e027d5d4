"""Metrics: a function of an evaluation and a cut-off k; what is in `__all__` can be named in a config."""

from recsys.metrics.accuracy import hit_rate, mrr, ndcg, precision, recall
from recsys.metrics.bubbles import (
    discovery,
    discovery_content,
    discovery_own,
    untouched_share,
    untouched_share_content,
    untouched_share_own,
)
from recsys.metrics.calibration import calibration_kl
from recsys.metrics.catalogue import coverage, gini
from recsys.metrics.deficits import deficit, deficit_own
from recsys.metrics.diversity import ild_cooccurrence, ild_features
from recsys.metrics.novelty import self_information
from recsys.metrics.serendipities import serendipity

__all__ = [
    "calibration_kl", "coverage", "deficit", "deficit_own", "discovery", "discovery_content", "discovery_own",
    "gini", "hit_rate", "ild_cooccurrence", "ild_features", "mrr", "ndcg", "precision", "recall",
    "self_information", "serendipity", "untouched_share", "untouched_share_content", "untouched_share_own",
]  # fmt: skip
