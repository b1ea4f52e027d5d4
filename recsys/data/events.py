"""Kinds of events in a log: which of them count, and how much."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.data.identifiers import coded, name_of
from recsys.data.sheets import Sheet
from recsys.types import RecsysError, unknown
from recsys.types.arrays import Bools, Floats, Ints
from recsys.types.numbers import plain

LARGEST = float(np.finfo(np.float32).max)
STRENGTHS = ("weight", "quantity")


def check_events(events: Any, place: str) -> dict[str, float]:
    """Return the weight of each event, by its name.

    Raises:
        RecsysError: if it is no mapping, or a weight is no finite number.
    """
    if not isinstance(events, Mapping) or not events:
        raise RecsysError(
            f'{place}: events: found {events!r}, expected weights such as {{"transaction": 4, "view": 1}}'
        )
    weights = {name_of(name): plain(weight) for name, weight in events.items()}
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= LARGEST:
            raise RecsysError(f"{place}: events: {name} is {weight!r}, expected a finite number")
    return {name: float(weight) for name, weight in weights.items()}


def weigh_events(sheet: Sheet, events: Mapping[str, float]) -> tuple[Floats, str]:
    """Return the weight of each row by its event, (R,), NaN where the event is not among `events`, and what those are.

    Raises:
        RecsysError: for an event that the table does not have.
    """
    codes, names = coded(sheet.frame[sheet.columns["event"]])
    for name in events:
        if name not in names:
            raise unknown("event", name, names.tolist(), where=f"{sheet.place}: events")
    weights = np.array([*(events.get(name, np.nan) for name in names.tolist()), np.nan], dtype=np.float32)
    return weights[codes], _told(codes, [None if name in events else name for name in names.tolist()])


def without_strength(sheet: Sheet) -> tuple[Sheet, list[str]]:
    """Return the sheet without its column of weights, where those of events stand in its place, and a note."""
    columns = {field: column for field, column in sheet.columns.items() if field not in STRENGTHS}
    unused = [sheet.columns[field] for field in STRENGTHS if field in sheet.columns]
    notes = [f"weights are those of events: column {' and '.join(unused)} is not used"] if unused else []
    return replace(sheet, columns=columns), notes


def are_returns(sheet: Sheet) -> Bools:
    """Return which rows have a negative quantity, (R,)."""
    import pandas as pd

    if "quantity" not in sheet.columns:
        return np.zeros(len(sheet.frame), dtype=bool)
    values = pd.to_numeric(sheet.frame[sheet.columns["quantity"]], errors="coerce")
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan) < 0)


def describe_events(sheet: Sheet) -> list[str]:
    """Return a note where a table has several events and no weights: then all of them weigh alike."""
    if "event" not in sheet.columns or any(field in sheet.columns for field in STRENGTHS):
        return []
    codes, names = coded(sheet.frame[sheet.columns["event"]])
    if len(names) < 2:
        return []
    told = _told(codes, names.tolist())
    return [f"all events of column {sheet.columns['event']} weigh alike ({told}): events = {{...}} chooses and weighs"]


def _told(codes: Ints, names: list[str | None]) -> str:
    """Return the names that are not None with how many rows each has, most first, six at most."""
    rows = np.bincount(codes[codes >= 0], minlength=len(names))
    found = sorted(((-int(n), name) for n, name in zip(rows, names, strict=True) if name is not None))
    found += [(-int((codes < 0).sum()), "none")] if (codes < 0).any() else []
    return ", ".join(f"{name} {-n:,}" for n, name in found[:6]) + (", ..." if len(found) > 6 else "")
