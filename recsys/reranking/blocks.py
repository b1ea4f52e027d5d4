"""The kernel, run over blocks of users on threads."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.kernels.inputs import build_kernel_inputs
from recsys.kernels.slot_rules import NO_RULES, SlotRules
from recsys.objectives.derived_tables import get_kernel_memo
from recsys.reranking.blends import BlendPart
from recsys.reranking.term_cache import TermCache
from recsys.support import rng
from recsys.types import Pool, RecsysError
from recsys.types.arrays import Doubles

if TYPE_CHECKING:
    from recsys.kernels.greedy import KernelOutput

TOO_LARGE = "slate: gains are too large to be added up in 32 bits, expected smaller weights, scales or scores"
CELLS = 2**17  # candidates per call of the kernel: what is laid out for them takes some MB, whatever the pool


def select_slates(
    terms: TermCache,
    parts: Sequence[BlendPart],
    weight: Doubles,
    k: int,
    *,
    temperature: float = 0.0,
    epsilon: float = 0.0,
    seed: int = 0,
    n_threads: int | None = None,
    follow: bool = False,
    rules: SlotRules = NO_RULES,
) -> Iterator[tuple[slice, "KernelOutput"]]:
    """Run the kernel over blocks of users on threads, and yield its output, block by block in their order.

    `weight` is (U, T), scaled; the rest is that of `recsys.kernels.greedy`. No more than a block for each thread is
    ahead of what was yielded: memory does not grow with users.
    """
    pool, drawn = terms.pool, temperature > 0 or epsilon > 0
    memo, count = get_kernel_memo(pool.context), n_threads or os.cpu_count() or 1

    def build_arguments(block: slice) -> tuple[Any, ...]:
        """Return the arguments of `pick_greedily` up to its output."""
        part = pool.slice_users(block.start, block.stop)
        made = [terms.get_term(p, block.start, block.stop, k) for p in parts]
        laid = build_kernel_inputs(made, len(part.users), pool.items.shape[1], k, memo)
        uniforms = (
            rng.draw_uniforms(seed, "slots", part.draw_keys[:, None], np.arange(k)) if drawn else np.zeros((0, k))
        )
        guards = rules.slice_users(block.start, block.stop).to_tuple()
        draws = (k, float(temperature), float(epsilon), uniforms, follow)
        return (part.lengths.astype(np.int64), weight[block], laid.to_tuples(), guards, draws)

    everybody, turn = split_into_blocks(pool, count), Lock()
    if count == 1 or len(everybody) <= 1:  # here and now: threads cost more than the slate of one request
        for block in everybody:
            yield block, _run_kernel(build_arguments(block), k)
        return

    def work(block: slice) -> "KernelOutput":
        with turn:  # side by side, threads would wait for the interpreter at every other step
            given = build_arguments(block)
        return _run_kernel(given, k)

    ours = not any(":" in part.name for part in parts)
    ahead: deque[tuple[slice, Future[KernelOutput]]] = deque()
    with ThreadPoolExecutor(max_workers=count) as workers:
        for block in everybody:
            if ours:
                ahead.append((block, workers.submit(work, block)))
            else:  # here: somebody's own objectives need not be safe for threads
                ahead.append((block, workers.submit(_run_kernel, build_arguments(block), k)))
            if len(ahead) > count:
                done, found = ahead.popleft()
                yield done, found.result()
        for done, found in ahead:
            yield done, found.result()


def split_into_blocks(pool: Pool, n_threads: int = 1) -> list[slice]:
    """Return the users of a pool in blocks of equal size, of no more than CELLS candidates each.

    They have no more users than the largest power of two that fits. Where one block is not enough, each thread gets as
    many of them as any other.
    """
    users, n = pool.items.shape
    most = 2 ** max(0, (CELLS // n).bit_length() - 1)
    count = -(-users // most)
    if count > 1:
        count = -(-count // n_threads) * n_threads
    edges = np.arange(count + 1) * users // max(1, count)
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges) if start < stop]


def _run_kernel(arguments: tuple[Any, ...], k: int) -> "KernelOutput":
    from recsys.kernels.greedy import KernelOutput, pick_greedily

    kernel: Any = pick_greedily  # compiled: it has no signature that a checker could read
    users, terms = arguments[1].shape
    output = KernelOutput(
        np.full((users, k), -1, np.int64),
        np.zeros((users, k, terms), np.float32),
        np.zeros((users, k), np.float32),
        np.zeros((users, terms)),
    )
    if not kernel(*arguments, tuple(output)):
        raise RecsysError(TOO_LARGE)
    return output
