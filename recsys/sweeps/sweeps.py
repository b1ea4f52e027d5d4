"""A sweep, carried out: trials on validation, a choice, and one judgement on test."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.configs import Config, RunSpec
from recsys.experiments.benches import Bench, describe_data, judge, name_of
from recsys.experiments.folders import Folder
from recsys.experiments.preparations import prepare
from recsys.experiments.rerankings import run_slates
from recsys.progress import progress
from recsys.sweeps import outputs
from recsys.sweeps.choices import Choice, best_of, choose
from recsys.sweeps.fronts import front, thinned
from recsys.sweeps.judgements import read_judgements, record
from recsys.sweeps.matches import continued
from recsys.sweeps.plans import Method, Plan, read
from recsys.sweeps.ranges import Value
from recsys.sweeps.studies import Judge, importances, open_studies, search
from recsys.sweeps.trials import Found, failed
from recsys.sweeps.workshops import Workshop, workshop
from recsys.threads import one_blas_thread
from recsys.types import Dataset, RecsysError
from recsys.types.errors import reason_of

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep found. `bought` has a row per method: what its choice costs and buys, on validation and on test."""

    plan: Plan
    trials: "pd.DataFrame"
    front: "pd.DataFrame"
    bought: "pd.DataFrame"
    judged: Bench
    winner: Config
    lines: tuple[str, ...]  # what was chosen and what it bought, in words
    folder: Path
    failed: "pd.DataFrame"  # the trials that could not be judged: method, trial, reason, settings
    notes: tuple[str, ...] = ()  # what was repaired, and what could not be judged on test


def sweep(
    file: str | Path,
    *,
    trials: int | None = None,
    spend: str | float | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> Sweep:
    """Search what `file` describes and write its folder, `out/<name>-<hash of the search>`.

    `trials` (for each blend, in all) and `spend` go before what the file says. `data` is a dataset in memory, as for
    `recsys.bench`. Trials are kept as they end: a search that was stopped goes on, and processes that are started on
    one storage share its trials.

    Raises:
        RecsysError: for whatever is wrong with the file, the data, the storage or the folder, in one line.
    """
    plan = read(file, None if data is None else describe_data(data), trials=trials, spend=spend)
    folder, notes = Folder(Path(out)), list[str]()
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    with one_blas_thread():
        shop = workshop(prepare(plan.base(), data_dir=home, quiet=quiet, say=folder.say, given=data), plan.metrics)
        fingerprint = shop.preparation.split.fingerprint
        path = Path(out) / f"{plan.name}-{name_of(plan.digest(), fingerprint)}"
        read_judgements(path)  # a table that cannot be read is said before the search
        where = plan.settings.storage or str(path / "study.journal")
        with open_studies(where, plan, fingerprint, notes.append) as studies:
            found = _search(plan, studies, shop, quiet)
            failures = {name: failed(study) for name, study in studies.items()}
            shares = {name: importances(study, plan) for name, study in studies.items()}
        fronts = {name: front(trials, plan.weighed) for name, trials in found.items()}
        points = {name: thinned(kept, plan.weighed, plan.settings.front) for name, kept in fronts.items()}
        choices = choose(plan, points, shop)
        curves = {name: continued(plan, kept, found[name]) for name, kept in points.items()}
        judged = _judge_on_test(plan, curves, path, quiet, home, folder, notes, data)
        tables = outputs.tables(plan, found, fronts, curves, choices, shares, judged, failures)
    winner = _winner(plan, best_of(plan, choices))
    for note in notes:
        folder.say(note)
    folder.write(judged, time.perf_counter() - start)
    said = outputs.lines(plan, choices, tables, judged)
    lines = (*said, *outputs.failure_lines(tables.failed), record(plan, choices, found, said, path))
    outputs.write(plan, tables, winner, lines, path)
    return Sweep(
        plan, tables.trials, tables.front, tables.bought, judged, winner, lines, path, tables.failed, tuple(notes)
    )


def _search(plan: Plan, studies: Mapping[str, "Study"], shop: Workshop, quiet: bool) -> dict[str, list[Found]]:
    """Return the trials of each method."""
    try:
        found, base = dict[str, list[Found]](), shop.judge(plan.base())
    except Exception as error:  # such as one of somebody's own metric: then every trial would fail
        raise RecsysError(f"sweep: the base cannot be judged: {reason_of(error)}") from error
    with progress(quiet) as bars:
        for method in plan.methods:
            tick = partial(bars.update, bars.add_task(method.name, total=plan.settings.trials))
            found[method.name] = search(studies[method.name], plan, method, judge_of(method, shop), base, tick)
    return found


def judge_of(method: Method, shop: Workshop) -> Judge:
    """Return what judges one trial of a method."""

    def judged(values: Mapping[str, Value]) -> dict[str, float]:
        found = shop.judge(method.config(values))
        for metric, value in found.items():
            if not np.isfinite(value):
                raise RecsysError(f"sweep: {metric} is not defined on this data, expected metrics that are")
        return found

    return judged


def _judge_on_test(
    plan: Plan,
    curves: Mapping[str, list[Found]],
    path: Path,
    quiet: bool,
    home: Path | None,
    folder: Folder,
    notes: list[str],
    data: Dataset | None,
) -> Bench:
    """Fit on train and validation, and judge the curves' points, beside the base, its models and the controls.

    A point that cannot be judged there, such as one whose model does not fit in memory with more data, is left out.
    """
    config = plan.base("test")
    preparation = prepare(config, data_dir=home, quiet=quiet, say=folder.say, given=data)
    points = [(method, one) for method in plan.methods for one in curves[method.name]]
    specs = (*config.runs(), *(_spec(method, one, config) for method, one in points))
    refused: dict[str, str] = {}
    slates, seconds = run_slates(preparation, specs, quiet, folder.say, refused)
    notes += [f"{name} is not judged on test: {reason}" for name, reason in refused.items()]
    specs = tuple(spec for spec in specs if spec.name not in refused)
    return judge(preparation, specs, slates, seconds, path / "judged", quiet, tuple(notes))


def _spec(method: Method, point: Found, base: Config) -> RunSpec:
    name, config = f"{method.name}-{point.number}", method.config(point.settings, "test")
    if not config.blends:
        return RunSpec(name, "model", name, model=config.model, pool=config.pool)
    spec = RunSpec(name, "blend", method.name, blend=next(iter(config.blends.values())))
    if config.model == base.model and config.pool == base.pool:
        return spec
    return replace(spec, model=config.model, pool=config.pool)


def _winner(plan: Plan, best: Choice | None) -> Config:
    """Return the config of what was chosen; where nothing was, that of the base alone."""
    if best is None or best.trial is None:
        return plan.base("test")
    return best.method.config(best.trial.settings, "test")
