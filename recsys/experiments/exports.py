"""A ranker for production, from the config of a run or the winner of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.configs import Config
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.full_data import FullDataFit, fit_run_to_all_data
from recsys.rankers import Index, Ranker
from recsys.support.progress import show_progress
from recsys.support.provenance import mask_private_text
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset
from recsys.types.paths import check_path


@dataclass(frozen=True)
class ExportResult:
    """The ranker that was written: its folder, run and policy, and the numbers of its users and items."""

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
    Where [filter] names a forget list, the ranker is fitted without its rows, and obeys it from then on.

    Raises:
        RecsysError: for an unknown run, several blends and no word which, or whatever is wrong with config, data or
            folder.
    """
    settings, target = resolve_config(config, data), check_path("out", out)
    ranker, made = fit_ranker(settings, blend, index_recall=index_recall, quiet=quiet, data_dir=data_dir, data=data)
    about = {
        "data_fingerprint": made.dataset.fingerprint,
        "config": mask_private_text(settings.dump_settings()),
        "run": made.spec.name,
    }
    folder = ranker.save(target, about=about)
    return ExportResult(folder, made.spec.name, ranker.name, *made.split.shape, ranker.index)


def fit_ranker(
    settings: Config,
    blend: str | None = None,
    *,
    index_recall: float = 1.0,
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> tuple[Ranker, FullDataFit]:
    """Return the ranker of one run of a config, as `export` writes it, and what it was made of.

    Raises:
        RecsysError: as `export` does.
    """
    with limit_to_one_blas_thread():
        made = fit_run_to_all_data(settings, blend, data_dir, quiet, data)
        with show_progress(quiet):
            ranker = Ranker.fit(
                made.fitted,
                made.split,
                made.blend,
                scale=made.scale,
                k=settings.headline_k,
                seed=settings.seed,
                index_recall=index_recall,
                guards=settings.build_guards(made.spec),
                shown=made.shown,
                likelihood=made.likelihood,
                repeats=made.repeats,
                control=None if settings.control is None else settings.control.select_rules(made.blend),
                forget_list=settings.filter.forget_list,
                **made.pool.model_dump(),
                **settings.get_pick_settings(made.spec),
            )
    return ranker, made
