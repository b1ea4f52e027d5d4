"""Models: settings that are fitted to positives and then score users against items.

A model's name in a config is its class name in snake_case: `als`, `item_knn`, `most_popular`, `p3alpha`, `rp3beta`.
"""

import re
from typing import Any, get_type_hints

from recsys.models import stores as stores
from recsys.models.als import ALS
from recsys.models.bpr import BPR
from recsys.models.ease import EASE
from recsys.models.ials import IALS
from recsys.models.item_knn import ItemKNN
from recsys.models.lmf import LMF
from recsys.models.mean import Mean
from recsys.models.most_popular import MostPopular
from recsys.models.p3alpha import P3alpha
from recsys.models.pure_svd import PureSVD
from recsys.models.random import Random
from recsys.models.rp3beta import RP3beta
from recsys.models.user_knn import UserKNN
from recsys.types.errors import check_choice

__all__ = [
    "ALS", "BPR", "EASE", "IALS", "LMF", "ItemKNN", "Mean", "MostPopular", "P3alpha", "PureSVD", "RP3beta",
    "Random", "UserKNN",
]  # fmt: skip


def named(kind: str) -> type[Any]:
    """Return the class of the model called `kind` in a config.

    >>> named("most_popular").__name__
    'MostPopular'

    Raises:
        RecsysError: if there is none, with the nearest that there is.
    """
    known = {_config_name(name): name for name in __all__}
    check_choice("model", kind, known)
    model: type[Any] = globals()[known[kind]]
    return model


def fitted_kinds() -> dict[str, type[Any]]:
    """Return the classes of fitted models by name: what `fit` returns, and all that a stored model may be."""
    returned = (get_type_hints(globals()[name].fit)["return"] for name in __all__)
    return {kind.__name__: kind for kind in returned}


def _config_name(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
