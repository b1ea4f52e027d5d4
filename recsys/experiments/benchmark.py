"""The benchmark: every run of a config, evaluated together, written to a folder with a report."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.configs import Config, RunSpec, ShownSection, parse_config, read_config
from recsys.experiments.fold_readings import add_seen_reading, describe_power, evaluate_each_reader, read_folds
from recsys.experiments.folds import build_or_load_judges, describe_missing_folds
from recsys.experiments.like_reliability import add_like_probabilities
from recsys.experiments.likelihoods import describe_likelihood, find_likelihood
from recsys.experiments.pipeline import LogFunction, Preparation, hash_exposures, load_exposures, prepare_benchmark
from recsys.experiments.rerankings import SlatesByLength, build_fold_slates, build_run_slates
from recsys.experiments.results import Bench
from recsys.experiments.rule_comparisons import iter_rule_comparisons, refuse_idle_rules
from recsys.experiments.rule_costs import list_left_out_rows, tabulate_rule_costs
from recsys.experiments.rule_sides import RuleComparison
from recsys.experiments.run_folder import RunFolder
from recsys.experiments.topic_costs import compare_topics
from recsys.reports.pages import bundle_libraries
from recsys.scores import Scores, evaluate, tabulate_differences, tabulate_scores
from recsys.scores.metric_names import resolve_metrics
from recsys.scores.records import join_scores
from recsys.support.progress import show_progress
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, Exposures, GroundTruth, RecsysError

if TYPE_CHECKING:
    import pandas as pd


def bench(
    config: Config | Mapping[str, Any] | str | Path = "ml-100k",
    *,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
    shown: Exposures | None = None,
) -> Bench:
    """Run the benchmark that `config` describes and write its folder, `out/<name>-<hash of config and data>`.

    `config` is a path, the name of a shipped config, nested tables, or a `Config`. With `data`, a dataset in memory,
    it needs no [data]; the run's config.toml says how the dataset is called and its fingerprint. With `shown`, a log of
    what was shown before (`recsys.read_exposures`), it needs no [shown]. Fitted models, maps,
    pools and slates are cached by the hash of what made them: a run that was killed goes on where it stopped.

    Raises:
        RecsysError: for whatever is wrong with the config, the data or the folder, in one line.
    """
    settings = resolve_config(config, data, shown)
    refuse_idle_rules(settings)
    folder = RunFolder(out)
    start, digest = (
        time.perf_counter(),
        settings.compute_digest(),
    )  # of code of one's own as it is now, when it is imported
    home = None if data_dir is None else Path(data_dir)
    with limit_to_one_blas_thread(), ThreadPoolExecutor(1) as worker:
        preparation = prepare_benchmark(
            settings, data_dir=home, quiet=quiet, log_line=folder.log_line, in_memory=data, shown=shown
        )
        worker.submit(bundle_libraries)  # takes seconds, which the report then need not wait for
        specs = tuple(settings.list_runs())
        slates, seconds = build_run_slates(preparation, specs, quiet, folder.log_line)
    path = Path(out) / f"{settings.name}-{hash_folder_name(digest, *preparation.folder_fingerprints)}"
    done = evaluate_slates(preparation, specs, slates, seconds, path, quiet)
    if settings.compares_rules:
        with limit_to_one_blas_thread():
            done = replace(done, rule_costs=tabulate_costs(preparation, shown, quiet, folder.log_line))
    folder.write_bench(done, time.perf_counter() - start)
    return done


def tabulate_costs(
    preparation: Preparation, shown: Exposures | None, quiet: bool, log_line: LogFunction
) -> "pd.DataFrame | None":
    """Return what each rule of a config cost and prevented, None where it has none; `shown` is a log in memory."""
    config, dataset = preparation.config, preparation.dataset

    def compare() -> Iterator[RuleComparison]:
        if (policy := config.read_topics()) is not None:
            log = load_exposures(config, shown)
            yield compare_topics(config, dataset, policy, preparation.cache, log, quiet, log_line)
        yield from iter_rule_comparisons(preparation, quiet, log_line)

    found = tabulate_rule_costs(compare(), list_left_out_rows(config, dataset))
    return found if len(found) else None


def hash_folder_name(*made_of: str) -> str:
    """Return ten characters that depend on the settings and the data of a folder's results."""
    return hashlib.sha256("|".join(made_of).encode()).hexdigest()[:10]


def evaluate_slates(
    preparation: Preparation,
    specs: tuple[RunSpec, ...],
    slates: SlatesByLength,
    seconds: Mapping[str, float],
    folder: Path,
    quiet: bool,
    notes: tuple[str, ...] = (),
) -> Bench:
    """Return every run's scores, with intervals, and differences against the base.

    They are cross-fitted where [evaluation] halvings asks for it; what is read on seen users stands beside them.
    """
    config = preparation.config
    truth = preparation.build_ground_truth()
    judges = build_or_load_judges(preparation)
    by_fold = build_fold_slates(preparation, specs, slates, judges, quiet)
    slates, by_fold, reliability = add_like_probabilities(preparation, specs, slates, by_fold)
    with show_progress(quiet) as bars:
        bars.add_task("judging", total=None)
        seen = _score_each_length(config, slates, truth, seconds)
        likelihood = find_likelihood(preparation)
        learned = () if likelihood is None else describe_likelihood(likelihood)
        said = (
            *preparation.dataset.notes,
            *preparation.split.notes,
            *preparation.shown_notes,
            *preparation.time_notes,
            *preparation.held_back_notes,
            *learned,
            *(() if reliability is None else reliability.describe()),
            *notes,
            *_note_uncached(preparation),
        )
        read = evaluate_each_reader(config, by_fold, truth, judges, seconds) if judges else {}
        scores = read.get("all", seen)
        summary, against = tabulate_scores(scores), tabulate_differences(scores, config.base_name)
        readings = None
        if judges:
            summary, against = add_seen_reading(summary, against, seen, config.base_name)
            readings = read_folds(preparation, truth, judges, by_fold, {**read, "seen": seen})
            said += describe_power(readings, against, config)
        said += describe_missing_folds(preparation)
    return Bench(preparation, specs, slates, scores, summary, against, folder, said, likelihood, readings, reliability)


def resolve_config(
    config: Config | Mapping[str, Any] | str | Path, data: Dataset | None = None, shown: Exposures | None = None
) -> Config:
    """Return the config that a path, the name of a shipped config, or nested tables describe.

    Where it has no [data] or no [shown], that is `data` or `shown`, in memory.

    Raises:
        RecsysError: if [shown] names another log than `shown`.
    """
    in_memory = None if shown is None else {"in_memory": hash_exposures(shown)}
    settings = _parse_or_read_config(config, None if data is None else describe_data(data), in_memory)
    if in_memory is None:
        return settings
    if settings.shown is None:
        return settings.model_copy(update={"shown": ShownSection(in_memory=in_memory["in_memory"])})
    if settings.shown.in_memory != in_memory["in_memory"]:
        named = settings.shown.path or str(settings.shown.in_memory)[:12]
        raise RecsysError(f"{settings.name}: [shown] is {named} and shown= is another log, expected one of them")
    return settings


def _parse_or_read_config(
    config: Config | Mapping[str, Any] | str | Path, data: Mapping[str, Any] | None, shown: Mapping[str, Any] | None
) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        told = {name: section for name, section in (("data", data), ("shown", shown)) if section is not None}
        return parse_config({**told, **config}, home=Path.cwd())
    if not isinstance(config, str | PathLike):
        found = f"found a {type(config).__name__}, expected a path, the name of a shipped config, or nested tables"
        raise RecsysError(f"config: {found}")
    return read_config(config, data, shown=shown)


def describe_data(data: Any) -> dict[str, str]:
    """Return the section [data] of a dataset in memory.

    Raises:
        RecsysError: if it is no dataset.
    """
    if not isinstance(data, Dataset):
        raise RecsysError(f"data: found a {type(data).__name__}, expected a Dataset: recsys.read_dataset makes one")
    return {"in_memory": data.name, "fingerprint": data.fingerprint}


def _score_each_length(
    config: Config, slates: SlatesByLength, truth: GroundTruth, seconds: Mapping[str, float]
) -> Scores:
    """Return every metric at every k, each judged on slates of that length: by run, then metric, then k."""
    asked = resolve_metrics(config.evaluation.metrics, config.slate.k)
    at = {k: [f"{want.name}@{want.k}" for want in asked if want.k == k] for k in slates}
    how: dict[str, Any] = {"seed": config.seed, "n_bootstrap": config.evaluation.n_bootstrap, "seconds": seconds}
    parts = [evaluate(runs, truth, at[k], [k], **how) for k, runs in slates.items() if at[k]]
    return join_scores(parts, [(want.name, want.k) for want in asked])


def _note_uncached(preparation: Preparation) -> tuple[str, ...]:
    """Say in one line that results could not be cached."""
    unkept = preparation.cache.write_errors
    return (f"{len(unkept)} results are not kept for the next time: {unkept[0]}",) if unkept else ()
