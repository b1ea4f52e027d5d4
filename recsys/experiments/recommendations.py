"""Slates for users of the data, from a model fitted to all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.configs import Config
from recsys.data.identifiers import normalize_id
from recsys.escaping import escape_csv_frame
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.full_data import fit_run_to_all_data
from recsys.experiments.likelihoods import apply_likelihood_quietly
from recsys.experiments.repeat_pools import order_new_and_repeats
from recsys.models.fits import refuse_ranking_problem
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.retrieval.repeat_candidates import add_repeats
from recsys.support.atomic_files import replace_file
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, Pool, RecsysError
from recsys.types.arrays import Ints
from recsys.types.paths import check_path
from recsys.types.slates import describe_short_slates


@dataclass(frozen=True)
class WrittenSlates:
    """How much was written, and of which run."""

    run: str
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

    `blend` names the run; without, it is the only blend that the config has, or the model's own order where it has
    none: the run that `recsys.experiments.export` writes. Nothing is held out: the model is fitted to all positives of
    the filtered data. `data` is a dataset in memory, as for `recsys.bench`.

    Raises:
        RecsysError: for an unknown run or user, several blends and no word which, a bad k, or whatever is wrong with
            config, data or file.
    """
    settings, path = resolve_config(config, data), check_path("out", out, "the path of a file")
    if path.suffix not in (".csv", ".parquet"):
        raise RecsysError(f"{path}: unknown kind of file '{path.suffix}', expected .csv or .parquet")
    log = None if settings.shown is None else settings.shown.path
    read = [Path(name).resolve() for name in (settings.data.path, settings.data.items, log) if name]
    if path.resolve() in read:
        raise RecsysError(f"{path}: is the data of {settings.name} itself, expected another file")
    made = fit_run_to_all_data(settings, blend, data_dir, quiet, data)
    whole = made.split
    refuse_ranking_problem(made.kind, made.fitted, whole.train)
    asked = {**made.pool.model_dump(), "n": min(made.pool.n, len(whole.item_ids))}
    if made.shown is not None and settings.shown is not None:
        asked |= {"shown": made.shown, "now": settings.shown.now}
    pool: Pool = candidates(made.fitted, whole, seed=settings.seed, **asked)
    told: tuple[str, ...] = ()
    new = pool
    if made.repeats is not None:
        pool = add_repeats(pool, made.fitted, made.repeats)
    if made.likelihood is not None and made.repeats is not None:
        pool, told = order_new_and_repeats(new, pool, made.likelihood)
    elif made.likelihood is not None:
        pool, told = apply_likelihood_quietly(pool, made.likelihood)
    k = settings.headline_k if k is None else k
    policy = {**settings.get_pick_settings(made.spec), "guards": settings.build_guards(made.spec)}
    slates = rerank(pool, made.blend, k, scale=made.scale, seed=settings.seed, **policy)
    chosen = _resolve_users(users, whole.user_ids.tolist())
    frame = slates.to_frame()
    frame = frame[frame["user_id"].isin(whole.user_ids[chosen])]
    with replace_file(path) as temporary:
        if path.suffix == ".csv":
            escape_csv_frame(frame).to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
    short = describe_short_slates(slates.lengths[chosen], k)
    return WrittenSlates(made.spec.name, len(frame), len(chosen), (*made.dataset.notes, *whole.notes, *told, *short))


def _resolve_users(names: Sequence[str | int] | str | int | None, user_ids: Sequence[str]) -> Ints:
    if names is None:
        return np.arange(len(user_ids), dtype=np.int32)
    codes = {name: code for code, name in enumerate(user_ids)}
    wanted = [normalize_id(name) for name in ([names] if isinstance(names, str | int) else names)]
    for name in wanted:
        if name not in codes:
            raise RecsysError(f"user '{name}' is not among the {len(user_ids)} users of the filtered data")
    return np.array([codes[name] for name in wanted], dtype=np.int32)
