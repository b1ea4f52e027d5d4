"""Models: settings that are fitted to positives and then score users against items.

A model's name in a config is its class name in snake_case: `als`, `item_knn`, `most_popular`, `p3alpha`, `rp3beta`.
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
from recsys.models.user_knn import UserKNN

__all__ = [
    "ALS", "BPR", "EASE", "IALS", "LMF", "Ensemble", "ItemKNN", "MostPopular", "P3alpha", "PureSVD", "RP3beta",
    "Random", "UserKNN",
]  # fmt: skip

register_models([ALS, BPR, EASE, IALS, LMF, Ensemble, ItemKNN, MostPopular, P3alpha, PureSVD, RP3beta, Random, UserKNN])
