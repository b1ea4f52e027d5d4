"""Requests in record batches: one of each row of users, or of all rows of a user of candidates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.batch.columns import OWN_FIELDS, PLACE, resolve_batch_columns
from recsys.data.columns import ITEM_ALIASES, TIME_ALIASES, resolve_columns
from recsys.data.identifiers import normalize_id
from recsys.types import RecsysError
from recsys.types.arrays import Anys

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 2048  # requests that are answered together, at most


class BatchRequest(NamedTuple):
    """Who asks, and what the request brings; None for what it does not bring."""

    user: str
    history: list[Any] | None = None
    more: list[Any] | None = None
    dislikes: list[Any] | None = None
    region_answers: dict[str, str] | None = None
    shown: list[Any] | None = None
    weights: dict[str, float] | None = None
    k: int | None = None
    items: list[Any] | None = None  # candidates, and
    scores: Anys | None = None  # (N,) the score of each

    @property
    def likes(self) -> list[Any] | None:
        """What the request says is liked: its history and what comes on top of it."""
        if self.history is None:
            return self.more
        return self.history if self.more is None else [*self.history, *self.more]


def iter_request_blocks(batches: Iterable["pa.RecordBatch"], place: str = PLACE) -> Iterator[list[BatchRequest]]:
    """Yield the requests of record batches, at most `BLOCK` together, in their order.

    Rows of candidates stand together by user, also over the end of a batch.

    Raises:
        RecsysError: for columns that cannot be read, a row without a user, or batches of unlike columns.
    """
    names: dict[str, str] | None = None
    open_rows: _OpenUser | None = None
    block: list[BatchRequest] = []
    before = 0
    for batch in batches:
        found = resolve_batch_columns(batch.schema, place)
        names = found if names is None else names
        if found != names:
            raise RecsysError(f"{place}: has columns {_list(found)} and later {_list(names)}, expected the same in all")
        for start in range(0, batch.num_rows, _SLICE):
            part = batch.slice(start, _SLICE)
            column = part.column(names["user"])
            if "item" not in names:
                users, rows = read_users(column, before + start, place), _read_own(part, names, range(part.num_rows))
                block += [BatchRequest(user, **own) for user, own in zip(users, rows, strict=True)]
            else:
                runs = find_user_runs(column, before + start, place)
                open_rows, done = _group_candidates(part, names, runs, open_rows)
                block += done
            while len(block) >= BLOCK:
                yield block[:BLOCK]
                block = block[BLOCK:]
        before += batch.num_rows
    if open_rows is not None:
        block.append(open_rows.close())
    if block:
        yield block


_SLICE = 65_536  # rows that become Python's objects at once


def _list(names: Mapping[str, str]) -> str:
    return ", ".join(names.values())


def read_users(column: "pa.Array", before: int, place: str) -> list[str]:
    """Return users as names.

    Raises:
        RecsysError: for a row without one; `before` are the rows before the first.
    """
    users = [normalize_id(one) for one in column.to_pylist()]
    if "" in users:
        raise _make_missing_user_error(before + users.index(""), place)
    return users


class UserRuns(NamedTuple):
    """Rows of users that stand together."""

    users: list[str]
    starts: list[int]  # the first row of each


def find_user_runs(column: "pa.Array", before: int, place: str) -> UserRuns:
    """Return the users of rows of candidates, each with the first of its rows.

    Raises:
        RecsysError: for a row without a user; `before` are the rows before the first.
    """
    import pyarrow.compute as pc

    if not len(column):
        return UserRuns([], [])
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise _make_missing_user_error(before + row, place)
    changes = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)
    users = [normalize_id(one) for one in column.take(starts).to_pylist()]
    if "" in users:
        raise _make_missing_user_error(before + int(starts[users.index("")]), place)
    return UserRuns(users, starts.tolist())


def _make_missing_user_error(row: int, place: str) -> RecsysError:
    return RecsysError(f"{place}: row {row + 1:,} has no user, expected an id")


def _read_own(part: "pa.RecordBatch", names: Mapping[str, str], rows: Sequence[int]) -> list[dict[str, Any]]:
    """Return what requests bring beside their user, by the first row of each."""
    import pyarrow as pa

    there = [field for field in OWN_FIELDS if field in names]
    if not there:
        return [{}] * len(rows)
    whole = len(rows) == part.num_rows
    made = part.select([names[field] for field in there])
    taken = made if whole else made.take(pa.array(rows, pa.int64()))
    cells = [map(_READERS.get(field, _read_plain), taken.column(names[field]).to_pylist()) for field in there]
    return [dict(zip(there, own, strict=True)) for own in zip(*cells, strict=True)]


def _read_plain(cell: Any) -> Any:
    return cell


def _read_likes(cell: list[Any] | None) -> list[Any] | None:
    """Return a list of ids, or of an id and its time where its entries are records of both."""
    if cell and any(isinstance(one, dict) for one in cell):
        return [
            tuple(one[name] for name in _find_like_fields(tuple(one))) if isinstance(one, dict) else one for one in cell
        ]
    return cell


@lru_cache(16)
def _find_like_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields of a record that are an item and its time, by their names; all of them where these say nothing.

    >>> _find_like_fields(("timestamp", "movieId", "rating")), _find_like_fields(("a", "b"))
    (('movieId', 'timestamp'), ('a', 'b'))
    """
    found = resolve_columns(names, {"item": ITEM_ALIASES, "datetime": TIME_ALIASES}, (), PLACE)
    return (found["item"], found["datetime"]) if len(found) == 2 else names


def _read_weights(cell: Any) -> dict[str, float] | None:
    """Return the factors of a map, or of the fields of a record that are given."""
    if cell is None:
        return None
    pairs = cell.items() if isinstance(cell, dict) else cell
    return {
        name: float(factor) if isinstance(factor, Decimal) else factor for name, factor in pairs if factor is not None
    }


def _read_answers(cell: Any) -> dict[str, str] | None:
    """Return the answers of a map, or of the fields of a record that are given."""
    if cell is None:
        return None
    pairs = cell.items() if isinstance(cell, dict) else cell
    return {name: answer for name, answer in pairs if answer is not None}


def _read_scores(column: "pa.Array") -> Anys:
    """Return scores as numbers: DuckDB's literals are decimal ones."""
    import pyarrow as pa

    plain = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
    found: Anys = plain.to_numpy(zero_copy_only=False)
    return found


_READERS: Mapping[str, Any] = {
    "history": _read_likes, "more": _read_likes, "region_answers": _read_answers,
    "weights": _read_weights,
}  # fmt: skip


class _OpenUser(NamedTuple):
    """The rows of a user of candidates that may go on in the next batch."""

    user: str
    own: dict[str, Any]
    items: list[list[Any]]
    scores: list[Anys]

    def close(self) -> BatchRequest:
        items = [one for part in self.items for one in part]
        return BatchRequest(self.user, **self.own, items=items, scores=np.concatenate(self.scores))


def _group_candidates(
    part: "pa.RecordBatch", names: Mapping[str, str], runs: UserRuns, open_rows: _OpenUser | None
) -> tuple[_OpenUser | None, list[BatchRequest]]:
    """Return the last user of the rows, who may go on, and the requests of those before."""
    done: list[BatchRequest] = []
    items = part.column(names["item"]).to_pylist()
    scores = _read_scores(part.column(names["score"]))
    own = _read_own(part, names, runs.starts)
    ends = [*runs.starts[1:], part.num_rows]
    for place, (user, start, end) in enumerate(zip(runs.users, runs.starts, ends, strict=True)):
        if open_rows is not None and open_rows.user == user:
            open_rows.items.append(items[start:end])
            open_rows.scores.append(scores[start:end])
            continue
        if open_rows is not None:
            done.append(open_rows.close())
        open_rows = _OpenUser(user, own[place], [items[start:end]], [scores[start:end]])
    return open_rows, done
