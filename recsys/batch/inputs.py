"""Files of users and of candidates, read by ranges of rows."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recsys.batch.columns import FIELDS, resolve_batch_columns
from recsys.data.contents import check_file, decode_text, read_content, wrap_read_errors
from recsys.data.mapped_tables import read_mapped_file
from recsys.data.parsing import parse_numbers, refuse_bad_rows
from recsys.data.tables import list_parquet_files
from recsys.rankers import Ranker
from recsys.types import RecsysError

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import Series

BATCH_ROWS = 8192
_CHUNK = 1 << 20  # bytes that are hashed at once
_MOST = 2.0**53  # whole numbers up to here are exact in 64 bits of a float
_PARQUET = (".parquet", ".pq")


class BatchInput(Protocol):
    """Rows of requests."""

    @property
    def place(self) -> str:
        """What it is called in errors."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""

    @property
    def columns(self) -> dict[str, str]:
        """Which column is which field."""

    def iter_rows(self, start: int, stop: int | None, columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Yield some columns of the rows from `start` up to `stop`, None for the end."""


@dataclass(frozen=True, eq=False)
class TableInput:
    """A table in memory."""

    table: Any
    place: str
    files: tuple[Path, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Which column is which field."""
        return resolve_batch_columns(self.table.schema, self.place)

    def iter_rows(self, start: int, stop: int | None, columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Yield some columns of the rows from `start` up to `stop`, None for the end."""
        part = self.table.select(list(columns)).slice(start, None if stop is None else stop - start)
        yield from part.to_batches(max_chunksize=BATCH_ROWS)


@dataclass(frozen=True, eq=False)
class ParquetInput:
    """Parquet files, of which no more is held than a group of rows."""

    files: tuple[Path, ...]
    place: str

    @property
    def columns(self) -> dict[str, str]:
        """Which column is which field."""
        from pyarrow import parquet

        with wrap_read_errors(self.files[0]):
            return resolve_batch_columns(parquet.read_schema(self.files[0]), self.place)

    def iter_rows(self, start: int, stop: int | None, columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Yield some columns of the rows from `start` up to `stop`, None for the end.

        Raises:
            RecsysError: for a file that is damaged, or has other columns than the first.
        """
        from pyarrow import parquet

        at, told = 0, self.columns
        for path in self.files:
            with wrap_read_errors(path), parquet.ParquetFile(path, page_checksum_verification=True) as file:
                missing = [name for name in columns if name not in file.schema_arrow.names]
                if missing:
                    raise RecsysError(f"{path}: has no column {missing[0]!r}, which {self.files[0].name} has")
                for field, name in resolve_batch_columns(file.schema_arrow, str(path)).items():
                    if field not in told:
                        raise RecsysError(f"{path}: has a column {name!r}, which {self.files[0].name} has not")
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if at + rows <= start or (stop is not None and at >= stop):
                        at += rows
                        continue
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns)):
                        low = max(start - at, 0)
                        high = batch.num_rows if stop is None else min(stop - at, batch.num_rows)
                        at += batch.num_rows
                        if low < high:
                            yield batch.slice(low, high - low)


def open_users(ranker: Ranker, path: Path | None) -> BatchInput:
    """Return the users in a file: Parquet, a table as text, or one id on each line; None for all of the ranker.

    Raises:
        RecsysError: for a file that cannot be read, or has candidates.
    """
    import pyarrow as pa

    if path is None:
        return TableInput(pa.table({"user": pa.array(list(ranker.known_users), pa.string())}), "ranker")
    if path.is_dir() or path.suffix.lower() in _PARQUET:
        found: BatchInput = open_parquet(path)
    else:
        check_file(path)
        found = TableInput(_read_users_of_text(path), str(path), (path,))
    if "item" in found.columns:
        raise RecsysError(f"{path}: has items and scores, expected users: candidates are read by --candidates")
    return found


def open_candidates(path: Path) -> BatchInput:
    """Return the candidates in a Parquet file, or a folder of them, in the order of their names.

    Raises:
        RecsysError: for other files, or ones without users, items and scores.
    """
    found = open_parquet(path)
    if "score" not in found.columns:
        raise RecsysError(f"{path}: has no column for score, expected user, item and score in each row")
    return found


def open_parquet(path: Path) -> ParquetInput:
    """Return a Parquet file, or those of a folder.

    Raises:
        RecsysError: if there are none.
    """
    if path.is_dir():
        return ParquetInput(tuple(list_parquet_files(path)), str(path))
    check_file(path)
    if path.suffix.lower() not in _PARQUET:
        raise RecsysError(f"{path}: is no Parquet file, expected .parquet, or a folder of such files")
    return ParquetInput((path,), str(path))


def _read_users_of_text(path: Path) -> "pa.Table":
    """Return the users of a text: its first column if a header does not name another, and k where it has one."""
    import pyarrow as pa

    if path.suffix.lower() in (".txt", ""):
        text, _ = decode_text(read_content(path), str(path))
        lines = text.decode().splitlines() if isinstance(text, bytes) else text.splitlines()
        names = [one.strip() for one in lines if one.strip()]
        if not names:
            raise RecsysError(f"{path}: the file is empty")
        return pa.table({"user": pa.array(names, pa.string())})
    table = read_mapped_file(path, {field: FIELDS[field] for field in ("user", "k")}, ["user"])
    frame = table.frame[list(table.columns.values())].rename(columns={v: k for k, v in table.columns.items()})
    columns = {"user": pa.array(frame["user"].astype(str), pa.string())}
    if "k" in frame:
        columns["k"] = _parse_sizes(frame["k"], path)
    return pa.table(columns)


def _parse_sizes(values: "Series[Any]", path: Path) -> "pa.Array":
    """Return the k of each row of a text, null where none is said."""
    import pyarrow as pa

    none = values.isna().to_numpy(bool) | (values.astype(str).str.strip() == "").to_numpy(bool)
    found = parse_numbers(values)
    is_whole = np.isfinite(found) & (found == np.floor(found)) & (np.abs(found) < _MOST)
    refuse_bad_rows(~none & ~is_whole, values, np.arange(len(values)), str(path), "a whole number")
    return pa.array(np.where(none, 0, found).astype(np.int64), pa.int64(), mask=none)


def fingerprint_files(role: str, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return name, size and SHA-256 of files, and what they are for.

    Raises:
        RecsysError: if one cannot be read.
    """
    return [{"role": role, "name": path.name, **hash_file(path)} for path in files]


def hash_file(path: Path) -> dict[str, Any]:
    """Return the size of a file in bytes and its SHA-256.

    Raises:
        RecsysError: if it cannot be read.
    """
    told, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                told.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise RecsysError(f"{path}: cannot be read: {error.strerror or error}") from None
    return {"bytes": size, "sha256": told.hexdigest()}
