"""One run of a config, fitted to all of the data: what is exported, and what is recommended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import splits
from recsys.configs import LIKELIHOOD_RUN, Config, LikelihoodSection, ModelSection, PoolSection, RunSpec
from recsys.experiments.full_data_repeats import add_purchases, build_full_data_repeats
from recsys.experiments.guest_runs import apply_guest_runs
from recsys.experiments.item_columns import read_item_columns
from recsys.experiments.likelihoods import fit_section_likelihood
from recsys.experiments.one_offs import apply_one_offs
from recsys.experiments.pipeline import (
    apply_half_life,
    load_dataset,
    load_exposures,
    resolve_half_life,
    split_dataset,
)
from recsys.likelihoods import Likelihood
from recsys.support.cache import Cache, get_default_cache_folder
from recsys.support.progress import show_progress
from recsys.types import Dataset, Exposures, Scorer, Split, make_unknown_name_error
from recsys.types.errors import Setting, SettingError
from recsys.types.repeats import RepeatHistories

SHOWN_BLENDS = 5  # in a message


@dataclass(frozen=True, eq=False)
class FullDataFit:
    """A run and what decides its slates."""

    spec: RunSpec
    dataset: Dataset
    split: Split  # nothing is held out
    kind: str  # of the model
    fitted: Scorer
    pool: PoolSection
    blend: Mapping[str, Any]
    scale: Any  # "fitted", or None: raw gains
    likelihood: Likelihood | None = None  # of a run whose pool it orders
    shown: Exposures | None = None  # the log of what was shown before, by [shown]
    repeats: RepeatHistories | None = None  # what users may buy again, by [evidence.repeat]


def fit_run_to_all_data(
    settings: Config, name: str | None, data_dir: str | Path | None, quiet: bool, data: Dataset | None
) -> FullDataFit:
    """Return one run of `settings` with its model fitted to all positives of the filtered data.

    `name` is the run's, as for `choose_run`; `data` is a dataset in memory, None where the config says which.

    Raises:
        RecsysError: as `choose_run` does, or for whatever is wrong with the data.
    """
    spec = choose_run(settings, name)
    dataset = load_dataset(settings, None if data_dir is None else Path(data_dir), quiet, data)
    shown = load_exposures(settings)
    if settings.time is not None and settings.time.half_life == "validation":
        cache = Cache(get_default_cache_folder())
        settings, _ = resolve_half_life(settings, split_dataset(settings, dataset), cache, quiet)
    kept = {**settings.filter.model_dump(), "topics": settings.read_topics()}
    split = apply_half_life(settings, splits.no_holdout(dataset, **kept, seed=settings.seed))
    split = add_purchases(settings, dataset, split)
    split = apply_one_offs(settings, dataset, split, None, "all", quiet)
    split = apply_guest_runs(settings, split, None, "all")
    section = spec.model or settings.model
    with show_progress(quiet):
        fitted = section.build_model("[model]").fit(split.train, split.side_information)
    scale = "fitted" if settings.slate.scale == "fitted" else None
    blend, pool = spec.blend or {"relevance": 1.0}, spec.pool or settings.pool
    likelihood = None
    if spec.by_likelihood and settings.likelihood is not None:
        with show_progress(quiet):
            likelihood = fit_run_likelihood(settings, settings.likelihood, dataset, section, pool)
    repeats = build_full_data_repeats(settings, spec, dataset, split)
    return FullDataFit(spec, dataset, split, section.kind, fitted, pool, blend, scale, likelihood, shown, repeats)


def fit_run_likelihood(
    settings: Config, wanted: LikelihoodSection, dataset: Dataset, section: ModelSection, pool: PoolSection
) -> Likelihood:
    """Return the likelihood of a run, fitted to the validation likes of the config's split."""
    whole = apply_half_life(settings, split_dataset(settings, dataset))
    whole = apply_one_offs(settings, dataset, whole, None, "validation", True)
    whole = apply_guest_runs(settings, whole, None, "validation")
    fitted = section.build_model("[model]").fit(whole.train, whole.side_information)
    columns = read_item_columns(settings, whole)
    return fit_section_likelihood(wanted, whole, fitted, pool, None, settings.seed, columns)


def choose_run(settings: Config, name: str | None = None) -> RunSpec:
    """Return the run called `name`; without a name the only blend, or where there is none the order of the pool.

    That is the likelihood's where the config has one, or else the model's own.

    Raises:
        RecsysError: for a run that the config does not have, or several blends and no name.
    """
    runs = {spec.name: spec for spec in settings.list_runs()}
    if name is not None:
        if name not in runs:
            raise make_unknown_name_error("run", name, runs, where=settings.name)
        return runs[name]
    blends = [run for run, spec in runs.items() if spec.kind == "blend"]
    if len(blends) > 1:
        more = f" and {len(blends) - SHOWN_BLENDS} more" if len(blends) > SHOWN_BLENDS else ""
        raise SettingError(
            f"{settings.name}: has the blends {', '.join(blends[:SHOWN_BLENDS])}{more}, expected the name of one: ",
            Setting("blend"),
        )
    alone = settings.base_name if settings.likelihood is None else LIKELIHOOD_RUN
    return runs[blends[0] if blends else alone]
