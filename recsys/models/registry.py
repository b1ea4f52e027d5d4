"""The models by name: the package says which there are, and everything else looks them up here."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from recsys.support.resolver import name_extension, resolve_extension
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_number, convert_to_float

_MODELS: dict[str, type[Any]] = {}  # by their names in configs, filled by `recsys.models`


def register_models(classes: Iterable[type[Any]]) -> None:
    """Make models known by their names in configs: the class name in snake_case."""
    _MODELS.update({convert_to_config_name(each.__name__): each for each in classes})


def list_models() -> Mapping[str, type[Any]]:
    """Return the classes of the models, by their names in configs."""
    return MappingProxyType(_MODELS)


def find_model(kind: Any, where: str = "") -> type[Any]:
    """Return the class of the model called `kind` in a config: its name, "package.module:Class", or the class.

    >>> find_model("most_popular").__name__
    'MostPopular'

    Raises:
        RecsysError: if there is none, with the nearest that there is, or if it is no dataclass with `fit`.
    """
    found = resolve_extension("model", kind, _MODELS, where=where)
    if not (isinstance(found, type) and is_dataclass(found) and callable(getattr(found, "fit", None))):
        place = f"{where}: " if where else ""
        raise RecsysError(f"{place}'{name_model(kind)}' is no model, expected a dataclass of settings with fit")
    return found


def name_model(kind: Any) -> str:
    """Return the name of a model in a config: of the package's in snake_case, else "package.module:Class"."""
    return kind if isinstance(kind, str) else name_extension(kind, _MODELS)


def build_model(kind: Any, settings: Mapping[str, Any], where: str) -> Any:
    """Return the model called `kind` with these settings.

    Raises:
        RecsysError: for an unknown kind or setting, a setting that is lacking, or a value of the wrong type.
    """
    make = find_model(kind, where)
    known = {one.name: one for one in fields(make) if one.init}
    for name, given in settings.items():
        if name not in known:
            raise make_unknown_name_error("setting", name, known, where=f"{where} {name_model(kind)}")
        if convert_to_float(known[name].default) is not None:
            check_number(f"{where}: {name}", given, -math.inf)
    for name, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and name not in settings:
            raise RecsysError(f"{where} {name_model(kind)} has no {name}, expected one")
    return make(**settings)


def find_fitted_classes() -> dict[str, type[Any]]:
    """Return the classes of fitted models by name: what `fit` returns, and all that a stored model may be."""
    returned = (get_type_hints(each.fit)["return"] for each in _MODELS.values())
    return {kind.__name__: kind for kind in returned}


def convert_to_config_name(name: str) -> str:
    """Return a class name in snake_case; of "package.module:Class" that of the class.

    >>> convert_to_config_name("ItemKNN"), convert_to_config_name("RP3beta"), convert_to_config_name("mine:MyModel")
    ('item_knn', 'rp3beta', 'my_model')
    """
    name = name.rpartition(":")[2].rpartition(".")[2]
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
