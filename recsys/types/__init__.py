"""The nouns: frozen records of arrays. Nothing here imports anything above it."""

from recsys.types.datasets import Dataset, Interactions, Items
from recsys.types.errors import RecsysError, RecsysWarning, check_choice, unknown
from recsys.types.evaluations import Answer, Evaluation, PerCatalogue, PerMap, PerUser, Yardstick
from recsys.types.guards import Guard, Rule
from recsys.types.maps import TasteMap
from recsys.types.models import Factors, Model, Scorer, Side
from recsys.types.negatives import Negatives
from recsys.types.pools import Context, Pool, Tables
from recsys.types.slates import Slates
from recsys.types.splits import Split
from recsys.types.terms import Counts, Coverage, Modular, Seats, Spread, Term, Volume

__all__ = [
    "Answer", "Context", "Counts", "Coverage", "Dataset", "Evaluation", "Factors", "Guard", "Interactions", "Items",
    "Model", "Modular", "Negatives", "PerCatalogue", "PerMap", "PerUser", "Pool", "RecsysError", "RecsysWarning",
    "Rule", "Scorer", "Seats", "Side", "Slates", "Split", "Spread", "Tables", "TasteMap", "Term", "Volume", "Yardstick",
    "check_choice", "unknown",
]  # fmt: skip
