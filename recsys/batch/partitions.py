"""Which rows make which partition, found in one pass over the users."""

from typing import NamedTuple

import numpy as np

from recsys.batch.inputs import BatchInput
from recsys.batch.ranking import SeenUsers, make_split_user_error
from recsys.batch.requests import find_user_runs, read_users
from recsys.data.identifiers import normalize_id
from recsys.rankers import Ranker
from recsys.types import RecsysError
from recsys.types.arrays import Longs

FIRST_ITEMS = 10_000  # items of candidates of which the ranker has to know one


class Plan(NamedTuple):
    """Partitions of requests, each a range of rows."""

    requests: int
    bounds: Longs  # (P + 1,) the first row of each partition, and the end
    repeated: Longs  # rows of users who were there before, ascending: the same in every shard

    @property
    def size(self) -> int:
        """The number of partitions."""
        return len(self.bounds) - 1


def plan_partitions(ranker: Ranker, given: BatchInput, size: int) -> Plan:
    """Return the partitions of `size` requests.

    Raises:
        RecsysError: if there are no rows, if the ranker knows none of the users, where none has a history, or none of
            the first items, or for candidates of a user in two places.
    """
    columns = given.columns
    if "item" in columns:
        _refuse_foreign_items(ranker, given, columns["item"])
        return _plan_candidates(ranker, given, columns["user"], size)
    seen, repeated, rows, known, first = SeenUsers(ranker), list[int](), 0, 0, ""
    answers_anybody = "history" in columns
    for batch in given.iter_rows(0, None, [columns["user"]]):
        for row, user in enumerate(read_users(batch.column(0), rows, given.place), start=rows):
            is_known = user in ranker.known_users
            known += is_known
            first = first or user
            if (is_known or answers_anybody) and not seen.add(user):
                repeated.append(row)
        rows += batch.num_rows
    if not rows:
        raise RecsysError(f"{given.place}: has no rows, expected users")
    if not known and not answers_anybody:
        raise _make_foreign_error(f"{given.place}: none of {rows:,} users", first, ranker.known_users, "user")
    return Plan(rows, np.array([*range(0, rows, size), rows], np.int64), np.array(repeated, np.int64))


def _plan_candidates(ranker: Ranker, given: BatchInput, column: str, size: int) -> Plan:
    seen, bounds, users, rows, last = SeenUsers(ranker), list[int](), 0, 0, ""
    for batch in given.iter_rows(0, None, [column]):
        runs = find_user_runs(batch.column(0), rows, given.place)
        for user, start in zip(runs.users, runs.starts, strict=True):
            if user == last:
                continue
            if not seen.add(user):
                raise make_split_user_error(user, given.place)
            if users % size == 0:
                bounds.append(rows + start)
            users, last = users + 1, user
        rows += batch.num_rows
    if not rows:
        raise RecsysError(f"{given.place}: has no rows, expected candidates")
    return Plan(users, np.array([*bounds, rows], np.int64), np.zeros(0, np.int64))


def _refuse_foreign_items(ranker: Ranker, given: BatchInput, column: str) -> None:
    items: list[str] = []
    for batch in given.iter_rows(0, FIRST_ITEMS, [column]):
        items += [normalize_id(one) for one in batch.column(0).to_pylist()]
    if items and not any(item in ranker.known_items for item in items):
        raise _make_foreign_error(
            f"{given.place}: none of its first {len(items):,} items", items[0], ranker.known_items, "item"
        )


def _make_foreign_error(said: str, found: str, known: "object", kind: str) -> RecsysError:
    example = next(iter(known), "")  # type: ignore[call-overload]
    return RecsysError(f"{said} is one of the ranker's (the first: '{found}'), expected {kind} ids such as '{example}'")
