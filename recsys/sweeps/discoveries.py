"""The choice of a blend for a log: families of blends searched alike, chosen on validation, reported on test once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.configs import Config
from recsys.experiments.benchmark import hash_folder_name, resolve_config
from recsys.experiments.folds import describe_missing_folds
from recsys.experiments.likelihoods import describe_likelihood, find_likelihood
from recsys.experiments.pipeline import Preparation, prepare_benchmark
from recsys.experiments.run_folder import RunFolder
from recsys.support.threads import limit_to_one_blas_thread
from recsys.sweeps.cross_readings import read_curves_across_parts
from recsys.sweeps.curve_readings import CurveReadings, read_curves_of_families, trace_curve
from recsys.sweeps.families import Family, build_discover_config, build_family_plan, build_winner, list_families
from recsys.sweeps.family_choice import FamilyChoice, add_leads, choose_family, choose_trial, judge_gains
from recsys.sweeps.family_outputs import FamilyResults, describe_families, tabulate_families, write_families
from recsys.sweeps.judgements import read_test_evaluations, record_test_evaluation
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.selection import Choice
from recsys.sweeps.trial_evaluator import build_trial_evaluator
from recsys.sweeps.trial_search import search_methods
from recsys.sweeps.trials import TrialResult
from recsys.types import Dataset, RecsysError
from recsys.types.numbers import check_int

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_TRIALS = 64  # of each family: eight to an axis where there are two dials


@dataclass(frozen=True, eq=False)
class Discovery:
    """The result of `discover`. `families` has a row per family and control, in the order of simplicity."""

    plan: SweepPlan
    results: FamilyResults  # trials, curves and their readings on validation and test, of which the rest is made
    families: "pd.DataFrame"
    choice: FamilyChoice
    winner: Config
    lines: tuple[str, ...]  # what was chosen, what it buys, and what could not be told apart
    folder: Path
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return what was chosen, and where it lies."""
        return "\n".join((*self.lines, f"folder: {self.folder}"))


def discover(
    config: Config | Mapping[str, Any] | str | Path = "ml-100k",
    *,
    trials: int = DEFAULT_TRIALS,
    accuracy_budget: str | float = "2%",
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> Discovery:
    """Choose a blend for the log of `config`, and write `out/discover-<name>-<hash>`, with winner.toml and report.html.

    `config` and `data` are what `recsys.bench` takes; blends and further models of the config are left out. Families of
    one and two objectives, on the base's scores and on a learned likelihood, get `trials` trials each over equal
    ranges. They are compared where a metric of `ACCURACY_AXES` first has lost `accuracy_budget` of the base's value;
    for the choice, each user is judged by points that were picked without their quarter of the users.
    A choice that was stopped goes on where it ended.

    Raises:
        RecsysError: for whatever is wrong with the config, the data or the folder, in one line.
    """
    settings = build_discover_config(resolve_config(config, data))
    trials = check_int("discover: trials", trials, 1)
    folder, notes = RunFolder(out), list[str]()
    home = None if data_dir is None else Path(data_dir)
    prepare = partial(prepare_benchmark, data_dir=home, quiet=quiet, log_line=folder.log_line, in_memory=data)
    with limit_to_one_blas_thread():
        build_plan = partial(build_family_plan, settings, trials, accuracy_budget)
        preparation = prepare(build_plan(list_families(True)).base_config())
        notes += describe_missing_folds(preparation)
        families = list_families(_has_usable_likelihood(preparation, notes))
        plan = build_plan(families)
        evaluator = build_trial_evaluator(preparation, plan.metrics, plan.user_parts)
        path = Path(out) / f"{plan.name}-{hash_folder_name(plan.digest(), evaluator.fingerprint)}"
        read_test_evaluations(path)  # a table that cannot be read is said before the search
        searched = search_methods(plan, evaluator, str(path / "study.journal"), notes.append, quiet, importances=False)
        curves = {name: trace_curve(plan, found) for name, found in searched.results.items()}
        points = {name: choose_trial(plan, found) for name, found in searched.results.items()}
        on_validation = read_curves_across_parts(plan, searched.results, evaluator, "validation", quiet)
        tested = build_trial_evaluator(prepare(plan.base_config("test")), plan.metrics)
        on_test = read_curves_of_families(plan, curves, points, tested, "test", quiet)
    results = _choose(plan, families, points, curves, on_validation, on_test)
    table, said = tabulate_families(results), describe_families(results)
    lines = (*said, record_test_evaluation(plan, _list_choices(results), searched.results, said, path))
    winner = _build_winner(settings, results)
    write_families(results, table, searched, winner, lines, tuple(notes), preparation.dataset.fingerprint, path)
    return Discovery(plan, results, table, results.choice, winner, lines, path, tuple(notes))


def _has_usable_likelihood(preparation: Preparation, notes: list[str]) -> bool:
    """Return whether the likelihood can be fitted and is not below the base; add notes that say so, or why not."""
    try:
        found = find_likelihood(preparation)
    except RecsysError as error:
        notes.append(f"families on the likelihood's scores are left out: {error}")
        return False
    if found is None:
        return False
    notes += describe_likelihood(found)
    return found.beats_base


def _choose(
    plan: SweepPlan,
    families: Sequence[Family],
    points: Mapping[str, TrialResult | None],
    curves: Mapping[str, Sequence[TrialResult]],
    on_validation: CurveReadings,
    on_test: CurveReadings,
) -> FamilyResults:
    """Return the choice on validation, and how every family and control stands against it on test."""
    able = [one for one in families if one.role == "family" and points[one.name] is not None]
    choice, tested = choose_family(able, on_validation.gains), list(on_test.gains.values())
    verdicts = judge_gains(tested)
    if choice.chosen is not None and choice.chosen.name in on_test.gains:
        verdicts = add_leads(verdicts, on_test.gains[choice.chosen.name], tested)
    return FamilyResults(plan, families, choice, points, curves, on_validation, on_test, verdicts)


def _list_choices(results: FamilyResults) -> list[Choice]:
    chosen = results.choice.chosen
    return [Choice(one, results.point) for one in results.plan.methods if chosen and one.name == chosen.name]


def _build_winner(settings: Config, results: FamilyResults) -> Config:
    for one in _list_choices(results):
        if one.trial is not None:
            made = one.method.trial_config(one.trial.settings, "test")
            return build_winner(settings, results.choice.chosen, made.blends[one.method.name])
    return build_winner(settings, None, None)
