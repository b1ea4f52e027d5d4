"""The requests of a block side by side: histories, dislikes and candidates end to end, as compiled code reads them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.requests import NO_ITEMS, Candidates, RequestUser, list_disliked_items
from recsys.types import Context
from recsys.types.arrays import Anys, Floats, Ints, Longs


class Rows(NamedTuple):
    """Rows of several requests, end to end."""

    values: Ints
    starts: Longs  # (B + 1,) where those of each request begin, and the end


class BlockUsers:
    """B requests with their candidates."""

    def __init__(self, context: Context, askers: Sequence[RequestUser], found: Sequence[Candidates]) -> None:
        """Take the context of a ranker, and who asks with which candidates; at least one request."""
        self.context, self.askers, self.found = context, askers, found
        self.lengths: Longs = np.array([len(one.items) for one in found])  # (B,)
        self.starts = _find_starts(self.lengths)
        self.items: Ints = np.concatenate([one.items for one in found], dtype=np.int32, casting="same_kind")
        self.scores: Floats = np.concatenate([one.scores for one in found], dtype=np.float32)

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.found)

    @cached_property
    def histories(self) -> Rows:
        """What each user likes."""
        return _join_rows([asker.history for asker in self.askers])

    @cached_property
    def dislikes(self) -> Rows:
        """What each user dislikes: what is held, and what the request brings."""
        if self.context.dislikes is None and not any(len(asker.dislikes) for asker in self.askers):
            return Rows(NO_ITEMS.copy(), np.zeros(len(self) + 1, np.int64))
        return _join_rows([list_disliked_items(self.context, asker) for asker in self.askers])

    @cached_property
    def item_rows(self) -> Ints:
        """The candidates, (B, N), -1 beyond those of a request."""
        return self.lay_out(self.items, -1)

    def lay_out(self, values: Anys, absent: float) -> Anys:
        """Return one number of each candidate, (B, N): `absent` beyond those of a request."""
        from recsys.kernels.requests import lay_out_rows

        shape = (len(self), int(self.lengths.max()))
        if values.size == shape[0] * shape[1]:
            return values.reshape(shape)
        kernel: Any = lay_out_rows
        rows = np.full(shape, absent, values.dtype)
        kernel(values, self.starts, rows)
        return rows

    def take(self, values: Anys, positions: Longs) -> Anys:
        """Return the numbers of candidates at some positions, (B, k)."""
        taken: Anys = values[self.starts[:-1, None] + positions]
        return taken


def _find_starts(lengths: Longs) -> Longs:
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _join_rows(rows: Sequence[Ints]) -> Rows:
    lengths = np.array([len(row) for row in rows])
    return Rows(np.concatenate(rows, dtype=np.int32, casting="same_kind"), _find_starts(lengths))
