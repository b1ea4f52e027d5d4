"""Evidence: what rows say of a user, what they leave open, what comes back, and how sure a slate is."""

from recsys.evidence.categories import categorize_items
from recsys.evidence.complements import Complements, build_complements, measure_complements
from recsys.evidence.demand import Demand, DemandSettings, forecast_demand
from recsys.evidence.guest_runs import detect_guest_runs
from recsys.evidence.ignored_regions import IgnoredRegion, IgnoredRegions, find_ignored_regions
from recsys.evidence.like_curves import LikeCurve, attach_like_probabilities, fit_like_curve, read_reliability
from recsys.evidence.one_offs import detect_one_offs, find_request_one_offs, score_history
from recsys.evidence.questions import Questions, compute_region_deficits, find_questions, find_region_questions
from recsys.evidence.repeats import build_repeats, estimate_repeat_shares
from recsys.evidence.repurchase_outcomes import RepurchaseTimeError, list_repurchase_days, measure_repurchase_time_error
from recsys.evidence.repurchase_predictions import (
    find_durables,
    measure_median_gaps,
    predict_repurchase_counts,
    predict_repurchase_days,
    predict_repurchases,
)
from recsys.evidence.repurchases import fit_repurchases, load_repurchases, save_repurchases
from recsys.evidence.unfinished import build_unfinished

__all__ = [
    "Complements",
    "Demand",
    "DemandSettings",
    "IgnoredRegion",
    "IgnoredRegions",
    "LikeCurve",
    "Questions",
    "RepurchaseTimeError",
    "attach_like_probabilities",
    "build_complements",
    "build_repeats",
    "build_unfinished",
    "categorize_items",
    "compute_region_deficits",
    "detect_guest_runs",
    "detect_one_offs",
    "estimate_repeat_shares",
    "find_durables",
    "find_ignored_regions",
    "find_questions",
    "find_region_questions",
    "find_request_one_offs",
    "fit_like_curve",
    "fit_repurchases",
    "forecast_demand",
    "list_repurchase_days",
    "load_repurchases",
    "measure_complements",
    "measure_median_gaps",
    "measure_repurchase_time_error",
    "predict_repurchase_counts",
    "predict_repurchase_days",
    "predict_repurchases",
    "read_reliability",
    "save_repurchases",
    "score_history",
]
