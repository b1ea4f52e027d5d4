"""Objectives: each a function `(pool, k, **settings)` that returns a term of one of the shapes.

The namespace is the registry: a name in a blend is a name in `__all__`, or `package.module:function`. Beside them stand
the arrays of a pool that an objective of one's own may need: `get_item_codes`, `mark_present`, `compute_plausibility`,
`get_candidate_regions`, `get_histories`, `get_item_vectors`.
"""

from recsys.objectives._pool_arrays import compute_plausibility as compute_plausibility
from recsys.objectives._pool_arrays import get_candidate_regions as get_candidate_regions
from recsys.objectives._pool_arrays import get_histories as get_histories
from recsys.objectives._pool_arrays import get_item_codes as get_item_codes
from recsys.objectives._pool_arrays import mark_present as mark_present
from recsys.objectives.account_gaps import account_gap
from recsys.objectives.calibrations import calibration, popularity_calibration
from recsys.objectives.coverages import facility_location, feature_coverage, rxquad, xquad
from recsys.objectives.derived_tables import get_item_vectors as get_item_vectors
from recsys.objectives.discovery_values import discovery_value
from recsys.objectives.diversities import dpp, mmr, ssd
from recsys.objectives.explorations import thompson, ucb
from recsys.objectives.exposure import popularity_discount, under_exposed
from recsys.objectives.fatigues import fatigue
from recsys.objectives.negative_spaces import negative_space, unexplored
from recsys.objectives.novelties import long_tail, novelty, profile_distance
from recsys.objectives.proportional import binomial_diversity, pm2
from recsys.objectives.relevances import noise, relevance
from recsys.objectives.serendipities import npmi_surprise, serendipity, unexpected, unimodal_serendipity

__all__ = [
    "account_gap",
    "binomial_diversity",
    "calibration",
    "discovery_value",
    "dpp",
    "facility_location",
    "fatigue",
    "feature_coverage",
    "long_tail",
    "mmr",
    "negative_space",
    "noise",
    "novelty",
    "npmi_surprise",
    "pm2",
    "popularity_calibration",
    "popularity_discount",
    "profile_distance",
    "relevance",
    "rxquad",
    "serendipity",
    "ssd",
    "thompson",
    "ucb",
    "under_exposed",
    "unexpected",
    "unexplored",
    "unimodal_serendipity",
    "xquad",
]
