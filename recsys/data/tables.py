"""Tables read from files: delimited text, Parquet, Excel."""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.data.columns import untyped
from recsys.types import RecsysError

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".item")
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_DELIMITERS = ("\t", "::", ",", ";", "|")


@dataclass(frozen=True)
class Form:
    """How a delimited text file is written."""

    names: tuple[str, ...]  # of the columns
    delimiter: str = ","
    encoding: str = "utf-8"
    quotes: bool = True
    header: bool = True  # whether the first line holds names
    several: tuple[str, ...] = ()  # columns whose cells hold several values separated by spaces (RecBole)


def form_of(path: Path) -> Form:
    """Return the form of a delimited file, from its first line: the delimiter that gives most columns.

    A first line of numbers alone is no header: columns are then called "0", "1", ...
    """
    import csv

    with reading(path), path.open("rb") as file:
        start = file.read(1 << 16)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
    line = next(iter(start.decode(encoding, errors="replace").splitlines()), "")
    delimiter = max(_DELIMITERS, key=line.count)
    cells = line.split(delimiter) if len(delimiter) > 1 else next(csv.reader([line], delimiter=delimiter), [])
    if not any(cell.strip() for cell in cells):
        raise RecsysError(f"{path}: the file is empty")
    header = not all(_is_number(cell) for cell in cells)
    names = untyped(cells if header else range(len(cells)))
    several = tuple(name for name, cell in zip(names, cells, strict=True) if cell.endswith(":token_seq"))
    typed = header and names != [cell.strip() for cell in cells]
    return Form(tuple(names), delimiter, encoding, header=header, several=several, quotes=not typed)


def read_delimited(path: Path, form: Form, text: Collection[str] = ()) -> "DataFrame":
    """Return the table in a delimited file; columns in `text` stay as written (ids such as 007)."""
    import csv

    import pandas as pd

    delimiter, content = form.delimiter, path.open("rb")
    with reading(path), content, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        source: Any = content
        if len(delimiter) > 1:
            source = BytesIO(content.read().replace(delimiter.encode(), b"\x1f"))
            delimiter = "\x1f"
        return pd.read_csv(
            source, sep=delimiter, encoding=form.encoding, names=list(form.names), header=0 if form.header else None,
            dtype=dict.fromkeys(text, str), index_col=False, keep_default_na=False, na_values=[""], low_memory=False,
            quoting=csv.QUOTE_MINIMAL if form.quotes else csv.QUOTE_NONE, skipinitialspace=True,
        )  # fmt: skip


def read_parquet(path: Path) -> "DataFrame":
    """Return the table in a Parquet file."""
    import pandas as pd

    with reading(path):
        return pd.read_parquet(path)


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


def read_table(path: Path, text: Callable[[Sequence[str]], Collection[str]]) -> tuple["DataFrame", Form, list[str]]:
    """Return the table in a user's file, its form, and notes; `text` says which columns stay as written.

    Raises:
        RecsysError: if the file is missing, unreadable, empty, or of a kind that is not understood.
    """
    if not path.is_file():
        raise _missing(path)
    suffix = path.suffix.lower()
    if suffix in _BINARY:
        frame = _BINARY[suffix](path)
        return frame, Form(tuple(map(str, frame.columns))), []
    if suffix not in TEXT:
        kinds = ", ".join([*TEXT, *_BINARY])
        raise RecsysError(f"{path}: unknown kind of file '{suffix}' (known: {kinds})")
    form = form_of(path)
    wanted = text(form.names)
    if form.encoding == "utf-8" and not _is_utf8(path):
        form = replace(form, encoding="latin-1")
        return read_delimited(path, form, wanted), form, [f"{path.name} is not UTF-8: read as latin-1"]
    return read_delimited(path, form, wanted), form, []


_BINARY: dict[str, Callable[[Path], "DataFrame"]] = {
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".xlsx": read_excel,
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into one line about `path`."""
    import pandas as pd
    import pyarrow as pa

    try:
        yield
    except RecsysError:
        raise
    except pd.errors.EmptyDataError as error:
        raise RecsysError(f"{path}: the table is empty") from error
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserWarning) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RecsysError(f"{path}: cannot be read: {reason[:200]}") from error


def _missing(path: Path) -> RecsysError:
    if path.is_dir():
        return RecsysError(f"{path}: is a folder, expected a file")
    folder = path.parent
    beside = [one.name for one in folder.iterdir() if one.is_file()] if folder.is_dir() else []
    close = get_close_matches(path.name, beside, n=1, cutoff=0.5)
    hint = f": did you mean '{folder / close[0]}'?" if close else "" if folder.is_dir() else f" (no folder {folder})"
    return RecsysError(f"{path}: no such file{hint}")


def _is_utf8(path: Path) -> bool:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
