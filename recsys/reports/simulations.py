"""The page of a simulation: trajectories with bands, differences from the base, one person's map round by round."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.html import Html, join_html, make_element
from recsys.reports import themes
from recsys.reports.chart_pages import render_chart_page, render_figure, render_frame
from recsys.reports.charts import save_charts
from recsys.reports.encodings import Spec
from recsys.reports.formats import format_interval, format_number
from recsys.reports.search_charts import WIDTH
from recsys.support.atomic_files import write_text
from recsys.types.notebooks import format_count

LOW = 260  # pixels: there are as many charts as measures
NOTE_LENGTH = 130  # characters of a line above a chart
COLUMNS = 6  # regions of one map stand in so many columns
ALL = "all"  # the group that everybody is of


@dataclass(frozen=True, eq=False)
class SimulationReport:
    """The results of a simulation as tables (`recsys.simulation.runs.SimulationRun`) and sentences."""

    title: str
    world: str  # its kind and size
    meanings: Mapping[str, str]  # of each measure, a sentence
    base: str  # the policy that others are held against
    trajectories: pd.DataFrame
    differences: pd.DataFrame
    checks: tuple[tuple[str, bool], ...]  # of a fitted world: a line, and whether it holds
    person: pd.DataFrame  # policy, round, region, consumed, taste
    n_seeds: int


def write_simulation_report(report: SimulationReport, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    policies = list(dict.fromkeys(report.trajectories["policy"]))
    measures = list(dict.fromkeys(report.trajectories["measure"]))
    specs = {f"trajectory-{name.replace(':', '-')}": draw_trajectories(report, name, policies) for name in measures}
    specs["person"] = draw_person(report.person, policies)
    config = _build_config(themes.LIGHT, len(policies))
    paths = save_charts({name: spec | {"config": config} for name, spec in specs.items()}, folder)
    write_text(folder / "report.html", _render_page(report, specs, len(policies)))
    return [folder / "report.html", *paths]


def draw_trajectories(report: SimulationReport, measure: str, policies: list[str]) -> Spec:
    """Return a chart of one measure over rounds: a line for each policy, with its interval over seeds as a band."""
    told = report.trajectories
    of = told[(told["measure"] == measure) & (told["group"] == ALL)]
    rows = [
        {"policy": row["policy"], "round": int(row["round"]), "mean": row["mean"]}
        | ({} if pd.isna(row["ci_low"]) else {"low": row["ci_low"], "high": row["ci_high"]})
        for row in of.to_dict("records")
    ]
    x = {"field": "round", "type": "quantitative", "axis": {"title": "round", "tickMinStep": 1, "format": "d"}}
    colour = {
        "field": "policy", "type": "nominal", "scale": {"domain": policies},
        "legend": {"title": None, "symbolStrokeWidth": 2, "symbolOpacity": 1},
    }  # fmt: skip
    scale = {"zero": False}
    band = {"y": {"field": "low", "type": "quantitative", "scale": scale}, "y2": {"field": "high"}}
    y = {"field": "mean", "type": "quantitative", "scale": scale, "axis": {"title": measure}}
    tip = [{"field": name} for name in ("policy", "round")] + [
        {"field": name, "format": ".4f"} for name in ("mean", "low", "high")
    ]
    layers: list[Spec] = [
        {"mark": {"type": "area", "opacity": 0.18}, "encoding": {"x": x, **band, "color": colour}},
        {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": {"x": x, "y": y, "color": colour, "tooltip": tip}},
    ]
    bands = "; bands are 95 % intervals over seeds" if report.n_seeds > 1 else ""
    notes = [*textwrap.wrap(report.meanings[measure], NOTE_LENGTH), f"Mean over users and seeds{bands}."]
    return _build_spec(measure, notes, layers, rows, LOW)


def draw_person(person: pd.DataFrame, policies: list[str]) -> Spec:
    """Return one user's map under each policy, round by round: a square for each region, dark where nothing was met."""
    rounds = sorted(int(number) for number in person["round"].unique())
    regions = person[["region", "taste"]].drop_duplicates("region").sort_values("taste", ascending=False, kind="stable")
    place = {int(region): i for i, region in enumerate(regions["region"])}
    deep = -(-len(place) // COLUMNS) + 1
    rows = []
    for row in person.to_dict("records"):
        square = place[int(row["region"])]
        across = rounds.index(int(row["round"])) * (COLUMNS + 1) + square % COLUMNS
        down = policies.index(row["policy"]) * deep + square // COLUMNS
        rows.append({
            "x": across, "x2": across + 0.92, "y": -down, "y2": -down - 0.9, "items": int(row["consumed"]),
            "taste": float(row["taste"]), "policy": row["policy"],
            "round": int(row["round"]),
        })  # fmt: skip
    across_all, down_all = [0, len(rounds) * (COLUMNS + 1)], [-deep * len(policies), 2]
    x: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": across_all, "nice": False}}
    y: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": down_all, "nice": False}}
    ends = {"x": {"field": "x", **x}, "x2": {"field": "x2"}, "y": {"field": "y", **y}, "y2": {"field": "y2"}}
    opacity = {"field": "items", "type": "quantitative", "scale": {"type": "sqrt", "range": [0.12, 1]}, "legend": None}
    tip = [{"field": name} for name in ("policy", "round", "items")] + [{"field": "taste", "format": ".1%"}]
    labels = [{"x": i * (COLUMNS + 1), "y": 0.35, "text": f"round {number}"} for i, number in enumerate(rounds)]
    labels += [{"x": 0, "y": -i * deep + (0.35 if i else 1.2), "text": name} for i, name in enumerate(policies)]
    at = {"x": {"field": "x", **x}, "y": {"field": "y", **y}}
    layers: list[Spec] = [
        {"mark": {"type": "rect"}, "encoding": {**ends, "opacity": opacity, "tooltip": tip}},
        {
            "data": {"values": labels},
            "mark": {"type": "text", "align": "left", "baseline": "bottom"},
            "encoding": {**at, "text": {"field": "text"}},
        },
    ]
    notes = [
        "Each square is a region of taste, the best liked first: the more it was consumed, the stronger its colour.",
        "The user of the last group whose number of regions is the median; point at a square for its numbers.",
    ]
    spec = _build_spec("One person's map", notes, layers, rows, 26 * (deep * len(policies) + 2))
    return spec | {"view": {"stroke": None}}


def _build_spec(title: str, notes: list[str], layers: list[Spec], rows: list[dict[str, Any]], height: int) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "subtitle": notes}, "width": WIDTH, "height": height, "padding": 16,
        "data": {"values": rows}, "layer": layers,
    }  # fmt: skip


def _build_config(theme: Mapping[str, Any], n_policies: int) -> Mapping[str, Any]:
    colours = [themes.choose_series_colour(theme, "blend", place) for place in range(n_policies)]
    return themes.build_vega_config(theme, colours, legend=True)


def _render_page(report: SimulationReport, specs: Mapping[str, Spec], n_policies: int) -> str:
    measures = [name for name in specs if name != "person"]
    parts: dict[str, tuple[str, Html]] = {
        "differences": ("What differs from the base", _render_differences(report)),
        "trajectories": ("Round by round", make_element("div", *(_render_chart(specs, name) for name in measures))),
        "person": ("One person's map", render_figure(specs["person"], "person")),
    }
    if report.checks:
        lines = (make_element("li", line) for line, _ in report.checks)
        parts["world"] = ("The world beside its log", make_element("ul", *lines, class_="sentences"))
    theme = themes.build_css_theme()
    return render_chart_page(report.title, _describe(report), parts, specs, _build_config(theme, n_policies))


def _render_chart(specs: Mapping[str, Spec], name: str) -> Html:
    return join_html(make_element("h3", str(specs[name]["title"]["text"])), render_figure(specs[name], name))


def _describe(report: SimulationReport) -> Html:
    rounds = int(report.trajectories["round"].max())
    counts = f"{format_count(rounds, 'round')}, {format_count(report.n_seeds, 'seed')}"
    return join_html(
        f"{report.world}. {counts}; policies meet the same people with the same luck. Base: {report.base}."
    )


def _render_differences(report: SimulationReport) -> Html:
    """Return a table of each measure: means over rounds, and differences within seeds, of everybody and each group."""
    parts = []
    grouped = (report.differences["group"] != ALL).any()
    for measure, of in report.differences.groupby("measure", sort=False):
        rows = [
            {
                "policy": row["policy"], **({"group": row["group"]} if grouped else {}),
                "mean over rounds": format_number(_known(row["mean"])),
                "95 % interval": _format_ends(row["ci_low"], row["ci_high"]),
                f"minus {report.base}": format_number(_known(row["difference"]), signed=True),
                "95 % interval of the difference": _format_ends(row["diff_low"], row["diff_high"], signed=True),
            }
            for row in of.to_dict("records")
        ]  # fmt: skip
        frame = pd.DataFrame(rows)
        parts += [make_element("h3", str(measure)), render_frame(frame, ("policy", "group"), {})]
    return make_element("div", *parts)


def _format_ends(low: float, high: float, signed: bool = False) -> str:
    return format_interval(_known(low), _known(high), signed=signed)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value
