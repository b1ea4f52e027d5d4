"""What a ranker is fitted from: a split, a model or somebody's scores, a blend."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsys import blends
from recsys.guards import items_by_feature
from recsys.maths import gram
from recsys.pools import candidates, context
from recsys.rankers.explanations import vectors_of
from recsys.rankers.limits import limit
from recsys.rankers.policies import Policy
from recsys.rankers.requests import context_among
from recsys.rankers.retrievals import hard_region
from recsys.slates import SAMPLE, Scale, fit_scales
from recsys.types import Context, Guard, Pool, RecsysError, Scorer, Split, TasteMap


def plain(blend: blends.Blend) -> dict[str, Any]:
    """Return a blend as JSON can say it, with the weights that are not 0.

    Raises:
        RecsysError: for a blend that cannot be read, weights per user, or settings that are no plain values.
    """
    kept = {part.name: blend[part.name] for part in blends.read(blend)}
    for part in blends.read(blend):
        if part.weight.ndim:
            raise RecsysError(
                f"ranker: '{part.name}' has weights per user, expected one, or {{weight = ..., by = ...}}"
            )
    try:
        told: dict[str, Any] = json.loads(json.dumps(kept, default=_number))
    except (TypeError, ValueError):
        raise RecsysError("ranker: a setting of the blend is no plain value, expected numbers and texts") from None
    return told


def surroundings(
    split: Split, model: Scorer | None, maps: Sequence[TasteMap] | None, seed: int, guards: Sequence[Guard], k: int
) -> Context:
    """Return the context that requests are among, its maps made; but first see whether guards can hold in it.

    Raises:
        RecsysError: as a guard says, or for histories or factors that are not of this split, or no numbers.
    """
    around = context(split, model, maps=maps, seed=seed)
    around.check()
    limit(guards, around, k)
    _ = around.maps
    return around


def scales_of(
    around: Context, split: Split, model: Scorer | None, pool: Pool | None, blend: Mapping[str, Any], scale: Scale,
    policy: Policy,
) -> dict[str, float]:  # fmt: skip
    """Return the scale of each objective: fitted on a sample of the model's candidates, or on the caller's `pool`.

    Raises:
        RecsysError: for a pool of other users or items than the split's, or neither a model nor a pool to fit on.
    """
    names = [part.name for part in blends.read(blend)]
    if scale is None:
        return dict.fromkeys(names, 1.0)
    if isinstance(scale, Mapping):
        missing = [name for name in names if name not in scale]
        if missing:
            raise RecsysError(f"ranker: scale has no '{missing[0]}', expected a factor for each objective of the blend")
        return {name: float(scale[name]) for name in names}
    if scale != "fitted":
        raise RecsysError(f"ranker: scale is {scale!r}, expected 'fitted', a factor per objective, or None")
    if pool is None and model is None:
        raise RecsysError("ranker: found neither a model nor a pool, expected one to fit scales on, or scale=")
    sample = _sample(around, split, model, pool, policy)
    return fit_scales(sample, {n: _once(blend[n]) for n in names}, min(policy.k, sample.items.shape[1]))


def prime(around: Context, model: Scorer | None) -> None:
    """Make what requests, their guards and sentences need beside what the blend's objectives made already."""
    vectors_of(around)
    if around.items is not None:
        items_by_feature(around, around.items)
    for m in range(len(around.maps)):
        hard_region(around, m)
    factors = None if model is None else model.factors
    if factors is not None:
        around.tables.get("gram of all", lambda: gram(factors))


def _sample(around: Context, split: Split, model: Scorer | None, pool: Pool | None, policy: Policy) -> Pool:
    """Return at most 2,048 evenly spaced users and their candidates, as requests have them."""
    if pool is None:
        step = max(1, -(-len(split.user_ids) // SAMPLE))
        n = min(policy.n, len(split.item_ids))
        users = np.arange(0, len(split.user_ids), step, dtype=np.int32)
        settings: dict[str, Any] = {"n": n, "history": policy.history, "reach": policy.reach, "seed": policy.seed}
        pool = candidates(model, split, users=users, maps=around.maps, **settings)  # type: ignore[arg-type]
    else:
        same = np.array_equal(pool.context.item_ids, split.item_ids)
        if not same or not np.array_equal(pool.context.user_ids, split.user_ids):
            raise RecsysError("ranker: the pool is of other users or items, expected a pool made with split=")
        step = max(1, -(-len(pool.users) // SAMPLE))
        pool = Pool(pool.users[::step], pool.items[::step], pool.scores[::step], around)
    codes = pool.users.astype(np.int64)
    return Pool(np.arange(len(codes), dtype=np.int32), pool.items, pool.scores, context_among(around, codes))


def _once(value: Any) -> dict[str, Any]:
    """Return the settings of an objective with the weight 1: scales do not depend on weights."""
    return {**(value if isinstance(value, Mapping) else {}), "weight": 1.0}


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError
