"""A comparison of runs as tables of text: what the terminal, Markdown, LaTeX and the page print."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recsys.reports.caveats import EXPOSURE, of_discovery
from recsys.reports.formats import arrow, interval, interval_percent, number, percent
from recsys.scores import Comparison
from recsys.scores.verdicts import FEW, LEVEL

Row = Mapping[Hashable, Any]
Place = tuple[int, int]
STAR = "*"


@dataclass(frozen=True)
class Grid:
    """A table of text: `best` are the places (row, column) of the best values."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[Place] = field(default_factory=frozenset)


def grids(found: Comparison) -> list[Grid]:
    """Return the tables of a comparison that have rows: values, differences, joint limits, worst segments."""
    made = [_values(found), _differences(found), _joint(found), _worst(found)]
    return [grid for grid in made if grid.rows]


def notes(found: Comparison) -> list[str]:
    """Return what must be known to read the tables, a line each."""
    n, share = int(found.differences.p_value.notna().sum()), percent(found.margin, signed=False)
    method = "Benjamini and Hochberg" if found.explore else "Holm"
    how = (
        f"two-level bootstrap over {found.replicates} replicates and the users within them; p by Student's t"
        if found.replicates > 1
        else "paired bootstrap over users; p by sign flips of users, by Student's t for catalogue-level metrics"
    )
    lines = [
        f"Against {found.against}; 95 % intervals: {how}.",
        f"p, no loss and equivalent are adjusted over {n} comparisons ({method}); {STAR} marks an adjusted p of at "
        f"most {LEVEL:g}; bold marks the best value; arrows say which way is better.",
        f"No loss: the loss is below {share} of {found.against}'s mean; equivalent: the difference is within it "
        "either way (tests of ratios of means after Fieller, one-sided and TOST).",
        f"Undecided: too little data to show a difference or that it is within {share}; detectable is the smallest "
        "difference that this data shows in 80 % of samples.",
    ]
    if (found.differences.n_differ < FEW).any():
        lines.append(f"Where fewer than {FEW} users differ, intervals would hold the truth too rarely: none is given.")
    if found.segments.worst.any():
        lines.append(
            "Limits of segments hold for all segments of a run and metric together, so the worst may be picked."
        )
    if any(of_discovery(metric) for metric in found.differences.metric):
        lines.append(EXPOSURE)
    lines += [f"Compared: {one.folder} ({one.about}): {', '.join(one.runs)}." for one in found.sources]
    return lines


def _values(found: Comparison) -> Grid:
    values, changes = _by_run(found.summary), _by_run(found.differences)
    names = list(dict.fromkeys((row["metric"], row["k"]) for row in values.values()))
    ways = {(row["metric"], row["k"]): row["direction"] for row in values.values()}
    runs = list(dict.fromkeys(run for run, *_ in values))
    best = {
        (runs.index(run), names.index(name) + 1)
        for name in names
        if ways[name]
        for run in _winners({r: ways[name] * values[r, *name]["value"] for r in runs})
    }
    rows = [(run, *(_value(values[run, *name], changes.get((run, *name))) for name in names)) for run in runs]
    head = ("run", *(f"{metric}@{k} {arrow(ways[metric, k])}" for metric, k in names))
    return Grid("Values", head, tuple(rows), frozenset(best))


def _winners(values: Mapping[str, float]) -> list[str]:
    known = [value for value in values.values() if not math.isnan(value)]
    return [run for run, value in values.items() if known and value == max(known)]


def _value(row: Row, change: Row | None) -> str:
    star = STAR if change is not None and change["p_adjusted"] <= LEVEL else ""
    ends = interval(_known(row["ci_low"]), _known(row["ci_high"]))
    return f"{number(_known(row['value']))}{star}{f' ({ends})' if ends else ''}"


def _differences(found: Comparison) -> Grid:
    head = (
        "run", "metric", "difference", "95 % interval", "p", "p adjusted", "d_z", "detectable", "no loss", "equivalent",
        "users differ", "verdict",
    )  # fmt: skip
    rows = [_difference(row) for row in found.differences.to_dict("records")]
    return Grid(f"Differences from {found.against}", head, tuple(rows))


def _difference(row: Row) -> tuple[str, ...]:
    relative, detectable = _known(row["relative"]), _known(row["detectable_relative"])
    if relative is None:
        size, ends = number(_known(row["difference"]), signed=True), _ends(row, "ci_low", "ci_high")
    else:
        low, high = _known(row["relative_low"]), _known(row["relative_high"])
        size, ends = percent(relative), interval_percent(low, high) or _ends(row, "ci_low", "ci_high")
    differ = _known(row["n_differ"])
    return (
        str(row["run"]),
        f"{row['metric']}@{row['k']} {arrow(row['direction'])}",
        size,
        ends or (f"fewer than {FEW} differ" if differ is not None and differ < FEW else ""),
        _p(row["p_value"]),
        _p(row["p_adjusted"]),
        number(_short(row["effect_size"]), signed=True),
        number(_short(row["detectable"])) if detectable is None else percent(detectable, signed=False),
        _answer(row["noninferior"], row["p_noninferior_adjusted"]),
        _answer(row["equivalent"], row["p_equivalent_adjusted"]),
        number(float(row["n_users"])) if differ is None else f"{number(differ)} of {number(float(row['n_users']))}",
        str(row["verdict"]),
    )


def _joint(found: Comparison) -> Grid:
    head = ("run", "loss in", "change", "joint limits", "gain in", "change", "joint limits")
    rows = [
        (
            str(row["run"]),
            *(str(row["loss_metric"]), percent(_known(row["loss"])), _shares(row, "loss_low", "loss_high")),
            *(str(row["gain_metric"]), percent(_known(row["gain"])), _shares(row, "gain_low", "gain_high")),
        )
        for row in found.joint.to_dict("records")
    ]
    return Grid("Loss and gain together: both limits hold in 95 % of samples", head, tuple(rows))


def _worst(found: Comparison) -> Grid:
    head = ("run", "metric", "worst segment", "users", "difference there", "joint limits", "in %")
    rows = [
        (
            *(str(row["run"]), f"{row['metric']}@{row['k']}", f"{row['segment']}: {row['part']}"),
            *(number(float(row["n_users"])), number(_known(row["difference"]), signed=True)),
            *(_ends(row, "joint_low", "joint_high"), percent(_known(row["relative"]))),
        )
        for row in found.segments[found.segments.worst.astype(bool)].to_dict("records")
    ]
    return Grid("The segment of users with the largest loss", head, tuple(rows))


def _by_run(table: pd.DataFrame) -> dict[tuple[Any, ...], Row]:
    return {(row["run"], row["metric"], row["k"]): row for row in table.to_dict("records")}


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _short(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")


def _ends(row: Row, low: str, high: str) -> str:
    return interval(_known(row[low]), _known(row[high]), signed=True)


def _shares(row: Row, low: str, high: str) -> str:
    return interval_percent(_known(row[low]), _known(row[high]))


def _p(value: float) -> str:
    return "" if pd.isna(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _answer(answer: str, p_value: float) -> str:
    return f"{answer} ({_p(p_value)})" if answer else ""
