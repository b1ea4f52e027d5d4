"""A sweep, carried out: trials on validation, a choice, and one judgement on test."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.configs import Config, RunSpec
from recsys.experiments.benchmark import describe_data, evaluate_slates, hash_folder_name
from recsys.experiments.pipeline import Preparation, prepare_benchmark
from recsys.experiments.rerankings import build_run_slates
from recsys.experiments.results import Bench
from recsys.experiments.run_folder import RunFolder
from recsys.support.config_layers import Layer
from recsys.support.threads import limit_to_one_blas_thread
from recsys.sweeps import outputs
from recsys.sweeps.judgements import read_test_evaluations, record_test_evaluation
from recsys.sweeps.pareto import find_pareto_front, thin_front
from recsys.sweeps.plans import HALF_LIFE, Method, SweepPlan, read_sweep
from recsys.sweeps.selection import Choice, choose_points, pick_best_choice
from recsys.sweeps.summaries import run_search
from recsys.sweeps.tradeoff_curves import extend_curve
from recsys.sweeps.trial_evaluator import build_trial_evaluator, find_own_time
from recsys.sweeps.trial_search import SearchedTrials, check_search_jobs, search_methods
from recsys.sweeps.trials import TrialResult
from recsys.types import Dataset, RecsysError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Sweep:
    """The result of a sweep. `bought` has a row per method: cost and gain of its choice, on validation and on test."""

    plan: SweepPlan
    trials: "pd.DataFrame"
    front: "pd.DataFrame"
    chosen: "pd.DataFrame"
    test_bench: Bench
    winner: Config
    lines: tuple[str, ...]  # what was chosen and what it bought, in words
    folder: Path
    failed: "pd.DataFrame"  # the trials that could not be judged: method, trial, reason, settings
    notes: tuple[str, ...] = ()  # what was repaired, and what could not be judged on test
    summary: Mapping[str, Any] = field(default_factory=dict)  # what `notify` is told

    def __repr__(self) -> str:
        """Return what was chosen, and where it lies."""
        return "\n".join((*self.lines, f"folder: {self.folder}"))


def sweep(
    file: str | Path,
    *,
    trials: int | None = None,
    accuracy_budget: str | float | None = None,
    overrides: Sequence[Layer] = (),
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
    timeout: str | float | None = None,
    notify: str | None = None,
    jobs: int = 1,
) -> Sweep:
    """Run the search that `file` describes, and write its folder, `out/<name>-<hash of the search>`.

    `trials` (for each blend, in all) and `accuracy_budget` go before what the file says, and so do
    `overrides` (`recsys.support.config_layers.parse_override`). `data` is a dataset in memory,
    as for `recsys.bench`. Trials are kept as they end: a search that was stopped goes on, and processes that are
    started on one storage share its trials. `jobs` processes of this machine add trials: this one, and forks of it.

    From `timeout` on (seconds, or a text such as "8h") no further trial begins: the choice is made among those that
    there are, equally many of each method. At the end the shell runs the command `notify`, with `Sweep.summary`
    as JSON on its standard input, also where the sweep fails; a command that fails itself is a note.

    Raises:
        RecsysError: for whatever is wrong with the file, the data, the storage or the folder, in one line.
    """

    def search(ends_at: float | None) -> tuple[Sweep, SearchedTrials]:
        return _run_sweep(file, trials, accuracy_budget, overrides, out, quiet, data_dir, data, ends_at, jobs)

    return run_search(search, Path(file).stem, timeout, notify)


def _run_sweep(
    file: str | Path,
    trials: int | None,
    accuracy_budget: str | float | None,
    overrides: Sequence[Layer],
    out: str | Path,
    quiet: bool,
    data_dir: str | Path | None,
    data: Dataset | None,
    ends_at: float | None,
    jobs: int,
) -> tuple[Sweep, SearchedTrials]:
    plan = read_sweep(
        file,
        None if data is None else describe_data(data),
        overrides=overrides,
        trials=trials,
        accuracy_budget=accuracy_budget,
    )
    check_search_jobs(jobs, plan)
    folder, notes = RunFolder(out), list[str]()
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    with limit_to_one_blas_thread():
        preparation = prepare_benchmark(
            plan.base_config(), data_dir=home, quiet=quiet, log_line=folder.log_line, in_memory=data
        )
        _check_searched_half_life(plan, preparation)
        shop = build_trial_evaluator(preparation, plan.metrics)
        path = Path(out) / f"{plan.name}-{hash_folder_name(plan.digest(), shop.fingerprint)}"
        read_test_evaluations(path)  # a table that cannot be read is said before the search
        where = plan.settings.storage or str(path / "study.journal")
        searched = search_methods(plan, shop, where, notes.append, quiet, ends_at=ends_at, jobs=jobs)
        n = min(map(len, searched.results.values()))
        if n < plan.settings.trials:
            notes.append(
                f"the timeout ended the search after {n} of {plan.settings.trials} trials of each method: started "
                "again, it goes on"
            )
            plan = replace(plan, settings=plan.settings.model_copy(update={"trials": n}))
        found = searched.results
        fronts = {name: find_pareto_front(trials, plan.front_goals) for name, trials in found.items()}
        points = {name: thin_front(kept, plan.front_goals, plan.settings.front) for name, kept in fronts.items()}
        choices = choose_points(plan, points, shop)
        curves = {name: extend_curve(plan, kept, found[name]) for name, kept in points.items()}
        judged = _evaluate_on_test(plan, curves, path, quiet, home, folder, notes, data)
        tables = outputs.build_sweep_tables(plan, fronts, curves, choices, searched, judged)
    winner = _build_winner_config(plan, pick_best_choice(plan, choices))
    for note in notes:
        folder.log_line(note)
    folder.write_bench(judged, time.perf_counter() - start)
    said = outputs.describe_choices(plan, choices, tables, judged)
    lines = (*said, *outputs.describe_failures(tables.failed), record_test_evaluation(plan, choices, found, said, path))
    outputs.write_sweep(plan, tables, winner, lines, path)
    done = Sweep(
        plan, tables.trials, tables.front, tables.chosen, judged, winner, lines, path, tables.failed, tuple(notes)
    )
    return done, searched


def _check_searched_half_life(plan: SweepPlan, preparation: Preparation) -> None:
    searched = any(one.path == HALF_LIFE for method in plan.methods for one in method.ranges)
    if searched and (preparation.whole is None or not preparation.whole.has_global_cut):
        kind = preparation.config.split.kind
        raise RecsysError(
            f"{plan.name}: time.half_life has a range, and the split {kind} is not at one point in time, expected "
            "global_time: where a user's last positives are held out whenever they were, age says nothing"
        )


def _evaluate_on_test(
    plan: SweepPlan,
    curves: Mapping[str, list[TrialResult]],
    path: Path,
    quiet: bool,
    home: Path | None,
    folder: RunFolder,
    notes: list[str],
    data: Dataset | None,
) -> Bench:
    """Fit on train and validation, and judge the curves' points, beside the base, its models and the controls.

    A point that cannot be judged there, such as one whose model does not fit in memory with more data, is left out.
    """
    config = plan.base_config("test")
    preparation = prepare_benchmark(config, data_dir=home, quiet=quiet, log_line=folder.log_line, in_memory=data)
    points = [(method, one) for method in plan.methods for one in curves[method.name]]
    specs = (*config.list_runs(), *(_build_run_spec(method, one, preparation.config) for method, one in points))
    refused: dict[str, str] = {}
    slates, seconds = build_run_slates(preparation, specs, quiet, folder.log_line, refused)
    notes += [f"{name} is not judged on test: {reason}" for name, reason in refused.items()]
    specs = tuple(spec for spec in specs if spec.name not in refused)
    return evaluate_slates(preparation, specs, slates, seconds, path / "judged", quiet, tuple(notes))


def _build_run_spec(method: Method, point: TrialResult, base: Config) -> RunSpec:
    name, config = f"{method.name}-{point.number}", method.trial_config(point.settings, "test")
    own = find_own_time(config, base)
    if not config.blends:
        return RunSpec(name, "model", name, model=config.model, pool=config.pool, time=own)
    spec = replace(config.list_runs()[-1], name=name, family=method.name, weight=None, time=own)
    if config.model == base.model and config.pool == base.pool:
        return spec
    return replace(spec, model=config.model, pool=config.pool)


def _build_winner_config(plan: SweepPlan, best: Choice | None) -> Config:
    """Return the config of the chosen point; without one, that of the base alone."""
    if best is None or best.trial is None:
        return plan.base_config("test")
    return best.method.trial_config(best.trial.settings, "test")
