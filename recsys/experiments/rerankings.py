"""The slates of a benchmark's runs: each blend over its pool, at each length, computed once."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recsys.configs import RunSpec
from recsys.experiments.folds import FoldPools, change_fold_half_life, depends_on_fold
from recsys.experiments.likelihoods import describe_likelihood_source
from recsys.experiments.pipeline import LogFunction, Preparation, build_or_load_pool, change_half_life
from recsys.experiments.repeat_pools import build_or_load_run_pool, reads_repeats
from recsys.reranking.slates import fit_each_scale, rerank
from recsys.reranking.term_cache import TermCache
from recsys.support.cache import CacheEntry
from recsys.support.progress import show_progress
from recsys.types import Judge, Pool, RecsysError, Slates
from recsys.types.errors import describe_error, restore_interrupts

SlatesByLength = dict[int, dict[str, Slates]]


def build_run_slates(
    preparation: Preparation,
    specs: tuple[RunSpec, ...],
    quiet: bool,
    log_line: LogFunction,
    refused: dict[str, str] | None = None,
) -> tuple[SlatesByLength, dict[str, float]]:
    """Return each run's slates of every length, and the seconds that those of the headline's took.

    Seconds are with fitting and retrieval where a model is judged. Models and blends that cannot be judged are left out
    and added to `refused`, with the reason; without it the first of them ends the work.
    """
    config = preparation.config
    pool, fitting = build_or_load_pool(preparation, config.model, config.pool)
    base = TermCache(pool)
    slates: SlatesByLength = {k: {} for k in config.slate_lengths}
    seconds: dict[str, float] = {}
    with show_progress(quiet) as bars:
        task = bars.add_task("runs", total=len(specs))
        for spec in specs:
            bars.update(task, description=spec.name)
            try:
                with restore_interrupts():
                    of = preparation if spec.time is None else change_half_life(preparation, spec.time)
                    made = {k: _build_or_load_slates(of, spec, base, k) for k in config.slate_lengths}
            except Exception as error:
                if refused is not None and spec.kind in ("blend", "model"):
                    refused[spec.name] = describe_error(error)
                    continue
                if isinstance(error, RecsysError):
                    raise RecsysError(f"run '{spec.name}': {error}") from None
                raise
            for k, (found, took) in made.items():
                slates[k][spec.name] = found
                if k == config.headline_k:
                    seconds[spec.name] = took + (fitting if spec.kind == "base" else 0.0)
            log_line(
                f"run: {spec.name}, {seconds[spec.name]:.2f} s"
                f"{_describe_violations(slates[config.headline_k][spec.name])}"
            )
            bars.advance(task)
    return slates, seconds


def build_fold_slates(
    preparation: Preparation,
    specs: tuple[RunSpec, ...],
    seen: SlatesByLength,
    judges: Sequence[Judge],
    quiet: bool,
) -> list[SlatesByLength]:
    """Return the slates of each fold; those of `seen` themselves where they do not depend on folds."""
    config, found = preparation.config, list[SlatesByLength]()
    if not judges:
        return found
    changed = [spec for spec in specs if _is_made_here(spec) and depends_on_fold(spec, config)]
    base = TermCache(build_or_load_pool(preparation, config.model, config.pool)[0])
    with show_progress(quiet) as bars:
        task = bars.add_task("halves of the users", total=len(judges) * len(changed))
        for number, judge in enumerate(judges):
            pools, slates = FoldPools(preparation, number, judge), {k: dict(runs) for k, runs in seen.items()}
            for spec in changed:
                of = pools
                if spec.time is not None:
                    of = change_fold_half_life(pools, change_half_life(preparation, spec.time))
                for k in config.slate_lengths:
                    try:
                        slates[k][spec.name] = _build_or_load_slates(of.preparation, spec, base, k, of)[0]
                    except RecsysError as error:
                        raise RecsysError(f"run '{spec.name}' by half of the users: {error}") from None
                bars.advance(task)
            found.append(slates)
    return found


def _is_made_here(spec: RunSpec) -> bool:
    """Whether a run's slates are made of a pool: lists that are read from a file are not."""
    return spec.blend is not None or spec.model is not None


def _describe_violations(slates: Slates) -> str:
    """Return how many slates are short, and how many do not meet each guard, where some do not."""
    said = "".join(f", {note}" for note in slates.notes)
    if slates.violations is None:
        return said
    counts = zip(slates.guards, (slates.violations > 0).sum(axis=0).tolist(), strict=True)
    found = [f"{name} in {count:,} of {len(slates.users):,} slates" for name, count in counts if count]
    return said + (f", not met: {', '.join(found)}" if found else "")


def _build_or_load_slates(
    preparation: Preparation, spec: RunSpec, base: TermCache, k: int, fold: FoldPools | None = None
) -> tuple[Slates, float]:
    """Return the slates of a run, and the seconds they took; with `fold`, those by the tables of half of the users.

    Scales, too, are then fitted on these users alone. Blends over the `base` pool share its terms, except at the
    headline's k: the seconds of each run are with all that it computes.
    """
    config = preparation.config
    blend: Mapping[str, Any] = spec.blend or {"relevance": 1.0}
    candidates, fitting = base.pool, 0.0
    model, wanted = spec.model or config.model, spec.pool or config.pool
    again = reads_repeats(spec, config)
    if again or spec.by_likelihood:
        candidates, fitting = build_or_load_run_pool(preparation, model, wanted, spec.by_likelihood, again)
    elif spec.model is not None or spec.pool is not None or spec.time is not None:
        candidates, fitting = build_or_load_pool(preparation, model, wanted)
    policy, guards = config.get_pick_settings(spec), config.build_guards(spec)
    source = [*preparation.key, model.model_dump(), wanted.model_dump(), k]
    source += preparation.shown_digests
    source += preparation.describe_repeats() if again else []
    if spec.by_likelihood:
        source += describe_likelihood_source(preparation)
    fitted = base if candidates is base.pool else TermCache(candidates, 0)
    terms = None if k == config.headline_k else fitted
    if fold is not None:
        terms, fitted = fold.get_terms(candidates, model, wanted, spec.by_likelihood, again)
        candidates = terms.pool
        source += ["fold", fold.number]

    def make() -> CacheEntry:
        rerank(candidates.slice_users(0, 1), {"relevance": 1.0}, 1)  # the kernel is compiled before the clock starts
        scale = None if config.slate.scale == "none" else _fit_or_load_scales(preparation, source, fitted, blend, k)
        start = time.perf_counter()
        made = rerank(candidates, blend, k, scale=scale, guards=guards, seed=config.seed, terms=terms, **policy)
        took = time.perf_counter() - start
        arrays = {name: getattr(made, name) for name in ("users", "items", "scores", "contributions")}
        factors = {f"scale.{name}": np.array(value) for name, value in made.scales.items()}
        if made.log_propensity is not None:
            arrays["log_propensity"] = made.log_propensity
        if made.violations is not None:
            arrays |= {"guards": np.array(made.guards), "unmet": made.violations}
        return CacheEntry({**arrays, "objectives": np.array(made.objectives), **factors}, took)

    if any(
        ":" in name for name in (*blend, *config.shared_guards, *spec.guards)
    ):  # somebody's own: its source is not in the key
        made = make()
        return _restore_slates(made, candidates), fitting + made.seconds
    shared = config.shared_guards
    guarded = [shared, spec.guards] if spec.guards else [shared] if shared else []
    cell = preparation.cache.get_or_make("slates", [*source, config.slate.scale, blend, policy, *guarded], make)
    return _restore_slates(cell, candidates), fitting + cell.seconds


def _fit_or_load_scales(
    preparation: Preparation, source: list[Any], terms: TermCache, blend: Mapping[str, Any], k: int
) -> dict[str, float]:
    """Return the scale of each objective of a blend, those of the package's objectives from the cache."""

    def get_or_fit(alone: Mapping[str, Any], fit: Callable[[], float]) -> float:
        def make() -> CacheEntry:
            start = time.perf_counter()
            return CacheEntry({"scale": np.array(fit())}, time.perf_counter() - start)

        if any(":" in name for name in alone):  # somebody's own: its source is not in the key
            return fit()
        return float(preparation.cache.get_or_make("scale", [*source, alone], make).arrays["scale"])

    return fit_each_scale(terms.pool, blend, k, get_or_fit, terms=terms)


def _restore_slates(cell: CacheEntry, candidates: Pool) -> Slates:
    arrays = cell.arrays
    return Slates(
        users=arrays["users"],
        items=arrays["items"],
        scores=arrays["scores"],
        contributions=arrays["contributions"],
        objectives=tuple(str(name) for name in arrays["objectives"]),
        user_ids=candidates.context.user_ids,
        item_ids=candidates.context.item_ids,
        log_propensity=arrays.get("log_propensity"),
        scales={name[6:]: float(value) for name, value in arrays.items() if name.startswith("scale.")},
        guards=tuple(str(name) for name in arrays.get("guards", ())),
        violations=arrays.get("unmet"),
        titles=None if candidates.context.items is None else candidates.context.items.titles,
    )
