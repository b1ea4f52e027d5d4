"""Counts of the requests that a ranker answered in this process.

A request waits for no lock: each thread has a row of counts of its own, and whoever reads adds the rows up.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any, ClassVar
from weakref import WeakSet

from recsys.rankers.answers import Recommendation
from recsys.rankers.request_blocks import AnsweredBlock
from recsys.rankers.slate_makers import SlateMaker
from recsys.types import RecsysError
from recsys.types.numbers import check_number

# Seconds: six bounds for each power of ten, from ten microseconds to 70 seconds.
BOUNDS = tuple(float(f"{step}e{power}") for power in range(-5, 2) for step in (1, 1.5, 2, 3, 5, 7))


@dataclass(frozen=True)
class RankerMetrics:
    """What a ranker was asked in this process since it was made or loaded: numbers that only grow."""

    policy: str  # the ranker's name; requests with dials are counted with all others
    requests: int  # answers of `rank` and `rerank`
    errors: int  # requests that were refused with a `RecsysError`, those of batches too
    seconds: float  # what `requests` took in all, on the wall
    latencies: tuple[int, ...]  # how many requests took no more than each of `bounds` and more than that before, and
    # last how many took longer than all of them
    batches: int  # calls of `rank_many`, `rerank_many` and `make_slate_columns`
    batch_requests: int  # answers of these
    batch_seconds: float  # what `batches` took in all, on the wall
    unknown_ids: int  # items and regions of requests that the ranker does not know, of all answers
    short_slates: int  # answers with fewer than k picks
    unmet_guards: int  # guards that could not be met, of all answers
    bounds: ClassVar[tuple[float, ...]] = BOUNDS  # seconds

    def quantile(self, share: float) -> float:
        """Return the seconds that a share of the requests, from 0 to 1, took no longer than; NaN without a request.

        Within a bucket it is interpolated, so that it is known to a factor of 1.7; of requests beyond the last bound
        it is that bound.

        Raises:
            RecsysError: for a share that is not from 0 to 1.
        """
        share = check_number("ranker: share", share, 0, 1)
        left, low = share * self.requests, 0.0
        if not self.requests:
            return float("nan")
        for count, high in zip(self.latencies, self.bounds, strict=False):
            if count and left <= count:
                return low + (high - low) * left / count
            left, low = left - count, high
        return low

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON can say them, with the 50th, 95th and 99th percentile of latencies in seconds."""
        shares = {f"p{share}": self.quantile(share / 100) if self.requests else None for share in (50, 95, 99)}
        return {**vars(self), "latencies": list(self.latencies), "bounds": list(self.bounds), **shares}


@dataclass(slots=True)
class _Row:
    """The counts of one thread."""

    latencies: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    errors: int = 0
    batches: int = 0
    batch_requests: int = 0
    batch_seconds: float = 0.0
    unknown_ids: int = 0
    short_slates: int = 0
    unmet_guards: int = 0

    def add_answer(self, answer: Recommendation, k: int) -> None:
        """Count what is worth watching in an answer to a request for k picks."""
        if len(answer.items) < k:
            self.short_slates += 1
        for unknown in (answer.unknown_items, answer.unknown_history, answer.unknown_regions):
            self.unknown_ids += len(unknown)
        if answer.violations:
            self.unmet_guards += len(answer.violations)

    def add_block(self, block: AnsweredBlock, maker: SlateMaker) -> None:
        """Count the same of a block; slates that were picked together are whole, and have no guard to be unmet."""
        if block.picked is not None:
            self.batch_requests += len(block.picked.places)
            for request, given in zip(block.picked.requests, block.picked.given, strict=True):
                self.unknown_ids += request.asker.count_unknown() + len(given.unknown)
        for slate in block.alone.values():
            if isinstance(slate, RecsysError):
                self.errors += 1
                continue
            self.batch_requests += 1
            self.unknown_ids += slate.request.asker.count_unknown() + len(slate.found.unknown)
            self.short_slates += len(slate.codes) < slate.request.k
            self.unmet_guards += len(maker.describe(slate)[0]) if slate.rules else 0

    def add(self, other: "_Row") -> None:
        """Add the counts of another thread."""
        self.latencies = [one + more for one, more in zip(self.latencies, other.latencies, strict=True)]
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_SUMS = tuple(one.name for one in fields(_Row) if one.name != "latencies")


class RequestCounts:
    """The counts of a ranker's requests; a fork begins at 0."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.clear()
        _EVERY.add(self)

    def clear(self) -> None:
        """Begin at 0 again: no other thread may count meanwhile."""
        self._own, self._lock = threading.local(), threading.Lock()
        self._rows: list[tuple[threading.Thread, _Row]] = []
        self._ended = _Row()  # of threads that are no more

    def count(self, start: float, k: int, answer: Recommendation) -> Recommendation:
        """Count an answer to a request for k picks that came at `start`, of `time.perf_counter`, and return it."""
        seconds = perf_counter() - start
        row = self._get_row()
        row.latencies[bisect_left(BOUNDS, seconds)] += 1
        row.seconds += seconds
        row.add_answer(answer, k)
        return answer

    def count_error(self) -> None:
        """Count a request that is refused."""
        self._get_row().errors += 1

    def count_batch(self, blocks: Iterator[AnsweredBlock], maker: SlateMaker) -> Iterator[AnsweredBlock]:
        """Yield the blocks of a batch, and count what is in them: no answer is laid out for that."""
        row, start = self._get_row(), perf_counter()
        for block in blocks:
            row.add_block(block, maker)
            yield block
        row.batches += 1
        row.batch_seconds += perf_counter() - start

    def read(self, policy: str) -> RankerMetrics:
        """Return the numbers of all threads, under the name of a policy."""
        total = _Row()
        with self._lock:
            for row in (self._ended, *(row for _, row in self._rows)):
                total.add(row)
        told = {name: getattr(total, name) for name in _SUMS}
        return RankerMetrics(policy, sum(total.latencies), latencies=tuple(total.latencies), **told)

    def _get_row(self) -> _Row:
        try:
            row: _Row = self._own.row
        except AttributeError:
            row = self._add_row()
        return row

    def _add_row(self) -> _Row:
        """Return a row for this thread, and put together those of threads that have ended."""
        row = self._own.row = _Row()
        with self._lock:
            for thread, ended in self._rows:
                if not thread.is_alive():
                    self._ended.add(ended)
            self._rows = [(thread, kept) for thread, kept in self._rows if thread.is_alive()]
            self._rows.append((threading.current_thread(), row))
        return row


_EVERY: WeakSet[RequestCounts] = WeakSet()


def _clear_every() -> None:
    for counts in list(_EVERY):
        counts.clear()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_clear_every)
