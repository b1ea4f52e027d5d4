"""Weights of the history of a request: those that are stored, and those of rows that a request brings."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.types import Context, RecsysError
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.moments import parse_moment
from recsys.types.one_offs import OneOffs
from recsys.types.time_weights import TimeWeights

NO_WEIGHTS = np.zeros(0, np.float32)
NO_CODES = np.zeros(0, np.int32)


def split_dated_rows(place: str, given: Any) -> tuple[list[Any], list[int | None]]:
    """Return items, and the time of each in seconds since 1970, None for an item that comes without one.

    A row is an item, or an item and its datetime, as `parse_moment` takes it.

    Raises:
        RecsysError: naming `place`, if it is no list of such rows.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise RecsysError(f"{place}: found {given!r}, expected a list of items, or of (item, datetime)")
    items, times = list[Any](), list[int | None]()
    for row in given:
        if not isinstance(row, tuple | list):
            items.append(row)
            times.append(None)
            continue
        if len(row) != 2:
            raise RecsysError(f"{place}: found a row of {len(row)} values, expected an item, or (item, datetime)")
        items.append(row[0])
        times.append(None if row[1] is None else parse_moment(f"{place}: datetime", row[1]))
    return items, times


def has_dated_rows(given: Any) -> bool:
    """Whether the first row of a history is an item with a time."""
    return isinstance(given, tuple | list) and len(given) > 0 and isinstance(given[0], tuple | list)


def find_one_offs(context: Context, code: int, history: Ints, own: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the items of a history that are one-offs, and those that would be if they had not come again.

    `rows` are all that came, an item twice that came again.

    `own` are those of `history` that the ranker holds of the user with this code, -1 for nobody known.
    """
    if context.one_offs is None:
        return NO_CODES, NO_CODES
    from recsys.evidence.one_offs import find_request_one_offs  # here: few rankers look for one-offs

    items, counts = np.unique(rows, return_counts=True)
    found = find_request_one_offs(context.one_offs, code, history, own)
    came_again = np.isin(found, items[counts > 1])
    return found[~came_again], found[came_again]


def weigh_request_history(
    context: Context, code: int, history: Ints, own: Ints, dated: Mapping[int, int], one_offs: Ints
) -> Floats:
    """Return how much each item of a history counts, (h,); () where the ranker has neither a half-life nor one-offs.

    `own` are the items, ascending, that the ranker holds of the user with this code: their stored weights hold. An item
    of `dated` counts by its time, seconds since 1970 by item code; all others as of now: 1. Those of `one_offs` count
    less, and no other does that was stored as one.
    """
    decay = context.time_weights
    if decay is None:
        return NO_WEIGHTS
    weights = np.ones(len(history), np.float32)
    if dated:
        places = np.searchsorted(history, list(dated))
        weights[places] = decay.weigh_times(np.array(list(dated.values()), np.float64))
    if len(own):
        weights[np.searchsorted(history, own)] = decay.weights.data[slice(*decay.weights.indptr[code : code + 2])]
    return weights if context.one_offs is None else _weigh_one_offs(context.one_offs, code, history, one_offs, weights)


def _weigh_one_offs(held: OneOffs, code: int, history: Ints, one_offs: Ints, weights: Floats) -> Floats:
    """Return weights in which `one_offs` count less, those that are stored so among them, and all others do not."""
    stored = held.find_items(code) if code >= 0 else NO_CODES
    light, was_light = np.isin(history, one_offs), np.isin(history, stored)
    factors = np.where(light & ~was_light, held.weight, np.where(was_light & ~light, 1.0 / held.weight, 1.0))
    return np.minimum(weights * factors, 1.0).astype(np.float32)


def build_row_weights(context: Context, row: Csr, weights: Floats) -> TimeWeights | None:
    """Return the weights of a request's context, whose only row of positives is `row` (1, I)."""
    decay = context.time_weights
    if decay is None:
        return None
    values = weights if len(weights) == row.nnz else np.ones(row.nnz, np.float32)
    return replace(decay, weights=Csr((values, row.indices, row.indptr), shape=row.shape))
