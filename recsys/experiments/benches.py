"""The main job: every run of a config, judged together, with files to keep and a report to look at."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.configs import Config, RunSpec, parse, read
from recsys.experiments.folders import Folder
from recsys.experiments.preparations import Preparation, prepare
from recsys.experiments.rerankings import ByLength, run_slates
from recsys.progress import progress
from recsys.scores import Scores, differences, score, summary
from recsys.scores.names import wanted
from recsys.threads import one_blas_thread
from recsys.types import Dataset, RecsysError, Yardstick

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Bench:
    """What a benchmark found. `summary` and `differences` are long tables (`recsys.scores`).

    `slates` are by length and run: slates[10]["als"]. The best ten items need not be the first of the best twenty.
    """

    preparation: Preparation
    specs: tuple[RunSpec, ...]
    slates: ByLength
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
    data: Dataset | None = None,
) -> Bench:
    """Run the benchmark that `config` describes and write its folder, `out/<name>-<hash of config and data>`.

    `config` is a path, the name of a shipped config, nested tables, or a `Config`. With `data`, a dataset in memory,
    it needs no [data]; the run's config.toml says how the dataset is called and its fingerprint. Fitted models, maps,
    pools and slates are cached by the hash of what made them: a run that was killed goes on where it stopped.

    Raises:
        RecsysError: for whatever is wrong with the config, the data or the folder, in one line.
    """
    settings = read_config(config, data)
    folder = Folder(Path(out))
    start, digest = time.perf_counter(), settings.digest()  # of code of one's own as it is now, when it is imported
    home = None if data_dir is None else Path(data_dir)
    with one_blas_thread():
        preparation = prepare(settings, data_dir=home, quiet=quiet, say=folder.say, given=data)
        specs = tuple(settings.runs())
        slates, seconds = run_slates(preparation, specs, quiet, folder.say)
    path = Path(out) / f"{settings.name}-{name_of(digest, preparation.dataset.fingerprint)}"
    done = judge(preparation, specs, slates, seconds, path, quiet)
    folder.write(done, time.perf_counter() - start)
    return done


def name_of(*made_of: str) -> str:
    """Return ten characters for what a folder's results are made of: other data, another folder."""
    return hashlib.sha256("|".join(made_of).encode()).hexdigest()[:10]


def judge(
    preparation: Preparation,
    specs: tuple[RunSpec, ...],
    slates: ByLength,
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
        scores = _scores(config, slates, yardstick, seconds)
        said = (*preparation.dataset.notes, *preparation.split.notes, *notes, *_unkept(preparation))
        against = differences(scores, config.base)
    return Bench(preparation, specs, slates, scores, summary(scores), against, folder, said)


def read_config(config: Config | Mapping[str, Any] | str | Path, data: Dataset | None = None) -> Config:
    """Return the config that a path, the name of a shipped config, or nested tables describe.

    Where it has no [data], that is `data`, in memory.
    """
    told = None if data is None else describe_data(data)
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return parse(config if told is None else {"data": told, **config}, home=Path.cwd())
    if not isinstance(config, str | PathLike):
        found = f"found a {type(config).__name__}, expected a path, the name of a shipped config, or nested tables"
        raise RecsysError(f"config: {found}")
    return read(config, told)


def describe_data(data: Any) -> dict[str, str]:
    """Return the section [data] of a dataset in memory.

    Raises:
        RecsysError: if it is no dataset.
    """
    if not isinstance(data, Dataset):
        raise RecsysError(f"data: found a {type(data).__name__}, expected a Dataset: recsys.read makes one")
    return {"in_memory": data.name, "fingerprint": data.fingerprint}


def _scores(config: Config, slates: ByLength, yardstick: Yardstick, seconds: Mapping[str, float]) -> Scores:
    """Return every metric at every k, each judged on slates of that length: by run, then metric, then k."""
    asked = wanted(config.judge.metrics, config.slate.k)
    at = {k: [f"{want.name}@{k}" for want in asked if want.k == k] for k in slates}
    parts = [
        score(runs, yardstick, at[k], [k], seed=config.seed, draws=config.judge.draws, seconds=seconds)
        for k, runs in slates.items()
        if at[k]
    ]
    found = {(cell.run, cell.metric, cell.k): cell for part in parts for cell in part.cells}
    cells = [found[run, want.name, want.k] for run in parts[0].runs for want in asked]
    return replace(parts[0], cells=tuple(cells))


def _unkept(preparation: Preparation) -> tuple[str, ...]:
    """Say in one line that results could not be cached."""
    unkept = preparation.cache.unkept
    return (f"{len(unkept)} results are not kept for the next time: {unkept[0]}",) if unkept else ()
