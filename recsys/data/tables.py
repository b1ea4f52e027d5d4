"""Tables read from files: delimited text, JSON lines, Parquet, Excel."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recsys.data.archives import refuse_special_file
from recsys.data.contents import COMPRESSION_BY_SUFFIX, check_file, decode_text, read_content, wrap_read_errors
from recsys.data.delimited import parse_delimited
from recsys.data.dialects import convert_escaped_quotes, detect_dialect, sample_lines
from recsys.data.json_lines import read_json_lines
from recsys.data.lists import (
    holds_item_blocks,
    holds_item_lists,
    is_wide_table,
    melt_wide_table,
    read_item_blocks,
    read_item_lists,
    refuse_wide_table,
)
from recsys.data.settings import TableSettings
from recsys.types import RecsysError

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT_SUFFIXES = (
    ".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data", ".inter", ".item", ".base", ".test", ".train", ".rating",
    ".ratings", ".list", ".lst", ".edges", ".log", ".trec", ".run", ".res", "",
)  # fmt: skip
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
NUMERIC_FIELDS = (
    "weight",
    "quantity",
    "datetime",
    "rank",
    "score",
)  # fields that hold numbers where they can be read so
ID_FIELDS = ("user_id", "item_id")

ColumnResolver = Callable[[Sequence[str]], Mapping[str, str]]  # names of the columns -> field -> column


class FileTable(NamedTuple):
    """A table as it is in a file."""

    frame: "DataFrame"
    multi_value_columns: tuple[str, ...] = ()  # columns whose cells hold several values separated by spaces
    notes: tuple[str, ...] = ()
    dialect_summary: str = ""  # how a delimited text is written, in words


def read_table(
    path: Path,
    resolve: ColumnResolver,
    fields: Mapping[str, Sequence[str]],
    settings: TableSettings,
    user_columns: Sequence[object] = (),
) -> FileTable:
    """Return the table in a user's file; `resolve` says which column is which field, ids stay as written.

    Raises:
        RecsysError: if the file is missing, unreadable, empty, or of a kind that is not understood.
    """
    refuse_special_file(path)
    if path.is_dir():
        return FileTable(read_parquet_folder(path))
    check_file(path)
    suffix = path.suffix.lower()
    suffix = Path(path.stem).suffix.lower() if suffix in COMPRESSION_BY_SUFFIX else suffix
    if suffix in (".parquet", ".pq"):
        return FileTable(read_parquet(path))
    if suffix == ".xlsx":
        return FileTable(read_excel(path))
    if suffix not in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
        kinds = ", ".join([*filter(None, TEXT_SUFFIXES), *JSON_SUFFIXES, ".parquet", ".pq", ".xlsx"])
        raise RecsysError(f"{path}: unknown kind of file '{suffix}' (known: {kinds}, packed or not: .gz, .zst, .bz2)")
    data, notes = decode_text(read_content(path), str(path))
    if suffix in JSON_SUFFIXES:
        return FileTable(read_json_lines(data, str(path)), notes=tuple(notes))
    found = read_text_table(data, str(path), resolve, fields, settings, user_columns)
    return found._replace(notes=(*notes, *found.notes))


def read_text_table(
    data: bytes,
    place: str,
    resolve: ColumnResolver,
    fields: Mapping[str, Sequence[str]],
    settings: TableSettings,
    user_columns: Sequence[object] = (),
) -> FileTable:
    """Return the table in a text; its dialect is found out where `settings` do not say it."""
    sample = sample_lines(data)
    if not sample:
        raise RecsysError(f"{place}: the file is empty")
    if settings.lists or (settings.lists is None and holds_item_lists(sample)):
        frame, notes = read_item_lists(data, sample, place, settings, fields)
        return FileTable(frame, (), tuple(notes), "a user and its items on each line")
    if holds_item_blocks(sample):
        frame = read_item_blocks(data, place)
        return FileTable(frame, dialect_summary="blocks of an item and its users")
    data, notes = (data, []) if settings.quotes is False else convert_escaped_quotes(data)
    sample = sample_lines(data)
    dialect = detect_dialect(sample, place, settings, fields, user_columns)
    if "user_id" in fields and not user_columns and is_wide_table(dialect.names):
        refuse_wide_table(dialect.names, place, settings, fields)
        frame, more = parse_delimited(data, dialect, place, settings.quotes, (), ())
        return FileTable(melt_wide_table(frame, place), (), (*notes, *more), "a user and its items in each row")
    found = resolve(dialect.names)
    ids = {found[field] for field in ID_FIELDS if field in found}
    as_written = {"datetime"} if settings.time_format else set()
    as_written |= {*NUMERIC_FIELDS} - {"datetime"} if settings.decimal == "," else set()
    numbers = {found[field] for field in NUMERIC_FIELDS if field in found and field not in as_written} - ids
    frame, more = parse_delimited(data, dialect, place, settings.quotes, ids, sorted(numbers))
    return FileTable(frame, dialect.multi_value_columns, (*notes, *more), dialect.summary)


def read_parquet(path: Path) -> "DataFrame":
    """Return the table in a Parquet file."""
    import pandas as pd

    with wrap_read_errors(path):
        return pd.read_parquet(path)


def read_parquet_folder(folder: Path) -> "DataFrame":
    """Return the table in a folder of Parquet files; folders called `name=value` are columns, their values text."""
    from pyarrow import dataset, schema, string

    files = list_parquet_files(folder)
    named = dict.fromkeys(
        part.partition("=")[0] for one in files for part in one.relative_to(folder).parts[:-1] if "=" in part
    )
    with wrap_read_errors(folder):
        parts = dataset.HivePartitioning(schema([(name, string()) for name in named]))
        whole = dataset.dataset([str(one) for one in files], partitioning=parts, format="parquet")
        frame: DataFrame = whole.to_table().to_pandas()
        return frame


def list_parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder, by name; hidden ones, and what lies in folders whose names begin so, not.

    Raises:
        RecsysError: if there are none, or others.
    """
    files = sorted(one for one in folder.rglob("*") if not _is_hidden(one, folder) and not one.is_dir())
    for one in files:
        refuse_special_file(one)
    if not files or any(one.suffix.lower() not in (".parquet", ".pq") for one in files):
        found = next((one.name for one in files if one.suffix.lower() not in (".parquet", ".pq")), "nothing")
        raise RecsysError(f"{folder}: is a folder, expected a file or a folder of Parquet files (in it: {found})")
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def read_excel(path: Path, sheet: str | None = None) -> "DataFrame":
    """Return one sheet of an Excel file, the first unless named."""
    from importlib.util import find_spec

    import pandas as pd

    from recsys.data.archives import list_archive_members

    if find_spec("python_calamine") is None:
        raise RecsysError(f'{path}: reading Excel files needs pip install "recsys-negspace[excel]"')
    list_archive_members(path)
    with wrap_read_errors(path):
        return pd.read_excel(path, sheet_name=sheet or 0, engine="calamine")
