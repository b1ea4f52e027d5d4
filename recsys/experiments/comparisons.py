"""Comparison of runs from several folders: `recsys.compare` for files instead of slates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.configs import Config, read_config
from recsys.metrics import ACCURACY_AXES
from recsys.scores import Scores
from recsys.scores.comparisons import ComparedFolder, Comparison, compare_scores
from recsys.scores.records import Score
from recsys.scores.replicates import pool_replicates
from recsys.scores.stores import pack_scores, unpack_scores
from recsys.support.atomic_files import exists_at, recover_folder
from recsys.support.stored_arrays import read_json, read_npz
from recsys.types import RecsysError, make_unknown_name_error

SCORES_FILE = "scores.npz"
RUN_MARKS = ("config.toml", "environment.json", "summary.csv", "differences.csv", SCORES_FILE)  # of every run folder
RUN_FILES = (  # all that a benchmark writes into its folder
    *RUN_MARKS,
    "report.html", "charts", "log.txt", "per_user.parquet", "slates.parquet", "judges.csv", "readings.csv", "rules.csv",
    "likelihood.npz", "likelihood.csv", "likelihood.svg", "reliability.csv", "reliability.svg",
)  # fmt: skip
DEFAULT_METRICS = (*ACCURACY_AXES, "discovery")
SHARED_SETTINGS = (
    "filter",
    "control.topics",
    "split",
    "seed",
    "evaluation.split",
    "evaluation.n_bootstrap",
    "evaluation.popularity_exponent",
    "slate.k",
)


@dataclass(frozen=True, eq=False)
class LoadedRunFolder:
    """A run folder, read: its settings, the fingerprint of its data, and the scores of its runs."""

    name: str  # as it was given
    config: Config
    fingerprint: str
    scores: Scores


def compare_folders(
    runs: Sequence[str | Path],
    *,
    against: str | None = None,
    metrics: Sequence[str] | None = None,
    margin: float = 0.02,
    explore: bool = False,
    replicates: bool = False,
) -> Comparison:
    """Return the differences of runs that `recsys bench` or `recsys evaluate` wrote, from the run `against`.

    A run is FOLDER (all its runs) or FOLDER:RUN; `against` is the first folder's base where nothing is said, or
    its first run where that is not among them. Metrics are "ndcg@10", or "ndcg" at the headline k; ndcg,
    stratified_recall and discovery where nothing is said, and with `explore` all metrics at the headline k. With
    `replicates` the folders are one benchmark with several seeds: runs are matched by name, and limits are those
    of `recsys.scores.replicates`. Runs of the same name that are one and the same, such as two folders' base,
    are shown once; others get their folder's name in front.

    Raises:
        RecsysError: if a folder cannot be read, there is no such run or metric, or data, split, k or users differ.
    """
    chosen = _parse_run_names(runs)
    folders = [read_run_folder(name) for name in chosen]
    _check_comparable(folders, replicates)
    first = folders[0]
    asked = _choose_metrics(first, metrics, explore)
    picked = [_select_cells(one, chosen[one.name], asked) for one in folders]
    scores = pool_replicates(picked) if replicates else _join_runs(picked, folders)
    if len(scores.runs) < 2:
        raise RecsysError(f"compare: found {scores.runs[0]} alone, expected a second run to hold against it")
    named = against or (first.config.base_name if first.config.base_name in scores.runs else scores.runs[0])
    folder, _, run = named.rpartition(":")
    if named not in scores.runs and folder in chosen and run in scores.runs:
        named = run
    if named not in scores.runs:
        raise make_unknown_name_error("run", named, scores.runs, "against")
    found = compare_scores(scores, named, margin=margin, explore=explore)
    return replace(found, sources=tuple(map(_describe_source, folders, picked)))


def _describe_source(one: LoadedRunFolder, picked: Scores) -> ComparedFolder:
    config = one.config
    data = config.data.name or config.data.reader or config.data.path or "a table"
    judged = f"judged on {config.evaluation.split}, {len(one.scores.users):,} users"
    about = f"benchmark {config.name} of {Path(data).name}, {config.split.kind} split, seed {config.seed}, {judged}"
    return ComparedFolder(one.name, about, tuple(picked.runs))


def write_scores(scores: Scores, folder: Path) -> None:
    """Write `folder`/scores.npz: all that comparisons need, and nothing of users' histories."""
    with (folder / SCORES_FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pack_scores(scores))


def read_run_folder(name: str) -> LoadedRunFolder:
    """Return the config, scores and facts that a run folder holds.

    Raises:
        RecsysError: if it is no run folder, or a file in it cannot be read.
    """
    folder = Path(name)
    recover_folder(folder)
    if not exists_at(folder, Path.is_dir):
        raise RecsysError(f"{name}: no such run folder, expected one that `recsys bench` or `recsys evaluate` wrote")
    for file in ("config.toml", "environment.json", SCORES_FILE):
        if not (folder / file).is_file():
            near = f", did you mean '{folder / 'judged'}'?" if (folder / "judged").is_dir() else ""
            raise RecsysError(
                f"{name}: found no {file}, expected a folder that `recsys bench` of this version wrote{near}"
            )
    config = read_config(folder / "config.toml", check=False)
    try:
        fingerprint = str(read_json(folder / "environment.json")["data_fingerprint"])
    except (KeyError, TypeError, IndexError):
        raise RecsysError(f"{name}: environment.json names no data_fingerprint") from None
    arrays = read_npz(folder / SCORES_FILE)
    try:
        return LoadedRunFolder(name, config, fingerprint, unpack_scores(arrays))
    except RecsysError as error:
        raise RecsysError(f"{name}: {SCORES_FILE} has {error}") from None


def _parse_run_names(runs: Sequence[str | Path]) -> dict[str, list[str]]:
    """Return the folders, and the runs that were named of each: none means all."""
    chosen: dict[str, list[str]] = {}
    for given in runs:
        text = str(given)
        folder, colon, run = (text, "", "") if exists_at(Path(text), Path.is_dir) else text.rpartition(":")
        if not colon:
            folder = text
        names = chosen.setdefault(folder.rstrip("/") or folder, [])
        names += [run] if run else []
    if not chosen:
        raise RecsysError("compare: found no run, expected FOLDER or FOLDER:RUN")
    return chosen


def _check_comparable(folders: Sequence[LoadedRunFolder], replicates: bool) -> None:
    first = folders[0]
    for other in folders[1:]:
        both = f"{first.name} and {other.name}"
        if other.fingerprint != first.fingerprint:
            found = f"{first.fingerprint[:12]} and {other.fingerprint[:12]}"
            raise RecsysError(f"{both}: their data differ (fingerprints {found}), expected the same data")
        for where, one, two in _list_unlike_settings(first.config, other.config, replicates):
            hint = "; the same benchmark with other seeds is compared with --replicates" if where == "seed" else ""
            raise RecsysError(f"{both}: {where} is {one} and {two}, expected the same{hint}")
        if other.scores.halvings != first.scores.halvings:
            found = f"{first.scores.halvings} and {other.scores.halvings} halvings of the users"
            raise RecsysError(f"{both}: they are judged by {found} (0: by maps of seen users), expected as many")
        if not replicates and not np.array_equal(first.scores.user_ids, other.scores.user_ids):
            n = len(np.intersect1d(first.scores.user_ids, other.scores.user_ids))
            sizes = f"{len(first.scores.user_ids)} and {len(other.scores.user_ids)}, {n} in both"
            raise RecsysError(f"{both}: their users differ ({sizes}), expected the same users")
    seeds = [one.config.seed for one in folders]
    if replicates and len(set(seeds)) < len(seeds):
        raise RecsysError(f"replicates: found seeds {', '.join(map(str, seeds))}, expected different ones")


def _list_unlike_settings(one: Config, two: Config, replicates: bool) -> Iterable[tuple[str, Any, Any]]:
    """Yield the first setting in which two benchmarks differ that must not: where, and both values."""
    left, right = (flatten_settings(config.dump_settings()) for config in (one, two))
    for where in dict.fromkeys([*left, *right]):
        free = where in ("name", "seed") or where.startswith("data.")
        shared = any(where == name or where.startswith(f"{name}.") for name in SHARED_SETTINGS)
        if (not free if replicates else shared) and left.get(where) != right.get(where):
            yield where, left.get(where, "absent"), right.get(where, "absent")


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their names, such as "model.factors"."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flatten_settings(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def _choose_metrics(first: LoadedRunFolder, metrics: Sequence[str] | None, explore: bool) -> list[tuple[str, int]]:
    """Return metrics with their k, each once."""
    k, there = first.config.headline_k, dict.fromkeys((cell.metric, cell.k) for cell in first.scores.cells)
    if metrics is None:
        found = [key for key in there if key[1] == k and (explore or key[0] in DEFAULT_METRICS)]
        return sorted(
            found, key=lambda key: DEFAULT_METRICS.index(key[0]) if key[0] in DEFAULT_METRICS else len(DEFAULT_METRICS)
        )
    asked = []
    for name in metrics:
        bare, at, length = name.rpartition("@")
        key = (bare, int(length)) if at and length.isdigit() else (name, k)
        if key not in there:
            raise make_unknown_name_error("metric", name, [f"{metric}@{k}" for metric, k in there], first.name)
        asked.append(key)
    return list(dict.fromkeys(asked))


def _select_cells(one: LoadedRunFolder, runs: Sequence[str], asked: Sequence[tuple[str, int]]) -> Scores:
    cells = {(cell.run, cell.metric, cell.k): cell for cell in one.scores.cells}
    for run in runs:
        if run not in one.scores.runs:
            raise make_unknown_name_error("run", run, one.scores.runs, one.name)
    wanted = [(run, *key) for run in runs or one.scores.runs for key in asked]
    for run, metric, k in wanted:
        if (run, metric, k) not in cells:
            raise make_unknown_name_error(
                "metric", f"{metric}@{k}", {f"{m}@{length}" for _, m, length in cells}, one.name
            )
    return replace(one.scores, cells=tuple(cells[key] for key in wanted))


def _join_runs(picked: Sequence[Scores], folders: Sequence[LoadedRunFolder]) -> Scores:
    """Return the runs of all folders together; identical runs once."""
    by_name: dict[str, list[tuple[str, tuple[Score, ...]]]] = {}
    for scores, one in zip(picked, folders, strict=True):
        for run in scores.runs:
            found = by_name.setdefault(run, [])
            mine = scores.select_run(run)
            if not any(_have_same_scores(mine, others) for _, others in found):
                found.append((one.name, mine))
    cells: list[Score] = []
    for run, found in by_name.items():
        for folder, mine in found:
            name = run if len(found) == 1 else f"{folder}:{run}"
            cells += [replace(cell, run=name) for cell in mine]
    seconds = {run: took for scores in picked for run, took in scores.seconds.items()}
    return replace(picked[0], cells=tuple(cells), seconds=seconds)


def _have_same_scores(cells: Sequence[Score], others: Sequence[Score]) -> bool:
    return all(
        np.array_equal([a.value], [b.value], equal_nan=True)
        and np.array_equal(a.per_user, b.per_user, equal_nan=True)
        and np.array_equal(a.draws, b.draws, equal_nan=True)
        for a, b in zip(cells, others, strict=True)
    )
