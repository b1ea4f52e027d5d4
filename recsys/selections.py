"""The kernel, run over blocks of users on threads."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import numpy as np

from recsys import seeds
from recsys.blends import Part
from recsys.kernels.plans import Plan, plan
from recsys.kernels.rules import NONE, Rules
from recsys.terms import Terms
from recsys.types import Pool, Tables
from recsys.types.arrays import Doubles

BLOCK = 256  # users per call of the kernel


def select(
    terms: Terms,
    parts: Sequence[Part],
    weight: Doubles,
    k: int,
    *,
    temperature: float = 0.0,
    epsilon: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
    follow: bool = False,
    rules: Rules = NONE,
) -> dict[str, Any]:
    """Run the kernel over blocks of users on threads; what it fills has a row per user.

    "picks" (U, k) are positions in the pool, -1 = none; "contributions" (U, k, T), "log_propensity" (U, k) and
    "deviations" (U, T) are those of `recsys.kernels.greedy`. `weight` is (U, T), scaled.
    """
    pool = terms.pool
    users = len(pool.users)
    out: dict[str, Any] = {
        "picks": np.full((users, k), -1, np.int64),
        "contributions": np.zeros((users, k, len(parts)), np.float32),
        "log_propensity": np.zeros((users, k), np.float32),
        "deviations": np.zeros((users, len(parts))),
    }
    memo, count = pool.context.everybody.tables.get("laid out", lambda: Tables(2)), threads or os.cpu_count() or 1
    running: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=count) as workers:
        for start in range(0, users, BLOCK):
            block = slice(start, min(start + BLOCK, users))
            part = pool.block(block.start, block.stop)
            # Terms are made here, one block after the other: objectives need not be safe for threads.
            made = [terms.get(p, block.start, block.stop, k) for p in parts]
            laid = plan(made, len(part.users), pool.items.shape[1], k, memo)
            filled = [array[block] for array in out.values()]
            uniforms = np.zeros((0, k))
            if temperature > 0 or epsilon > 0:
                uniforms = seeds.uniforms(seed, "slots", part.keys[:, None], np.arange(k))
            settings = (
                rules.block(block.start, block.stop).arrays(),
                k,
                float(temperature),
                float(epsilon),
                uniforms,
                follow,
            )
            if count == 1:  # here and now: a thread costs more than the slate of one request
                _fill(part, weight[block], laid, settings, filled)
                continue
            running.append(workers.submit(_fill, part, weight[block], laid, settings, filled))
            if len(running) > count:
                running.popleft().result()
        for left in running:
            left.result()
    return out


def _fill(pool: Pool, weight: Doubles, laid: Plan, settings: tuple[Any, ...], filled: Sequence[Any]) -> None:
    from recsys.kernels.greedy import greedy

    kernel: Any = greedy  # compiled: it has no signature that a checker could read
    kernel(pool.lengths.astype(np.int64), weight, *(getattr(laid, f.name) for f in fields(laid)), *settings, *filled)
