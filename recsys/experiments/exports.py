"""A ranker for production, from the config of a run or the winner of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import splits
from recsys.configs import Config, RunSpec
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.pipeline import load_dataset
from recsys.rankers import Index, Ranker
from recsys.support.progress import show_progress
from recsys.support.provenance import mask_private_text
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, RecsysError, make_unknown_name_error


@dataclass(frozen=True)
class ExportResult:
    """What was written."""

    folder: Path
    run: str  # of the config
    policy: str  # the name that its answers carry
    users: int
    items: int
    index: Index | None = None  # None: retrieval is exact


def export(
    config: Config | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    blend: str | None = None,
    index_recall: float = 1.0,
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> ExportResult:
    """Write the ranker of one run of `config` to the folder `out`, whole or not at all.

    `config` and `data` are what `recsys.bench` takes, such as the config.toml of a run's folder or the winner.toml of a
    sweep's. `blend` names the run; without, it is the only blend that the config has, or the model's own order where it
    has none. Nothing is held out: the model is fitted to all positives of the filtered data, maps are made and scale
    constants fitted on the candidates that it then gives. `index_recall` below 1 makes an index (`recsys.Ranker.fit`).

    Raises:
        RecsysError: for an unknown run, several blends and no word which, or whatever is wrong with config, data or
            folder.
    """
    settings = resolve_config(config, data)
    spec = _choose_run(settings, blend)
    dataset = load_dataset(settings, None if data_dir is None else Path(data_dir), quiet, data)
    whole = splits.no_holdout(dataset, **settings.filter.model_dump(), seed=settings.seed)
    section, wanted = spec.model or settings.model, spec.pool or settings.pool
    with limit_to_one_blas_thread(), show_progress(quiet):
        fitted = section.build_model("[model]").fit(whole.train, whole.side_information)
        ranker = Ranker.fit(
            fitted,
            whole,
            spec.blend or {"relevance": 1.0},
            scale="fitted" if settings.slate.scale == "fitted" else None,
            k=settings.headline_k,
            seed=settings.seed,
            index_recall=index_recall,
            guards=settings.build_guards(),
            **wanted.model_dump(),
            **settings.get_pick_settings(spec),
        )
    folder = ranker.save(
        out, about={"data_fingerprint": dataset.fingerprint, "config": mask_private_text(settings.dump_settings())}
    )
    return ExportResult(folder, spec.name, ranker.name, *whole.shape, ranker.index)


def _choose_run(settings: Config, name: str | None) -> RunSpec:
    runs = {spec.name: spec for spec in settings.list_runs()}
    if name is not None and name not in runs:
        raise make_unknown_name_error("run", name, runs, where=settings.name)
    if name is not None:
        return runs[name]
    blends = [run for run, spec in runs.items() if spec.kind == "blend"]
    if len(blends) > 1:
        raise RecsysError(
            f"{settings.name}: has the blends {', '.join(blends)}, expected the name of one of them: blend"
        )
    return runs[blends[0] if blends else settings.base_name]
