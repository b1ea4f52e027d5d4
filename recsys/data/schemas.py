"""Checks of what stands in a card: every key known, every value of its type."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from recsys.types import RecsysError, make_unknown_name_error

T = TypeVar("T")


def validate_record(kind: type[T], content: Mapping[str, Any], place: str) -> T:
    """Return the record `kind` made of `content`.

    Raises:
        RecsysError: one line with the first key that is unknown (and the nearest one), missing, or of a wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] == "unexpected_keyword_argument":
            where = f"{place}: {'.'.join(path[:-1])}" if path[:-1] else place
            raise make_unknown_name_error("key", path[-1], _list_record_keys(kind, path[:-1]), where) from error
        found = "" if first["type"] == "missing" else f", found {first['input']!r:.60}"
        raise RecsysError(f"{place}: {'.'.join(path)}: {first['msg']}{found}") from error


def _list_record_keys(kind: Any, path: Sequence[str]) -> tuple[str, ...]:
    for part in path:
        inner = get_type_hints(kind).get(part, kind)  # the key of a mapping is no field
        kind = next((one for one in (inner, *get_args(inner)) if dataclasses.is_dataclass(one)), kind)
    return tuple(one.name for one in dataclasses.fields(kind))
