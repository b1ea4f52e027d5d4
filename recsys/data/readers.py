"""Readers of somebody's own: functions that return a dataset, or a table that `read_dataset` can read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Any, get_args

import numpy as np

from recsys.data.fingerprints import compute_fingerprint
from recsys.support.resolver import check_settings, list_settings, name_extension, resolve_extension
from recsys.types import Dataset, RecsysError
from recsys.types.checks import check_array, check_codes, check_finite, check_matrix
from recsys.types.paths import check_path

Reader = Callable[..., Any]  # settings -> a Dataset, or a table


def is_reader(given: object) -> bool:
    """Return whether `given` is a reader: a function, or "package.module:function"; not the path of a card.

    >>> is_reader("shop:read_log"), is_reader("ml-100k"), is_reader("C:/cards/shop.toml")
    (True, False, False)
    """
    if isinstance(given, str):
        return ":" in given and not given.endswith(".toml")
    return callable(given) and not isinstance(given, type)


def resolve_reader(given: str | Reader, settings: Mapping[str, Any], where: str) -> Callable[[], Any]:
    """Return a reader with its settings, held against its signature; one that is declared a `Path` becomes one.

    Raises:
        RecsysError: if there is no such reader, or for a setting that it does not take, lacks, or of another type.
    """
    make: Reader = resolve_extension("reader", given, {}, where=where)
    known = list_settings(make, where)
    checked = check_settings(where, known, settings, noun="key")
    for name in _find_path_settings(known):
        if (value := checked.get(name)) is not None:
            checked[name] = check_path(f"{where}: {name}", value, "a path")
    return partial(make, **checked)


def list_path_settings(given: str | Reader, where: str) -> list[str]:
    """Return the settings of a reader that are declared paths: `Path`, or `Path | None`.

    Raises:
        RecsysError: if there is no such reader.
    """
    return _find_path_settings(list_settings(resolve_extension("reader", given, {}, where=where), where))


def _find_path_settings(known: Mapping[str, Parameter]) -> list[str]:
    return [name for name, one in known.items() if _is_path(one.annotation)]


def _is_path(annotation: object) -> bool:
    if isinstance(annotation, str):
        return not {"Path", "pathlib.Path"}.isdisjoint(map(str.strip, annotation.split("|")))
    return annotation is Path or Path in get_args(annotation)


def name_reader(given: str | Reader) -> str:
    """Return what a dataset of a reader is called: its function.

    >>> name_reader("shop:read_log"), name_reader(len)
    ('read_log', 'len')
    """
    return (given if isinstance(given, str) else name_extension(given, {})).rpartition(":")[2].rpartition(".")[2]


def check_dataset(place: str, dataset: Dataset) -> Dataset:
    """Return a dataset that somebody's own code made, its fingerprint computed; refuse arrays that do not fit together.

    Raises:
        RecsysError: naming the array.
    """
    log, items = dataset.interactions, dataset.items
    for name, ids in (("user_ids", log.user_ids), ("item_ids", log.item_ids)):
        check_array(f"{place}: interactions: {name}", ids, (None,), "U")
        if len(np.unique(ids)) < len(ids):
            raise RecsysError(f"{place}: interactions: {name} holds an id twice, expected each once")
    rows = len(log.user)
    for name, ids in (("user", log.user_ids), ("item", log.item_ids)):
        check_array(f"{place}: interactions: {name}", getattr(log, name), (rows,), "i")
        check_codes(f"{place}: interactions: {name}", getattr(log, name), 0, len(ids))
    check_array(f"{place}: interactions: weight", log.weight, (rows,), "f")
    check_finite(f"{place}: interactions: weight", log.weight)
    for name, kinds in (("datetime", "i"), ("source", "U"), ("consent", "b")):
        if getattr(log, name) is not None:
            check_array(f"{place}: interactions: {name}", getattr(log, name), (rows,), kinds)
    if log.purposes is not None:
        check_array(f"{place}: interactions: purposes", log.purposes, (rows, len(log.purpose_names)), "b")
    if dataset.descriptions is not None:
        check_array(f"{place}: descriptions: row", dataset.descriptions.row, (rows,), "i")
        check_codes(f"{place}: descriptions: row", dataset.descriptions.row, 0, len(dataset.descriptions.titles))
    size = len(log.item_ids)
    if not np.array_equal(items.ids, log.item_ids):
        raise RecsysError(f"{place}: items: ids are not those of the interactions, expected item_ids in their order")
    check_array(f"{place}: items: titles", items.titles, (size,), "U")
    check_array(f"{place}: items: years", items.years, (size,), "i")
    check_matrix(f"{place}: items: features", items.features, (size, len(items.feature_names)))
    return replace(dataset, fingerprint=compute_fingerprint(log, items, dataset.descriptions))
