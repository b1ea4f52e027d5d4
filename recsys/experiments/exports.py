"""A ranker for production, from the config of a run or the winner of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys import splits
from recsys.configs import Config, RunSpec
from recsys.experiments.benches import read_config
from recsys.experiments.preparations import load
from recsys.progress import progress
from recsys.provenance import mask
from recsys.rankers import Index, Ranker
from recsys.threads import one_blas_thread
from recsys.types import Dataset, RecsysError, unknown


@dataclass(frozen=True)
class Exported:
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
    recall: float = 1.0,
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> Exported:
    """Write the ranker of one run of `config` to the folder `out`, whole or not at all.

    `config` and `data` are what `recsys.bench` takes, such as the config.toml of a run's folder or the winner.toml of a
    sweep's. `blend` names the run; without, it is the only blend that the config has, or the model's own order where it
    has none. Nothing is held out: the model is fitted to all positives of the filtered data, maps are made and scale
    constants fitted on the candidates that it then gives. `recall` below 1 makes an index (`recsys.Ranker.fit`).

    Raises:
        RecsysError: for an unknown run, several blends and no word which, or whatever is wrong with config, data or
            folder.
    """
    settings = read_config(config, data)
    spec = _spec(settings, blend)
    dataset = load(settings, None if data_dir is None else Path(data_dir), quiet, data)
    whole = splits.whole(dataset, **settings.filter.model_dump(), seed=settings.seed)
    section, wanted = spec.model or settings.model, spec.pool or settings.pool
    with one_blas_thread(), progress(quiet):
        fitted = section.build("[model]").fit(whole.train, whole.side)
        ranker = Ranker.fit(
            fitted,
            whole,
            spec.blend or {"relevance": 1.0},
            scale="fitted" if settings.slate.scale == "fitted" else None,
            k=settings.headline,
            seed=settings.seed,
            recall=recall,
            guards=settings.rules(),
            **wanted.model_dump(),
            **settings.policy(spec),
        )
    folder = ranker.save(out, about={"data_fingerprint": dataset.fingerprint, "config": mask(settings.resolved())})
    return Exported(folder, spec.name, ranker.name, *whole.shape, ranker.index)


def _spec(settings: Config, name: str | None) -> RunSpec:
    runs = {spec.name: spec for spec in settings.runs()}
    if name is not None and name not in runs:
        raise unknown("run", name, runs, where=settings.name)
    if name is not None:
        return runs[name]
    blends = [run for run, spec in runs.items() if spec.kind == "blend"]
    if len(blends) > 1:
        raise RecsysError(
            f"{settings.name}: has the blends {', '.join(blends)}, expected the name of one of them: blend"
        )
    return runs[blends[0] if blends else settings.base]
