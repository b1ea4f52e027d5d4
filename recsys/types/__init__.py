"""Records of arrays, frozen. This package imports nothing else of the library."""

from recsys.types.datasets import Dataset, Interactions, Items, RowDescriptions
from recsys.types.errors import RecsysError, RecsysWarning, check_choice, make_unknown_name_error
from recsys.types.evaluations import Evaluation, GroundTruth, MetricValues, PerCatalogue, PerMap, PerUser
from recsys.types.exposures import ExposureHistories, ExposureLimit, Exposures
from recsys.types.folds import Fold, Judge
from recsys.types.guards import Guard, Rule
from recsys.types.maps import TasteMap
from recsys.types.models import Factors, Model, Scorer, SideInformation
from recsys.types.negatives import SampledNegatives
from recsys.types.pools import Context, Pool, TableCache
from recsys.types.slates import Slates
from recsys.types.splits import Split
from recsys.types.terms import Counts, Coverage, Modular, Seats, Spread, Term, Volume

__all__ = [
    "Context",
    "Counts",
    "Coverage",
    "Dataset",
    "Evaluation",
    "ExposureHistories",
    "ExposureLimit",
    "Exposures",
    "Factors",
    "Fold",
    "GroundTruth",
    "Guard",
    "Interactions",
    "Items",
    "Judge",
    "MetricValues",
    "Model",
    "Modular",
    "PerCatalogue",
    "PerMap",
    "PerUser",
    "Pool",
    "RecsysError",
    "RecsysWarning",
    "RowDescriptions",
    "Rule",
    "SampledNegatives",
    "Scorer",
    "Seats",
    "SideInformation",
    "Slates",
    "Split",
    "Spread",
    "TableCache",
    "TasteMap",
    "Term",
    "Volume",
    "check_choice",
    "make_unknown_name_error",
]  # fmt: skip
