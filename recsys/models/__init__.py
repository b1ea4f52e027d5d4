"""Models: settings that are fitted to positives and then score users against items.

The namespace is the registry: a model's name in a config is a class name of `__all__` in snake_case, such as `als`,
`item_knn`, `most_popular`, `p3alpha` and `rp3beta`, or "package.module:Class".
"""

from recsys.models import stores as stores
from recsys.models.als import ALS
from recsys.models.bpr import BPR
from recsys.models.ease import EASE
from recsys.models.ensemble import Ensemble
from recsys.models.ials import IALS
from recsys.models.item_knn import ItemKNN
from recsys.models.lmf import LMF
from recsys.models.most_popular import MostPopular
from recsys.models.p3alpha import P3alpha
from recsys.models.pure_svd import PureSVD
from recsys.models.random import Random
from recsys.models.registry import register_models
from recsys.models.rp3beta import RP3beta
from recsys.models.tifu_knn import TifuKNN
from recsys.models.top_frequency import TopFrequency
from recsys.models.user_knn import UserKNN

__all__ = [
    "ALS",
    "BPR",
    "EASE",
    "IALS",
    "LMF",
    "Ensemble",
    "ItemKNN",
    "MostPopular",
    "P3alpha",
    "PureSVD",
    "RP3beta",
    "Random",
    "TifuKNN",
    "TopFrequency",
    "UserKNN",
]

register_models([globals()[name] for name in __all__])
