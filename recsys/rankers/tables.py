"""Derived tables of a ranker: which are stored, and the shape and values that each must have.

Stored are numbers that take long to make, or whose last bits depend on the machine that makes them. Whatever says where
something lies (the region of an item, the items of a feature, the code of an id) is exact and quickly made, so that it
is made anew from maps, histories and the catalogue where a ranker is loaded; so are tables that are not named here.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from recsys.types import Context, RecsysError
from recsys.types.arrays import Anys
from recsys.types.checks import check_array, check_codes, check_finite, check_matrix


class StoredTableRule(NamedTuple):
    """A table that is stored: the shape of each of its parts, by what stands below."""

    name: str  # a regular expression of the whole name
    shapes: tuple[tuple[str, ...], ...]
    kind: str = "dense"  # or "sparse"
    finite: bool = True
    types: str = "f"  # NumPy's kinds


# users, items, regions of all own maps, maps, factors; "*" is any length
STORED_TABLES = (
    StoredTableRule("vectors (cooccurrence|factors|features)", (("items", "*"),)),
    StoredTableRule("gram( of all)?", (("factors", "factors"),)),
    StoredTableRule("neighbourhood", (("users",), ("items", "*"), ("*", "*"), ("*", "regions"), ("maps",)), types="fi"),
    StoredTableRule(r"expected \S+ \S+", (("two", "*", "regions"),)),
    StoredTableRule("usual", ((),)),
    StoredTableRule("usual variety", (("maps of several regions",),)),
    StoredTableRule(r"typical distances .+", ((), ()), finite=False),
    StoredTableRule(r"under-exposed \d+", (("items",),)),
    StoredTableRule("npmi shares", (("items", "items"),), kind="sparse"),
    StoredTableRule(r"shelves .+", (("items", "*"),), kind="sparse"),
)


def find_table_rule(name: str) -> StoredTableRule | None:
    """Return the rule for the table of this name, None for one that is not stored."""
    return next((kept for kept in STORED_TABLES if re.fullmatch(kept.name, name)), None)


def check_tables(context: Context, names: Collection[str]) -> None:
    """Refuse tables of these names, read from a file, that are not those of this context.

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
        "maps of several regions": sum(count > 1 for count in regions),
        "two": 2,
        "*": None,
    }
    for name, table in context.tables.items():
        if name not in names:
            continue
        kept = find_table_rule(name)
        if kept is None:
            raise RecsysError(f"table '{name}' is none that a ranker stores")
        parts = table if isinstance(table, tuple) else (table,)
        if len(parts) != len(kept.shapes):
            raise RecsysError(f"table '{name}' has {len(parts)} parts, expected {len(kept.shapes)}")
        for part, shape in zip(parts, kept.shapes, strict=True):
            _check_part(f"table '{name}'", part, tuple(sizes[size] for size in shape), kept)
        if name == "neighbourhood":
            _check_neighbourhood(parts)
        elif name.startswith("gram"):
            _check_gram(parts[0])
        elif name.startswith("expected "):
            _check_expected(parts[0], len(context.user_ids))


def _check_part(place: str, part: Any, shape: tuple[int | None, ...], kept: StoredTableRule) -> None:
    if kept.kind == "sparse":
        check_matrix(place, part, (shape[0], shape[1]))
        return
    array = np.asarray(part)
    check_array(place, array, shape, kept.types)
    if kept.finite:
        check_finite(place, array)


def _check_neighbourhood(parts: tuple[Anys, ...]) -> None:
    """Refuse communities that are not there."""
    label, axes, places, centres, _ = parts
    check_array("table 'neighbourhood': communities", label, (None,), "i")
    check_codes("table 'neighbourhood': communities", label, 0, len(centres))
    check_array("table 'neighbourhood': places", places, (len(centres), axes.shape[1]))


def _check_gram(gram: Anys) -> None:
    """Refuse a table that does not hold the dot products of the factors."""
    try:
        np.linalg.cholesky(gram + (1e-6 * np.trace(gram) + 1e-30) * np.eye(len(gram)))
    except np.linalg.LinAlgError:
        raise RecsysError("table 'gram' holds no dot products of factors") from None


def _check_expected(table: Anys, users: int) -> None:
    if table.shape[1] not in (0, users):
        raise RecsysError(f"table 'expected' is of {table.shape[1]} users, expected {users} or none")
