"""The figures, from the results: `python paper/figures.py` writes `paper/build/*.svg`.

Colours are those of the reports (`recsys/reports/themes.py`); ours, others and controls differ in shape too.
"""

import sys
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert
from phrases import known, method, percent, run
from readings import CUT, Results, Row, first, read

from recsys.files import write_text
from recsys.reports.themes import LIGHT, SHAPES

BUILD = Path(__file__).parent / "build"
FONT = "Libertinus Serif"
ROLES = {"ours": "ours", "other": "other methods", "control": "controls"}
COLOURS = [LIGHT["series"][0], LIGHT["series"][1], LIGHT["control"]]
MARKS = [SHAPES["circle"], SHAPES["square"], SHAPES["diamond"]]


def point(row: Row, **more: str) -> dict[str, object]:
    limits = (row.ci_low, row.ci_high) if known(row.ci_low) and known(row.ci_high) else (row.gain, row.gain)
    return {"gain": row.gain, "low": limits[0], "high": limits[1], "role": ROLES[row.role], **more}


def headline(results: Results) -> alt.TopLevelMixin:
    """Return the gain of every method of the headline, at each loss, with its interval."""
    name = results.runs[0]
    if not results.made(name):
        return empty(name)
    panels, every = [], [row for loss in results.losses for row in results.rows(name, loss)]
    ends = [end for row in every for end in (row.gain, row.ci_low, row.ci_high) if known(end)]
    for place, loss in enumerate(results.losses):
        rows = results.rows(name, loss)
        order = sorted(results.rows(name, results.losses[-1]), key=lambda row: -row.gain)
        table = pd.DataFrame([point(row, label=method(row.method)) for row in rows])
        title = f"gain in audited discovery at a loss of {percent(loss, False)}"
        y = alt.Y("label:N", sort=[method(row.method) for row in order], title=None)
        y = y if place == 0 else y.axis(None)
        panels.append(dots(table, y, title, (min(ends), max(ends))).properties(width=270, height=238))
    return themed(alt.hconcat(*panels, spacing=14))


def elsewhere(results: Results) -> alt.TopLevelMixin:
    """Return, for each run, what gains most on validation of ours, of the others and of the controls."""
    made, loss = [name for name in results.runs if results.made(name)], results.losses[-1]
    if not made:
        return empty(results.runs[0])
    chosen = [(name, first(results.rows(name, loss), role)) for name in made for role in ROLES]
    table = pd.DataFrame([point(row, label=run(name)) for name, row in chosen])
    y = alt.Y("label:N", sort=[run(name) for name in made], title=None, scale=alt.Scale(paddingInner=0.25))
    limits = (max(-1.0, float(table.low.min())), min(CUT, float(table.high.max())))
    title = f"gain in audited discovery at a loss of {percent(loss, False)}, of the one that gains most on validation"
    chart = dots(table, y, title, limits, alt.YOffset("role:N", sort=list(ROLES.values())))
    return themed(chart.properties(width=540, height=30 * len(made)))


def dots(
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


def empty(name: str) -> alt.TopLevelMixin:
    told = pd.DataFrame({"text": [f"{run(name)} has not been run"]})
    return themed(
        alt.layer(alt.Chart(told).mark_text(fontSize=13).encode(text="text:N")).properties(width=400, height=60)
    )


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    axis = {
        "labelColor": LIGHT["ink"], "titleColor": LIGHT["ink"], "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "gridColor": LIGHT["line"], "gridOpacity": 0.6, "domain": False, "ticks": False,
        "labelLimit": 260, "labelPadding": 6,
    }  # fmt: skip
    legend = {"orient": "bottom", "labelFontSize": 11, "labelColor": LIGHT["ink"], "symbolSize": 60, "offset": 4}
    return chart.configure(font=FONT, axis=axis, legend=legend, view={"stroke": LIGHT["line"]})


FIGURES = {"headline": headline, "elsewhere": elsewhere}


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    results = read()
    for name, make in FIGURES.items():
        write_text(BUILD / f"{name}.svg", vl_convert.vegalite_to_svg(make(results).to_json()))


if __name__ == "__main__":
    sys.exit(main())
