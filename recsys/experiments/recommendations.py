"""Slates to use: for users of the data, from a model fitted to all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys import splits
from recsys.configs import Config, RunSpec
from recsys.data.identifiers import name_of
from recsys.escaping import csv_frame
from recsys.experiments.benches import read_config
from recsys.experiments.preparations import load
from recsys.files import replacing
from recsys.models.fits import refuse_problem
from recsys.pools import candidates
from recsys.progress import progress
from recsys.slates import rerank
from recsys.threads import one_blas_thread
from recsys.types import Dataset, RecsysError, unknown
from recsys.types.arrays import Ints
from recsys.types.slates import describe_short


@dataclass(frozen=True)
class Written:
    """How much was written."""

    rows: int
    users: int
    notes: tuple[str, ...] = ()  # of the data, and rows that may not be used


@one_blas_thread()
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
) -> Written:
    """Write slates of one run of `config` to `out` (.csv or .parquet): user_id, rank, item_id, title, score, and
    what each objective contributed.

    Nothing is held out: the model is fitted to all positives of the filtered data. `data` is a dataset in memory, as
    for `recsys.bench`.

    Raises:
        RecsysError: for an unknown run or user, a bad k, or whatever is wrong with config, data or file.
    """
    settings, path = read_config(config, data), Path(out)
    if path.suffix not in (".csv", ".parquet"):
        raise RecsysError(f"{path}: unknown kind of file '{path.suffix}', expected .csv or .parquet")
    read = [Path(name).resolve() for name in (settings.data.path, settings.data.items) if name]
    if path.resolve() in read:
        raise RecsysError(f"{path}: is the data of {settings.name} itself, expected another file")
    spec = _spec(settings, blend)
    dataset = load(settings, None if data_dir is None else Path(data_dir), quiet, data)
    rules = settings.filter.model_dump()
    whole = splits.whole(dataset, **rules, seed=settings.seed)
    section = spec.model or settings.model
    with progress(quiet):
        fitted = section.build("[model]").fit(whole.train, whole.side)
    refuse_problem(section.kind, fitted, whole.train)
    wanted = settings.pool
    asked = {**wanted.model_dump(), "n": min(wanted.n, len(whole.item_ids))}
    pool = candidates(fitted, whole, seed=settings.seed, **asked)
    scale: Any = "fitted" if settings.slate.scale == "fitted" else None
    k = settings.headline if k is None else k
    policy = {**settings.policy(spec), "guards": settings.rules()}
    slates = rerank(pool, spec.blend or {"relevance": 1.0}, k, scale=scale, seed=settings.seed, **policy)
    chosen = _users(users, whole.user_ids.tolist())
    frame = slates.to_frame()
    frame = frame[frame["user_id"].isin(whole.user_ids[chosen])]
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            csv_frame(frame).to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
    short = describe_short(slates.lengths[chosen], k)
    return Written(len(frame), len(chosen), (*dataset.notes, *whole.notes, *short))


def _spec(settings: Config, name: str | None) -> RunSpec:
    runs = {spec.name: spec for spec in settings.runs()}
    wanted = settings.base if name is None else name
    if wanted not in runs:
        raise unknown("run", wanted, runs, where=settings.name)
    return runs[wanted]


def _users(names: Sequence[str | int] | str | int | None, known: Sequence[str]) -> Ints:
    if names is None:
        return np.arange(len(known), dtype=np.int32)
    codes = {name: code for code, name in enumerate(known)}
    wanted = [name_of(name) for name in ([names] if isinstance(names, str | int) else names)]
    for name in wanted:
        if name not in codes:
            raise RecsysError(f"user '{name}' is not among the {len(known)} users of the filtered data")
    return np.array([codes[name] for name in wanted], dtype=np.int32)
