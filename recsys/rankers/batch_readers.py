"""Reading of the requests of a batch: by columns where they bring no more than a known user and plain candidates.

All others are read one by one, by the function that reads a single request.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np

from recsys.maths.ordering import argsort_descending
from recsys.rankers.batches import BatchColumns, catch_request_error
from recsys.rankers.made_slates import PreparedRequest
from recsys.rankers.request_constraints import RequestGuards
from recsys.rankers.request_dials import RequestDials
from recsys.rankers.requests import Candidates, IdIndex, RequestUser, load_kernels
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Csr, Ints, Longs

NO_DIALS = RequestDials()
Read = PreparedRequest | RecsysError


class PlainUsers(NamedTuple):
    """Known users of whom a request reads nothing but what they like."""

    codes: Mapping[str, int]
    likes: Csr
    others: Collection[int]  # codes of users of whom more is read
    guards: RequestGuards  # of their requests
    now: int  # seconds since 1970: the moment of the requests

    def find(self, users: Sequence[Any]) -> list[RequestUser | None]:
        """Return who asks, None for those who are to be read alone."""
        found = [self.codes.get(user, -1) if isinstance(user, str) else -1 for user in users]
        codes = np.array(found, np.int64)
        pointers, items = np.asarray(self.likes.indptr), np.asarray(self.likes.indices)
        starts, ends = pointers[codes].tolist(), pointers[codes + 1].tolist()
        others, now = self.others, self.now
        return [
            None if code < 0 or code in others else RequestUser(code, items[start:end], now=now)
            for code, start, end in zip(found, starts, ends, strict=True)
        ]


class BatchReader:
    """Reads stretches of the requests of a batch."""

    def __init__(
        self,
        columns: BatchColumns,
        read: Callable[..., PreparedRequest],
        k: int,
        items: IdIndex,
        plain: PlainUsers | None,
    ) -> None:
        """Take what requests bring, what reads one of them, and users whom no request needs it for."""
        self._columns, self._read_alone, self._k, self._items, self._plain = columns, read, k, items, plain
        self._own = columns.own

    def __len__(self) -> int:
        """Return the number of requests."""
        return self._columns.size

    @property
    def brings_candidates(self) -> bool:
        """Whether the requests bring candidates."""
        return self._columns.items is not None

    def read(self, place: int) -> PreparedRequest:
        """Return a request.

        Raises:
            RecsysError: as `rank` and `rerank` say.
        """
        return self._read_alone(**self._columns.describe_request(place))

    def read_block(self, places: range) -> list[Read]:
        """Return requests, or what is wrong with them."""
        askers, candidates = self._find_askers(places), self._find_candidates(places)
        found: list[Read] = []
        for place, asker, given in zip(places, askers, candidates, strict=True):
            if asker is None or (given is None and self._columns.items is not None):
                found.append(catch_request_error(self.read, place))
            else:
                assert self._plain is not None
                found.append(PreparedRequest(asker, NO_DIALS, self._k, self._plain.guards, given))
        return found

    def _find_askers(self, places: range) -> list[RequestUser | None]:
        users = self._columns.users
        if users is None or self._plain is None:
            return [None] * len(places)
        found = self._plain.find(users[places.start : places.stop])
        for column in self._own:
            for place, own in enumerate(column[places.start : places.stop]):
                if own is not None:
                    found[place] = None
        return found

    def _find_candidates(self, places: range) -> list[Candidates | None]:
        items, scores = self._columns.items, self._columns.scores
        if items is None or scores is None:
            return [None] * len(places)
        some = slice(places.start, places.stop)
        return read_candidate_rows(self._items, items[some], scores[some])


def read_candidate_rows(ids: IdIndex, items: Sequence[Any], scores: Sequence[Any]) -> list[Candidates | None]:
    """Return what `parse_candidates` returns for each request, all of them in one pass.

    None for requests that are to be read alone: ids that the ranker does not know, or that are no plain names or whole
    numbers, and whatever is wrong.
    """
    found: list[Candidates | None] = [None] * len(items)
    numbers: list[int] = []
    names: list[int] = []
    worth: list[Any] = []
    for n, (one, score) in enumerate(zip(items, scores, strict=True)):
        array = _read_scores(score)
        worth.append(array)
        if array is None or not hasattr(one, "__len__") or len(one) != len(array) or not len(array):
            continue
        if isinstance(one, np.ndarray):
            if one.ndim == 1 and one.dtype.kind in "iu" and len(ids.number_codes):
                numbers.append(n)
        elif isinstance(one, list | tuple):
            names.append(n)
    for rows, look_up in ((numbers, _look_up_numbers), (names, _look_up_names)):
        if not rows:
            continue
        codes = look_up(ids, [items[n] for n in rows])
        if codes is not None:
            for n, made in zip(rows, _check_rows(codes, [worth[n] for n in rows]), strict=True):
                found[n] = made
    return found


def _read_scores(scores: Any) -> Anys | None:
    """Return the scores of a request, (N,); None for those that are not plain numbers."""
    try:
        array = scores if isinstance(scores, np.ndarray) else np.asarray(scores)
    except ValueError:
        return None
    return array if array.ndim == 1 and array.dtype.kind in "fiu" else None


def _look_up_numbers(ids: IdIndex, items: Sequence[Anys]) -> Ints | None:
    numbers = np.concatenate(items, dtype=np.int64, casting="unsafe")
    codes = np.empty(len(numbers), np.int32)
    load_kernels().look_up_codes(ids.number_codes, numbers, codes)
    return codes


def _look_up_names(ids: IdIndex, items: Sequence[Sequence[Any]]) -> Ints | None:
    try:
        found = map(ids.codes.get, chain.from_iterable(items), repeat(-1))
        return np.fromiter(found, np.int32, sum(map(len, items)))
    except TypeError:  # something that has no hash
        return None


def _check_rows(codes: Ints, scores: Sequence[Anys]) -> list[Candidates | None]:
    """Return the candidates of each request, best first, None where something is wrong."""
    kernels = load_kernels()
    starts: Longs = np.zeros(len(scores) + 1, np.int64)
    np.cumsum([len(one) for one in scores], out=starts[1:])
    values = np.concatenate(scores, dtype=np.float64, casting="unsafe")
    rounded, wrong = np.empty(len(values), np.float32), np.empty(len(scores), np.int64)
    kernels.check_candidate_block(codes, values, starts, rounded, wrong)
    made: list[Candidates | None] = []
    bounds = starts.tolist()
    for start, end, found in zip(bounds, bounds[1:], wrong.tolist(), strict=False):
        if found & ~kernels.UNORDERED:
            made.append(None)
            continue
        own, given = codes[start:end], rounded[start:end]
        if found:
            order = argsort_descending(values[start:end])
            own, given = own[order], given[order]
        made.append(Candidates(own, given))
    return made
