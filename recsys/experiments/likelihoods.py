"""The likelihood of a benchmark: fitted on validation likes, applied to the pools of its runs, computed once."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recsys import maps
from recsys.configs import LikelihoodSection, ModelSection, PoolSection
from recsys.experiments.item_columns import ItemColumns
from recsys.experiments.pipeline import (
    Preparation,
    build_or_load_maps,
    build_or_load_pool,
    fit_or_load_model,
    name_model,
    resolve_model_settings,
)
from recsys.likelihoods import Likelihood, apply_likelihood, fit_likelihood
from recsys.retrieval.candidates import candidates
from recsys.support.cache import CacheEntry
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import Pool, RecsysError, RecsysWarning, Scorer, Split, TasteMap


def fit_section_likelihood(
    section: LikelihoodSection, whole: Split, fitted: Scorer, wanted: PoolSection, own: Sequence[TasteMap] | None,
    seed: int, columns: ItemColumns | None = None,
) -> Likelihood:  # fmt: skip
    """Return the likelihood of a model that was fitted to `whole.train`, from its candidates.

    `columns` are those that the section names.

    Raises:
        RecsysError: as `fit_likelihood` does, naming the section.
    """
    pool = candidates(fitted, whole.validation_view(), maps=own, seed=seed, **wanted.model_dump())
    try:
        return fit_likelihood(pool, whole, seed=seed, **_build_fit_settings(section, columns))
    except RecsysError as error:
        raise RecsysError(f"[likelihood] {str(error).removeprefix('likelihood: ')}") from None


def _build_fit_settings(section: LikelihoodSection, columns: ItemColumns | None) -> dict[str, Any]:
    """Return the keywords of `fit_likelihood`; columns are features beside those that the section names."""
    settings = section.model_dump(exclude={"columns", "items"})
    if columns is None:
        return settings
    features = None if section.features is None else [*section.features, *columns.names]
    return {**settings, "features": features, "items": columns.table}


def build_or_load_likelihood(preparation: Preparation, model: ModelSection, wanted: PoolSection) -> Likelihood:
    """Return the likelihood of a model and a pool by the config's [likelihood], from the cache where it is there."""
    config, whole = preparation.config, preparation.whole
    section = config.likelihood
    if section is None or whole is None:
        raise RecsysError("[likelihood] is missing, expected the section")
    before = build_fitting_preparation(preparation, whole)

    def fit() -> CacheEntry:
        start = time.perf_counter()
        fitted = fit_or_load_model(before, model)[0]
        own, columns = before.objective_maps, before.item_columns
        made = fit_section_likelihood(section, whole, fitted, wanted, own, config.seed, columns)
        return CacheEntry(flatten_record(made), time.perf_counter() - start)

    settings = [resolve_model_settings(preparation, model), wanted.model_dump()]
    key = [*before.key, *name_model(model), *settings, *describe_likelihood_source(preparation)]
    return restore_record(Likelihood, preparation.cache.get_or_make("likelihood", key, fit).arrays)


def describe_likelihood_source(preparation: Preparation) -> list[Any]:
    """Return what decides the likelihood beside its model and pool, for keys of the cache; [] without [likelihood]."""
    section = preparation.config.likelihood
    return [] if section is None else [section.model_dump(), *preparation.column_digests]


def build_or_load_ranked_pool(
    preparation: Preparation, model: ModelSection, wanted: PoolSection
) -> tuple[Pool, float]:  # fmt: skip
    """Return the pool of a model with the scores and the order of the likelihood, and seconds without its fit.

    On validation each user is scored out of fold. Where the likelihood is below its base it is the model's own pool.
    """
    made = build_or_load_likelihood(preparation, model, wanted)
    pool, seconds = build_or_load_pool(preparation, model, wanted)
    start = time.perf_counter()
    ranked, _ = apply_likelihood_quietly(pool, made, preparation.config.evaluation.split == "validation")
    return ranked, seconds + time.perf_counter() - start


def apply_likelihood_quietly(pool: Pool, made: Likelihood, out_of_fold: bool = False) -> tuple[Pool, tuple[str, ...]]:
    """Return the pool that `apply_likelihood` gives, and its warnings as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecsysWarning)
        ranked = apply_likelihood(pool, made, out_of_fold=out_of_fold)
    return ranked, tuple(str(one.message) for one in caught)


def find_likelihood(preparation: Preparation) -> Likelihood | None:
    """Return the likelihood of the config's own model and pool, None where it has no [likelihood]."""
    config = preparation.config
    return None if config.likelihood is None else build_or_load_likelihood(preparation, config.model, config.pool)


def describe_likelihood(made: Likelihood) -> tuple[str, ...]:
    """Return notes: its accuracy out of fold against the base's, and whether its use is left out."""
    end = "" if made.beats_base else ": its use is left out, and the base's order is kept"
    return (f"{made.describe()}{end}", *(f"likelihood: {note}" for note in made.notes.tolist()))


def build_fitting_preparation(preparation: Preparation, whole: Split) -> Preparation:
    """Return the preparation in which train alone is known: that of validation."""
    config = preparation.config
    if config.evaluation.split == "validation":
        return preparation
    judged = config.evaluation.model_copy(update={"split": "validation"})
    before = replace(
        preparation, config=config.model_copy(update={"evaluation": judged}), split=whole.validation_view()
    )
    own = build_or_load_maps(preparation.cache, ["own", *before.key], lambda: maps.objective_maps(whole.weighted_train))
    return replace(before, objective_maps=own)
