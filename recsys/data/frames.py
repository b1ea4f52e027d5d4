"""Tables in memory as pandas frames whose columns are named by text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.columns import strip_recbole_types
from recsys.types import RecsysError
from recsys.types.arrays import Anys

if TYPE_CHECKING:
    from pandas import DataFrame, Series

EXPECTED_TABLES = (
    "a path, a pandas, Polars or Arrow table (or another with __arrow_c_stream__), columns by name, a list of rows, "
    "or a sparse matrix"
)
POSITIONAL_FIELDS = ("user_id", "item_id", "weight", "datetime")
_ARROW_METHODS = ("__arrow_c_stream__", "__arrow_c_array__")
_LAZY_METHODS = {
    "collect": "collect()",
    "compute": "compute()",
    "toPandas": "toPandas()",
    "fetch_arrow_table": "fetch_arrow_table()",
}
_LIST_TYPES = (list, tuple, np.ndarray)


def convert_to_frame(table: Any, place: str) -> "DataFrame":
    """Return the table as a pandas frame, its named index levels as columns; rows without names have "0", "1", ...

    Raises:
        RecsysError: if it is no table, its columns differ in length or hold several values in a row, or its rows do
            not go together.
    """
    import pandas as pd

    if isinstance(table, pd.Series):
        table = table.to_frame(table.name if table.name is not None else "weight")
    if isinstance(table, pd.DataFrame):
        return _flatten_names_and_index(table, place)
    if any(hasattr(table, name) for name in _ARROW_METHODS):
        return _flatten_names_and_index(_convert_arrow_table(table, place), place)
    if isinstance(table, np.ndarray):
        return _convert_array(table, place)
    if isinstance(table, Mapping):
        return _convert_columns(table, place)
    if callable(getattr(table, "to_pandas", None)):
        return convert_to_frame(table.to_pandas(), place)
    later = next((name for name in _LAZY_METHODS if callable(getattr(table, name, None))), None)
    if later is not None:
        raise RecsysError(f"{place}: a {type(table).__name__} is no table yet, expected what its {later}() returns")
    if isinstance(table, Iterable) and not isinstance(table, str | bytes | bytearray | set | frozenset):
        return _convert_rows(list(table), place)
    raise RecsysError(f"{place}: found {_describe_value(table)}, expected {EXPECTED_TABLES}")


def name_positional_columns(table: Any, frame: "DataFrame") -> list[str] | None:
    """Return names for the columns of `frame`, made of a `table` of rows without names; None for any other table."""
    import pandas as pd

    unnamed = list(frame.columns) == [str(i) for i in range(len(frame.columns))]
    named = isinstance(table, pd.DataFrame | Mapping) or any(hasattr(table, name) for name in _ARROW_METHODS)
    return (
        list(POSITIONAL_FIELDS[: len(frame.columns)])
        if unnamed and not named and 2 <= len(frame.columns) <= 4
        else None
    )


def _flatten_names_and_index(frame: "DataFrame", place: str) -> "DataFrame":
    """Return the frame with one level of names, and the named levels of its index as columns."""
    if frame.columns.nlevels > 1:
        parts = [[str(part) for part in name if str(part)] for name in frame.columns]
        if any(len(part) != 1 for part in parts):
            raise RecsysError(f"{place}: its columns have {frame.columns.nlevels} levels of names, expected one")
        frame = frame.set_axis([part[0] for part in parts], axis=1)
    index, added = frame.index, 0
    frame = frame.reset_index(drop=True)
    for level, name in enumerate(index.names):
        if name is not None and name not in frame.columns:
            frame.insert(added, name, index.get_level_values(level))
            added += 1
    return frame.set_axis(strip_recbole_types(frame.columns), axis=1)


def _convert_arrow_table(table: Any, place: str) -> "DataFrame":
    import pyarrow as pa

    frame: DataFrame = _convert_arrow_result(lambda: pa.table(table), place)
    return frame


def _convert_arrow_result(make: Callable[[], Any], place: str) -> Any:
    """Return a frame that Arrow made, with whole numbers kept whole beside nulls, and days as times."""
    import pyarrow as pa

    try:
        return make().to_pandas(integer_object_nulls=True, date_as_object=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise RecsysError(f"{place}: cannot be read: {' '.join(str(error).split())[:200]}") from error


def _convert_array(table: Anys, place: str) -> "DataFrame":
    if table.dtype.names is not None and table.ndim == 1:
        return _convert_columns({name: table[name] for name in table.dtype.names}, place)
    if table.ndim != 2:
        raise RecsysError(f"{place}: found an array of shape {table.shape}, expected rows x columns")
    return _convert_columns({str(i): table[:, i] for i in range(table.shape[1])}, place)


def _convert_columns(table: Mapping[Any, Any], place: str) -> "DataFrame":
    import pandas as pd

    names = strip_recbole_types(table)
    columns = [convert_to_column(values, name, place) for name, values in zip(names, table.values(), strict=True)]
    lengths = {len(values) for values in columns}
    if len(lengths) > 1:
        told = ", ".join(f"{name} {len(values):,}" for name, values in zip(names[:5], columns, strict=False))
        raise RecsysError(f"{place}: columns differ in length ({told}), expected one value of each in every row")
    frame = pd.DataFrame(dict(enumerate(columns)))
    return frame.set_axis(names, axis=1)


def convert_to_column(values: Any, name: str, place: str) -> "Series[Any]":
    """Return one column, by position: whatever index it has does not count."""
    import pandas as pd

    if isinstance(values, pd.Series | pd.Index):
        return pd.Series(values).reset_index(drop=True)
    if any(hasattr(values, one) for one in _ARROW_METHODS):
        import pyarrow as pa

        make = pa.chunked_array if hasattr(values, _ARROW_METHODS[0]) else pa.array
        return pd.Series(_convert_arrow_result(lambda: make(values), f"{place}: {name}"))
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values), values.data.astype(object)
        values[mask] = None
    if hasattr(values, "__array__") and not isinstance(values, np.generic):
        values = np.asarray(values)
        if values.ndim != 1:
            raise RecsysError(f"{place}: {name} has the shape {values.shape}, expected one value in each row")
        return pd.Series(values)
    if isinstance(values, str | bytes | Mapping | set | frozenset) or not isinstance(values, Iterable):
        raise RecsysError(f"{place}: {name} is {_describe_value(values)}, expected a list with one value in each row")
    column = pd.Series(list(values), dtype=object)
    check_text(column, place, name)
    found = column.infer_objects()  # whole numbers beside a missing value become floats
    large = found.dtype.kind == "f" and any(isinstance(value, int) and abs(value) > 2**53 for value in column)
    return column if large else found


def _convert_rows(rows: Sequence[Any], place: str) -> "DataFrame":
    import pandas as pd

    if not rows:
        raise RecsysError(f"{place}: the table is empty")
    tables = [
        row for row in rows if isinstance(row, pd.DataFrame) or any(hasattr(row, name) for name in _ARROW_METHODS)
    ]
    if tables:
        return _concat_parts(rows, place)
    named = [
        dict(zip(row.keys(), row, strict=True)) if not isinstance(row, Mapping) else row
        for row in rows
        if hasattr(row, "keys")
    ]
    if len(named) == len(rows):
        names = dict.fromkeys(name for row in named for name in row)
        return _convert_columns({name: [row.get(name) for row in named] for name in names}, place)
    for i, row in enumerate(rows):
        if hasattr(row, "keys") or not isinstance(row, Sequence | np.ndarray) or isinstance(row, str | bytes):
            expected = "a tuple with one value per column, or a dict, as all others"
            raise RecsysError(f"{place}: row {i + 1} is {_describe_value(row)}, expected {expected}")
        if len(row) != len(rows[0]):
            raise RecsysError(f"{place}: row {i + 1} has {len(row)} values, expected {len(rows[0])} as in row 1")
    fields = getattr(rows[0], "_fields", range(len(rows[0])))
    return _convert_columns({str(name): [row[i] for row in rows] for i, name in enumerate(fields)}, place)


def _concat_parts(parts: Iterable[Any], place: str) -> "DataFrame":
    """Return tables of the same columns, one below the other."""
    import pandas as pd

    frames = [convert_to_frame(part, place) for part in parts]
    for i, frame in enumerate(frames):
        if list(frame.columns) != list(frames[0].columns):
            raise RecsysError(f"{place}: part {i + 1} has other columns than part 1, expected the same in all of them")
    return pd.concat(frames, ignore_index=True)


def check_cells(values: "Series[Any]", place: str) -> "Series[Any]":
    """Return a column whose rows hold one value each, bytes as the text that they are.

    Raises:
        RecsysError: if a row holds several values, or an object that is no value.
    """
    if values.dtype.kind == "c":
        raise RecsysError(f"{place}: {values.name} holds complex numbers, expected one value in each row")
    if values.dtype != object:
        return values
    kinds = set(map(type, values))
    for kind in kinds:
        if issubclass(kind, _LIST_TYPES):
            raise RecsysError(f"{place}: {values.name} holds lists, expected one value in each row")
        nameless = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
        if nameless or (hasattr(kind, "__iter__") and not issubclass(kind, str | bytes | bytearray)):
            raise RecsysError(f"{place}: {values.name} holds {kind.__name__} objects, expected one value in each row")
    check_text(values, place, str(values.name))
    return values.map(_decode_bytes) if kinds & {bytes, bytearray} else values


def check_text(values: "Series[Any]", place: str, name: str) -> None:
    """Refuse text that no file can hold."""
    try:
        "".join(value for value in values if isinstance(value, str)).encode()
    except UnicodeEncodeError as error:
        found = error.object[error.start : error.end]
        raise RecsysError(f"{place}: {name} holds {found!r}, expected text that UTF-8 can say") from None


def _decode_bytes(value: Any) -> Any:
    return bytes(value).decode("utf-8", errors="replace") if isinstance(value, bytes | bytearray) else value


def _describe_value(value: object) -> str:
    return f"{value!r}"[:40] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
