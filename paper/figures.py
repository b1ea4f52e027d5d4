"""The figures, from the results: `python paper/figures.py` writes `paper/build/*.svg`.

Colours are those of the reports (`recsys/reports/themes.py`); ours, others and controls differ in shape too.
"""

import sys
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert
from formatting import format_method, format_percent, format_run, is_finite
from load_results import CUT, Results, Row, pick_validation_best, read_result_tables

from recsys.reports.themes import LIGHT, SHAPES
from recsys.support.atomic_files import write_text

BUILD = Path(__file__).parent / "build"
FONT = "Libertinus Serif"
ROLES = {"ours": "ours", "other": "other methods", "control": "controls"}
COLOURS = [LIGHT["series"][0], LIGHT["series"][1], LIGHT["control"]]
MARKS = [SHAPES["circle"], SHAPES["square"], SHAPES["diamond"]]


def build_point(row: Row, **more: str) -> dict[str, object]:
    limits = (row.ci_low, row.ci_high) if is_finite(row.ci_low) and is_finite(row.ci_high) else (row.gain, row.gain)
    return {"gain": row.gain, "low": limits[0], "high": limits[1], "role": ROLES[row.role], **more}


def draw_headline(results: Results) -> alt.TopLevelMixin:
    """Return the gain of every method of the headline, at each loss, with its interval."""
    name = results.runs[0]
    if not results.has_run(name):
        return draw_missing_run(name)
    panels, every = [], [row for loss in results.losses for row in results.select_rows(name, loss)]
    ends = [end for row in every for end in (row.gain, row.ci_low, row.ci_high) if is_finite(end)]
    for place, loss in enumerate(results.losses):
        rows = results.select_rows(name, loss)
        order = sorted(results.select_rows(name, results.losses[-1]), key=lambda row: -row.gain)
        table = pd.DataFrame([build_point(row, label=format_method(row.method)) for row in rows])
        title = f"gain in audited discovery at a loss of {format_percent(loss, False)}"
        y = alt.Y("label:N", sort=[format_method(row.method) for row in order], title=None)
        y = y if place == 0 else y.axis(None)
        panels.append(draw_intervals(table, y, title, (min(ends), max(ends))).properties(width=270, height=238))
    return apply_theme(alt.hconcat(*panels, spacing=14))


def draw_all_runs(results: Results) -> alt.TopLevelMixin:
    """Return, for each run, what gains most on validation of ours, of the others and of the controls."""
    made, loss = [name for name in results.runs if results.has_run(name)], results.losses[-1]
    if not made:
        return draw_missing_run(results.runs[0])
    chosen = [(name, pick_validation_best(results.select_rows(name, loss), role)) for name in made for role in ROLES]
    table = pd.DataFrame([build_point(row, label=format_run(name)) for name, row in chosen])
    y = alt.Y("label:N", sort=[format_run(name) for name in made], title=None, scale=alt.Scale(paddingInner=0.25))
    limits = (max(-1.0, float(table.low.min())), min(CUT, float(table.high.max())))
    title = f"gain in audited discovery at a loss of {format_percent(loss, False)}, of the one that gains most on validation"
    chart = draw_intervals(table, y, title, limits, alt.YOffset("role:N", sort=list(ROLES.values())))
    return apply_theme(chart.properties(width=540, height=30 * len(made)))


def draw_intervals(
    table: pd.DataFrame,
    y: alt.Y,
    title: str,
    limits: tuple[float, float],
    offset: alt.YOffset | None = None,
) -> alt.LayerChart:
    """Return points with their intervals, and a line at zero."""
    labels = "datum.value == 0 ? '0' : replace(format(datum.value, '+.0%'), '%', ' %')"
    scale = alt.Scale(domain=limits, nice=False, padding=6)
    x = alt.X("low:Q", title=title, scale=scale, axis=alt.Axis(labelExpr=labels, tickCount=6))
    kind = {"field": "role", "type": "nominal", "sort": list(ROLES.values()), "title": None}
    colour = alt.Color(**kind, scale=alt.Scale(domain=list(ROLES.values()), range=COLOURS))
    shape = alt.Shape(**kind, scale=alt.Scale(domain=list(ROLES.values()), range=MARKS))
    places = {"y": y} if offset is None else {"y": y, "yOffset": offset}
    every = alt.Chart(table)
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=LIGHT["ink"], strokeDash=[4, 3]).encode(x="x:Q")
    spans = every.mark_rule(strokeWidth=1.4, clip=True).encode(x=x, x2="high:Q", color=colour, **places)
    marks = every.mark_point(filled=True, size=46, opacity=1, clip=True)
    return alt.layer(zero, spans, marks.encode(x=alt.X("gain:Q", title=title), color=colour, shape=shape, **places))


def draw_missing_run(name: str) -> alt.TopLevelMixin:
    told = pd.DataFrame({"text": [f"{format_run(name)} has not been run"]})
    return apply_theme(
        alt.layer(alt.Chart(told).mark_text(fontSize=13).encode(text="text:N")).properties(width=400, height=60)
    )


def apply_theme(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    axis = {
        "labelColor": LIGHT["ink"], "titleColor": LIGHT["ink"], "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "gridColor": LIGHT["line"], "gridOpacity": 0.6, "domain": False, "ticks": False,
        "labelLimit": 260, "labelPadding": 6,
    }  # fmt: skip
    legend = {"orient": "bottom", "labelFontSize": 11, "labelColor": LIGHT["ink"], "symbolSize": 60, "offset": 4}
    return chart.configure(font=FONT, axis=axis, legend=legend, view={"stroke": LIGHT["line"]})


FIGURES = {"headline": draw_headline, "elsewhere": draw_all_runs}


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    results = read_result_tables()
    for name, make in FIGURES.items():
        write_text(BUILD / f"{name}.svg", vl_convert.vegalite_to_svg(make(results).to_json()))


if __name__ == "__main__":
    sys.exit(main())
