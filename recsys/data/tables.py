"""Tables read from files: delimited text, JSON lines, Parquet, Excel."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recsys.data.archives import refuse_special
from recsys.data.contents import COMPRESSED, check_file, decode, read_content, reading
from recsys.data.delimited import parse
from recsys.data.dialects import sample_of, settle, unescape
from recsys.data.json_lines import read_json_lines
from recsys.data.lists import are_blocks, are_lists, melt, read_blocks, read_lists, refuse_wide, wide
from recsys.data.settings import TableSettings
from recsys.types import RecsysError

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT = (
    ".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data", ".inter", ".item", ".base", ".test", ".train", ".rating",
    ".ratings", ".list", ".lst", ".edges", ".log", ".trec", ".run", ".res", "",
)  # fmt: skip
JSON = (".jsonl", ".ndjson", ".json")
NUMERIC = ("weight", "quantity", "datetime", "rank", "score")  # fields that hold numbers where they can be read so
IDS = ("user_id", "item_id")

Resolve = Callable[[Sequence[str]], Mapping[str, str]]  # names of the columns -> field -> column


class Found(NamedTuple):
    """A table as it is in a file."""

    frame: "DataFrame"
    several: tuple[str, ...] = ()  # columns whose cells hold several values separated by spaces
    notes: tuple[str, ...] = ()
    dialect: str = ""  # how a delimited text is written, in words


def read_table(
    path: Path,
    resolve: Resolve,
    fields: Mapping[str, Sequence[str]],
    settings: TableSettings,
    called: Sequence[object] = (),
) -> Found:
    """Return the table in a user's file; `resolve` says which column is which field, ids stay as written.

    Raises:
        RecsysError: if the file is missing, unreadable, empty, or of a kind that is not understood.
    """
    refuse_special(path)
    if path.is_dir():
        return Found(read_parquet_folder(path))
    check_file(path)
    suffix = path.suffix.lower()
    suffix = Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix
    if suffix in (".parquet", ".pq"):
        return Found(read_parquet(path))
    if suffix == ".xlsx":
        return Found(read_excel(path))
    if suffix not in (*TEXT, *JSON):
        kinds = ", ".join([*filter(None, TEXT), *JSON, ".parquet", ".pq", ".xlsx"])
        raise RecsysError(f"{path}: unknown kind of file '{suffix}' (known: {kinds}, packed or not: .gz, .zst, .bz2)")
    data, notes = decode(read_content(path), str(path))
    if suffix in JSON:
        return Found(read_json_lines(data, str(path)), notes=tuple(notes))
    found = read_text(data, str(path), resolve, fields, settings, called)
    return found._replace(notes=(*notes, *found.notes))


def read_text(
    data: bytes,
    place: str,
    resolve: Resolve,
    fields: Mapping[str, Sequence[str]],
    settings: TableSettings,
    called: Sequence[object] = (),
) -> Found:
    """Return the table in a text; its dialect is found out where `settings` do not say it."""
    sample = sample_of(data)
    if not sample:
        raise RecsysError(f"{place}: the file is empty")
    if settings.lists or (settings.lists is None and are_lists(sample)):
        frame, notes = read_lists(data, sample, place, settings, fields)
        return Found(frame, (), tuple(notes), "a user and its items on each line")
    if are_blocks(sample):
        frame = read_blocks(data, place)
        return Found(frame, dialect="blocks of an item and its users")
    data, notes = (data, []) if settings.quotes is False else unescape(data)
    sample = sample_of(data)
    dialect = settle(sample, place, settings, fields, called)
    if "user_id" in fields and not called and wide(dialect.names):
        refuse_wide(dialect.names, place, settings, fields)
        frame, more = parse(data, dialect, place, settings.quotes, (), ())
        return Found(melt(frame, place), (), (*notes, *more), "a user and its items in each row")
    found = resolve(dialect.names)
    ids = {found[field] for field in IDS if field in found}
    as_written = {"datetime"} if settings.time_format else set()
    as_written |= {*NUMERIC} - {"datetime"} if settings.decimal == "," else set()
    numbers = {found[field] for field in NUMERIC if field in found and field not in as_written} - ids
    frame, more = parse(data, dialect, place, settings.quotes, ids, sorted(numbers))
    return Found(frame, dialect.several, (*notes, *more), dialect.told)


def read_parquet(path: Path) -> "DataFrame":
    """Return the table in a Parquet file."""
    import pandas as pd

    with reading(path):
        return pd.read_parquet(path)


def read_parquet_folder(folder: Path) -> "DataFrame":
    """Return the table in a folder of Parquet files; folders called `name=value` are columns, their values text."""
    from pyarrow import dataset, schema, string

    files = sorted(one for one in folder.rglob("*") if not _hidden(one, folder) and not one.is_dir())
    for one in files:
        refuse_special(one)
    if not files or any(one.suffix.lower() not in (".parquet", ".pq") for one in files):
        found = next((one.name for one in files if one.suffix.lower() not in (".parquet", ".pq")), "nothing")
        raise RecsysError(f"{folder}: is a folder, expected a file or a folder of Parquet files (in it: {found})")
    named = dict.fromkeys(
        part.partition("=")[0] for one in files for part in one.relative_to(folder).parts[:-1] if "=" in part
    )
    with reading(folder):
        parts = dataset.HivePartitioning(schema([(name, string()) for name in named]))
        whole = dataset.dataset([str(one) for one in files], partitioning=parts, format="parquet")
        frame: DataFrame = whole.to_table().to_pandas()
        return frame


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def read_excel(path: Path, sheet: str | None = None) -> "DataFrame":
    """Return one sheet of an Excel file, the first unless named."""
    from importlib.util import find_spec

    import pandas as pd

    from recsys.data.archives import inspect

    if find_spec("python_calamine") is None:
        raise RecsysError(f'{path}: reading Excel files needs pip install "recsys-negspace[excel]"')
    inspect(path)
    with reading(path):
        return pd.read_excel(path, sheet_name=sheet or 0, engine="calamine")
