"""Frozen records as named arrays and back, without a pickle."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from scipy import sparse

from recsys.types.arrays import Anys, Csr
from recsys.types.errors import RecsysError, make_unknown_name_error

R = TypeVar("R")
_CLASS_KEY = "__class__"


def flatten_record(record: Any, prefix: str = "") -> dict[str, Anys]:
    """Return the fields of a dataclass as arrays, nested ones under dotted names.

    Fields are numbers, strings, arrays, CSR matrices, dataclasses of such, tuples of dataclasses, or None. A dataclass
    in a tuple has its number for a name, and the name of its class beside its fields.
    """
    arrays: dict[str, Anys] = {}
    for field in fields(record):
        value, name = getattr(record, field.name), prefix + field.name
        if value is None:
            continue
        if is_dataclass(value):
            arrays |= flatten_record(value, name + ".")
        elif isinstance(value, tuple):
            for i, member in enumerate(value):
                arrays |= {f"{name}.{i}.{_CLASS_KEY}": np.asarray(type(member).__name__)}
                arrays |= flatten_record(member, f"{name}.{i}.")
        elif sparse.issparse(value):
            value = cast(Csr, value)
            parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": value.shape}
            arrays |= {f"{name}.{part}": np.asarray(array) for part, array in parts.items()}
        else:
            arrays[name] = np.asarray(value)
    return arrays


def restore_record(
    kind: type[R], arrays: Mapping[str, Anys], prefix: str = "", kinds: Mapping[str, type[Any]] | None = None
) -> R:
    """Return the record of class `kind` whose arrays `flatten_record` made.

    Members of tuples are of the classes in `kinds`, by name, and of no others.

    Raises:
        RecsysError: if a field is missing, or a member of a tuple is of another class.
    """
    hints = get_type_hints(kind)
    return kind(
        **{
            field.name: _restore_value(hints[field.name], arrays, prefix + field.name, kinds or {})
            for field in fields(kind)  # type: ignore[arg-type]
        }
    )


def _restore_value(hint: Any, arrays: Mapping[str, Anys], name: str, kinds: Mapping[str, type[Any]]) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return restore_record(hint, arrays, name + ".", kinds)
    if get_origin(hint) is tuple:
        return _restore_members(arrays, name, kinds)
    if f"{name}.indptr" in arrays:
        data, indices, indptr, shape = (
            _get_array(arrays, f"{name}.{p}") for p in ("data", "indices", "indptr", "shape")
        )
        return Csr((data, indices, indptr), shape=(int(shape[0]), int(shape[1])))
    if name not in arrays and (hint is NoneType or NoneType in get_args(hint)):
        return None
    array = _get_array(arrays, name)
    value = array if array.ndim else array.item()
    if hint in (bool, int, float, str) and type(value) is not hint and not (hint is float and type(value) is int):
        raise RecsysError(f"'{name}' is a {type(value).__name__}, expected a {hint.__name__}")
    return value


def _restore_members(arrays: Mapping[str, Anys], name: str, kinds: Mapping[str, type[Any]]) -> tuple[Any, ...]:
    found: list[Any] = []
    while f"{name}.{len(found)}.{_CLASS_KEY}" in arrays:
        member = f"{name}.{len(found)}."
        kind = str(arrays[member + _CLASS_KEY])
        if kind not in kinds:
            raise make_unknown_name_error("record", kind, kinds)
        found.append(restore_record(kinds[kind], arrays, member, kinds))
    return tuple(found)


def _get_array(arrays: Mapping[str, Anys], name: str) -> Anys:
    if name not in arrays:
        raise RecsysError(f"'{name}' is missing")
    return arrays[name]
