"""Requests of a batch, answered by blocks: a matrix product, one call of the kernel, then the slates."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.batch_readers import BatchReader, Read
from recsys.rankers.batches import catch_request_error
from recsys.rankers.block_path import BlockPicks, pick_block
from recsys.rankers.block_retrieval import LazyBlockRetrieval
from recsys.rankers.block_users import BlockUsers
from recsys.rankers.fast_path import FastPath
from recsys.rankers.made_slates import MadeSlate, PreparedRequest
from recsys.rankers.request_constraints import RequestGuards, flatten_hidden_items
from recsys.rankers.requests import Candidates, RequestUser
from recsys.rankers.slate_makers import SlateMaker
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError
from recsys.types.arrays import Floats, Ints

BLOCK = 128  # requests of a block, at most: scores of a stretch of items stay in the cache
FEWEST = 8  # requests of a block, at least: fewer are answered one by one

Slate = MadeSlate | RecsysError


class BlockParts(NamedTuple):
    """What a ranker answers blocks of requests with."""

    slates: SlateMaker
    retrieval: LazyBlockRetrieval
    fixed_guards: RequestGuards  # of every request
    retrieve: Callable[[RequestUser, RequestGuards], Candidates]

    def make_alone(self, request: PreparedRequest, found: Candidates | None, seed: int) -> MadeSlate:
        """Return the slate of one request, whatever it brings.

        Raises:
            RecsysError: as `rank` and `rerank` say.
        """
        found = found or request.given or self.retrieve(request.asker, request.guards)
        return self.slates.make(request, found, seed, self.slates.policy.n if request.given is None else None)


@dataclass(eq=False)
class _Block:
    """Requests on their way, or what is wrong with them, and candidates: as they came, and as the likelihood orders."""

    requests: list[Read]
    found: list[Candidates | None] = field(default_factory=list)
    ordered: list[Candidates | None] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class PickedRequests:
    """Requests of a block that were picked together."""

    places: list[int]  # in the block, ascending
    requests: list[PreparedRequest]
    given: list[Candidates]  # as they came
    ordered: list[Candidates]  # as the likelihood orders them
    picks: BlockPicks
    codes: Ints  # (R, k) items of the picks,
    relevance: Floats  # (R, k) and their scores
    seed: int
    max_retrieved: int  # candidates that are retrieved for requests that bring none

    def get_slate(self, b: int) -> MadeSlate:
        """Return the slate of one request."""
        request, ordered = self.requests[b], self.ordered[b]
        most = self.max_retrieved if request.given is None else None
        given, picks = self.given[b], self.picks.get_picks(b)
        told = (self.codes[b], self.relevance[b])
        return MadeSlate(request, self.seed, given, ordered, ordered.items, picks, *told, (), most)


class AnsweredBlock(NamedTuple):
    """The slates of a block of requests: those that were picked together, and all others by their place."""

    size: int  # the number of requests
    picked: PickedRequests | None
    alone: dict[int, Slate]


def answer_in_blocks(parts: BlockParts, reader: BatchReader, seed: int) -> Iterator[AnsweredBlock]:
    """Yield the slates of all requests in their order, as if each were alone, bit for bit.

    Blocks are retrieved and picked on as many threads as there are cores, no more than a few ahead of what is asked
    for; no bit depends on the blocks or on the threads. Of a block go together what has no guards of its own and
    neither pins nor groups of the ranker's (retrieval), and what has no guards and at least k candidates, of a blend
    with a fast path none of whose objectives is turned off (picks); all else is done one by one inside of the same
    block.
    """
    count = len(reader)
    if count < FEWEST:
        yield AnsweredBlock(count, None, {place: _answer_alone(parts, reader, place, seed) for place in range(count)})
        return
    with limit_to_one_blas_thread():
        yield from _iter_answers(parts, reader, _split_requests(count), seed)


def _split_requests(count: int) -> list[range]:
    """Return requests in blocks of equal size, as many of them for each core where one is not enough."""
    blocks, cores = -(-count // BLOCK), os.cpu_count() or 1
    if blocks > 1:
        blocks = -(-blocks // cores) * cores
    edges = np.arange(blocks + 1) * count // max(1, blocks)
    return [range(start, stop) for start, stop in pairwise(edges.tolist())]


def _iter_answers(
    parts: BlockParts, reader: BatchReader, blocks: Sequence[range], seed: int
) -> Iterator[AnsweredBlock]:
    """Yield the answers of one block after the other."""
    ahead: deque[tuple[_Block, Future[list[Candidates | None]]]] = deque()
    last: deque[tuple[_Block, Future[PickedRequests | None] | None]] = deque()
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as workers:

        def submit_picks(block: _Block, retrieved: list[Candidates | None]) -> None:
            _add_candidates(parts, block, retrieved)
            places = _list_picked_places(parts, block)
            last.append((block, workers.submit(_pick, parts, block, places, seed) if places else None))

        for places in blocks:
            block = _Block(reader.read_block(places))
            if reader.brings_candidates:
                submit_picks(block, [None] * len(block.requests))
            else:
                ahead.append((block, workers.submit(_retrieve, parts, block.requests)))
            if len(ahead) > cores:
                block, found = ahead.popleft()
                submit_picks(block, found.result())
            if len(last) > cores:
                yield _finish_block(parts, *last.popleft(), seed)
        for block, found in ahead:
            submit_picks(block, found.result())
        while last:
            yield _finish_block(parts, *last.popleft(), seed)


def _retrieve(parts: BlockParts, requests: Sequence[Read]) -> list[Candidates | None]:
    """Return the candidates of the requests of a block, None where they are to be found for one request alone."""
    found: list[Candidates | None] = [None] * len(requests)
    places, askers = [], []
    for place, request in enumerate(requests):
        if not isinstance(request, RecsysError) and _is_retrieved_in_block(parts, request):
            places.append(place)
            askers.append(request.asker)
    retrieval = parts.retrieval.made if askers else None
    if retrieval is not None:
        for place, candidates in zip(places, retrieval.retrieve(askers), strict=True):
            found[place] = candidates
    return found


def _is_retrieved_in_block(parts: BlockParts, request: PreparedRequest) -> bool:
    return request.given is None and request.guards is parts.fixed_guards


def _add_candidates(parts: BlockParts, block: _Block, retrieved: list[Candidates | None]) -> None:
    """Add to the requests of a block their candidates, or what is wrong with them."""
    block.found = retrieved
    for place, request in enumerate(block.requests):
        if isinstance(request, RecsysError) or retrieved[place] is not None:
            continue
        try:
            retrieved[place] = request.given or parts.retrieve(request.asker, request.guards)
        except RecsysError as error:
            block.requests[place] = error.with_traceback(None)
    block.ordered = list(retrieved)
    if parts.slates.scorer is None:
        return
    for place, (request, found) in enumerate(zip(block.requests, retrieved, strict=True)):
        if found is not None and not isinstance(request, RecsysError):
            try:
                block.ordered[place] = parts.slates.order(request, found)
            except RecsysError as error:
                block.requests[place] = error.with_traceback(None)


def _list_picked_places(parts: BlockParts, block: _Block) -> list[int]:
    """Return which requests of a block are picked together."""
    path = parts.slates.fast_path
    if path is None:
        return []
    pairs = zip(block.requests, block.ordered, strict=True)
    return [
        place
        for place, (request, found) in enumerate(pairs)
        if found is not None and not isinstance(request, RecsysError) and _is_picked_in_block(path, request, found)
    ]


def _is_picked_in_block(path: FastPath, request: PreparedRequest, found: Candidates) -> bool:
    asker, dials, k, guards, _ = request
    if len(found.items) < k or (dials.fast_path is not None and dials.fast_path is not path):
        return False
    if guards.guards and not guards.are_limits:
        return False
    return not len(asker.hidden) or flatten_hidden_items(found, asker.hidden, k) is None


def _pick(parts: BlockParts, block: _Block, places: list[int], seed: int) -> PickedRequests | None:
    """Return the requests at some places of a block with their picks, None where gains of any are too large."""
    requests: Any = [block.requests[place] for place in places]
    given: Any = [block.found[place] for place in places]
    ordered: Any = [block.ordered[place] for place in places]
    maker = parts.slates
    assert maker.fast_path is not None
    users = BlockUsers(maker.context, [request.asker for request in requests], ordered)
    picks = pick_block(maker.fast_path, users, requests[0].k, seed, [request.dials.weight for request in requests])
    if picks is None:
        return None
    told = (users.take(users.items, picks.positions), users.take(users.scores, picks.positions))
    return PickedRequests(places, requests, given, ordered, picks, *told, seed, maker.policy.n)


def _finish_block(
    parts: BlockParts, block: _Block, picking: Future[PickedRequests | None] | None, seed: int
) -> AnsweredBlock:
    """Return the slates of a block, those that are not picked together one by one."""
    picked = None if picking is None else picking.result()
    together = set() if picked is None else set(picked.places)
    alone: dict[int, Slate] = {}
    for place, request in enumerate(block.requests):
        if isinstance(request, RecsysError):
            alone[place] = request
        elif place not in together:
            alone[place] = catch_request_error(parts.make_alone, request, block.found[place], seed)
    return AnsweredBlock(len(block.requests), picked, alone)


def _answer_alone(parts: BlockParts, reader: BatchReader, place: int, seed: int) -> Slate:
    request = catch_request_error(reader.read, place)
    if isinstance(request, RecsysError):
        return request
    return catch_request_error(parts.make_alone, request, None, seed)
