"""Kinds of events in a log: which of them count, and how much."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.data.identifiers import encode_ids, normalize_id
from recsys.data.mapped_tables import MappedTable
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.arrays import Bools, Floats, Ints
from recsys.types.numbers import convert_to_float

MAX_WEIGHT = float(np.finfo(np.float32).max)
WEIGHT_FIELDS = ("weight", "quantity")


def parse_event_weights(events: Any, place: str) -> dict[str, float]:
    """Return the weight of each event, by its name.

    Raises:
        RecsysError: if it is no mapping, or a weight is no finite number.
    """
    if not isinstance(events, Mapping) or not events:
        raise RecsysError(
            f'{place}: events: found {events!r}, expected weights such as {{"transaction": 4, "view": 1}}'
        )
    weights = {}
    for name, weight in events.items():
        number = convert_to_float(weight)
        if number is None or abs(number) > MAX_WEIGHT:
            raise RecsysError(f"{place}: events: {normalize_id(name)} is {weight!r}, expected a finite number")
        weights[normalize_id(name)] = number
    return weights


def weigh_events(table: MappedTable, events: Mapping[str, float]) -> tuple[Floats, str]:
    """Return the weight of each row by its event, (R,), NaN for events that are not in `events`, and these events.

    Raises:
        RecsysError: for an event that the table does not have.
    """
    codes, names = encode_ids(table.frame[table.columns["event"]])
    for name in events:
        if name not in names:
            raise make_unknown_name_error("event", name, names.tolist(), where=f"{table.place}: events")
    weights = np.array([*(events.get(name, np.nan) for name in names.tolist()), np.nan], dtype=np.float32)
    return weights[codes], _format_event_counts(codes, [None if name in events else name for name in names.tolist()])


def drop_weight_columns(table: MappedTable) -> tuple[MappedTable, list[str]]:
    """Return the table without its column of weights where events give the weights, and a note."""
    columns = {field: column for field, column in table.columns.items() if field not in WEIGHT_FIELDS}
    unused = [table.columns[field] for field in WEIGHT_FIELDS if field in table.columns]
    notes = [f"weights are those of events: column {' and '.join(unused)} is not used"] if unused else []
    return replace(table, columns=columns), notes


def find_returns(table: MappedTable) -> Bools:
    """Return which rows have a negative quantity, (R,)."""
    import pandas as pd

    if "quantity" not in table.columns:
        return np.zeros(len(table.frame), dtype=bool)
    values = pd.to_numeric(table.frame[table.columns["quantity"]], errors="coerce")
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan) < 0)


def describe_unweighted_events(table: MappedTable) -> list[str]:
    """Return a note where a table has several events and no weights, so that all count the same."""
    if "event" not in table.columns or any(field in table.columns for field in WEIGHT_FIELDS):
        return []
    codes, names = encode_ids(table.frame[table.columns["event"]])
    if len(names) < 2:
        return []
    told = _format_event_counts(codes, names.tolist())
    return [f"all events of column {table.columns['event']} weigh alike ({told}): events = {{...}} chooses and weighs"]


def _format_event_counts(codes: Ints, names: list[str | None]) -> str:
    """Return the names that are not None with how many rows each has, most first, six at most."""
    rows = np.bincount(codes[codes >= 0], minlength=len(names))
    found = sorted(((-int(n), name) for n, name in zip(rows, names, strict=True) if name is not None))
    found += [(-int((codes < 0).sum()), "none")] if (codes < 0).any() else []
    return ", ".join(f"{name} {-n:,}" for n, name in found[:6]) + (", ..." if len(found) > 6 else "")
