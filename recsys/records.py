"""Frozen records as named arrays and back: what the cache keeps, without a pickle."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np
from scipy import sparse

from recsys.types.arrays import Anys, Csr

R = TypeVar("R")


def flatten(record: Any, prefix: str = "") -> dict[str, Anys]:
    """Return the fields of a dataclass as arrays, nested ones under dotted names.

    Fields are numbers, strings, arrays, CSR matrices, dataclasses of such, or None.
    """
    arrays: dict[str, Anys] = {}
    for field in fields(record):
        value, name = getattr(record, field.name), prefix + field.name
        if value is None:
            continue
        if is_dataclass(value):
            arrays |= flatten(value, name + ".")
        elif sparse.issparse(value):
            value = cast(Csr, value)
            parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": value.shape}
            arrays |= {f"{name}.{part}": np.asarray(array) for part, array in parts.items()}
        else:
            arrays[name] = np.asarray(value)
    return arrays


def restore(kind: type[R], arrays: dict[str, Anys], prefix: str = "") -> R:
    """Return the record of class `kind` that `flatten` made `arrays` from."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        hint, name = hints[field.name], prefix + field.name
        if isinstance(hint, type) and is_dataclass(hint):
            values[field.name] = restore(hint, arrays, name + ".")
        elif f"{name}.indptr" in arrays:
            data, indices, indptr, shape = (arrays[f"{name}.{p}"] for p in ("data", "indices", "indptr", "shape"))
            values[field.name] = Csr((data, indices, indptr), shape=(int(shape[0]), int(shape[1])))
        elif name in arrays:
            values[field.name] = arrays[name] if arrays[name].ndim else arrays[name].item()
        else:
            values[field.name] = None
    return kind(**values)
