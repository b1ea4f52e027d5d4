"""Validated datasets on disk, so that files are parsed once. Nothing in them is pickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.identifiers import make_string_array
from recsys.support.atomic_files import replace_file
from recsys.support.stored_arrays import read_npz
from recsys.types import Dataset, Interactions, Items
from recsys.types.arrays import Anys, Csr

STORE_FORMAT = 3  # part of the key: raise it when the same files would give another dataset


def save_dataset(dataset: Dataset, path: Path) -> None:
    """Write a dataset, whole or not at all."""
    log, items = dataset.interactions, dataset.items
    texts = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "notes": dataset.notes,
        "columns": dict(dataset.columns),
        "user_ids": log.user_ids.tolist(),
        "item_ids": log.item_ids.tolist(),
        "titles": items.titles.tolist(),
        "feature_names": items.feature_names,
        "source": None if log.source is None else log.source.tolist(),
        "purpose_names": log.purpose_names,
    }
    arrays: dict[str, Anys | None] = {
        "texts": np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
        "user": log.user,
        "item": log.item,
        "weight": log.weight,
        "datetime": log.datetime,
        "consent": log.consent,
        "purposes": log.purposes,
        "years": items.years,
        "indices": items.features.indices,
        "indptr": items.features.indptr,
    }
    there = {name: values for name, values in arrays.items() if values is not None}
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **there)


def restore_dataset(path: Path, card: Mapping[str, Any]) -> Dataset | None:
    """Return the dataset that `save` wrote, None if the file is not there, not whole, or holds something else."""
    try:
        arrays = read_npz(path)
        made = _build_dataset(arrays, json.loads(arrays["texts"].tobytes()), card)
        _check_dataset(made)
    except Exception:  # it cannot be read, or holds something else than `save` writes: whatever NumPy raises of that
        return None
    return made


def _check_dataset(made: Dataset) -> None:
    """Refuse columns of unequal length, and codes of users and items that there are not."""
    log, items = made.interactions, made.items
    for codes, ids in ((log.user, log.user_ids), (log.item, log.item_ids)):
        if (
            codes.ndim != 1
            or codes.dtype != np.int32
            or (len(codes) and not 0 <= codes.min() <= codes.max() < len(ids))
        ):
            raise ValueError("codes without an id")
    columns = (log.user, log.item, log.weight, log.datetime, log.source, log.consent, log.purposes)
    sizes = {len(column) for column in columns if column is not None}
    if len(sizes) > 1 or {len(items.titles), len(items.years)} != {len(log.item_ids)}:
        raise ValueError("columns of unequal length")
    if log.purposes is not None and log.purposes.shape[1:] != (len(log.purpose_names),):
        raise ValueError("purposes without a name")


def _build_dataset(arrays: Mapping[str, Anys], texts: Mapping[str, Any], card: Mapping[str, Any]) -> Dataset:
    item_ids, names = make_string_array(texts["item_ids"]), tuple(texts["feature_names"])
    ones = np.ones(len(arrays["indices"]), dtype=np.float32)
    features = Csr((ones, arrays["indices"], arrays["indptr"]), shape=(len(item_ids), len(names)))
    log = Interactions(
        user=arrays["user"],
        item=arrays["item"],
        weight=arrays["weight"],
        datetime=arrays.get("datetime"),
        user_ids=make_string_array(texts["user_ids"]),
        item_ids=item_ids,
        source=None if texts["source"] is None else make_string_array(texts["source"]),
        consent=arrays.get("consent"),
        purposes=arrays.get("purposes"),
        purpose_names=tuple(texts["purpose_names"]),
    )
    items = Items(item_ids, make_string_array(texts["titles"]), features, names, arrays["years"])
    return Dataset(texts["name"], log, items, texts["fingerprint"], card, tuple(texts["notes"]), texts["columns"])
