"""A ranker as a record of arrays: what is written to a folder, and what its policy is named by."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, cast

import numpy as np
from scipy import sparse

from recsys.models import fitted_kinds
from recsys.rankers.indexes import Index
from recsys.records import flatten
from recsys.types import Context, Items, Scorer, Tables, TasteMap
from recsys.types.arrays import Bools, Csr, Ints, Strings

UNKEPT = ("maps", "met", "ties", "laid out", "codes of items")  # tables that are there anyway, or quickly made


@dataclass(frozen=True, eq=False)
class Dense:
    """An array, or a number of no dimension."""

    values: Any


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix."""

    values: Csr


@dataclass(frozen=True, eq=False)
class Table:
    """A derived table of a context: an array, a matrix, or several of them."""

    name: str
    several: bool
    parts: tuple[Any, ...]  # Dense or Sparse


@dataclass(frozen=True, eq=False)
class Parts:
    """What a ranker is made of, beside its settings."""

    models: tuple[Any, ...]  # one or none
    maps: tuple[Any, ...]
    user_ids: Strings
    item_ids: Strings
    available: Bools  # (I,)
    train: Csr  # (U, I)
    dislikes: Csr | None
    times: Csr | None
    titles: Strings  # those of the catalogue, (I,)
    features: Csr  # (I, F)
    feature_names: Strings  # (F,)
    years: Ints
    seed: int  # of the context
    tables: tuple[Any, ...] = ()
    indexes: tuple[Any, ...] = ()  # one or none


def kinds() -> dict[str, type[Any]]:
    """Return the classes that may stand in a folder, by name."""
    return {**fitted_kinds(), **{kind.__name__: kind for kind in (Dense, Sparse, Table, TasteMap, Index)}}


def parts_of(model: Scorer | None, context: Context, available: Bools, index: Index | None = None) -> Parts:
    """Return a model and what requests look at beside it as one record; `context` has a train and items."""
    items = cast(Items, context.items)
    return Parts(
        models=() if model is None else (model,),
        maps=tuple(context.maps),
        user_ids=context.user_ids,
        item_ids=context.item_ids,
        available=available,
        train=context.need_train("a ranker"),
        dislikes=context.dislikes,
        times=context.times,
        titles=items.titles,
        features=items.features,
        feature_names=np.asarray(items.feature_names, dtype=np.str_),
        years=items.years,
        seed=context.seed,
        tables=tuple(_table(name, value) for name, value in context.tables.items() if _kept(name)),
        indexes=() if index is None else (index,),
    )


def context_of(parts: Parts) -> Context:
    """Return the context in which requests are answered."""
    names = tuple(str(name) for name in parts.feature_names)
    tables = Tables()
    for table in parts.tables:
        values = [part.values for part in table.parts]
        tables.get(table.name, _given(tuple(values) if table.several else values[0]))
    model = parts.models[0] if parts.models else None
    return Context(
        user_ids=parts.user_ids,
        item_ids=parts.item_ids,
        train=parts.train,
        dislikes=parts.dislikes,
        times=parts.times,
        items=Items(parts.item_ids, parts.titles, parts.features, names, parts.years),
        factors=None if model is None else model.factors,
        make_maps=_given(parts.maps),
        seed=parts.seed,
        tables=tables,
    )


def name_policy(parts: Parts, settings: Mapping[str, Any]) -> str:
    """Return sixteen characters that name what decides: every array but derived tables, and the settings.

    Of a model of somebody's own that is no dataclass, only the name of its class is told.
    """
    told = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    told.update(" ".join(type(model).__name__ for model in parts.models).encode())
    models = tuple(model for model in parts.models if is_dataclass(model))
    arrays = flatten(replace(parts, models=models, tables=()))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        told.update(f"{name} {array.dtype.str} {array.shape}".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
    return told.hexdigest()[:16]


def _given(value: Any) -> Callable[[], Any]:
    return lambda: value


def _kept(name: str) -> bool:
    return not name.startswith(UNKEPT)


def _table(name: str, value: Any) -> Table:
    several = isinstance(value, tuple)
    values: Sequence[Any] = value if several else (value,)
    return Table(
        name, several, tuple(Sparse(cast(Csr, v)) if sparse.issparse(v) else Dense(np.asarray(v)) for v in values)
    )
