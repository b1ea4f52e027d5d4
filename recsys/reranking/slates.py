"""Slates: the pool, re-ranked by a blend of objectives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from recsys import objectives
from recsys.kernels import slot_rules
from recsys.kernels.checks import check_pool
from recsys.reranking.blends import (
    Blend,
    BlendPart,
    make_weight_matrix,
    name_objective,
    parse_blend,
    select_scales,
)
from recsys.reranking.blocks import select_slates
from recsys.reranking.dials import multiply_weights
from recsys.reranking.orders import Order, check_order
from recsys.reranking.term_cache import TermCache
from recsys.types import Guard, Pool, RecsysError, Slates
from recsys.types.numbers import check_int, check_number
from recsys.types.slates import sum_contributions

SAMPLE_USERS = 2048  # users from whom scale constants are fitted
MIN_DEVIATION = 1e-7  # a standard deviation below it is none: the term cannot tell candidates apart

Scale = Literal["fitted"] | Mapping[str, float] | None
GetOrFit = Callable[[Blend, Callable[[], float]], float]


def rerank(
    pool: Pool,
    blend: Blend,
    k: int = 10,
    *,
    scale: Scale = "fitted",
    weights: Mapping[Any, Any] | None = None,
    guards: Sequence[Guard] = (),
    order: Order = "gain",
    temperature: float = 0.0,
    epsilon: float = 0.0,
    seed: int = 0,
    n_threads: int | None = None,
    terms: TermCache | None = None,
) -> Slates:
    """Return slates of k picks per user: greedily, each time the candidate with the largest blended gain.

    `blend` maps objectives (a name in `recsys.objectives`, "package.module:function", or the function) to weights: a
    number, one per user of the pool, or {"weight": ..., setting: ...}, with "adapt_to": "entropy" among them where the
    weight follows how varied a history is (`recsys.reranking.user_weights`). With `scale="fitted"` each gain is divided
    by its within-pool standard deviation (`fit_scales`), so that equal weights mean equal spread; a mapping gives
    factors fitted before; None uses raw gains. The result does not depend on `n_threads`. A pool shorter than k gives a
    slate that ends in -1. `terms` (of this pool) keeps what objectives computed, for further calls with other weights.

    `weights` are dials: factors of objectives of the blend, each a number or one per user, by which their weights are
    multiplied for this call. 1 is as configured, 0 turns the objective off. The slates are bit for bit those of a blend
    with the multiplied weights.

    `guards` (`recsys.reranking.guards`) are hard rules: what may not, must, or may only so often be in a slate. No gain
    outweighs them, chances are over what they allow, and scales are those of the pool without them. What cannot be met
    is met in the order that `recsys.reranking.guards` says, and counted for each user and guard in `Slates.violations`.

    Picks stand in the order in which they were picked, or with `order="relevance"` in that of the pool: the same items,
    the likeliest first. What a user sees first then costs no accuracy for the sake of what the slate as a whole is for.

    With `temperature` > 0 each pick is drawn from the softmax of the blended gain / temperature over what is left.
    Where all objectives are `Modular` this is the Plackett-Luce model: P(S) = prod over r of exp(g_r / T) / sum over
    j not before r of exp(g_j / T), g the blended gains (Plackett 1975); with others, gains follow the slate. With
    `epsilon` > 0 each slot is, with that probability, any of what is left, all alike (epsilon-greedy; beside a
    temperature, the mixture of both): the greedy pick has the probability 1 - epsilon + epsilon / left. Either way
    the slates carry the exact log-probability of each pick given those before it, unless an objective draws too.

    Raises:
        RecsysError: if k is larger than the pool, for a seed or n_threads that are no whole numbers, a temperature
            below 0, an epsilon that is not from 0 to 1, an unknown order, or one by relevance for picks that are drawn,
            an unknown objective or setting, a bad weight or factor, terms of another pool, a pool whose rows are not
            candidates best first, an objective that needs what the pool does not have, or gains that are no numbers.
    """
    k = check_int("slate: k", k, 1, _check_pool_size(pool), "the pool's size")
    seed = check_int("slate: seed", seed)
    n_threads = None if n_threads is None else check_int("slate: n_threads", n_threads, 1)
    temperature = check_number("slate: temperature", temperature)
    epsilon = check_number("slate: epsilon", epsilon, most=1.0)
    drawn = temperature > 0 or epsilon > 0
    check_order(order, "slate: ", drawn=drawn)
    if scale is not None and not isinstance(scale, str | Mapping):
        raise RecsysError(f"slate: scale is {scale!r}, expected 'fitted', a factor per objective, or None")
    parts = parse_blend(blend)
    if weights is not None:
        parts = multiply_weights(parts, weights, {name_objective(one) for one in blend}, len(pool.users))
    asked = slot_rules.make_rules(guards, pool, k)
    check_order(order, "slate: ", pinned=any(rule.pins is not None for rule in asked))
    terms = _get_term_cache(pool, terms)
    factors = _resolve_scales(pool, parts, k, scale, terms)
    weight = make_weight_matrix(parts, pool, factors)
    drawing: dict[str, Any] = {"temperature": temperature, "epsilon": epsilon, "seed": seed, "n_threads": n_threads}
    items = np.full((len(pool.users), k), -1, np.int32)
    contributions = np.zeros((*items.shape, len(parts)), np.float32)
    chances = np.zeros(items.shape, np.float32) if drawn and _has_closed_form(parts) else None
    for block, found in select_slates(
        terms, parts, weight, k, rules=slot_rules.flatten_rules(asked, pool, k), **drawing
    ):
        picks, added = found.picks, found.contributions
        if order == "relevance":
            places = np.argsort(np.where(picks >= 0, picks, pool.items.shape[1]), axis=1, kind="stable")
            picks = np.take_along_axis(picks, places, axis=1)
            added = np.take_along_axis(added, places[:, :, None], axis=1)
        chosen = np.take_along_axis(pool.items[block], np.maximum(picks, 0), axis=1)
        items[block], contributions[block] = np.where(picks >= 0, chosen, -1), added
        if chances is not None:
            chances[block] = found.log_propensity
    return Slates(
        users=pool.users,
        items=items,
        scores=sum_contributions(contributions),
        contributions=contributions,
        objectives=tuple(p.name for p in parts),
        user_ids=pool.context.user_ids,
        item_ids=pool.context.item_ids,
        log_propensity=chances,
        scales=factors,
        guards=tuple(guard.name for guard in guards),
        violations=slot_rules.count_violations(asked, items) if guards else None,
        titles=None if pool.context.items is None else pool.context.items.titles,
    )


def fit_scales(pool: Pool, blend: Blend, k: int = 10, *, terms: TermCache | None = None) -> dict[str, float]:
    """Return the factor of each objective's gain: 1 / its standard deviation within the pool.

    The deviation is taken over the candidates left at each step of the relevance-only slate, and averaged over
    the steps and over at most 2,048 evenly spaced users. A term that cannot tell candidates apart gets 0.

    Raises:
        RecsysError: as `rerank` does.
    """
    k = check_int("slate: k", k, 1, _check_pool_size(pool), "the pool's size")
    return _fit_part_scales(pool, parse_blend(blend), k, terms)


def _fit_part_scales(pool: Pool, parts: Sequence[BlendPart], k: int, terms: TermCache | None) -> dict[str, float]:
    step = max(1, -(-len(pool.users) // SAMPLE_USERS))
    sample = replace(pool, users=pool.users[::step], items=pool.items[::step], scores=pool.scores[::step])
    weight = np.zeros((len(sample.users), len(parts)))
    found = select_slates(
        _get_term_cache(pool, terms) if step == 1 else TermCache(sample, 0), parts, weight, k, follow=True
    )
    deviations = np.concatenate([np.zeros((0, len(parts))), *(block.deviations for _, block in found)])
    told = sample.lengths >= 2
    deviation = deviations[told].mean(axis=0) if told.any() else np.zeros(len(parts))
    return {p.name: float(1 / s) if s > MIN_DEVIATION else 0.0 for p, s in zip(parts, deviation, strict=True)}


def fit_each_scale(
    pool: Pool, blend: Blend, k: int, get_or_fit: GetOrFit, *, terms: TermCache | None = None
) -> dict[str, float]:
    """Return the scales of `fit_scales`, each objective's fitted alone, so that blends with other weights share them.

    A scale depends on the pool, k and the objective's settings, not on its weight nor on the rest of the blend.
    `get_or_fit` is called with the blend of each objective alone, at weight 1, and a function that fits its scale: it
    returns a scale that it kept for this blend, or fits and keeps it.

    Raises:
        RecsysError: as `rerank` does.
    """

    def make_fit(part: BlendPart) -> Callable[[], float]:
        return lambda: fit_scales(pool, {part.name: part.with_unit_weight}, k, terms=terms)[part.name]

    return {p.name: get_or_fit({p.name: p.with_unit_weight}, make_fit(p)) for p in parse_blend(blend)}


def _get_term_cache(pool: Pool, terms: TermCache | None) -> TermCache:
    if terms is not None and terms.pool is not pool:
        raise RecsysError("slate: the terms are of another pool, expected Terms(pool) of the pool that is re-ranked")
    return TermCache(pool, 0) if terms is None else terms


def _check_pool_size(pool: Pool) -> int:
    """Return the number of candidates that the pool has room for, after checking that it is a pool."""
    if not isinstance(pool, Pool):
        raise RecsysError(f"slate: found a {type(pool).__name__}, expected a Pool: recsys.candidates makes one")
    check_pool(pool)
    return int(pool.items.shape[1])


def _resolve_scales(pool: Pool, parts: Sequence[BlendPart], k: int, scale: Scale, terms: TermCache) -> dict[str, float]:
    if scale is None:
        return {p.name: 1.0 for p in parts}
    if isinstance(scale, str):
        if scale != "fitted":
            raise RecsysError(f"slate: scale is '{scale}', expected 'fitted', factors, or None")
        return _fit_part_scales(pool, parts, k, terms)
    return select_scales(scale, [p.name for p in parts], "slate")


def _has_closed_form(parts: Sequence[BlendPart]) -> bool:
    return all(p.objective is not objectives.thompson for p in parts)
