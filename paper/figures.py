"""The figures of the paper, from the results.

Colours and shapes are those of the reports (`recsys/reports/themes.py`).
"""

from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert
from lookups import read_lookups, read_source

from recsys.reports.themes import LIGHT, SHAPES
from recsys.support.atomic_files import write_text

FONT = "Libertinus Serif"
READINGS = {"relative": "judges that have not seen the users", "seen_relative": "judges that have seen the users"}
PER_CENT = "datum.value == 0 ? '0' : replace(format(datum.value, '+.0%'), '%', ' %')"


def read_blends(root: Path) -> pd.DataFrame:
    """Return discovery by the blends of the default benchmark, with their methods and weights."""
    table, names = read_source("ml-100k", root), read_lookups(root)["names"]
    table = table[(table.metric == "discovery") & table.run.str.contains("-")]
    method, weight = table.run.str.rpartition("-")[0], table.run.str.rpartition("-")[2]
    labels = method.map(lambda name: names.get(name, name.replace("_", " ")))
    return table.assign(label=labels, weight=weight)


def draw_seen(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Return the gain of each blend by judges that have seen the users and by those that have not."""
    long = table.melt(["label", "weight"], list(READINGS), "reading", "change").replace({"reading": READINGS})
    order = list(table.groupby("label").seen_relative.mean().sort_values(ascending=False).index)
    places = {"y": alt.Y("label:N", sort=order, title=None), "yOffset": alt.YOffset("weight:N")}
    x = alt.X("change:Q", title="gain in audited discovery", axis=alt.Axis(labelExpr=PER_CENT, tickCount=8))
    reading = {"field": "reading", "type": "nominal", "title": None}
    colours = alt.Scale(domain=list(READINGS.values()), range=list(LIGHT["series"][:2]))
    shapes = alt.Scale(domain=list(READINGS.values()), range=[SHAPES["circle"], SHAPES["diamond"]])
    every = alt.Chart(long)
    zero = alt.Chart(long.head(1)).mark_rule(color=LIGHT["ink"], strokeDash=[4, 3]).encode(x=alt.datum(0))
    spans = every.mark_line(strokeWidth=1.4, color=LIGHT["soft"]).encode(x=x, detail=["label:N", "weight:N"], **places)
    points = every.mark_point(filled=True, size=36, opacity=1)
    points = points.encode(
        x=x, color=alt.Color(**reading, scale=colours), shape=alt.Shape(**reading, scale=shapes), **places
    )
    return apply_theme(alt.layer(zero, spans, points).properties(width=520, height=27 * len(order)))


def apply_theme(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    axis = {
        "labelColor": LIGHT["ink"], "titleColor": LIGHT["ink"], "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "gridColor": LIGHT["line"], "gridOpacity": 0.6, "domain": False, "ticks": False,
        "labelLimit": 260, "labelPadding": 6,
    }  # fmt: skip
    legend = {
        "orient": "bottom",
        "labelFontSize": 11,
        "labelColor": LIGHT["ink"],
        "labelLimit": 400,
        "symbolSize": 60,
        "offset": 4,
    }
    return chart.configure(
        font=FONT,
        padding={"left": 22, "right": 8, "top": 4, "bottom": 4},
        axis=axis,
        legend=legend,
        view={"stroke": LIGHT["line"]},
    )


OF_THE_DOCUMENTATION = "seen.svg"


def write_figures(root: Path) -> None:
    made = {"seen": draw_seen(read_blends(root))}
    for name, chart in made.items():
        write_text(root / "paper" / "build" / f"{name}.svg", vl_convert.vegalite_to_svg(chart.to_json()))
