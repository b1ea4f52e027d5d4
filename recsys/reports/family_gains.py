"""The page of a choice between families of blends: one picture, and the numbers behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.html import Html, make_element
from recsys.reports import themes
from recsys.reports.chart_pages import render_chart_page, render_figure, render_frame
from recsys.reports.charts import save_charts
from recsys.reports.encodings import Spec
from recsys.reports.formats import MINUS, MISSING, format_percent, format_percent_interval
from recsys.reports.search_charts import is_missing
from recsys.support.atomic_files import write_text

WIDTH, ROW_HEIGHT = 760, 30
SCORES = {"base": "on the base's scores", "likelihood": "on the likelihood's scores"}
STANDS = {"chosen": "chosen", "level": "level", "behind": "behind", "ahead": "ahead", "unknown": "too few differ"}
STAND_SHAPES = {"chosen": "star", "level": "circle", "behind": "left", "ahead": "right", "unknown": "cross"}


@dataclass(frozen=True, eq=False)
class FamilyReport:
    """A choice between families as a table (`recsys.sweeps.family_outputs.tabulate_families`) and sentences."""

    title: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    families: pd.DataFrame
    gain_metric: str  # such as "discovery@10"
    accuracies: tuple[str, ...]
    accuracy_budget: float
    base: str


def write_family_report(report: FamilyReport, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its picture, `folder`/charts/families.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    spec = draw_family_gains(report)
    config = themes.build_vega_config(themes.LIGHT, _list_colours(themes.LIGHT), legend=True)
    paths = save_charts({"families": spec | {"config": config}}, folder)
    theme = themes.build_css_theme()
    parts = {
        "choice": ("What was chosen", _render_lines(report.lines)),
        "families": (str(spec["title"]["text"]), render_figure(spec, "families")),
        "numbers": ("The numbers", _render_numbers(report)),
        **({"notes": ("Notes", _render_lines(report.notes))} if report.notes else {}),
    }
    lead = Html(make_element("span", "Chosen on validation, reported on test once; families.csv holds every number."))
    page_config = themes.build_vega_config(theme, _list_colours(theme), legend=True)
    write_text(folder / "report.html", render_chart_page(report.title, lead, parts, {"families": spec}, page_config))
    return [folder / "report.html", *paths]


def draw_family_gains(report: FamilyReport) -> Spec:
    """Return each family's gain on test at the budget with its interval, base and likelihood beside each other."""
    rows = [_build_row(one, report) for one in report.families.to_dict("records") if not is_missing(one["test_gain"])]
    first = "the chosen one" if report.families["chosen"].any() else report.base
    order = list(dict.fromkeys(row["objectives"] for row in rows))
    y = {"field": "objectives", "type": "nominal", "sort": order, "axis": {"title": None, "labelLimit": 260}}
    offset = {"yOffset": {"field": "scores", "type": "nominal", "scale": {"domain": [*SCORES.values()]}}}
    x = {
        "field": "gain",
        "type": "quantitative",
        "axis": {"title": f"gain of {report.gain_metric} on test", "format": "+.0%", "tickCount": 7},
    }
    colour = {"field": "scores", "type": "nominal", "scale": {"domain": [*SCORES.values()]}, "legend": {"title": None}}
    found = [name for name in STANDS if any(row["stands"] == STANDS[name] for row in rows)]
    shapes = {
        "domain": [STANDS[name] for name in found],
        "range": [themes.SHAPES[STAND_SHAPES[name]] for name in found],
    }
    mark = {"field": "stands", "type": "nominal", "scale": shapes, "legend": {"title": None, "symbolStrokeWidth": 0}}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.4},
            "encoding": {"y": y, **offset, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "tooltip": {"expr": "datum.tip"}},
            "encoding": {"y": y, **offset, "x": x, "color": colour, "shape": mark},
        },
        {"data": {"values": [{"gain": 0.0}]}, "mark": {"type": "rule", "style": "base-rule"}, "encoding": {"x": x}},
    ]
    budget = format_percent(report.accuracy_budget, signed=False)
    notes = [
        f"Gain of each family's curve where {' or '.join(report.accuracies)} first has lost {budget} of the value of "
        f"{report.base} (dashed), with 95 % intervals.",
        f"A mark says how a family stands against {first}, by limits that hold for all families at once.",
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": "What each family gains for the same loss", "subtitle": notes},
        "width": WIDTH,
        "height": {"step": ROW_HEIGHT / 2},
        "padding": 16,
        "data": {"values": rows},
        "layer": layers,
    }


def _build_row(one: Mapping[Any, Any], report: FamilyReport) -> dict[str, Any]:
    gain, low, high = (
        None if is_missing(one[f"test_{name}"]) else one[f"test_{name}"] for name in ("gain", "ci_low", "ci_high")
    )
    stands = STANDS[_find_stand(one)]
    name = str(one["objectives"]) + (" (control)" if one["role"] == "control" else "")
    tip = {
        "family": one["family"],
        "gain": f"{format_percent(gain)} ({format_percent_interval(low, high)})",
        **{f"loss of {metric}": format_percent(one[f"test_loss {metric}"]) for metric in report.accuracies},
        "stands": stands,
    }
    return {
        "objectives": name, "scores": SCORES[str(one["scores"])], "gain": gain, "low": low, "high": high,
        "stands": stands, "tip": tip,
    }  # fmt: skip


def _find_stand(one: Mapping[Any, Any]) -> str:
    if one["chosen"]:
        return "chosen"
    return "unknown" if is_missing(one.get("test_stands")) else str(one["test_stands"])


def _render_lines(lines: tuple[str, ...]) -> Html:
    return make_element("ul", *(make_element("li", line) for line in lines), class_="sentences")


def _render_numbers(report: FamilyReport) -> Html:
    columns, rows = format_families(report.families, report.accuracies, report.base)
    return render_frame(pd.DataFrame(rows, columns=columns), (columns[0], columns[-1]), {})


def format_families(families: pd.DataFrame, accuracies: Sequence[str], base: str) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns and the rows of the table of families, as text; shares are in per cent."""
    chosen = families["chosen"].any()
    against = "the chosen" if chosen else base
    columns = ["family", "dials", "gain on validation", "gain on test", *(f"loss of {name}" for name in accuracies)]
    columns += ["chosen less it"] if chosen else []
    return [*columns, f"against {against}"], [
        [
            str(one["family"]) + (" (control)" if one["role"] == "control" else ""),
            str(one["dials"]),
            _format_limits(one, "validation_gain", "validation_ci_low", "validation_ci_high"),
            _format_limits(one, "test_gain", "test_ci_low", "test_ci_high"),
            *(_format_limits(one, f"test_loss {metric}") for metric in accuracies),
            *([_format_limits(one, "test_behind", "test_behind_low", "test_behind_high")] if chosen else []),
            STANDS[_find_stand(one)],
        ]
        for one in families.to_dict("records")
    ]


def _format_limits(one: Mapping[Any, Any], *names: str) -> str:
    """Return a share and its limits, in per cent."""
    found: list[Any] = [one.get(name) for name in names]
    texts = (MISSING if is_missing(value) else f"{100 * value:+.1f}".replace("-", MINUS) for value in found)
    value, *ends = texts
    return value if MISSING in ends or not ends else f"{value} [{', '.join(ends)}]"


def _list_colours(theme: Mapping[str, Any]) -> list[str]:
    return [themes.choose_series_colour(theme, "blend", place) for place in range(len(SCORES))]
