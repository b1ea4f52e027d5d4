"""The main job: every run of a config, judged together, with files to keep and a report to look at."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import blends
from recsys.configs import Config, RunSpec, parse, read
from recsys.experiments.folders import Folder
from recsys.experiments.preparations import Preparation, Say, one_blas_thread, pool, prepare
from recsys.progress import progress
from recsys.runs import Cell
from recsys.scores import Scores, differences, score, summary
from recsys.slates import fit_scales, rerank
from recsys.types import Pool, RecsysError, Slates, Yardstick

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Bench:
    """What a benchmark found. `summary` and `differences` are long tables (`recsys.scores`)."""

    preparation: Preparation
    specs: tuple[RunSpec, ...]
    slates: Mapping[str, Slates]
    scores: Scores
    summary: "pd.DataFrame"
    differences: "pd.DataFrame"
    folder: Path
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the headline table as text."""
        return self.headline().to_string(index=False)

    def _repr_html_(self) -> str:
        return str(self.headline().to_html(index=False))

    def headline(self) -> "pd.DataFrame":
        """Return one row per run and one column per metric, at the headline k."""
        at_k = self.summary[self.summary.k == self.preparation.config.headline]
        table = at_k.pivot(index="run", columns="metric", values="value")
        return table.loc[[spec.name for spec in self.specs]].reset_index()


def bench(
    config: Config | Mapping[str, Any] | str | Path = "ml-100k",
    *,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
) -> Bench:
    """Run the benchmark that `config` describes and write its folder, `out/<name>-<hash of config and data>`.

    `config` is a path, the name of a shipped config, nested tables, or a `Config`. Fitted models, maps, pools
    and slates are cached by the hash of what made them: a run that was killed goes on where it stopped.

    Raises:
        RecsysError: for whatever is wrong with the config, the data or the folder, in one line.
    """
    settings = read_config(config)
    folder = Folder(Path(out))
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    with one_blas_thread():
        preparation = prepare(settings, data_dir=home, quiet=quiet, say=folder.say)
        specs = tuple(settings.runs())
        slates, seconds = run_slates(preparation, specs, quiet, folder.say)
    path = Path(out) / f"{settings.name}-{name_of(settings, preparation.dataset.fingerprint)}"
    done = judge(preparation, specs, slates, seconds, path, quiet)
    folder.write(done, time.perf_counter() - start)
    return done


def name_of(settings: Config, *made_of: str) -> str:
    """Return ten characters for settings and the data (and lists) that they met: other data, another folder."""
    return hashlib.sha256("|".join([settings.digest(), *made_of]).encode()).hexdigest()[:10]


def judge(
    preparation: Preparation,
    specs: tuple[RunSpec, ...],
    slates: Mapping[str, Slates],
    seconds: Mapping[str, float],
    folder: Path,
    quiet: bool,
    notes: tuple[str, ...] = (),
) -> Bench:
    """Return every run's scores, with intervals, and differences against the base."""
    config = preparation.config
    yardstick = Yardstick(preparation.split, preparation.own, preparation.audit, preparation.content)
    with progress(quiet) as bars:
        bars.add_task("judging", total=None)
        scores = score(
            slates,
            yardstick,
            config.judge.metrics,
            config.slate.k,
            seed=config.seed,
            draws=config.judge.draws,
            seconds=seconds,
        )
        said = (*preparation.dataset.notes, *preparation.split.notes, *notes)
        against = differences(scores, config.base)
    return Bench(preparation, specs, slates, scores, summary(scores), against, folder, said)


def read_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """Return the config that a path, the name of a shipped config, or nested tables describe."""
    if isinstance(config, Config):
        return config
    return parse(config, home=Path.cwd()) if isinstance(config, Mapping) else read(config)


def run_slates(
    preparation: Preparation, specs: tuple[RunSpec, ...], quiet: bool, say: Say
) -> tuple[dict[str, Slates], dict[str, float]]:
    """Return each run's slates and the seconds they took: with fitting and retrieval where a model is judged."""
    base, fitting = pool(preparation, preparation.config.model)
    slates, seconds = {}, {}
    with progress(quiet) as bars:
        task = bars.add_task("runs", total=len(specs))
        for spec in specs:
            bars.update(task, description=spec.name)
            try:
                slates[spec.name], took = _run(preparation, spec, base)
            except RecsysError as error:
                raise RecsysError(f"run '{spec.name}': {error}") from None
            seconds[spec.name] = took + (fitting if spec.kind == "base" else 0.0)
            say(f"run: {spec.name}, {seconds[spec.name]:.2f} s")
            bars.advance(task)
    return slates, seconds


def _run(preparation: Preparation, spec: RunSpec, base: Pool) -> tuple[Slates, float]:
    config = preparation.config
    blend: Mapping[str, Any] = spec.blend or {"relevance": 1.0}
    candidates, fitting = base, 0.0
    if spec.model is not None:
        candidates, fitting = pool(preparation, spec.model)
    k = max(config.slate.k)
    source = [*preparation.key, (spec.model or config.model).model_dump(), config.pool.model_dump(), k]

    def make() -> Cell:
        rerank(candidates.block(0, 1), {"relevance": 1.0}, 1)  # the kernel is compiled before the clock starts
        scale = None if config.slate.scale == "none" else _scales(preparation, source, candidates, blend, k)
        start = time.perf_counter()
        made = rerank(candidates, blend, k, scale=scale, seed=config.seed)
        took = time.perf_counter() - start
        arrays = {name: getattr(made, name) for name in ("users", "items", "scores", "contributions")}
        factors = {f"scale.{name}": np.array(value) for name, value in made.scales.items()}
        return Cell({**arrays, "objectives": np.array(made.objectives), **factors}, took)

    if any(":" in name for name in blend):  # somebody's own objective: its source is not in the key
        made = make()
        return _restore(made, candidates), fitting + made.seconds
    cell = preparation.cache.cell("slates", [*source, config.slate.scale, blend], make)
    return _restore(cell, candidates), fitting + cell.seconds


def _scales(
    preparation: Preparation, source: list[Any], candidates: Pool, blend: Mapping[str, Any], k: int
) -> dict[str, float]:
    """Return the scale of each objective of a blend: it depends on pool and settings, not on weights."""
    scales = {}
    for part in blends.read(blend):
        alone = {part.name: {"weight": 1.0, **part.settings}}

        def fit(alone: Mapping[str, Any] = alone, name: str = part.name) -> Cell:
            start = time.perf_counter()
            factor = fit_scales(candidates, alone, k)[name]
            return Cell({"scale": np.array(factor)}, time.perf_counter() - start)

        if ":" in part.name:
            scales[part.name] = fit_scales(candidates, alone, k)[part.name]
            continue
        scales[part.name] = float(preparation.cache.cell("scale", [*source, alone], fit).arrays["scale"])
    return scales


def _restore(cell: Cell, candidates: Pool) -> Slates:
    arrays = cell.arrays
    return Slates(
        users=arrays["users"],
        items=arrays["items"],
        scores=arrays["scores"],
        contributions=arrays["contributions"],
        objectives=tuple(str(name) for name in arrays["objectives"]),
        user_ids=candidates.context.user_ids,
        item_ids=candidates.context.item_ids,
        scales={name[6:]: float(value) for name, value in arrays.items() if name.startswith("scale.")},
    )
