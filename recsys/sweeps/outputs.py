"""The output folder of a sweep: tables of trials and fronts, a config to run, a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys.configs import Config
from recsys.escaping import escape_csv_frame, escape_hidden
from recsys.experiments.results import Bench
from recsys.reports import SweepReport, write_sweep_report
from recsys.reports.formats import format_percent
from recsys.support.atomic_files import replace_file, write_text
from recsys.sweeps.goals import Goal
from recsys.sweeps.pareto import build_loss_matrix, trace_hypervolume
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.selection import Choice
from recsys.sweeps.tradeoff_curves import (
    BEST_VS_REST_COLUMNS,
    compute_gains_at_loss,
    list_gain_columns,
    tabulate_best_vs_rest,
    tabulate_gains_at_loss,
)
from recsys.sweeps.trial_search import SearchedTrials
from recsys.sweeps.trials import TrialFailure, TrialResult

if TYPE_CHECKING:
    import pandas as pd

REFERENCE_SHARE = (
    0.2  # the reference of the hypervolume: fixed, so that searches and starts can be held against each other
)
TEST_COLUMNS = ("value", "ci_low", "ci_high")
CHANGE_COLUMNS = ("relative", "relative_low", "relative_high")
SHOWN_REASONS = 3  # reasons of failed trials in a sentence
CHOSEN_COLUMNS = ["method", "trial", "metric", "validation", "bound", *CHANGE_COLUMNS]


@dataclass(frozen=True, eq=False)
class SweepTables:
    """Long tables of a sweep; settings are columns."""

    trials: "pd.DataFrame"  # method, trial, feasible, on the front, seconds, values on validation, settings
    front: "pd.DataFrame"  # the same of the fronts, with value and interval on test where it was judged
    chosen: "pd.DataFrame"  # method, trial, metric: relative change on validation and, with its interval, on test
    gain_at_loss: "pd.DataFrame"  # method, metric, loss: gain on test at that loss, losses of all accuracies there
    best_vs_rest: "pd.DataFrame"  # metric, loss, rival: how far the best method on validation is ahead on test
    hypervolume: "pd.DataFrame"  # method, trial, hypervolume
    importance: "pd.DataFrame"  # method, metric, setting, importance
    failed: "pd.DataFrame"  # method, trial, reason, settings: trials that could not be judged


def build_sweep_tables(
    plan: SweepPlan,
    fronts: Mapping[str, list[TrialResult]],
    curves: Mapping[str, list[TrialResult]],
    choices: Sequence[Choice],
    searched: SearchedTrials,
    judged: Bench,
) -> SweepTables:
    """Return the tables of a sweep's results."""
    import pandas as pd

    trials = tabulate_trials(searched.results, fronts)
    read = compute_gains_at_loss(plan, curves, judged.scores, judged.preparation.config.base_name)
    return SweepTables(
        trials=trials,
        front=_add_test_values(plan, trials[trials["front"]], judged),
        chosen=pd.DataFrame(
            [row for choice in choices for row in _build_choice_rows(plan, choice, judged)], columns=CHOSEN_COLUMNS
        ),
        gain_at_loss=pd.DataFrame(tabulate_gains_at_loss(read), columns=list_gain_columns(plan)),
        best_vs_rest=pd.DataFrame(tabulate_best_vs_rest(read), columns=BEST_VS_REST_COLUMNS),
        hypervolume=tabulate_hypervolume(plan.front_goals, searched.results),
        importance=tabulate_importance(searched),
        failed=tabulate_failures(searched.failures),
    )


def tabulate_trials(
    results: Mapping[str, Sequence[TrialResult]], fronts: Mapping[str, Sequence[TrialResult]]
) -> "pd.DataFrame":
    """Return a row per trial that was judged; settings are columns."""
    import pandas as pd

    on_front = {(name, one.number) for name, points in fronts.items() for one in points}
    rows = [
        {
            "method": name,
            "trial": one.number,
            "feasible": one.feasible,
            "front": (name, one.number) in on_front,
            "seconds": one.seconds,
            **one.values,
            **{f"base {metric}": value for metric, value in one.base.items()},
            **one.settings,
        }
        for name, trials in results.items()
        for one in trials
    ]
    return pd.DataFrame(rows)


def write_sweep(plan: SweepPlan, tables: SweepTables, winner: Config, lines: Sequence[str], folder: Path) -> None:
    """Write the tables, winner.toml and report.html, each whole or not at all."""
    csv = ("front", "chosen", "gain_at_loss", "best_vs_rest", "hypervolume", "importance", "failed")
    write_tables(tables.trials, {name: getattr(tables, name) for name in csv}, folder)
    write_winner(winner.dump_settings(), lines, folder)
    write_sweep_report(
        SweepReport(
            title=f"recsys sweep: {plan.name}",
            lines=tuple(lines),
            goals=tuple((one.metric, one.maximize) for one in plan.goals),
            trials=tables.trials,
            front=tables.front,
            chosen=tables.chosen,
            gain_at_loss=tables.gain_at_loss,
            best_vs_rest=tables.best_vs_rest,
            hypervolume=tables.hypervolume,
            importance=tables.importance,
            constraints=tuple(plan.settings.constraints),
            failed=tables.failed,
        ),
        folder,
    )


def write_tables(trials: "pd.DataFrame", tables: Mapping[str, "pd.DataFrame"], folder: Path) -> None:
    """Write trials.parquet and NAME.csv of each other table, each whole or not at all."""
    with replace_file(folder / "trials.parquet") as temporary:
        trials.to_parquet(temporary, index=False)
    for name, table in tables.items():
        with replace_file(folder / f"{name}.csv") as temporary:
            escape_csv_frame(table).to_csv(temporary, index=False)


def write_winner(winner: Mapping[str, Any], lines: Sequence[str], folder: Path) -> None:
    """Write the tables of winner.toml, with `lines` as comments in front."""
    said = "".join(f"# {escape_hidden(line)}\n" for line in lines)
    write_text(folder / "winner.toml", said + tomli_w.dumps(winner))


def describe_choices(plan: SweepPlan, choices: Sequence[Choice], tables: SweepTables, judged: Bench) -> tuple[str, ...]:
    """Return a sentence per method: the choice on validation, and its loss and gain on test."""
    said = []
    for choice in choices:
        if not choice.lower_bounds and choice.trial is None:
            said.append(f"{choice.method.name}: no trial keeps the constraints: nothing is bought")
            continue
        if choice.trial is None:
            said.append(
                f"{choice.method.name}: no trial is surely within "
                f"{format_percent(plan.accuracy_budget, signed=False)} of the "
                f"base's {' and '.join(choice.lower_bounds)} on validation "
                f"(the best bound is {format_percent(min(choice.lower_bounds.values()))}): "
                "nothing is bought"
            )
            continue
        rows = tables.chosen[(tables.chosen.method == choice.method.name)].set_index("metric")
        changes = [f"{metric} {_format_change(row)}" for metric, row in rows.iterrows()]
        if f"{choice.method.name}-{choice.trial.number}" not in judged.scores.runs:
            changes = ["it cannot be judged"]
        spent = [
            f"{metric} {format_percent(change)}, surely above {format_percent(choice.lower_bounds[metric])}"
            for metric, change in choice.accuracy_changes.items()
        ]
        budget = format_percent(plan.accuracy_budget, signed=False) + (" of each" if len(spent) > 1 else "")
        said.append(
            f"{choice.method.name}: trial {choice.trial.number} was chosen on validation ({'; '.join(spent)}; up to "
            f"{budget} may be spent); on test {', '.join(changes)}"
        )
    return tuple(said)


def describe_failures(failed: "pd.DataFrame") -> list[str]:
    """Return a sentence per method whose trials failed: how many, and the most frequent reasons."""
    said = []
    for method, rows in failed.groupby("method", sort=False):
        counts = rows["reason"].value_counts()
        reasons = [f"{count} x '{reason}'" for reason, count in counts[:SHOWN_REASONS].items()]
        more = f" and {len(counts) - SHOWN_REASONS} other reasons" if len(counts) > SHOWN_REASONS else ""
        said.append(f"{method}: {len(rows)} failed trials do not count: {', '.join(reasons)}{more}; see failed.csv")
    return said


def tabulate_failures(failures: Mapping[str, Sequence[TrialFailure]]) -> "pd.DataFrame":
    """Return a row per trial that could not be judged; settings are columns."""
    import pandas as pd

    rows = [
        {"method": name, "trial": one.number, "reason": one.reason, **one.settings}
        for name, trials in failures.items()
        for one in trials
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["method", "trial", "reason"])


def _format_change(row: Any) -> str:
    if not np.isfinite(row.relative):
        return "is not defined"
    interval = f" [{format_percent(row.relative_low)}, {format_percent(row.relative_high)}]"
    return format_percent(row.relative) + (interval if np.isfinite(row.relative_low) else "")


def _add_test_values(plan: SweepPlan, points: "pd.DataFrame", judged: Bench) -> "pd.DataFrame":
    """Return the points with value and interval of each metric on test, NaN where it was not judged."""
    added = points.copy()
    summary = {(row.run, f"{row.metric}@{row.k}"): row for row in judged.summary.itertuples()}
    names = [f"{method}-{trial}" for method, trial in zip(points["method"], points["trial"], strict=True)]
    for metric in plan.metrics:
        for column in TEST_COLUMNS:
            found = [getattr(summary.get((name, metric)), column, np.nan) for name in names]
            added[f"test {metric}" + ("" if column == "value" else f" {column}")] = found
    return added


def _build_choice_rows(plan: SweepPlan, choice: Choice, judged: Bench) -> list[dict[str, Any]]:
    if choice.trial is None:
        return []
    name = f"{choice.method.name}-{choice.trial.number}"
    changes = {f"{row.metric}@{row.k}": row for row in judged.differences.itertuples() if row.run == name}
    rows = []
    for metric in plan.metrics:
        before = choice.trial.base[metric]
        row = changes.get(metric)
        rows.append(
            {
                "method": choice.method.name,
                "trial": choice.trial.number,
                "metric": metric,
                "validation": choice.trial.values[metric] / before - 1 if before else np.nan,
                "bound": choice.lower_bounds.get(metric, np.nan),
                **{column: getattr(row, column, np.nan) for column in CHANGE_COLUMNS},
            }
        )
    return rows


def tabulate_importance(searched: SearchedTrials) -> "pd.DataFrame":
    """Return how much each setting matters: method, metric, setting, importance."""
    import pandas as pd

    rows = [{"method": name, **row} for name, rows in searched.importances.items() for row in rows]
    return pd.DataFrame(rows, columns=["method", "metric", "setting", "importance"])


def tabulate_hypervolume(goals: Sequence[Goal], results: Mapping[str, list[TrialResult]]) -> "pd.DataFrame":
    """Return the dominated hypervolume after each trial, against the base made worse by a fifth in every goal."""
    import pandas as pd

    base = build_loss_matrix([next(trials[0] for trials in results.values())], goals, of_base=True)[0]
    reference = base + REFERENCE_SHARE * np.abs(base)
    rows = [
        {"method": name, "trial": one.number, "hypervolume": volume}
        for name, trials in results.items()
        for one, volume in zip(trials, trace_hypervolume(trials, goals, reference), strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "hypervolume"])
