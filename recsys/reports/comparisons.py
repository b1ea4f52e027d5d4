"""Tables of a comparison of runs, for the terminal, Markdown, LaTeX and the page."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recsys.reports.caveats import EXPOSURE_CAVEAT, is_discovery
from recsys.reports.formats import (
    format_change,
    format_direction,
    format_interval,
    format_number,
    format_percent,
    format_percent_interval,
)
from recsys.scores import Comparison
from recsys.scores.hypothesis_tests import MIN_DIFFERING_USERS, SIGNIFICANCE_LEVEL

Row = Mapping[Hashable, Any]
CellPlace = tuple[int, int]
STAR = "*"


@dataclass(frozen=True)
class TextTable:
    """A table of text: `best` are the places (row, column) of the best values."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[CellPlace] = field(default_factory=frozenset)


def build_text_tables(comparison: Comparison) -> list[TextTable]:
    """Return the tables of a comparison that have rows: values, differences, joint limits, worst segments."""
    made = [
        _tabulate_values(comparison),
        _tabulate_differences(comparison),
        _tabulate_loss_and_gain(comparison),
        _tabulate_worst_segments(comparison),
    ]
    return [grid for grid in made if grid.rows]


def list_notes(comparison: Comparison) -> list[str]:
    """Return the notes that are needed to read the tables, a line each."""
    n, share = int(comparison.differences.p_value.notna().sum()), format_percent(comparison.margin, signed=False)
    method = "Benjamini and Hochberg" if comparison.explore else "Holm"
    how = (
        f"two-level bootstrap over {comparison.replicates} replicates and the users within them; p by Student's t"
        if comparison.replicates > 1
        else "paired bootstrap over users; p by sign flips of users, by Student's t for catalogue-level metrics"
    )
    lines = [
        f"Against {comparison.against}; 95 % intervals: {how}.",
        f"p, no loss and equivalent are adjusted over {n} comparisons ({method}); {STAR} marks an adjusted p of at "
        f"most {SIGNIFICANCE_LEVEL:g}; bold marks the best value; arrows say which way is better.",
        f"No loss: the loss is below {share} of {comparison.against}'s mean; equivalent: the difference is within it "
        "either way (tests of ratios of means after Fieller, one-sided and TOST).",
        f"Undecided: too little data to show a difference or that it is within {share}; detectable is the smallest "
        "difference that this data shows in 80 % of samples.",
    ]
    if (comparison.differences.n_differ < MIN_DIFFERING_USERS).any():
        lines.append(
            f"Where fewer than {MIN_DIFFERING_USERS} users differ, intervals would hold the truth too rarely: "
            "none is given."
        )
    if comparison.segments.worst.any():
        lines.append(
            "Limits of segments hold for all segments of a run and metric together, so the worst may be picked."
        )
    stratified = comparison.summary[comparison.summary.metric.str.startswith("stratified_")]
    credit = dict(zip(stratified.metric, stratified.convention, strict=True))
    lines += [f"{metric}: {convention}." for metric, convention in credit.items()]
    if any(is_discovery(metric) for metric in comparison.differences.metric):
        lines.append(EXPOSURE_CAVEAT)
    lines += [f"Compared: {one.folder} ({one.description}): {', '.join(one.runs)}." for one in comparison.sources]
    return lines


def _tabulate_values(comparison: Comparison) -> TextTable:
    values, changes = _index_rows(comparison.summary), _index_rows(comparison.differences)
    names = list(dict.fromkeys((row["metric"], row["k"]) for row in values.values()))
    ways = {(row["metric"], row["k"]): row["direction"] for row in values.values()}
    runs = list(dict.fromkeys(run for run, *_ in values))
    best = {
        (runs.index(run), names.index(name) + 1)
        for name in names
        if ways[name]
        for run in _find_best_runs({r: ways[name] * values[r, *name]["value"] for r in runs})
    }
    rows = [(run, *(_format_value(values[run, *name], changes.get((run, *name))) for name in names)) for run in runs]
    head = ("run", *(f"{metric}@{k} {format_direction(ways[metric, k])}" for metric, k in names))
    return TextTable("Values", head, tuple(rows), frozenset(best))


def _find_best_runs(values: Mapping[str, float]) -> list[str]:
    known = [value for value in values.values() if not math.isnan(value)]
    return [run for run, value in values.items() if known and value == max(known)]


def _format_value(row: Row, change: Row | None) -> str:
    star = STAR if change is not None and change["p_adjusted"] <= SIGNIFICANCE_LEVEL else ""
    ends = format_interval(_replace_nan(row["ci_low"]), _replace_nan(row["ci_high"]))
    return f"{format_number(_replace_nan(row['value']))}{star}{f' ({ends})' if ends else ''}"


def _tabulate_differences(comparison: Comparison) -> TextTable:
    head = (
        "run", "metric", "difference", "95 % interval", "p", "p adjusted", "d_z", "detectable", "no loss", "equivalent",
        "users differ", "verdict",
    )  # fmt: skip
    rows = [_format_difference_row(row) for row in comparison.differences.to_dict("records")]
    return TextTable(f"Differences from {comparison.against}", head, tuple(rows))


def _format_difference_row(row: Row) -> tuple[str, ...]:
    detectable = _replace_nan(row["detectable_relative"])
    size, ends = format_change(row)
    differ = _replace_nan(row["n_differ"])
    return (
        str(row["run"]),
        f"{row['metric']}@{row['k']} {format_direction(row['direction'])}",
        size,
        ends
        or (f"fewer than {MIN_DIFFERING_USERS} differ" if differ is not None and differ < MIN_DIFFERING_USERS else ""),
        _format_p_value(row["p_value"]),
        _format_p_value(row["p_adjusted"]),
        format_number(_round_to_three_digits(row["effect_size"]), signed=True),
        format_number(_round_to_three_digits(row["detectable"]))
        if detectable is None
        else format_percent(detectable, signed=False),
        _format_answer(row["noninferior"], row["p_noninferior_adjusted"]),
        _format_answer(row["equivalent"], row["p_equivalent_adjusted"]),
        format_number(float(row["n_users"]))
        if differ is None
        else f"{format_number(differ)} of {format_number(float(row['n_users']))}",
        str(row["verdict"]),
    )


def _tabulate_loss_and_gain(comparison: Comparison) -> TextTable:
    """Return a row per run and gain: the change of every metric that may be lost stands beside it."""
    losses = list(dict.fromkeys(comparison.joint.loss_metric))
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in comparison.joint.to_dict("records"):
        found.setdefault((row["run"], row["gain_metric"]), {})[row["loss_metric"]] = row
    rows = []
    for (run, gain), by_loss in found.items():
        cells = [text for loss in losses for text in _format_joint_change(by_loss.get(loss), "loss")]
        rows.append((str(run), *cells, str(gain), *_format_joint_change(next(iter(by_loss.values())), "gain")))
    head = ("run", *(name for loss in losses for name in (loss, "joint limits")), "gain in", "change", "joint limits")
    title = f"Loss{'es' if len(losses) > 1 else ''} and gain together: all limits of a row hold in 95 % of samples"
    return TextTable(title, head, tuple(rows))


def _format_joint_change(row: Row | None, name: str) -> tuple[str, str]:
    if row is None:
        return "", ""
    return format_percent(_replace_nan(row[name])), _format_row_percents(row, f"{name}_low", f"{name}_high")


def _tabulate_worst_segments(comparison: Comparison) -> TextTable:
    head = ("run", "metric", "worst segment", "users", "difference there", "joint limits", "in %")
    rows = [
        (
            *(str(row["run"]), f"{row['metric']}@{row['k']}", f"{row['segment']}: {row['part']}"),
            *(format_number(float(row["n_users"])), format_number(_replace_nan(row["difference"]), signed=True)),
            *(_format_row_interval(row, "joint_low", "joint_high"), format_percent(_replace_nan(row["relative"]))),
        )
        for row in comparison.segments[comparison.segments.worst.astype(bool)].to_dict("records")
    ]
    return TextTable("The segment of users with the largest loss", head, tuple(rows))


def _index_rows(table: pd.DataFrame) -> dict[tuple[Any, ...], Row]:
    return {(row["run"], row["metric"], row["k"]): row for row in table.to_dict("records")}


def _replace_nan(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _round_to_three_digits(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")


def _format_row_interval(row: Row, low: str, high: str) -> str:
    return format_interval(_replace_nan(row[low]), _replace_nan(row[high]), signed=True)


def _format_row_percents(row: Row, low: str, high: str) -> str:
    return format_percent_interval(_replace_nan(row[low]), _replace_nan(row[high]))


def _format_p_value(value: float) -> str:
    return "" if pd.isna(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _format_answer(answer: str, p_value: float) -> str:
    return f"{answer} ({_format_p_value(p_value)})" if answer else ""
