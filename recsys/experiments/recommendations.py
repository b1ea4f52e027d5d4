"""Slates to use: for users of the data, from a model fitted to all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys import splits
from recsys.configs import Config, RunSpec
from recsys.data.identifiers import normalize_id
from recsys.escaping import escape_csv_frame
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.pipeline import load_dataset
from recsys.models.fits import refuse_ranking_problem
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.support.atomic_files import replace_file
from recsys.support.progress import show_progress
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, RecsysError, make_unknown_name_error
from recsys.types.arrays import Ints
from recsys.types.slates import describe_short_slates


@dataclass(frozen=True)
class WrittenSlates:
    """How much was written."""

    rows: int
    users: int
    notes: tuple[str, ...] = ()  # of the data, and rows that may not be used


@limit_to_one_blas_thread()
def recommend(
    config: Config | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    blend: str | None = None,
    users: Sequence[str | int] | str | int | None = None,
    k: int | None = None,
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> WrittenSlates:
    """Write slates of one run of `config` to `out` (.csv or .parquet): user_id, rank, item_id, title, score, and
    what each objective contributed.

    Nothing is held out: the model is fitted to all positives of the filtered data. `data` is a dataset in memory, as
    for `recsys.bench`.

    Raises:
        RecsysError: for an unknown run or user, a bad k, or whatever is wrong with config, data or file.
    """
    settings, path = resolve_config(config, data), Path(out)
    if path.suffix not in (".csv", ".parquet"):
        raise RecsysError(f"{path}: unknown kind of file '{path.suffix}', expected .csv or .parquet")
    read = [Path(name).resolve() for name in (settings.data.path, settings.data.items) if name]
    if path.resolve() in read:
        raise RecsysError(f"{path}: is the data of {settings.name} itself, expected another file")
    spec = _choose_run(settings, blend)
    dataset = load_dataset(settings, None if data_dir is None else Path(data_dir), quiet, data)
    rules = settings.filter.model_dump()
    whole = splits.no_holdout(dataset, **rules, seed=settings.seed)
    section = spec.model or settings.model
    with show_progress(quiet):
        fitted = section.build_model("[model]").fit(whole.train, whole.side_information)
    refuse_ranking_problem(section.kind, fitted, whole.train)
    wanted = settings.pool
    asked = {**wanted.model_dump(), "n": min(wanted.n, len(whole.item_ids))}
    pool = candidates(fitted, whole, seed=settings.seed, **asked)
    scale: Any = "fitted" if settings.slate.scale == "fitted" else None
    k = settings.headline_k if k is None else k
    policy = {**settings.get_pick_settings(spec), "guards": settings.build_guards()}
    slates = rerank(pool, spec.blend or {"relevance": 1.0}, k, scale=scale, seed=settings.seed, **policy)
    chosen = _resolve_users(users, whole.user_ids.tolist())
    frame = slates.to_frame()
    frame = frame[frame["user_id"].isin(whole.user_ids[chosen])]
    with replace_file(path) as temporary:
        if path.suffix == ".csv":
            escape_csv_frame(frame).to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
    short = describe_short_slates(slates.lengths[chosen], k)
    return WrittenSlates(len(frame), len(chosen), (*dataset.notes, *whole.notes, *short))


def _choose_run(settings: Config, name: str | None) -> RunSpec:
    runs = {spec.name: spec for spec in settings.list_runs()}
    wanted = settings.base_name if name is None else name
    if wanted not in runs:
        raise make_unknown_name_error("run", wanted, runs, where=settings.name)
    return runs[wanted]


def _resolve_users(names: Sequence[str | int] | str | int | None, user_ids: Sequence[str]) -> Ints:
    if names is None:
        return np.arange(len(user_ids), dtype=np.int32)
    codes = {name: code for code, name in enumerate(user_ids)}
    wanted = [normalize_id(name) for name in ([names] if isinstance(names, str | int) else names)]
    for name in wanted:
        if name not in codes:
            raise RecsysError(f"user '{name}' is not among the {len(user_ids)} users of the filtered data")
    return np.array([codes[name] for name in wanted], dtype=np.int32)
