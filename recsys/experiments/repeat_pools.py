"""Pools of runs that keep slots for what was bought before: candidates that are new, and those of repeats."""

from dataclasses import replace

from recsys.configs import Config, ModelSection, PoolSection, RunSpec
from recsys.experiments.pipeline import (
    Preparation,
    build_or_load_pool,
    fit_or_load_model,
    name_model,
    resolve_model_settings,
)
from recsys.retrieval.repeat_candidates import add_repeats
from recsys.support.cache import CacheEntry
from recsys.types import Pool, RecsysError

GUARD = "repeat"  # the guard that reads what was bought before


def reads_repeats(spec: RunSpec, config: Config) -> bool:
    """Whether a run keeps slots for what was bought before."""
    return GUARD in spec.guards or GUARD in config.guards


def build_or_load_repeat_pool(preparation: Preparation, model: ModelSection, wanted: PoolSection) -> tuple[Pool, float]:
    """Return the pool of a model without what was met, and beside it the items that call most for being bought again.

    Beside it the seconds that fitting and retrieval took.

    Raises:
        RecsysError: without [evidence.repeat].
    """
    config, repeats = preparation.config, preparation.repeats
    if repeats is None or config.evidence is None or config.evidence.repeat is None:
        raise RecsysError("repeat needs to know what was bought before, expected [evidence.repeat]")
    section = config.evidence.repeat
    hidden = wanted.model_copy(update={"exclude_seen": True})
    pool, seconds = build_or_load_pool(preparation, model, hidden)

    def add() -> CacheEntry:
        made = add_repeats(pool, fit_or_load_model(preparation, model)[0], repeats, n=section.n)
        return CacheEntry({"items": made.items, "scores": made.scores}, 0.0)

    named = [*name_model(model), resolve_model_settings(preparation, model), hidden.model_dump()]
    key = [*preparation.key, *named, *preparation.describe_repeats()]
    arrays = preparation.cache.get_or_make("repeat pool", key, add).arrays
    context = replace(pool.context, repeats=repeats)
    return replace(pool, items=arrays["items"], scores=arrays["scores"], context=context), seconds
