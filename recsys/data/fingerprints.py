"""Fingerprints of datasets: a checksum of the content, whatever the order of the rows."""

import hashlib
import json
from typing import Any

import numpy as np

from recsys.types import Interactions, Items, RowDescriptions
from recsys.types.arrays import Anys


def compute_fingerprint(log: Interactions, items: Items, described: RowDescriptions | None = None) -> str:
    """Return the SHA-256 of the rows in canonical order, the ids, the catalogue and what rows say of their items.

    The last of these is told where the log has columns by which a filter leaves rows out.
    """
    if log.source is None and log.purposes is None:
        described = None
    texts = [log.user_ids.tolist(), log.item_ids.tolist(), items.titles.tolist(), list(items.feature_names)]
    absent = [log.datetime is None, log.source is None, log.consent is None]
    optional: list[Any] = [] if log.purposes is None else [["purposes", log.purpose_names]]
    if described is not None:
        said = (described.titles, described.years, described.features, described.no_titles, described.words)
        optional.append(["descriptions", *said])
    seen = hashlib.sha256(json.dumps([texts, absent, *optional]).encode())
    rows = [log.consent, log.source, log.weight, log.datetime, log.item, log.user]
    rows = [*(() if log.purposes is None else log.purposes.T), None if described is None else described.row, *rows]
    there = [values for values in rows if values is not None]
    pair = log.user.astype(np.int64) << 32 | log.item
    order = np.argsort(pair, kind="stable")
    if (pair[order][1:] == pair[order][:-1]).any():
        order = np.lexsort(there)
    for values in there:
        if values.dtype.kind == "U":
            seen.update(json.dumps(values[order].tolist()).encode())
        else:
            seen.update(_convert_to_bytes(values[order]))
    for values in (items.years, items.features.indptr, items.features.indices):
        seen.update(_convert_to_bytes(values.astype(np.int64)))
    return seen.hexdigest()


def _convert_to_bytes(values: Anys) -> bytes:
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
