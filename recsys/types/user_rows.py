"""A mark on fields of records: their arrays have a row for each user, and what that row says in plain words."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

_KEY = "user_rows"


def mark_user_rows(meaning: str) -> Mapping[str, Any]:
    """Return the metadata of a field whose array or matrix has a row for each user: `field(metadata=...)`."""
    return {_KEY: meaning}


def iter_user_rows(record: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the meaning and the array of each marked field of a record that is there.

    Names are those of `recsys.support.serialization.flatten_record`.
    """
    if not is_dataclass(record):
        return
    for field in fields(record):
        value, name = getattr(record, field.name), prefix + field.name
        if _KEY in field.metadata and value is not None:
            yield name, field.metadata[_KEY], value
        for place, member in enumerate(value) if isinstance(value, tuple) else ():
            yield from iter_user_rows(member, f"{name}.{place}.")
        yield from iter_user_rows(value, f"{name}.")
