"""Slates: the pool, re-ranked by a blend of objectives."""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from numbers import Real
from typing import Any, Literal

import numpy as np

from recsys import objectives, seeds
from recsys.blends import Blend, Part, read, weights
from recsys.kernels.plans import Plan, plan
from recsys.terms import Terms
from recsys.types import Pool, RecsysError, Slates, Tables, unknown
from recsys.types.arrays import Doubles
from recsys.types.numbers import whole

BLOCK = 256  # users per call of the kernel
SAMPLE = 2048  # users from whom scale constants are fitted
FLAT = 1e-7  # a standard deviation below it is none: the term cannot tell candidates apart

Scale = Literal["fitted"] | Mapping[str, float] | None


def rerank(
    pool: Pool,
    blend: Blend,
    k: int = 10,
    *,
    scale: Scale = "fitted",
    temperature: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
    terms: Terms | None = None,
) -> Slates:
    """Return slates of k picks per user: greedily, each time the candidate with the largest blended gain.

    `blend` maps objectives (`recsys.objectives`, or "package.module:function") to weights: a number, one per
    user of the pool, or {"weight": ..., setting: ...}. With `scale="fitted"` each gain is divided by its
    within-pool standard deviation (`fit_scales`), so that equal weights mean equal spread; a mapping gives
    factors fitted before; None uses raw gains. With `temperature` > 0 each pick is drawn from the softmax of the
    blended gain / temperature over what is left, and the slates carry the exact log-probability of each pick.
    The result does not depend on `threads`. A pool shorter than k gives a slate that ends in -1. `terms` (of this
    pool) keeps what objectives computed, for further calls with other weights.

    Raises:
        RecsysError: if k is larger than the pool, for a seed or threads that are no whole numbers, for an unknown
            objective or setting, for a bad weight, for terms of another pool, or for an objective that needs what
            the pool does not have.
    """
    k = whole("slate: k", k, 1, _size(pool), "the pool's size")
    seed = whole("slate: seed", seed)
    threads = None if threads is None else whole("slate: threads", threads, 1)
    if not isinstance(temperature, Real) or isinstance(temperature, bool) or not 0 <= temperature < np.inf:
        raise RecsysError(f"slate: temperature is {temperature!r}, expected a number from 0 on")
    if scale is not None and not isinstance(scale, str | Mapping):
        raise RecsysError(f"slate: scale is {scale!r}, expected 'fitted', a factor per objective, or None")
    parts = read(blend)
    terms = _terms(pool, terms)
    factors = _factors(pool, parts, k, scale, terms)
    weight = weights(parts, len(pool.users)) * [factors[p.name] for p in parts]
    out = _run(terms, parts, weight, k, temperature=temperature, seed=seed, threads=threads)
    picks = out["picks"]
    chosen = np.take_along_axis(pool.items, np.maximum(picks, 0), axis=1)
    return Slates(
        users=pool.users,
        items=np.where(picks >= 0, chosen, np.int32(-1)),
        scores=out["contributions"].sum(axis=2),
        contributions=out["contributions"],
        objectives=tuple(p.name for p in parts),
        user_ids=pool.context.user_ids,
        item_ids=pool.context.item_ids,
        log_propensity=out["log_propensity"] if temperature > 0 and _closed_form(parts) else None,
        scales=factors,
    )


def fit_scales(pool: Pool, blend: Blend, k: int = 10, *, terms: Terms | None = None) -> dict[str, float]:
    """Return what each objective's gain is to be multiplied by: 1 / its standard deviation within the pool.

    The deviation is taken over the candidates left at each step of the relevance-only slate, and averaged over
    the steps and over at most 2,048 evenly spaced users. A term that cannot tell candidates apart gets 0.

    Raises:
        RecsysError: as `rerank` does.
    """
    k = whole("slate: k", k, 1, _size(pool), "the pool's size")
    parts = read(blend)
    step = max(1, -(-len(pool.users) // SAMPLE))
    sample = Pool(pool.users[::step], pool.items[::step], pool.scores[::step], pool.context)
    weight = np.zeros((len(sample.users), len(parts)))
    out = _run(_terms(pool, terms) if step == 1 else Terms(sample, 0), parts, weight, k, follow=True)
    told = sample.lengths >= 2
    deviation = out["deviations"][told].mean(axis=0) if told.any() else np.zeros(len(parts))
    return {p.name: float(1 / s) if s > FLAT else 0.0 for p, s in zip(parts, deviation, strict=True)}


def _terms(pool: Pool, terms: Terms | None) -> Terms:
    if terms is not None and terms.pool is not pool:
        raise RecsysError("slate: the terms are of another pool, expected Terms(pool) of the pool that is re-ranked")
    return Terms(pool, 0) if terms is None else terms


def _size(pool: Pool) -> int:
    if not isinstance(pool, Pool):
        raise RecsysError(f"slate: found a {type(pool).__name__}, expected a Pool: recsys.candidates makes one")
    return int(pool.items.shape[1])


def _factors(pool: Pool, parts: Sequence[Part], k: int, scale: Scale, terms: Terms) -> dict[str, float]:
    if scale is None:
        return {p.name: 1.0 for p in parts}
    if isinstance(scale, str):
        if scale != "fitted":
            raise RecsysError(f"slate: scale is '{scale}', expected 'fitted', factors, or None")
        return fit_scales(pool, {p.name: {"weight": 1.0, **p.settings} for p in parts}, k, terms=terms)
    for part in parts:
        if part.name not in scale:
            raise unknown("scale of an objective", part.name, scale, where="slate")
        if not isinstance(scale[part.name], Real) or not np.isfinite(scale[part.name]):
            raise RecsysError(f"slate: scale of {part.name} is {scale[part.name]!r}, expected a finite number")
    return {p.name: float(scale[p.name]) for p in parts}


def _closed_form(parts: Sequence[Part]) -> bool:
    return all(p.objective is not objectives.thompson for p in parts)


def _run(
    terms: Terms,
    parts: Sequence[Part],
    weight: Doubles,
    k: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
    follow: bool = False,
) -> dict[str, Any]:
    """Run the kernel over blocks of users on threads; what it fills has a row per user."""
    pool = terms.pool
    users = len(pool.users)
    out: dict[str, Any] = {
        "picks": np.full((users, k), -1, np.int64),
        "contributions": np.zeros((users, k, len(parts)), np.float32),
        "log_propensity": np.zeros((users, k), np.float32),
        "deviations": np.zeros((users, len(parts))),
    }
    memo, count = Tables(2), threads or os.cpu_count() or 1
    running: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=count) as workers:
        for start in range(0, users, BLOCK):
            block = slice(start, min(start + BLOCK, users))
            part = pool.block(block.start, block.stop)
            # Terms are made here, one block after the other: objectives need not be safe for threads.
            made = [terms.get(p, block.start, block.stop, k) for p in parts]
            laid = plan(made, len(part.users), pool.items.shape[1], k, memo)
            filled = [array[block] for array in out.values()]
            uniforms = seeds.uniforms(seed, "slots", part.users[:, None], np.arange(k))
            settings = (k, float(temperature), uniforms, follow)
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
