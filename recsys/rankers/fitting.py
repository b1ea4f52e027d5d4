"""Inputs of `Ranker.fit`, checked and made one: a split, a model or scores, a blend."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from recsys.likelihoods.applying import order_pool
from recsys.likelihoods.records import Likelihood
from recsys.objectives.derived_tables import (
    get_factor_gram,
    get_hard_regions,
    get_item_vectors,
    get_items_by_feature,
)
from recsys.rankers.indexes import Index, build_index
from recsys.rankers.likelihoods import refuse_likelihood
from recsys.rankers.policies import Policy
from recsys.rankers.request_constraints import resolve_fixed_guards
from recsys.rankers.requests import build_context_of_users
from recsys.reranking import blends
from recsys.reranking.slates import SAMPLE_USERS, Scale, fit_scales
from recsys.retrieval.candidates import candidates, make_context
from recsys.types import Context, ExposureHistories, Guard, Pool, RecsysError, Scorer, Split, TasteMap
from recsys.types.exposures import make_empty_histories
from recsys.types.repeats import RepeatHistories

# How maps and scales of a ranker came to be: by `objective_maps` and on the model's candidates, or otherwise.
MADE, GIVEN, OF_POOL, OF_NO_ROWS = "made", "given", "of a pool", "of no rows"


class FittedParts(NamedTuple):
    """What `Ranker.fit` makes of a model, a split and a blend."""

    context: Context
    scales: dict[str, float]
    retrieval_index: Index | None
    likelihood: Likelihood | None
    about: dict[str, Any]  # how they came to be, as JSON can say it


def fit_ranker_parts(
    model: Scorer | None, split: Split, blend: Mapping[str, Any], policy: Policy, *, maps: Sequence[TasteMap] | None,
    guards: Sequence[Guard], shown: ExposureHistories | None, index_recall: float, likelihood: Likelihood | None,
    scale: Scale, pool: Pool | None, repeats: RepeatHistories | None = None,
) -> FittedParts:  # fmt: skip
    """Return the parts of a ranker, which `about` tells from those that were given: as `Ranker.fit` says.

    Raises:
        RecsysError: as `Ranker.fit` does.
    """
    around = build_ranker_context(split, model, maps, policy.seed, guards, policy.k, shown, repeats)
    available = resolve_fixed_guards(guards, around, policy.k).filter_available(split.available_items)
    index = build_index(model, around, available, policy, index_recall)
    of_scales = (
        (MADE if pool is None else OF_POOL) if isinstance(scale, str) else OF_NO_ROWS if scale is None else GIVEN
    )
    about: dict[str, Any] = {"made_of": {"maps": MADE if maps is None else GIVEN, "scales": of_scales}}
    if reason := refuse_likelihood(likelihood, around):
        likelihood, about = None, {**about, "likelihood": f"left out: {reason}"}
    scales = fit_ranker_scales(around, split, model, pool, blend, scale, policy, likelihood)
    prime_tables(around, model)
    return FittedParts(around, scales, index, likelihood, about)


def serialize_blend(blend: blends.Blend) -> dict[str, Any]:
    """Return a blend as JSON can say it, with the weights that are not 0.

    Raises:
        RecsysError: for a blend that cannot be read, weights per user, or settings that are no plain values.
    """
    parts = blends.parse_blend(blend)
    given = {blends.name_objective(objective, importable=True): value for objective, value in blend.items()}
    kept = {part.name: given[part.name] for part in parts}
    for part in parts:
        if part.weight.ndim:
            raise RecsysError(
                f"ranker: '{part.name}' has weights per user, expected one, or {{weight = ..., by = ...}}"
            )
    try:
        told: dict[str, Any] = json.loads(json.dumps(kept, default=_convert_number))
    except (TypeError, ValueError):
        raise RecsysError("ranker: a setting of the blend is no plain value, expected numbers and texts") from None
    return told


def build_ranker_context(
    split: Split, model: Scorer | None, maps: Sequence[TasteMap] | None, seed: int, guards: Sequence[Guard], k: int,
    shown: ExposureHistories | None = None, repeats: RepeatHistories | None = None,
) -> Context:  # fmt: skip
    """Return the context that requests are among, its maps made; but first see whether guards can hold in it.

    Raises:
        RecsysError: as a guard says, or for histories or factors that are not of this split, or no numbers.
    """
    shown = make_empty_histories(len(split.user_ids)) if shown is None else shown
    around = replace(make_context(split, model, maps=maps, seed=seed, shown=shown), repeats=repeats)
    around.check_arrays()
    resolve_fixed_guards(guards, around, k)
    _ = around.maps
    return around


def fit_ranker_scales(
    around: Context, split: Split, model: Scorer | None, pool: Pool | None, blend: Mapping[str, Any], scale: Scale,
    policy: Policy, likelihood: Likelihood | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return the scale of each objective: fitted on a sample of the model's candidates, or on the caller's `pool`.

    Raises:
        RecsysError: for a pool of other users or items than the split's, or neither a model nor a pool to fit on.
    """
    parts = blends.parse_blend(blend)
    names = [part.name for part in parts]
    if scale is None:
        return dict.fromkeys(names, 1.0)
    if isinstance(scale, Mapping):
        return blends.select_scales(scale, names, "ranker")
    if scale != "fitted":
        raise RecsysError(f"ranker: scale is {scale!r}, expected 'fitted', a factor per objective, or None")
    if "fatigue" in names and not len(around.need_exposures("ranker").items):
        raise RecsysError(
            "ranker: found no exposures to fit the scale of 'fatigue' on, expected a log of them, or scales"
        )
    if pool is None and model is None:
        raise RecsysError("ranker: found neither a model nor a pool, expected one to fit scales on, or scale=")
    sample = _sample_pool(around, split, model, pool, policy)
    if likelihood is not None:
        sample = order_pool(sample, likelihood)
    k = min(policy.k, sample.items.shape[1])
    return fit_scales(sample, {part.name: part.with_unit_weight for part in parts}, k)


def prime_tables(around: Context, model: Scorer | None) -> None:
    """Make what requests, their guards and sentences need beside what the blend's objectives made already."""
    get_item_vectors(around, "cooccurrence", "sentences")
    if around.items is not None and around.items.features.nnz:
        get_items_by_feature(around, "guards")
    for m in range(len(around.maps)):
        get_hard_regions(around, m)
    if model is not None and model.factors is not None:
        get_factor_gram(around, "a ranker")


def _sample_pool(around: Context, split: Split, model: Scorer | None, pool: Pool | None, policy: Policy) -> Pool:
    """Return at most 2,048 evenly spaced users and their candidates, as requests have them."""
    if pool is None:
        step = max(1, -(-len(split.user_ids) // SAMPLE_USERS))
        n = min(policy.n, len(split.item_ids))
        users = np.arange(0, len(split.user_ids), step, dtype=np.int32)
        settings: dict[str, Any] = {
            "n": n,
            "exclude_seen": policy.exclude_seen,
            "exploration_share": policy.exploration_share,
            "seed": policy.seed,
        }
        pool = candidates(model, split, users=users, maps=around.maps, **settings)  # type: ignore[arg-type]
    else:
        same = np.array_equal(pool.context.item_ids, split.item_ids)
        if not same or not np.array_equal(pool.context.user_ids, split.user_ids):
            raise RecsysError("ranker: the pool is of other users or items, expected a pool made with split=")
        step = max(1, -(-len(pool.users) // SAMPLE_USERS))
        items, scores = pool.items[::step], pool.scores[::step]
        pool = replace(pool, users=pool.users[::step], items=items, scores=scores, context=around)
    codes = pool.users.astype(np.int64)
    return replace(pool, users=np.arange(len(codes), dtype=np.int32), context=build_context_of_users(around, codes))


def _convert_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError
