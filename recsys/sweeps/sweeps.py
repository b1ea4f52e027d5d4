"""A sweep, carried out: trials on validation, a choice, and one judgement on test."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.configs import Config, RunSpec
from recsys.experiments.benches import Bench, judge
from recsys.experiments.folders import Folder
from recsys.experiments.preparations import one_blas_thread, prepare
from recsys.experiments.rerankings import run_slates
from recsys.progress import progress
from recsys.sweeps import outputs
from recsys.sweeps.choices import Choice, best_of, choose
from recsys.sweeps.fronts import front, thinned
from recsys.sweeps.matches import continued
from recsys.sweeps.plans import Method, Plan, read
from recsys.sweeps.ranges import Value
from recsys.sweeps.studies import Found, Judge, importances, open_studies, search
from recsys.sweeps.workshops import Workshop, workshop
from recsys.types import RecsysError

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


def sweep(
    file: str | Path,
    *,
    trials: int | None = None,
    spend: str | float | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
) -> Sweep:
    """Search what `file` describes and write its folder, `out/<name>-<hash of the search>`.

    `trials` (for each blend, in all) and `spend` go before what the file says. Trials are kept as they end: a
    search that was stopped goes on, and processes that are started on one storage share its trials.

    Raises:
        RecsysError: for whatever is wrong with the file, the data, the storage or the folder, in one line.
    """
    plan = read(file, trials=trials, spend=spend)
    folder = Folder(Path(out))
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    path = Path(out) / f"{plan.name}-{plan.digest()}"
    studies = open_studies(plan.settings.storage or str(path / "study.journal"), plan)
    with one_blas_thread():
        config = plan.methods[0].config(_low(plan.methods[0]))
        shop = workshop(prepare(config, data_dir=home, quiet=quiet, say=folder.say), plan.metrics)
        found = _search(plan, studies, shop, quiet)
        fronts = {name: front(trials, plan.goals) for name, trials in found.items()}
        choices = [choose(plan, method, fronts[method.name], shop) for method in plan.methods]
        curves = {name: continued(plan, points, found[name]) for name, points in fronts.items()}
        judged, winner = _judge_on_test(plan, fronts, curves, choices, path, quiet, home, folder)
    folder.write(judged, time.perf_counter() - start)
    shares = {name: importances(study, plan) for name, study in studies.items()}
    tables = outputs.tables(plan, found, fronts, curves, choices, shares, judged)
    lines = outputs.lines(plan, choices, tables)
    outputs.write(plan, tables, winner, lines, path)
    return Sweep(plan, tables.trials, tables.front, tables.bought, judged, winner, lines, path)


def _search(plan: Plan, studies: Mapping[str, "Study"], shop: Workshop, quiet: bool) -> dict[str, list[Found]]:
    """Return the trials of each method."""
    found = {}
    with progress(quiet) as bars:
        for method in plan.methods:
            tick = partial(bars.update, bars.add_task(method.name, total=plan.settings.trials))
            found[method.name] = search(studies[method.name], plan, method, judge_of(method, shop), tick)
    return found


def judge_of(method: Method, shop: Workshop) -> Judge:
    """Return what judges one trial of a method."""

    def judged(values: Mapping[str, Value]) -> tuple[dict[str, float], dict[str, float]]:
        config = method.config(values)
        found = shop.judge(config)
        for metric, value in found.items():
            if not np.isfinite(value):
                raise RecsysError(f"sweep: {metric} is not defined on this data, expected metrics that are")
        return found, shop.base(config)

    return judged


def _judge_on_test(
    plan: Plan,
    fronts: Mapping[str, list[Found]],
    curves: Mapping[str, list[Found]],
    choices: list[Choice],
    path: Path,
    quiet: bool,
    home: Path | None,
    folder: Folder,
) -> tuple[Bench, Config]:
    """Fit on train and validation, and judge the choices and the fronts once, beside the base and the controls."""
    best = best_of(plan, choices)
    winner = _winner(plan, best)
    preparation = prepare(winner, data_dir=home, quiet=quiet, say=folder.say)
    beside = [one for one in winner.runs() if one.kind != "blend"]
    specs = (*beside, *_specs(plan, fronts, curves, choices, winner))
    slates, seconds = run_slates(preparation, specs, quiet, folder.say)
    return judge(preparation, specs, slates, seconds, path / "judged", quiet), winner


def _winner(plan: Plan, best: Choice | None) -> Config:
    """Return the config of what was chosen; where nothing was, that of the base alone."""
    if best is None or best.trial is None:
        method = plan.methods[0]
        return method.config(_low(method), "test").model_copy(update={"blends": {}})
    return best.method.config(best.trial.settings, "test")


def _specs(
    plan: Plan,
    fronts: Mapping[str, list[Found]],
    curves: Mapping[str, list[Found]],
    choices: list[Choice],
    winner: Config,
) -> list[RunSpec]:
    """Return a run per point of the fronts that is judged on test: the choices, and points spread over the rest."""
    specs = []
    for choice in choices:
        points = thinned(fronts[choice.method.name], plan.goals, plan.settings.front)
        ends = [one for one in curves[choice.method.name] if one not in fronts[choice.method.name]]
        points += [one for one in (choice.trial, *ends) if one is not None and one not in points]
        for point in points:
            config = choice.method.config(point.settings, "test")
            specs.append(_spec(f"{choice.method.name}-{point.number}", choice.method.name, config, winner))
    return specs


def _spec(name: str, family: str, config: Config, winner: Config) -> RunSpec:
    if not config.blends:
        return RunSpec(name, "model", name, model=config.model, pool=config.pool)
    blend = next(iter(config.blends.values()))
    spec = RunSpec(name, "blend", family, blend=blend)
    if config.model == winner.model and config.pool == winner.pool:
        return spec
    return replace(spec, model=config.model, pool=config.pool)


def _low(method: Method) -> dict[str, Value]:
    return {one.name: one.ends[0] for one in method.ranges}
