"""Pools of runs: candidates that are new, those of repeats beside them, and the order of a likelihood."""

from dataclasses import replace

import numpy as np

from recsys.configs import Config, ModelSection, PoolSection, RunSpec
from recsys.experiments.likelihoods import (
    apply_likelihood_quietly,
    build_or_load_likelihood,
    build_or_load_ranked_pool,
)
from recsys.experiments.pipeline import (
    Preparation,
    build_or_load_pool,
    fit_or_load_model,
    name_model,
    resolve_model_settings,
)
from recsys.likelihoods import Likelihood
from recsys.likelihoods.computing import order_best_first
from recsys.retrieval.repeat_candidates import add_repeats
from recsys.support.cache import CacheEntry
from recsys.types import Pool, RecsysError

GUARD = "repeat"  # the guard that reads what was bought before


def reads_repeats(spec: RunSpec, config: Config) -> bool:
    """Whether a run keeps slots for what was bought before."""
    return GUARD in spec.guards or GUARD in config.guards


def build_or_load_run_pool(
    preparation: Preparation, model: ModelSection, wanted: PoolSection, by_likelihood: bool, again: bool
) -> tuple[Pool, float]:
    """Return the pool of a run and the seconds that it took: by a likelihood, with repeats (`again`), or both.

    The likelihood, which was fitted to candidates that are new, orders these as it does without repeats.
    """
    if not again:
        build = build_or_load_ranked_pool if by_likelihood else build_or_load_pool
        return build(preparation, model, wanted)
    pool, seconds = build_or_load_repeat_pool(preparation, model, wanted)
    if not by_likelihood:
        return pool, seconds
    hidden = wanted.model_copy(update={"exclude_seen": True})
    made = build_or_load_likelihood(preparation, model, hidden)
    new = build_or_load_pool(preparation, model, hidden)[0]
    return order_new_and_repeats(new, pool, made, preparation.config.evaluation.split == "validation")[0], seconds


def order_new_and_repeats(
    new: Pool, both: Pool, likelihood: Likelihood, out_of_fold: bool = False
) -> tuple[Pool, tuple[str, ...]]:
    """Return a pool that `add_repeats` made of `new`, ordered by a likelihood, and notes.

    Candidates of `new` have the scores that they have without repeats, and repeats those among all.
    """
    alone, told = apply_likelihood_quietly(new, likelihood, out_of_fold)
    ranked = apply_likelihood_quietly(both, likelihood, out_of_fold)[0]
    width = len(new.context.item_ids)
    own, asked = (np.arange(len(pool.users))[:, None] * width + pool.items for pool in (alone, ranked))
    own, scores = own[alone.items >= 0], alone.scores[alone.items >= 0]
    order = np.argsort(own, kind="stable")
    place = order[np.minimum(np.searchsorted(own, asked, sorter=order), max(len(own) - 1, 0))]
    is_new = (own[place] == asked) & (ranked.items >= 0)
    found = np.where(is_new, scores[place], ranked.scores)
    best = order_best_first(found.astype(np.float64), ranked.items)
    items, made = (np.take_along_axis(array, best, axis=1) for array in (ranked.items, found))
    return replace(ranked, items=items, scores=made), told


def build_or_load_repeat_pool(
    preparation: Preparation, model: ModelSection, wanted: PoolSection, fold: int | None = None
) -> tuple[Pool, float]:
    """Return the pool of a model without what was met, and beside it the items that call most for being bought again.

    Beside it the seconds that fitting and retrieval took. `fold` is that of `build_or_load_pool`.

    Raises:
        RecsysError: without [evidence.repeat].
    """
    config, repeats = preparation.config, preparation.repeats
    if repeats is None or config.evidence is None or config.evidence.repeat is None:
        raise RecsysError("repeat needs to know what was bought before, expected [evidence.repeat]")
    section = config.evidence.repeat
    hidden = wanted.model_copy(update={"exclude_seen": True})
    pool, seconds = build_or_load_pool(preparation, model, hidden, fold=fold)

    def add() -> CacheEntry:
        made = add_repeats(pool, fit_or_load_model(preparation, model)[0], repeats, n=section.n)
        return CacheEntry({"items": made.items, "scores": made.scores}, 0.0)

    named = [*name_model(model), resolve_model_settings(preparation, model), hidden.model_dump()]
    key = [*preparation.key, *named, *preparation.describe_repeats(), *([] if fold is None else ["fold", fold])]
    arrays = preparation.cache.get_or_make("repeat pool", key, add).arrays
    context = replace(pool.context, repeats=repeats)
    return replace(pool, items=arrays["items"], scores=arrays["scores"], context=context), seconds
