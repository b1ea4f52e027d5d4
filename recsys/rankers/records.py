"""The arrays of a ranker: those that are written to a folder, and those that its policy is named by."""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, cast

import numpy as np
from scipy import sparse

from recsys.likelihoods.applying import find_reason_to_keep_base
from recsys.likelihoods.records import Likelihood
from recsys.models.factor_model import FittedFactors
from recsys.models.registry import find_fitted_classes
from recsys.objectives.derived_tables import TableKey
from recsys.rankers.indexes import Index
from recsys.rankers.saved_tables import check_saved_tables, list_saved_tables
from recsys.rankers.user_dials import UserDials, check_user_dials
from recsys.support.serialization import flatten_record
from recsys.support.stored_arrays import hash_array
from recsys.types import Context, ExposureHistories, Items, RecsysError, Scorer, TableCache, TasteMap
from recsys.types.arrays import Bools, Csr, Ints, Strings, make_empty_matrix
from recsys.types.checks import check_array, check_finite, check_matrix
from recsys.types.exposures import make_empty_histories
from recsys.types.guest_runs import GuestRuns
from recsys.types.numbers import check_int, check_number
from recsys.types.one_offs import OneOffs
from recsys.types.pools import ConstantFunction
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import TimeWeights
from recsys.types.topics import TopicItems
from recsys.types.user_rows import mark_user_rows


@dataclass(frozen=True, eq=False)
class Dense:
    """An array, or a number of no dimension."""

    values: Any


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix."""

    values: Csr


@dataclass(frozen=True, eq=False)
class DerivedTable:
    """A derived table of a context: an array, a matrix, or several of them."""

    name: str  # that of a `Table`
    settings: str  # those that it was made with
    several: bool
    parts: tuple[Any, ...]  # Dense or Sparse


@dataclass(frozen=True, eq=False)
class RankerParts:
    """The parts of a ranker, beside its settings."""

    models: tuple[Any, ...]  # one or none
    maps: tuple[Any, ...]
    user_ids: Strings = field(metadata=mark_user_rows("the id of the user"))
    item_ids: Strings
    available: Bools  # (I,)
    train: Csr = field(metadata=mark_user_rows("the items that count as liked, and how much each counts"))  # (U, I)
    dislikes: Csr | None = field(metadata=mark_user_rows("the items that count as disliked, and how much each counts"))
    times: Csr | None = field(metadata=mark_user_rows("when the liked items were liked"))
    titles: Strings  # those of the catalogue, (I,)
    features: Csr  # (I, F)
    feature_names: Strings  # (F,)
    years: Ints
    seed: int  # of the context
    tables: tuple[Any, ...] = ()
    indexes: tuple[Any, ...] = ()  # one or none
    likelihoods: tuple[Any, ...] = ()  # one or none
    user_dials: tuple[Any, ...] = ()  # one or none: no part of the policy's name
    exposures: tuple[Any, ...] = ()  # one, or none where nothing was shown
    time_weights: tuple[Any, ...] = ()  # one, or none where all positives count alike
    repeats: tuple[Any, ...] = ()  # one, or none where nothing says what was bought before
    topics: tuple[Any, ...] = ()  # one or none
    one_offs: tuple[Any, ...] = ()  # one, or none where they are not looked for
    guest_runs: tuple[Any, ...] = ()  # the same


_STORED_KINDS = (
    Dense, Sparse, DerivedTable, TasteMap, Index, Likelihood, UserDials, ExposureHistories, TimeWeights, TopicItems,
    OneOffs, GuestRuns, RepeatHistories,
)  # fmt: skip


def list_storable_classes() -> dict[str, type[Any]]:
    """Return the classes that a folder may hold, by name."""
    return {
        **find_fitted_classes(),
        **{kind.__name__: kind for kind in _STORED_KINDS},
    }


def collect_parts(
    model: Scorer | None, context: Context, available: Bools, index: Index | None, tables: Collection[TableKey],
    likelihood: Likelihood | None = None, user_dials: UserDials | None = None, topics: TopicItems | None = None,
) -> RankerParts:  # fmt: skip
    """Return a model and what requests look at beside it as one record; `context` has a train and items.

    `tables` are the keys of the derived tables that it has.
    """
    items = cast(Items, context.items)
    return RankerParts(
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
        tables=list_table_records((key, value) for key, value in list_saved_tables(context) if key in tables),
        indexes=() if index is None else (index,),
        likelihoods=() if likelihood is None else (likelihood,),
        user_dials=() if user_dials is None else (user_dials,),
        exposures=() if context.exposures is None or not len(context.exposures.items) else (context.exposures,),
        time_weights=() if context.time_weights is None else (context.time_weights,),
        repeats=() if context.repeats is None else (context.repeats,),
        topics=() if topics is None else (topics,),
        one_offs=() if context.one_offs is None else (context.one_offs,),
        guest_runs=() if context.guest_runs is None else (context.guest_runs,),
    )


def list_table_records(tables: Iterable[tuple[TableKey, Any]]) -> tuple[DerivedTable, ...]:
    """Return derived tables as records that a folder may hold."""
    return tuple(_build_table(key, value) for key, value in tables)


def restore_tables(into: TableCache, records: Iterable[DerivedTable]) -> None:
    """Put derived tables, given as records, among those of a context."""
    for table in records:
        values = [part.values for part in table.parts]
        key = TableKey(table.name, table.settings)
        into.get(key, ConstantFunction(tuple(values) if table.several else values[0]))


def build_request_context(parts: RankerParts) -> Context:
    """Return the context in which requests are answered."""
    names = tuple(str(name) for name in parts.feature_names)
    tables = TableCache()
    restore_tables(tables, parts.tables)
    model = parts.models[0] if parts.models else None
    return Context(
        user_ids=parts.user_ids,
        item_ids=parts.item_ids,
        train=parts.train,
        dislikes=parts.dislikes,
        times=parts.times,
        items=Items(parts.item_ids, parts.titles, parts.features, names, parts.years),
        factors=None if model is None else model.factors,
        make_maps=ConstantFunction(parts.maps),
        seed=parts.seed,
        tables=tables,
        exposures=parts.exposures[0] if parts.exposures else make_empty_histories(len(parts.user_ids)),
        time_weights=parts.time_weights[0] if parts.time_weights else None,
        one_offs=parts.one_offs[0] if parts.one_offs else None,
        guest_runs=parts.guest_runs[0] if parts.guest_runs else None,
        repeats=parts.repeats[0] if parts.repeats else None,
    )


def name_policy(parts: RankerParts, settings: Mapping[str, Any]) -> str:
    """Return sixteen characters that name the policy: a hash of every array and the settings.

    Of a model of somebody's own that is no dataclass, only the name of its class is told.
    """
    others = [type(model).__name__ for model in parts.models if not is_dataclass(model)]
    models = tuple(model for model in parts.models if is_dataclass(model))
    arrays = flatten_record(replace(parts, models=models, user_dials=()))
    return name_policy_by_checksums({name: hash_array(array) for name, array in arrays.items()}, settings, others)


def name_policy_by_checksums(
    checksums: Mapping[str, str], settings: Mapping[str, Any], others: Sequence[str] = ()
) -> str:
    """Return the name of the policy whose arrays have these checksums: a manifest tells it without its arrays.

    Dials of users are left out: an answer is named for those that it was given under.
    """
    deciding = {name: checksum for name, checksum in checksums.items() if not name.startswith("user_dials.")}
    told = json.dumps([settings, deciding, others], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def check_parts(parts: RankerParts, context: Context) -> None:
    """Refuse arrays, read from a file, whose indices would point outside of others.

    All are looked at once: what is stored has the shapes and types of what is fitted, every number is finite, and
    whatever says where something lies says a place that there is.

    Raises:
        RecsysError: naming the array.
    """
    users, items = len(parts.user_ids), len(parts.item_ids)
    for name, size in (("user_ids", users), ("item_ids", items), ("titles", items), ("feature_names", None)):
        check_array(name, getattr(parts, name), (size,), "U")
    check_array("available", parts.available, (items,), "b")
    check_array("years", parts.years, (items,), "i")
    check_int("seed", parts.seed)
    for taste_map in parts.maps:
        if not isinstance(taste_map, TasteMap):
            raise RecsysError(f"maps hold a {type(taste_map).__name__}, expected a TasteMap")
    for histories in parts.exposures:
        if not isinstance(histories, ExposureHistories):
            raise RecsysError(f"found a {type(histories).__name__}, expected ExposureHistories")
    for repeats in parts.repeats:
        if not isinstance(repeats, RepeatHistories):
            raise RecsysError(f"found a {type(repeats).__name__}, expected RepeatHistories")
        check_int("repeats: now", repeats.now)
        check_number("repeats: prior_share", repeats.prior_share, most=1.0)
    for weights in parts.time_weights:
        if not isinstance(weights, TimeWeights):
            raise RecsysError(f"found a {type(weights).__name__}, expected TimeWeights")
        if weights.half_life != math.inf:
            check_number("half_life", weights.half_life, above=0)
        check_number("half_life: now", weights.now, -math.inf)
        check_number("short_share", weights.short_share, below=1)
        if weights.short_share:
            check_number("short_half_life", weights.short_half_life, above=0, below=weights.half_life)
    for one_offs in parts.one_offs:
        if not isinstance(one_offs, OneOffs):
            raise RecsysError(f"found a {type(one_offs).__name__}, expected OneOffs")
        if not parts.time_weights:
            raise RecsysError("found one-offs without weights of positives, expected both")
    for guest_runs in parts.guest_runs:
        if not isinstance(guest_runs, GuestRuns):
            raise RecsysError(f"found a {type(guest_runs).__name__}, expected GuestRuns")
        if not parts.time_weights:
            raise RecsysError("found guest runs without weights of positives, expected both")
    context.check_arrays()
    check_saved_tables(context, [TableKey(table.name, table.settings) for table in parts.tables])
    for model in parts.models:
        _check_model(model, users, items)
    for index in parts.indexes:
        if not isinstance(index, Index) or not isinstance(parts.models[0], FittedFactors):
            raise RecsysError(f"found a {type(index).__name__} for an index of a factor model")
        check_array("index: centres", index.centres, (None, parts.models[0].factors.item_factors.shape[1]))
        check_finite("index: centres", index.centres)
        check_matrix("index: lists", index.lists, (len(index.centres), items))
        if not np.array_equal(np.sort(index.lists.indices), np.arange(items)):
            raise RecsysError("index: lists do not hold each item once")
    for dials in parts.user_dials:
        if not isinstance(dials, UserDials):
            raise RecsysError(f"found a {type(dials).__name__}, expected UserDials")
        check_user_dials(dials)
    for topics in parts.topics:
        if not isinstance(topics, TopicItems):
            raise RecsysError(f"found a {type(topics).__name__}, expected TopicItems")
        topics.check_topics(items)
    for likelihood in parts.likelihoods:
        if not isinstance(likelihood, Likelihood):
            raise RecsysError(f"found a {type(likelihood).__name__}, expected a Likelihood")
        likelihood.check_items(parts.item_ids)
        if reason := find_reason_to_keep_base(likelihood, context):
            raise RecsysError(reason)


def _check_model(model: Any, users: int, items: int) -> None:
    """Refuse a model with numbers that are not finite, or of other users and items."""
    for name, array in flatten_record(model).items():
        if name.endswith(".shape") and array[1] != items:  # before it is asked for scores that no memory may hold
            raise RecsysError(f"model: {name.removesuffix('.shape')} is of {array[1]:,} items, expected {items:,}")
        if not name.startswith("factors."):  # those are the context's, and `Context.check_arrays` has looked at them
            check_finite(f"model: {name}", array)
    expected, last = f"expected scores of {users} users and {items} items", np.arange(users, dtype=np.int32)[-1:]
    try:
        found = [np.asarray(model.score(last)), np.asarray(model.fold(make_empty_matrix((1, items))))]
    except (ValueError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
        raise RecsysError(f"model: {' '.join(str(error).split())}, {expected}") from None
    for scores, rows in zip(found, (len(last), 1), strict=True):
        if scores.shape != (rows, items):
            raise RecsysError(f"model: found scores of shape {scores.shape}, {expected}")
        check_finite("model: scores", scores)


def _build_table(key: TableKey, value: Any) -> DerivedTable:
    several = isinstance(value, tuple)
    values: Sequence[Any] = value if several else (value,)
    return DerivedTable(
        *key, several, tuple(Sparse(cast(Csr, v)) if sparse.issparse(v) else Dense(np.asarray(v)) for v in values)
    )
