"""A search of policies in a simulation: trials on some seeds, a choice, and one simulation with other seeds."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.experiments.benchmark import hash_folder_name
from recsys.reports import SweepReport, write_sweep_report
from recsys.reports.formats import format_percent
from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.plans import SimulationPlan, parse_simulation
from recsys.simulation.records import Policy
from recsys.simulation.runs import OpenWorld, SimulationRun, drop_none, open_world, simulate_all, write_simulation
from recsys.simulation.tables import find_interval
from recsys.support.cache import require_disk_space
from recsys.support.config_layers import Layer
from recsys.support.progress import show_progress
from recsys.support.threads import limit_to_one_blas_thread
from recsys.sweeps.judgements import read_test_evaluations, record_test_evaluation
from recsys.sweeps.outputs import (
    TEST_COLUMNS,
    describe_failures,
    tabulate_failures,
    tabulate_hypervolume,
    tabulate_importance,
    tabulate_trials,
    write_tables,
    write_winner,
)
from recsys.sweeps.pareto import find_pareto_front, thin_front
from recsys.sweeps.simulation_plans import LAST, PolicyMethod, SimulationSweepPlan, read_simulation_sweep
from recsys.sweeps.summaries import run_search
from recsys.sweeps.trial_search import SearchedTrials, check_search_jobs, search_methods
from recsys.sweeps.trials import TrialResult, TrialValues
from recsys.types import RecsysError
from recsys.types.arrays import Doubles
from recsys.types.paths import check_path

if TYPE_CHECKING:
    import pandas as pd

MIN_FREE_BYTES = 50_000_000  # bytes that must be left on the disk before the work begins
CHOSEN_COLUMNS = ["method", "trial", "metric", "validation", "relative", "relative_low", "relative_high"]


@dataclass(frozen=True)
class PolicyChoice:
    """The trial that was chosen of one method."""

    method: PolicyMethod
    trial: TrialResult | None  # None where no trial keeps constraints and budget
    nearest: Mapping[str, float]  # by what is spent: the change of this trial, or of that which loses least


@dataclass(frozen=True, eq=False)
class SimulationSweep:
    """The result of a search of policies in a simulation."""

    plan: SimulationSweepPlan
    trials: "pd.DataFrame"
    front: "pd.DataFrame"  # with values on other seeds, where the trial was simulated there
    chosen: "pd.DataFrame"  # method, trial, metric: change against the base where it was chosen, and on other seeds
    test_run: SimulationRun  # of base and front on other seeds
    lines: tuple[str, ...]  # what was chosen and what it bought, in words
    folder: Path
    failed: "pd.DataFrame"
    notes: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)  # what `notify` is told


@dataclass(frozen=True, eq=False)
class PolicyEvaluator:
    """Lets policies recommend to the populations of some seeds."""

    plan: SimulationSweepPlan
    opened: OpenWorld

    @property
    def fingerprint(self) -> str:
        """That of the rows which the world is fitted to."""
        return self.opened.fingerprint

    def evaluate_config(self, config: Policy) -> TrialValues:
        """Return the mean of each measure over the seeds, and the values of each.

        Raises:
            RecsysError: for a measure that says nothing of a population.
        """
        rounds, measures = self.plan.base.settings.rounds, self.plan.measures
        with limit_to_one_blas_thread():
            runs = [
                simulate(self.opened.world, config, rounds=rounds, measures=measures, seed=seed)
                for seed in self.plan.base.seeds
            ]
        parts = [{metric: read_measure(run, metric) for metric in self.plan.metrics} for run in runs]
        whole = {metric: float(np.mean([one[metric] for one in parts])) for metric in self.plan.metrics}
        return TrialValues(whole, parts if len(parts) > 1 else ())


def read_measure(run: Trajectory, metric: str) -> float:
    """Return the mean of a measure over the rounds that it says something of; of MEASURE@last the last round's value.

    Raises:
        RecsysError: where it says nothing.
    """
    name, _, place = metric.rpartition("@") if metric.endswith(f"@{LAST}") else (metric, "", "")
    values = run.get_values(name)
    found = values[-1] if place else values[~np.isnan(values)].mean() if not np.isnan(values).all() else np.nan
    if not np.isfinite(found):
        raise RecsysError(f"sweep: {metric} is not defined in this world, expected measures that are")
    return float(found)


def sweep_simulation(
    file: str | Path,
    *,
    trials: int | None = None,
    accuracy_budget: str | float | None = None,
    overrides: Sequence[Layer] = (),
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    timeout: str | float | None = None,
    notify: str | None = None,
    jobs: int = 1,
) -> SimulationSweep:
    """Run the search of policies that `file` describes, and write its folder, `out/<name>-<hash of the search>`.

    Settings, storage, `timeout`, `notify` and `jobs` are as for `recsys.sweeps.sweep`.

    Raises:
        RecsysError: for whatever is wrong with the file, the world, the storage or the folder, in one line.
    """
    home = None if data_dir is None else Path(data_dir)

    def search(ends_at: float | None) -> tuple[SimulationSweep, SearchedTrials]:
        plan = read_simulation_sweep(file, overrides=overrides, trials=trials, accuracy_budget=accuracy_budget)
        return _run_sweep(plan, out, quiet, home, ends_at, jobs)

    return run_search(search, Path(file).stem, timeout, notify)


def _run_sweep(
    plan: SimulationSweepPlan,
    out: str | Path,
    quiet: bool,
    data_dir: Path | None,
    ends_at: float | None,
    jobs: int,
) -> tuple[SimulationSweep, SearchedTrials]:
    check_search_jobs(jobs, plan)
    require_disk_space(check_path("out", out), MIN_FREE_BYTES)
    with show_progress(quiet), limit_to_one_blas_thread():
        opened = open_world(plan.base, data_dir, quiet)
    path = Path(out) / f"{plan.name}-{hash_folder_name(plan.digest(), opened.fingerprint)}"
    read_test_evaluations(path)  # a table that cannot be read is said before the search
    notes: list[str] = []
    where = plan.settings.storage or str(path / "study.journal")
    searched = search_methods(
        plan, PolicyEvaluator(plan, opened), where, notes.append, quiet, ends_at=ends_at, jobs=jobs
    )
    n = min(map(len, searched.results.values()))
    if n < plan.settings.trials:
        notes.append(
            f"the timeout ended the search after {n} of {plan.settings.trials} trials of each method: started again, "
            "it goes on"
        )
        plan = replace(plan, settings=plan.settings.model_copy(update={"trials": n}))
    fronts = {name: find_pareto_front(found, plan.front_goals) for name, found in searched.results.items()}
    choices = [choose_policy(plan, method, fronts[method.name]) for method in plan.methods]
    points = {one.method.name: _list_points(plan, one, fronts[one.method.name]) for one in choices}
    start = time.perf_counter()
    tested = build_test_plan(plan, points)
    with show_progress(quiet), limit_to_one_blas_thread():
        runs = simulate_all(tested, opened, jobs)
    judged = write_simulation(tested, opened, runs, path / "judged", time.perf_counter() - start)
    changes = _measure_changes(plan, runs)
    done = _write_sweep(plan, searched, fronts, choices, changes, judged, tuple(notes), path)
    return done, searched


def choose_policy(plan: SimulationSweepPlan, method: PolicyMethod, front: Sequence[TrialResult]) -> PolicyChoice:
    """Return the trial of a front with the largest first goal that loses at most the budget, on average over the seeds.

    The goal is the first that is not spent itself; without one it is the first of what is spent, and nothing is lost.
    """
    changes = [
        {one.metric: _find_change(trial.values[one.metric], trial.base[one.metric]) for one in plan.accuracies}
        for trial in front
    ]
    decided = (plan.gain_goals or plan.accuracies)[0]
    kept = [
        i for i, of in enumerate(changes) if not plan.gain_goals or min(of.values()) >= -plan.accuracy_budget - 1e-12
    ]
    best = max(kept, key=lambda i: decided.sign * front[i].values[decided.metric], default=None)
    shown = max(range(len(front)), key=lambda i: min(changes[i].values()), default=None) if best is None else best
    return PolicyChoice(method, None if best is None else front[best], {} if shown is None else changes[shown])


def _list_points(plan: SimulationSweepPlan, choice: PolicyChoice, front: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials of a method that are simulated with other seeds: the choice, and some of its front."""
    kept = thin_front(front, plan.front_goals, plan.settings.front) if plan.settings.front else []
    both = kept if choice.trial is None else [choice.trial, *kept]
    return list({one.number: one for one in both}.values())


def build_test_plan(plan: SimulationSweepPlan, points: Mapping[str, Sequence[TrialResult]]) -> SimulationPlan:
    """Return the simulation of the base and of some trials, METHOD-NUMBER, with seeds that nothing was chosen on."""
    policies = dict(plan.base_tables["policies"])
    for method in plan.methods:
        policies |= {f"{method.name}-{one.number}": method.fill(one.settings) for one in points[method.name]}
    seeds = plan.test_seeds
    measures = list(dict.fromkeys([*plan.base.settings.measures, *plan.measures]))
    tables = {**plan.base_tables, "policies": policies, "base": plan.base.base, "measures": measures}
    return parse_simulation({**tables, "seed": seeds.start, "seeds": len(seeds)})


def _measure_changes(
    plan: SimulationSweepPlan, runs: Mapping[str, Sequence[Trajectory]]
) -> dict[tuple[str, str], tuple[Doubles, Doubles]]:
    """Return by run and metric the mean over seeds, and the difference from the base as a share of its mean.

    Both have three numbers: the mean, and the ends of Student's 95 % interval over seeds.
    """
    found = {}
    for metric in plan.metrics:
        level = {name: np.array([read_measure(one, metric) for one in of]) for name, of in runs.items()}
        base = level[plan.base.base]
        for name, values in level.items():
            own, gap = np.array(find_interval(values)), np.array(find_interval(values - base))
            found[name, metric] = own, gap / abs(base.mean()) if base.mean() else np.full(3, np.nan)
    return found


def _find_change(value: float, base: float) -> float:
    return (value - base) / abs(base) if base else np.nan


def _write_sweep(
    plan: SimulationSweepPlan,
    searched: SearchedTrials,
    fronts: Mapping[str, list[TrialResult]],
    choices: Sequence[PolicyChoice],
    changes: Mapping[tuple[str, str], tuple[Doubles, Doubles]],
    judged: SimulationRun,
    notes: tuple[str, ...],
    path: Path,
) -> SimulationSweep:
    """Write tables, winner.toml and report.html, and return what they say."""
    import pandas as pd

    trials, failed = tabulate_trials(searched.results, fronts), tabulate_failures(searched.failures)
    front = trials[trials["front"]].copy()
    names = [f"{method}-{number}" for method, number in zip(front["method"], front["trial"], strict=True)]
    for metric in plan.metrics:
        for place, column in enumerate(TEST_COLUMNS):
            title = f"test {metric}" + ("" if column == "value" else f" {column}")
            front[title] = [changes[name, metric][0][place] if (name, metric) in changes else np.nan for name in names]
    chosen = pd.DataFrame(
        [row for one in choices for row in _list_choice_rows(plan, one, changes)], columns=CHOSEN_COLUMNS
    )
    said = (*(_describe_choice(plan, one, changes) for one in choices), *describe_failures(failed))
    lines = (*said, record_test_evaluation(plan, choices, searched.results, said, path))
    tables = {
        "front": front, "chosen": chosen, "failed": failed,
        "hypervolume": tabulate_hypervolume(plan.front_goals, searched.results),
        "importance": tabulate_importance(searched),
    }  # fmt: skip
    write_tables(trials, tables, path)
    write_winner(drop_none(_build_winner(plan, choices)), lines, path)
    nothing = pd.DataFrame()
    report = SweepReport(
        title=f"recsys sweep: {plan.name}", lines=lines, goals=tuple((one.metric, one.maximize) for one in plan.goals),
        trials=trials, front=front, chosen=chosen, gain_at_loss=nothing, best_vs_rest=nothing,
        hypervolume=tables["hypervolume"], importance=tables["importance"],
        constraints=tuple(plan.settings.constraints), failed=failed, judged="the simulation of other seeds",
    )  # fmt: skip
    write_sweep_report(report, path)
    return SimulationSweep(plan, trials, front, chosen, judged, lines, path, failed, notes)


def _list_choice_rows(
    plan: SimulationSweepPlan, choice: PolicyChoice, changes: Mapping[tuple[str, str], tuple[Doubles, Doubles]]
) -> list[tuple[Any, ...]]:
    trial = choice.trial
    if trial is None:
        return []
    name = f"{choice.method.name}-{trial.number}"
    return [
        (choice.method.name, trial.number, metric, _find_change(trial.values[metric], trial.base[metric]),
         *changes[name, metric][1])
        for metric in plan.metrics
    ]  # fmt: skip


def _describe_choice(
    plan: SimulationSweepPlan, choice: PolicyChoice, changes: Mapping[tuple[str, str], tuple[Doubles, Doubles]]
) -> str:
    """Return what was chosen of a method, what it loses where it was chosen, and what it does to other seeds."""
    budget = format_percent(plan.accuracy_budget, signed=False)
    spent = ", ".join(f"{metric} {format_percent(change)}" for metric, change in choice.nearest.items())
    if choice.trial is None:
        why = f"the least loss is {spent}, and up to {budget} may be spent" if spent else "none keeps the constraints"
        return f"{choice.method.name}: no trial was chosen: {why}"
    name = f"{choice.method.name}-{choice.trial.number}"
    parts = []
    for metric in plan.metrics:
        mean, low, high = changes[name, metric][1]
        ends = f" [{format_percent(low)}, {format_percent(high)}]" if np.isfinite(low) else ""
        parts.append(f"{metric} {format_percent(mean)}{ends}" if np.isfinite(mean) else f"{metric} is not defined")
    return (
        f"{choice.method.name}: trial {choice.trial.number} was chosen on {_name_seeds(plan.base.seeds)} ({spent}; "
        f"up to {budget} may be spent); on {_name_seeds(plan.test_seeds)} {', '.join(parts)}"
    )


def _name_seeds(seeds: range) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def _build_winner(plan: SimulationSweepPlan, choices: Sequence[PolicyChoice]) -> dict[str, Any]:
    """Return the simulation of the base and of the best choice: its file can be run."""
    decided = (plan.gain_goals or plan.accuracies)[0]
    taken = [(one.trial, one.method) for one in choices if one.trial is not None]
    policies = dict(plan.base_tables["policies"])
    if taken:
        trial, method = max(taken, key=lambda pair: decided.sign * pair[0].values[decided.metric])
        policies[method.name] = method.fill(trial.settings)
    return {**plan.base_tables, "base": plan.base.base, "policies": policies}
