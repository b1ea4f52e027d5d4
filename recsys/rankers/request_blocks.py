"""Requests of a batch, answered by blocks: a matrix product, one call of the kernel, then the answers."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from recsys.likelihoods.computing import RequestScorer
from recsys.rankers.answers import Recommendation
from recsys.rankers.batches import catch_request_error
from recsys.rankers.block_path import BlockInputs, fill_block_inputs, pick_block
from recsys.rankers.block_retrieval import LazyBlockRetrieval
from recsys.rankers.fast_path import FastPath
from recsys.rankers.generic_path import Picks
from recsys.rankers.likelihoods import order_by_likelihood
from recsys.rankers.request_constraints import RequestGuards, flatten_hidden_items
from recsys.rankers.request_dials import RequestDials
from recsys.rankers.requests import Candidates, RequestUser
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError

BLOCK = 128  # requests of a block, at most: scores of a stretch of items stay in the cache
FEWEST = 8  # requests of a block, at least: fewer are answered one by one


class PreparedRequest(NamedTuple):
    """A request that was read: who asks, and what it asks for."""

    asker: RequestUser
    dials: RequestDials
    k: int
    guards: RequestGuards
    given: Candidates | None = None  # the caller's; None: they are retrieved


class BlockParts(NamedTuple):
    """What a ranker answers blocks of requests with."""

    retrieval: LazyBlockRetrieval
    fixed_guards: RequestGuards  # of every request
    scorer: RequestScorer | None  # of the likelihood
    fast_path: FastPath | None
    retrieve: Callable[[RequestUser, RequestGuards], Candidates]
    answer: Callable[[PreparedRequest, Candidates], Recommendation]  # one request, whatever it brings
    build: Callable[[PreparedRequest, Candidates, Candidates, Picks], Recommendation]  # of candidates as given, ordered


class _Answer(NamedTuple):
    """A request on its way: what is wrong with it, or its candidates, as they came and as the likelihood orders them"""

    request: PreparedRequest | None = None
    error: RecsysError | None = None
    found: Candidates | None = None
    ordered: Candidates | None = None


Read = Callable[[], PreparedRequest]
Answered = Recommendation | RecsysError


def answer_in_blocks(parts: BlockParts, reads: Sequence[Read], seed: int) -> tuple[Answered, ...]:
    """Return the answer to each request, or what is wrong with it, as if each were alone, bit for bit.

    `reads` are functions that read the requests. Blocks are retrieved and picked on as many threads as there are cores,
    no more than a few ahead of what is answered; no bit depends on the blocks or on the threads. Of a block go together
    what has no guards of its own and neither pins nor groups of the ranker's (retrieval), and what has no guards and
    at least k candidates, of a blend with a fast path none of whose objectives is turned off (picks); all else is done
    one by one inside of the same block.
    """
    blocks = _split_requests(len(reads))
    if len(reads) < FEWEST:
        return tuple(_answer_alone(parts, read) for read in reads)
    with limit_to_one_blas_thread():
        return tuple(answer for block in _iter_answers(parts, [reads[one] for one in blocks], seed) for answer in block)


def _split_requests(count: int) -> list[slice]:
    """Return requests in blocks of equal size, as many of them for each core where one is not enough."""
    blocks, cores = -(-count // BLOCK), os.cpu_count() or 1
    if blocks > 1:
        blocks = -(-blocks // cores) * cores
    edges = np.arange(blocks + 1) * count // max(1, blocks)
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]


def _iter_answers(parts: BlockParts, blocks: Sequence[Sequence[Read]], seed: int) -> Iterator[list[Answered]]:
    """Yield the answers of one block after the other."""
    ahead: deque[tuple[list[_Answer], Future[list[Candidates | None]]]] = deque()
    last: deque[tuple[list[_Answer], list[int], Future[list[Picks] | None] | None]] = deque()
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as workers:

        def submit_picks() -> None:
            block, retrieved = ahead.popleft()
            block = _add_candidates(parts, block, retrieved.result())
            places, filled = _fill_inputs(parts, block, seed)
            made = None if filled is None or parts.fast_path is None else (parts.fast_path, filled)
            last.append((block, places, None if made is None else workers.submit(pick_block, *made)))

        for reads in blocks:
            block = [_read(read) for read in reads]
            ahead.append((block, workers.submit(_retrieve, parts, block)))
            if len(ahead) > cores:
                submit_picks()
            if len(last) > cores:
                yield _build_answers(parts, *last.popleft())
        while ahead:
            submit_picks()
        while last:
            yield _build_answers(parts, *last.popleft())


def _read(read: Read) -> _Answer:
    try:
        return _Answer(read())
    except RecsysError as error:
        return _Answer(error=error.with_traceback(None))


def _retrieve(parts: BlockParts, block: list[_Answer]) -> list[Candidates | None]:
    """Return the candidates of the requests of a block, None where they are to be found for one request alone."""
    found: list[Candidates | None] = [None] * len(block)
    places, askers = [], []
    for place, one in enumerate(block):
        if one.request is not None and _is_retrieved_in_block(parts, one.request):
            places.append(place)
            askers.append(one.request.asker)
    retrieval = parts.retrieval.made if askers else None
    if retrieval is not None:
        for place, candidates in zip(places, retrieval.retrieve(askers), strict=True):
            found[place] = candidates
    return found


def _is_retrieved_in_block(parts: BlockParts, request: PreparedRequest) -> bool:
    return request.given is None and request.guards is parts.fixed_guards


def _add_candidates(parts: BlockParts, block: list[_Answer], retrieved: list[Candidates | None]) -> list[_Answer]:
    """Return the requests of a block with their candidates."""
    made = []
    for one, found in zip(block, retrieved, strict=True):
        request = one.request
        if request is None:
            made.append(one)
            continue
        try:
            found = found or request.given or parts.retrieve(request.asker, request.guards)
            ordered = found if parts.scorer is None else order_by_likelihood(parts.scorer, request.asker, found)
            made.append(_Answer(request, None, found, ordered))
        except RecsysError as error:
            made.append(_Answer(error=error.with_traceback(None)))
    return made


def _fill_inputs(parts: BlockParts, block: list[_Answer], seed: int) -> tuple[list[int], BlockInputs | None]:
    """Return which requests of a block are picked together, and the input of the kernel for them."""
    places = [place for place, one in enumerate(block) if _is_picked_in_block(parts, one)]
    if not places or parts.fast_path is None:
        return [], None
    chosen: Any = [block[place] for place in places]
    askers, found = [one.request.asker for one in chosen], [one.ordered for one in chosen]
    weights = [one.request.dials.weight for one in chosen]
    return places, fill_block_inputs(parts.fast_path, askers, found, chosen[0].request.k, seed, weights)


def _is_picked_in_block(parts: BlockParts, one: _Answer) -> bool:
    request, found = one.request, one.ordered
    if request is None or found is None or len(found.items) < request.k:
        return False
    if request.dials.fast_path is not None and request.dials.fast_path is not parts.fast_path:
        return False
    if request.guards.guards and not request.guards.are_limits:
        return False
    return flatten_hidden_items(found, request.asker.hidden, request.k) is None


def _build_answers(
    parts: BlockParts, block: list[_Answer], places: list[int], picking: Future[list[Picks] | None] | None
) -> list[Answered]:
    """Return the answers of a block, of which those at `places` were picked together."""
    picked = None if picking is None else picking.result()
    picks = {} if picked is None else dict(zip(places, picked, strict=True))
    made: list[Answered] = []
    for place, one in enumerate(block):
        if one.request is None or one.found is None or one.ordered is None:
            assert one.error is not None
            made.append(one.error)
        elif place in picks:
            made.append(parts.build(one.request, one.found, one.ordered, picks[place]))
        else:
            made.append(catch_request_error(parts.answer, one.request, one.found))
    return made


def _answer_alone(parts: BlockParts, read: Read) -> Answered:
    one = _read(read)
    if one.request is None:
        assert one.error is not None
        return one.error
    return catch_request_error(_retrieve_and_answer, parts, one.request)


def _retrieve_and_answer(parts: BlockParts, request: PreparedRequest) -> Recommendation:
    return parts.answer(request, request.given or parts.retrieve(request.asker, request.guards))
