"""Columns of the record batches: which are read as what, and those that are written."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recsys.data.columns import ITEM_ALIASES, USER_ALIASES, resolve_columns
from recsys.types import RecsysError
from recsys.types.errors import rephrase_setting_errors

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = "batch"
OWN_FIELDS = (
    "history",
    "more",
    "dislikes",
    "region_answers",
    "shown",
    "weights",
    "k",
)  # what a request brings, each optional
FIELDS: Mapping[str, Sequence[str]] = {
    "user": USER_ALIASES,
    "item": ITEM_ALIASES,
    "score": ("score", "prediction"),
    **{name: (name,) for name in OWN_FIELDS},
}
LISTS = ("history", "more", "dislikes", "shown")
NUMBERS = ("score", "weight", "rank")


def resolve_batch_columns(schema: "pa.Schema", place: str = PLACE) -> dict[str, str]:
    """Return which column is which field; with `item` and `score` the rows are candidates.

    Raises:
        RecsysError: without users, for scores without items, and for a column of another type than its field has.
    """
    with rephrase_setting_errors("table"):
        found = resolve_columns(schema.names, FIELDS, ["user"], place)
    if "score" in found and "item" not in found:
        raise RecsysError(f"{place}: has scores and no items, expected both for candidates, or neither")
    if "score" in found and "region_answers" in found:
        raise RecsysError(f"{place}: has scores and region_answers, which change scores alone, expected one of them")
    if "score" not in found:
        found.pop("item", None)
    for field, column in found.items():
        check_column_type(field, schema.field(column).type, f"{place}: column {column!r}")
    return found


def check_column_type(field: str, kind: "pa.DataType", place: str) -> None:
    """Refuse a column of another type than its field has.

    Raises:
        RecsysError: naming `place`.
    """
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if field in LISTS:
        is_right, expected = lists, "a list"
    elif field == "weights":
        is_right, expected = pa.types.is_map(kind) or pa.types.is_struct(kind), "a map or a struct of factors"
    elif field == "region_answers":
        is_right, expected = pa.types.is_map(kind) or pa.types.is_struct(kind), "a map or a struct of answers"
    elif field == "k":
        is_right, expected = pa.types.is_integer(kind), "whole numbers"
    elif field in NUMBERS:
        numbers = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
        is_right, expected = numbers, "numbers"
    else:
        is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
        is_right, expected = not (is_bytes or pa.types.is_nested(kind)), "ids: text or numbers"
    if not is_right and not pa.types.is_null(kind):
        raise RecsysError(f"{place} is of type {kind}, expected {expected}")


def make_output_schema(objectives: Sequence[str] = ()) -> "pa.Schema":
    """Return the schema of what is written; `objectives` are those whose contributions are."""
    return _make_output_schema(tuple(objectives))


@lru_cache(16)
def _make_output_schema(objectives: tuple[str, ...]) -> Any:
    import pyarrow as pa

    columns = [
        pa.field("user", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("base_rank", pa.int32(), nullable=False),
        pa.field("log_propensity", pa.float32()),
        pa.field("notes", pa.list_(pa.string()), nullable=False),
        pa.field("policy", pa.string(), nullable=False),
    ]
    return pa.schema([*columns, *(pa.field(f"contribution_{name}", pa.float32()) for name in objectives)])
