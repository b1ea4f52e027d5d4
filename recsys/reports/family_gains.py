"""The page of a choice between families of blends: one picture, and the numbers behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.html import Html, make_element
from recsys.reports import themes
from recsys.reports.chart_pages import render_chart_page, render_figure, render_frame
from recsys.reports.charts import save_charts
from recsys.reports.encodings import Spec
from recsys.reports.formats import MISSING, format_percent, format_percent_interval
from recsys.reports.search_charts import is_missing
from recsys.support.atomic_files import write_text

WIDTH, ROW_HEIGHT = 760, 30
SCORES = {"base": "on the base's scores", "likelihood": "on the likelihood's scores"}
STANDS = {"chosen": "chosen", "level": "level", "behind": "behind", "ahead": "ahead", "unknown": "too few users differ"}
STAND_SHAPES = {"chosen": "star", "level": "circle", "behind": "left", "ahead": "right", "unknown": "cross"}
TABLE_COLUMNS = {
    "family": "family",
    "dials": "dials",
    "validation": "gain on validation",
    "test": "gain on test",
    "losses": "losses there",
    "behind": "chosen less it, on test",
    "stands": "stands",
}


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
    rows = [format_family_row(one, report.accuracies) for one in report.families.to_dict("records")]
    return render_frame(pd.DataFrame(rows, columns=[*TABLE_COLUMNS]), ("family", "stands"), TABLE_COLUMNS)


def format_family_row(one: Mapping[Any, Any], accuracies: tuple[str, ...]) -> dict[str, str]:
    """Return a row of the table of families as text: the keys of `TABLE_COLUMNS`."""
    stand = _find_stand(one)
    control = one["role"] == "control"
    return {
        "family": str(one["family"]) + (" (control)" if control else ""),
        "dials": str(one["dials"]),
        "validation": _format_limits(one, "validation_gain", "validation_ci_low", "validation_ci_high"),
        "test": _format_limits(one, "test_gain", "test_ci_low", "test_ci_high"),
        "losses": ", ".join(_format_value(one.get(f"test_loss {metric}")) for metric in accuracies),
        "behind": _format_limits(one, "test_behind", "test_behind_low", "test_behind_high"),
        "stands": STANDS[stand],
    }


def _format_value(value: Any) -> str:
    return MISSING if is_missing(value) else format_percent(value)


def _format_limits(one: Mapping[Any, Any], value: str, low: str, high: str) -> str:
    found = [one.get(name) for name in (value, low, high)]
    if is_missing(found[0]):
        return MISSING
    ends = "" if is_missing(found[1]) else f" [{format_percent_interval(found[1], found[2])}]"
    return f"{format_percent(found[0])}{ends}"


def _list_colours(theme: Mapping[str, Any]) -> list[str]:
    return [themes.choose_series_colour(theme, "blend", place) for place in range(len(SCORES))]
