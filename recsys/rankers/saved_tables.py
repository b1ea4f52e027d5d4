"""Derived tables that a ranker saves, and those that have rows of users: `recsys.objectives.derived_tables` says."""

from collections.abc import Collection
from typing import Any

import numpy as np

from recsys.objectives.derived_tables import TABLES, Saved, TableKey
from recsys.types import Context, RecsysError
from recsys.types.checks import check_array, check_finite, check_matrix


def list_saved_tables(context: Context) -> list[tuple[TableKey, Any]]:
    """Return the tables of a context that a ranker saves, of those that are there, in the order of their keys."""
    there = [(key, value) for key, value in context.tables.items() if isinstance(key, TableKey)]
    return sorted(((key, value) for key, value in there if TABLES[key.name].saved), key=lambda pair: pair[0])


def list_user_tables(context: Context) -> list[tuple[TableKey, Any]]:
    """Return the tables of a context that have a row or column of a user, saved or not, of those that are there."""
    there = [(key, value) for key, value in context.tables.items() if isinstance(key, TableKey)]
    return sorted(((key, value) for key, value in there if TABLES[key.name].user_row), key=lambda pair: pair[0])


def check_saved_tables(context: Context, keys: Collection[TableKey]) -> None:
    """Refuse tables of these keys, read from a file, that are not those of this context.

    Raises:
        RecsysError: naming the table.
    """
    regions = [taste_map.assignment.shape[1] for taste_map in context.maps]
    factors = context.factors
    sizes: dict[str, int | None] = {
        "users": len(context.user_ids),
        "items": len(context.item_ids),
        "regions": sum(regions),
        "maps": len(regions),
        "factors": None if factors is None else factors.item_factors.shape[1],
        "varied maps": sum(count > 1 for count in regions),
        "2": 2,
        "users or 0": None,  # which of both, the check of the table says
        "accounts": None,
        "*": None,
    }
    there = dict(context.tables.items())
    for key in keys:
        place = f"table '{key.name} {key.settings}'" if key.settings else f"table '{key.name}'"
        saved = TABLES[key.name].saved if key.name in TABLES else None
        if saved is None:
            raise RecsysError(f"{place} is none that a ranker saves")
        value = there[key]
        parts = value if isinstance(value, tuple) else (value,)
        if len(parts) != len(saved.shapes):
            raise RecsysError(f"{place} has {len(parts)} parts, expected {len(saved.shapes)}")
        for part, shape in zip(parts, saved.shapes, strict=True):
            _check_part(place, part, tuple(sizes[size] for size in shape), saved)
        if saved.check is not None:
            try:
                saved.check(parts, sizes)
            except RecsysError as error:
                raise RecsysError(f"{place}: {error}") from None


def _check_part(place: str, part: Any, shape: tuple[int | None, ...], saved: Saved) -> None:
    if saved.sparse:
        check_matrix(place, part, (shape[0], shape[1]))
        return
    array = np.asarray(part)
    check_array(place, array, shape, saved.kinds)
    if saved.finite:
        check_finite(place, array)
