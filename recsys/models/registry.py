"""The models by name: the package says which there are, and everything else looks them up here."""

import re
from collections.abc import Iterable
from typing import Any, get_type_hints

from recsys.types.errors import check_choice

_MODELS: dict[str, type[Any]] = {}  # by their names in configs, filled by `recsys.models`


def register_models(classes: Iterable[type[Any]]) -> None:
    """Make models known by their names in configs: the class name in snake_case."""
    _MODELS.update({convert_to_config_name(each.__name__): each for each in classes})


def find_model(kind: str) -> type[Any]:
    """Return the class of the model called `kind` in a config.

    >>> find_model("most_popular").__name__
    'MostPopular'

    Raises:
        RecsysError: if there is none, with the nearest that there is.
    """
    check_choice("model", kind, _MODELS)
    return _MODELS[kind]


def find_fitted_classes() -> dict[str, type[Any]]:
    """Return the classes of fitted models by name: what `fit` returns, and all that a stored model may be."""
    returned = (get_type_hints(each.fit)["return"] for each in _MODELS.values())
    return {kind.__name__: kind for kind in returned}


def convert_to_config_name(name: str) -> str:
    """Return a class name in snake_case.

    >>> convert_to_config_name("ItemKNN"), convert_to_config_name("RP3beta")
    ('item_knn', 'rp3beta')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
