"""What `recsys discover` says of families: a table, sentences, files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys.configs import Config
from recsys.reports import FamilyReport, write_family_report
from recsys.reports.formats import format_number, format_percent, format_percent_interval
from recsys.scores.judges import MIN_JUDGE_USERS, MIN_UNEXPLORED_HITS
from recsys.support.atomic_files import write_text
from recsys.support.cache import describe_environment
from recsys.sweeps.curve_readings import LIKELIHOOD, CurveReadings, name_point
from recsys.sweeps.families import Family
from recsys.sweeps.family_choice import FamilyChoice, FamilyVerdict
from recsys.sweeps.outputs import tabulate_failures, tabulate_trials, write_tables, write_winner
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.tradeoff_curves import list_gain_columns, tabulate_gains_at_loss
from recsys.sweeps.trial_search import SearchedTrials
from recsys.sweeps.trials import TrialResult
from recsys.types.notebooks import format_count

if TYPE_CHECKING:
    import pandas as pd

IDENTITY_COLUMNS = ("method", "metric", "loss", "points")  # of readings, that a row of families says once
JOINT_LIMITS = ("lower_bound", "detectable", "behind", "behind_low", "behind_high")


@dataclass(frozen=True, eq=False)
class FamilyResults:
    """Everything that was found of the families of a plan."""

    plan: SweepPlan
    families: Sequence[Family]  # with the controls
    choice: FamilyChoice
    points: Mapping[str, TrialResult | None]  # the blend of each family that would be chosen
    curves: Mapping[str, Sequence[TrialResult]]
    on_validation: CurveReadings
    on_test: CurveReadings
    test_verdicts: Mapping[str, FamilyVerdict]  # of all families and controls, against the chosen one

    @property
    def base_name(self) -> str:
        """The name of the base's model."""
        return self.plan.base_config().base_name

    @property
    def point(self) -> TrialResult | None:
        """The trial that was chosen."""
        return None if self.choice.chosen is None else self.points[self.choice.chosen.name]


def tabulate_families(results: FamilyResults) -> "pd.DataFrame":
    """Return a row per family and control: gain and losses at the budget on validation and test, and their verdicts.

    validation_ and test_: gain (a share of the base's value), its limits ci_low and ci_high, losses there, reached (the
    share of draws whose curve loses as much); lower_bound and detectable (`FamilyVerdict`); behind, behind_low,
    behind_high and stands, on validation against the best family, on test against the chosen one; where none is chosen
    stands is against the base.
    """
    import pandas as pd

    chosen = results.choice.chosen
    columns = [name for name in list_gain_columns(results.plan) if name not in IDENTITY_COLUMNS]
    rows = []
    for family in results.families:
        point = results.points[family.name]
        row: dict[str, Any] = {
            "family": family.name,
            "role": family.role,
            "objectives": " + ".join(family.objectives),
            "scores": "likelihood" if family.by_likelihood else "base",
            "dials": family.dials,
            "points": len(results.curves[family.name]),
            "chosen": family is chosen,
            "settings": "" if point is None else json.dumps(_shorten_settings(point.settings)),
        }
        both = (("validation", results.on_validation, results.choice.verdicts),
                ("test", results.on_test, results.test_verdicts))  # fmt: skip
        for part, readings, verdicts in both:
            read = _read_family(family.name, readings, verdicts, columns, chosen is None)
            row |= {f"{part}_{name}": value for name, value in read.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _read_family(
    name: str, readings: CurveReadings, verdicts: Mapping[str, FamilyVerdict], columns: Sequence[str], to_base: bool
) -> dict[str, Any]:
    """Return the reading of a family, `columns`, NaN where there is none, and its verdict."""
    read: dict[str, Any] = dict.fromkeys(columns, np.nan)
    if name in readings.gains:
        row = tabulate_gains_at_loss([readings.gains[name]])[0]
        read = {key: row[key] for key in columns}
    verdict = verdicts.get(name, FamilyVerdict(np.nan, np.nan))
    read |= {key: getattr(verdict, key) for key in JOINT_LIMITS}
    return read | {"stands": verdict.stands_against_base if to_base else verdict.stands}


def describe_families(results: FamilyResults) -> tuple[str, ...]:
    """Return what was chosen and why, what it buys and loses, and how small a gain could have been shown."""
    said = [*_describe_choice(results), *_describe_test(results), _describe_controls(results)]
    without = [one.name for one in results.families if one.role == "family" and results.points[one.name] is None]
    if without:
        said.append(f"no trial keeps both losses within the budget on validation, never chosen: {', '.join(without)}")
    if LIKELIHOOD in results.on_test.scores.runs:
        changes = _format_changes(results.on_test, LIKELIHOOD, results.plan)
        said.append(f"the likelihood's order alone, on test: {changes}")
    for part, readings, verdicts in (
        ("validation", results.on_validation, results.choice.verdicts),
        ("test", results.on_test, results.test_verdicts),
    ):
        said.append(f"on {part} {_describe_power(results, readings, verdicts)}")
    counts = [sum(one.role == role for one in results.families) for role in ("family", "control")]
    points = sum(map(len, results.curves.values()))
    said.append(
        f"{sum(counts)} curves were read on validation and on test: {counts[0]} families and "
        f"{format_count(counts[1], 'control')}, {format_count(results.plan.settings.trials, 'trial')} each, "
        f"{format_count(points, 'point')}"
    )
    return tuple(said)


def _describe_choice(results: FamilyResults) -> list[str]:
    plan, base = results.plan, results.base_name
    chosen, best, verdicts = results.choice.chosen, results.choice.best, results.choice.verdicts
    at = f"where {_join_or([one.metric for one in plan.accuracies])} has lost {_format_budget(plan)}"
    if chosen is None or best is None:
        most = "" if best is None else f", {best.name} with {_format_gain(results.on_validation, best.name)} the most"
        return [
            f"no family gains more {_get_gain(plan)} than one standard error on validation {at}{most}; the choice is "
            f"{base}'s order",
            _describe_sure_gains(results),
        ]
    settings = ", ".join(f"{name} {format_number(value)}" for name, value in _list_weights(results).items())
    near = ", ".join(one.name for one in results.choice.near)
    return [
        f"chosen on validation: {chosen.name} ({settings}), {_format_gain(results.on_validation, chosen.name)} "
        f"{_get_gain(plan)} {at}",
        f"{best.name} gains most on validation, {_format_gain(results.on_validation, best.name)}; within one standard "
        f"error of it: {near}; of these the first by dials, likelihood and time is taken",
        f"with limits for all at once, {_list_stands(results, verdicts, best, ('level', 'behind'))}",
        _describe_sure_gains(results),
    ]


def _describe_sure_gains(results: FamilyResults) -> str:
    """Say which families gain with limits that hold for all at once; where none does, that the choice is a guess."""
    verdicts, base = results.choice.verdicts, results.base_name
    sure = [one.name for one in results.families if one.name in verdicts and verdicts[one.name].is_ahead_of_base]
    if sure:
        return f"surely ahead of {base} on validation (95 %, all at once): {', '.join(sure)}"
    guess = "" if results.choice.chosen is None else ": the choice is the best guess on this log, not a finding"
    return f"nothing can be told apart from {base} on validation (95 %, all at once){guess}"


def _describe_test(results: FamilyResults) -> list[str]:
    verdicts, chosen, readings = results.test_verdicts, results.choice.chosen, results.on_test
    gain = _get_gain(results.plan)
    if chosen is None or results.point is None:
        ahead = [one.name for one in results.families if one.name in verdicts and verdicts[one.name].is_ahead_of_base]
        return [f"on test, ahead of {results.base_name} at the same loss: {', '.join(ahead) or 'none'}"]
    said = [
        "on test the chosen blend changes "
        + _format_changes(readings, name_point(chosen.name, results.point), results.plan)
    ]
    if chosen.name in readings.gains:
        said.append(
            f"at the same loss on test {chosen.name} gains {_format_gain(readings, chosen.name)} {gain}; "
            f"{_list_stands(results, verdicts, chosen, ('level', 'behind', 'ahead'))}"
        )
    return said


def _describe_controls(results: FamilyResults) -> str:
    controls = [one.name for one in results.families if one.role == "control"]
    gains = [f"{name} {_format_gain(results.on_test, name)}" for name in controls]
    return f"controls at the same loss, on test: {', '.join(gains)}"


def _describe_power(results: FamilyResults, readings: CurveReadings, verdicts: Mapping[str, FamilyVerdict]) -> str:
    """Say how many users and hits judge, and how small a gain could have been shown, with a warning where few do."""
    base, users, hits = results.base_name, readings.judge_users, readings.base_hits
    seen = f"judges have {users:,} users" if users else "judges have seen the users"
    said = f"{seen} and {hits:.1f} hits of {base} in unexplored regions, the mean over maps"
    few = [f"fewer than {MIN_JUDGE_USERS:,} users"] if 0 < users < MIN_JUDGE_USERS else []
    few += [f"fewer than {MIN_UNEXPLORED_HITS} hits"] if hits < MIN_UNEXPLORED_HITS else []
    least = [one.detectable for one in verdicts.values() if np.isfinite(one.detectable)]
    shown = "no gain could have been told from none"
    if least:
        both = [format_percent(of(least), signed=False) for of in (min, max)]
        shown = f"the smallest gain that could have been told from none is {both[0]} to {both[1]}, by family"
    return f"{said} ({', '.join(few)}): {shown}" if few else f"{said}: {shown}"


def write_families(
    results: FamilyResults,
    table: "pd.DataFrame",
    searched: SearchedTrials,
    winner: Config,
    lines: Sequence[str],
    notes: Sequence[str],
    fingerprint: str,
    folder: Path,
) -> None:
    """Write families.csv, trials.parquet, failed.csv, the configs, environment.json and report.html.

    `fingerprint` is that of the data.
    """
    plan = results.plan
    tables = {"families": table, "failed": tabulate_failures(searched.failures)}
    write_tables(tabulate_trials(searched.results, results.curves), tables, folder)
    searched_config = plan.base_config("test")
    write_text(folder / "config.toml", tomli_w.dumps(searched_config.dump_settings()))
    around = describe_environment(searched_config.seed, fingerprint)
    write_text(folder / "environment.json", json.dumps(around, indent=2) + "\n")
    write_winner(winner.dump_settings(), lines, folder)
    write_family_report(
        FamilyReport(
            title=f"recsys discover: {plan.name.removeprefix('discover-')}",
            lines=tuple(lines),
            notes=tuple(notes),
            families=table,
            gain_metric=_get_gain(plan),
            accuracies=tuple(one.metric for one in plan.accuracies),
            accuracy_budget=plan.accuracy_budget,
            base=results.base_name,
        ),
        folder,
    )


def _list_stands(
    results: FamilyResults, verdicts: Mapping[str, FamilyVerdict], first: Family, stands: Sequence[str]
) -> str:
    """Return which families are level with another one, behind it or ahead of it."""
    words = {"level": "level with", "behind": "behind", "ahead": "ahead of"}
    found = {
        name: [one.name for one in results.families if one is not first and _get_stand(verdicts, one.name) == name]
        for name in stands
    }
    said = [f"{words[name]} it: {', '.join(names) or 'none'}" for name, names in found.items() if name != "behind"]
    n_behind = len(found["behind"])
    return "; ".join([*said, f"{n_behind} {'is' if n_behind == 1 else 'are'} behind"])


def _get_stand(verdicts: Mapping[str, FamilyVerdict], name: str) -> str:
    return verdicts[name].stands if name in verdicts else "unknown"


def _get_gain(plan: SweepPlan) -> str:
    return plan.gain_goals[0].metric


def _format_budget(plan: SweepPlan) -> str:
    return format_percent(plan.accuracy_budget, signed=False)


def _join_or(names: Sequence[str]) -> str:
    return " or ".join(names)


def _format_gain(readings: CurveReadings, name: str) -> str:
    if name not in readings.gains:
        return "is not defined"
    row = tabulate_gains_at_loss([readings.gains[name]])[0]
    ends = "" if np.isnan(row["ci_low"]) else f" [{format_percent_interval(row['ci_low'], row['ci_high'])}]"
    return f"{format_percent(row['gain'])}{ends}"


def _format_changes(readings: CurveReadings, run: str, plan: SweepPlan) -> str:
    """Return the relative change of every metric of a run against the base, with its 95 % interval."""
    table = readings.compare_with_base(run)
    rows = {f"{row['metric']}@{row['k']}": row for row in table.to_dict("records") if row["run"] == run}
    said = []
    for metric in (_get_gain(plan), *(one.metric for one in plan.accuracies)):
        change, low, high = (rows[metric][name] for name in ("relative", "relative_low", "relative_high"))
        ends = "" if np.isnan(low) else f" [{format_percent_interval(low, high)}]"
        said.append(f"{metric} {format_percent(change) if np.isfinite(change) else 'is not defined'}{ends}")
    return ", ".join(said)


def _list_weights(results: FamilyResults) -> dict[str, Any]:
    return {} if results.point is None else _shorten_settings(results.point.settings)


def _shorten_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of a trial by what stands behind the blend's name, to four digits."""
    return {name.split(".", 2)[2]: float(f"{value:.4g}") for name, value in settings.items()}
