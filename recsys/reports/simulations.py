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
FEW_ROUNDS = 12  # up to which each round has a point beside the line


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
    who: str  # who that person is, a sentence
    policies: tuple[str, ...]
    measures: tuple[str, ...]
    n_rounds: int
    n_seeds: int


def write_simulation_report(report: SimulationReport, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    told = [name for name in report.measures if (report.trajectories["measure"] == name).any()]
    specs = {name_chart(measure): draw_trajectories(report, measure) for measure in told}
    specs["person"] = draw_person(report)
    config = _build_config(themes.LIGHT, len(report.policies))
    paths = save_charts({name: spec | {"config": config} for name, spec in specs.items()}, folder)
    write_text(folder / "report.html", _render_page(report, specs))
    return [folder / "report.html", *paths]


def name_chart(measure: str) -> str:
    """Return the name of the chart of a measure, which any disk takes."""
    return f"trajectory-{measure.replace(':', '-')}"


def name_in_words(measure: str) -> str:
    """Return the name of a measure as it stands in a sentence.

    >>> name_in_words("consumed_width"), name_in_words("my_measures:Found")
    ('consumed width', 'my_measures:Found')
    """
    return measure if ":" in measure else measure.replace("_", " ")


def draw_trajectories(report: SimulationReport, measure: str) -> Spec:
    """Return a chart of one measure over rounds: a line for each policy, with its interval over seeds as a band."""
    told = report.trajectories
    of = told[(told["measure"] == measure) & (told["group"] == ALL)]
    rows = [
        {"policy": row["policy"], "round": int(row["round"]), "mean": row["mean"]}
        | ({} if pd.isna(row["ci_low"]) else {"low": row["ci_low"], "high": row["ci_high"]})
        for row in of.to_dict("records")
    ]
    domain = [1, max(2, report.n_rounds)]
    x = {
        "field": "round", "type": "quantitative", "scale": {"domain": domain, "nice": False},
        "axis": {"title": "round", "tickMinStep": 1, "format": "d"},
    }  # fmt: skip
    policies = list(report.policies)
    colour = {
        "field": "policy", "type": "nominal", "scale": {"domain": policies},
        "legend": {"title": None, "symbolStrokeWidth": 2, "symbolOpacity": 1},
    }  # fmt: skip
    scale = {"zero": False}
    band = {"y": {"field": "low", "type": "quantitative", "scale": scale}, "y2": {"field": "high"}}
    y = {"field": "mean", "type": "quantitative", "scale": scale, "axis": {"title": name_in_words(measure)}}
    tip = [{"field": name} for name in ("policy", "round")] + [
        {"field": name, "format": ".4f"} for name in ("mean", "low", "high")
    ]
    layers: list[Spec] = [
        {"mark": {"type": "area", "opacity": 0.18}, "encoding": {"x": x, **band, "color": colour}},
        {
            "mark": {"type": "line", "strokeWidth": 1.6, "point": report.n_rounds <= FEW_ROUNDS},
            "encoding": {"x": x, "y": y, "color": colour, "tooltip": tip},
        },
    ]
    notes = [*textwrap.wrap(report.meanings[measure], NOTE_LENGTH), _explain_lines(report, of)]
    return _build_spec(name_in_words(measure), notes, layers, rows, LOW)


def _explain_lines(report: SimulationReport, of: pd.DataFrame) -> str:
    """Say what lines and bands are, of how many seeds, and which policies have none."""
    if report.n_seeds > 1:
        said = [f"Lines are means over {format_count(report.n_seeds, 'seed')}, bands their 95 % intervals"]
        if (of["seeds"] < report.n_seeds).any():
            said.append("where it can be measured under fewer seeds, over those")
    else:
        said = ["Lines are of one seed"]
    absent = [name for name in report.policies if not (of["policy"] == name).any()]
    if absent:
        said.append(f"nothing to measure under {', '.join(absent)}")
    return "; ".join(said) + "."


def draw_person(report: SimulationReport) -> Spec:
    """Return one user's map under each policy, round by round: a square for each region, pale where nothing was met."""
    person, policies = report.person, list(report.policies)
    rounds = sorted(int(number) for number in person["round"].unique())
    regions = person[["region", "taste"]].drop_duplicates("region").sort_values("taste", ascending=False, kind="stable")
    place = {int(region): i for i, region in enumerate(regions["region"])}
    deep = -(-len(place) // COLUMNS) + 2  # lines of squares, and two of words
    rows = []
    for row in person.to_dict("records"):
        square = place[int(row["region"])]
        across = rounds.index(int(row["round"])) * (COLUMNS + 1) + square % COLUMNS
        down = policies.index(row["policy"]) * deep + square // COLUMNS + 1
        rows.append({
            "x": across, "x2": across + 0.92, "y": -down, "y2": -down - 0.9, "items": int(row["consumed"]),
            "taste": float(row["taste"]), "policy": row["policy"],
            "round": int(row["round"]),
        })  # fmt: skip
    across_all, down_all = [0, len(rounds) * (COLUMNS + 1)], [-deep * len(policies), 1]
    x: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": across_all, "nice": False}}
    y: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": down_all, "nice": False}}
    ends = {"x": {"field": "x", **x}, "x2": {"field": "x2"}, "y": {"field": "y", **y}, "y2": {"field": "y2"}}
    opacity = {"field": "items", "type": "quantitative", "scale": {"type": "sqrt", "range": [0.12, 1]}, "legend": None}
    tip = [{"field": name} for name in ("policy", "round", "items")] + [{"field": "taste", "format": ".1%"}]
    met = person[person["consumed"] > 0].groupby(["policy", "round"]).size()
    labels = [
        {
            "x": i * (COLUMNS + 1), "y": -p * deep - 0.75,
            "text": f"{_name_moment(number)}: {met.get((name, number), 0)} of {len(place)}",
        }
        for i, number in enumerate(rounds) for p, name in enumerate(policies)
    ]  # fmt: skip
    names = [{"x": 0, "y": -p * deep + 0.15, "text": name} for p, name in enumerate(policies)]
    at = {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "text": {"field": "text"}}
    words = {"type": "text", "style": "word", "align": "left", "baseline": "bottom"}
    layers: list[Spec] = [
        {"mark": {"type": "rect", "style": "region"}, "encoding": {**ends, "opacity": opacity, "tooltip": tip}},
        {"data": {"values": labels}, "mark": words, "encoding": at},
        {"data": {"values": names}, "mark": {**words, "fontWeight": "bold"}, "encoding": at},
    ]
    notes = [
        "Each square is a region of taste, the best liked first: the more was consumed of it, the stronger its colour.",
        "Above each map stands of how many regions the person has consumed something by then.",
        *textwrap.wrap(report.who, NOTE_LENGTH),
    ]
    spec = _build_spec("One person's map", notes, layers, rows, 26 * (deep * len(policies) + 1))
    return spec | {"view": {"stroke": None}}


def _name_moment(number: int) -> str:
    return f"round {number}" if number else "at first"


def _build_spec(title: str, notes: list[str], layers: list[Spec], rows: list[dict[str, Any]], height: int) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "subtitle": notes}, "width": WIDTH, "height": height, "padding": 16,
        "data": {"values": rows}, "layer": layers,
    }  # fmt: skip


def _build_config(theme: Mapping[str, Any], n_policies: int) -> Mapping[str, Any]:
    colours = [themes.choose_series_colour(theme, "blend", place) for place in range(n_policies)]
    return themes.build_vega_config(theme, colours, legend=True)


def _render_page(report: SimulationReport, specs: Mapping[str, Spec]) -> str:
    charts = [name for name in specs if name != "person"]
    parts: dict[str, tuple[str, Html]] = {
        "trajectories": ("Round by round", make_element("div", *(_render_chart(specs, name) for name in charts))),
        "person": ("One person's map", render_figure(specs["person"], "person")),
        "differences": ("What differs from the base", _render_differences(report)),
    }
    if report.checks:
        lines = (make_element("li", line) for line, _ in report.checks)
        parts["world"] = ("The world beside its log", make_element("ul", *lines, class_="sentences"))
    theme = themes.build_css_theme()
    return render_chart_page(report.title, _describe(report), parts, specs, _build_config(theme, len(report.policies)))


def _render_chart(specs: Mapping[str, Spec], name: str) -> Html:
    return join_html(make_element("h3", str(specs[name]["title"]["text"])), render_figure(specs[name], name))


def _describe(report: SimulationReport) -> Html:
    counts = f"{format_count(report.n_rounds, 'round')}, {format_count(report.n_seeds, 'seed')}"
    said = f"{report.world}. {counts}; policies meet the same people with the same luck. Base: {report.base}."
    absent = [name_in_words(name) for name in report.measures if not (report.trajectories["measure"] == name).any()]
    nothing = f" Nothing to measure in this world: {', '.join(absent)}." if absent else ""
    return join_html(said + nothing)


def _render_differences(report: SimulationReport) -> Html:
    """Return a table of each measure: means over rounds, and differences within seeds, of everybody and each group.

    Seeds stand in it where some number is of fewer than all: those of the mean, and those of the difference.
    """
    parts = []
    grouped = (report.differences["group"] != ALL).any()
    for measure, of in report.differences.groupby("measure", sort=False):
        fewer = (of["seeds"] < report.n_seeds).any() or of["diff_seeds"].between(1, report.n_seeds - 1).any()
        rows = [
            {
                "policy": row["policy"], **({"group": row["group"]} if grouped else {}),
                "mean over rounds": format_number(_known(row["mean"])),
                "95 % interval": _format_ends(row["ci_low"], row["ci_high"]),
                **_format_difference(row, report.base),
                **({"seeds": _format_seeds(row, report.base)} if fewer else {}),
            }
            for row in of.to_dict("records")
        ]  # fmt: skip
        frame = pd.DataFrame(rows)
        parts += [make_element("h3", name_in_words(str(measure))), render_frame(frame, ("policy", "group"), {})]
    return make_element("div", *parts)


def _format_difference(row: Mapping[Any, Any], base: str) -> dict[str, str]:
    """Return the cells of the difference from the base: empty for the base itself."""
    number = format_number(_known(row["difference"]), signed=True)
    ends = _format_ends(row["diff_low"], row["diff_high"], signed=True)
    is_base = row["policy"] == base
    return {f"minus {base}": "" if is_base else number, "95 % interval of the difference": "" if is_base else ends}


def _format_seeds(row: Mapping[Any, Any], base: str) -> str:
    """Return of how many seeds a mean is, and a difference where that is another number."""
    own, of_both = int(row["seeds"]), int(row["diff_seeds"])
    return str(own) if of_both in (0, own) or row["policy"] == base else f"{own}, {of_both} with {base}"


def _format_ends(low: float, high: float, signed: bool = False) -> str:
    return format_interval(_known(low), _known(high), signed=signed)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value
