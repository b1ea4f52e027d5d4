"""Models: settings that are fitted to positives and then score users against items.

A model's name in a config is its class name in snake_case: `als`, `ease`, `most_popular`, `random`.
"""

import re
from typing import Any

from recsys.models.als import ALS
from recsys.models.ease import EASE
from recsys.models.most_popular import MostPopular
from recsys.models.random import Random
from recsys.types.errors import unknown

__all__ = ["ALS", "EASE", "MostPopular", "Random"]


def named(kind: str) -> type[Any]:
    """Return the class of the model called `kind` in a config.

    >>> named("most_popular").__name__
    'MostPopular'

    Raises:
        RecsysError: if there is none, with the nearest that there is.
    """
    known = {_config_name(name): name for name in __all__}
    if kind not in known:
        raise unknown("model", str(kind), known)
    model: type[Any] = globals()[known[kind]]
    return model


def _config_name(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
