"""The figures of the paper, from the results: means over the seeds of a log and a split.

Colours and shapes are those of the reports (`recsys/reports/themes.py`).
"""

from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert
from lookups import read_lookups, read_source

from recsys.reports.themes import LIGHT, SHAPES, choose_series_colour, choose_series_shape
from recsys.support.atomic_files import write_text

FONT = "Libertinus Serif"
KEYS = ["log", "split", "seed"]
READINGS = {"unseen_gain": "judges that have not seen the users", "seen_gain": "judges that have seen the users"}
CHOICE = "the choice for the log"
RIVALS = {CHOICE: "circle", "always MMR": "square", "always DPP": "diamond"}
GAIN = ["gain", "gain_low", "gain_high"]
PLAIN = ["most_liked", "random"]  # they lose and find far more than any blend: the table has them
LIMITS = (-0.5, 1.5)  # of an axis of gains: intervals of small logs go further and are cut
PER_CENT = "datum.value == 0 ? '0' : replace(format(datum.value, '+.0%'), '%', ' %')"


def read_families(root: Path) -> pd.DataFrame:
    """Return a row for each method of each run, with the names of cells and methods that readers know."""
    table, names = read_source("discover-families", root), read_lookups(root)["names"]
    cells = table.log.replace(names) + table.split.map({"random": ", random", "per_user_time": ", by time"})
    return table.assign(
        cell=cells, label=table.method.str.split(" + ", regex=False).map(lambda parts: join(parts, names))
    )


def join(parts: list[str], names: dict[str, str]) -> str:
    return " + ".join(names.get(part, part) for part in parts)


def draw_seen(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Return the gain of each blend by judges that have seen the users and by those that have not, log by log."""
    table = table[(table.role == "family") & ~table.likelihood]
    means = table.groupby(["cell", "label"], sort=False, as_index=False)[list(READINGS)].mean()
    long = means.melt(["cell", "label"], var_name="reading", value_name="change").replace({"reading": READINGS})
    order = list(means.groupby("label").seen_gain.mean().sort_values(ascending=False).index)
    y = alt.Y("label:N", sort=order, title=None)
    scale = alt.Scale(domain=choose_limits(means.unseen_gain, means.seen_gain), nice=False)
    x = alt.X("change:Q", title=None, scale=scale, axis=alt.Axis(labelExpr=PER_CENT, tickCount=3))
    reading = {"field": "reading", "type": "nominal", "title": None}
    colours = alt.Scale(domain=list(READINGS.values()), range=list(LIGHT["series"][:2]))
    shapes = alt.Scale(domain=list(READINGS.values()), range=[SHAPES["circle"], SHAPES["diamond"]])
    every = alt.Chart(long)
    zero = draw_zero(long).transform_aggregate(rows="count()", groupby=["cell"])
    spans = every.mark_line(strokeWidth=1.6, color=LIGHT["soft"], clip=True).encode(x=x, y=y, detail="label:N")
    points = every.mark_point(filled=True, size=38, opacity=1, clip=True)
    points = points.encode(
        x=x, y=y, color=alt.Color(**reading, scale=colours), shape=alt.Shape(**reading, scale=shapes)
    )
    panel = alt.layer(zero, spans, points).properties(width=96, height=15 * len(order))
    header = alt.Header(title=None, labelExpr="split(datum.label, ', ')", labelFontSize=10, labelColor=LIGHT["ink"])
    facet = alt.Facet("cell:N", sort=list(means.cell.unique()), header=header)
    return apply_theme(panel.facet(facet, columns=5, spacing={"row": 42, "column": 12}, bounds="flush"))


def draw_gains(table: pd.DataFrame, runs: pd.DataFrame) -> alt.TopLevelMixin:
    """Return the gain at the budget of the choice, of always MMR and of always DPP, with intervals, log by log.

    Where nothing was chosen the slates are the base's, and gain nothing.
    """
    cells = table[[*KEYS, "cell"]].drop_duplicates()
    chosen = cells.merge(runs[KEYS]).merge(table.loc[table.chosen, [*KEYS, *GAIN]], how="left").fillna(0.0)
    fixed = [
        table[table.method == method].assign(rival=rival)
        for method, rival in (("mmr", "always MMR"), ("dpp", "always DPP"))
    ]
    means = pd.concat([chosen.assign(rival=CHOICE), *fixed])
    means = means.groupby(["cell", "rival"], sort=False, as_index=False)[GAIN].mean()
    rival = {"field": "rival", "type": "nominal", "title": None}
    colour = alt.Color(**rival, scale=alt.Scale(domain=list(RIVALS), range=list(LIGHT["series"][:3])))
    shape = alt.Shape(**rival, scale=alt.Scale(domain=list(RIVALS), range=[SHAPES[one] for one in RIVALS.values()]))
    y = alt.Y("cell:N", sort=list(means.cell.unique()), title=None, scale=alt.Scale(paddingInner=0.3))
    places = {"y": y, "yOffset": alt.YOffset("rival:N", sort=list(RIVALS))}
    scale = alt.Scale(domain=choose_limits(means.gain_low, means.gain_high), nice=False)
    title = "gain in audited discovery by judges that have not seen the users"
    x = alt.X("gain_low:Q", title=title, scale=scale, axis=alt.Axis(labelExpr=PER_CENT, tickCount=8))
    every = alt.Chart(means)
    spans = every.mark_rule(strokeWidth=1.6, clip=True).encode(x=x, x2="gain_high:Q", color=colour, **places)
    points = every.mark_point(filled=True, size=50, opacity=1, clip=True)
    points = points.encode(x=alt.X("gain:Q", title=title), color=colour, shape=shape, **places)
    chart = alt.layer(draw_zero(means.head(1)), spans, points)
    return apply_theme(chart.properties(width=540, height=38 * means.cell.nunique()))


def draw_loops(table: pd.DataFrame, names: dict[str, str]) -> alt.TopLevelMixin:
    """Return what each policy costs in the first round of a closed loop and what it gives by the last, world by world.

    Worlds that are fitted to a log; policies that re-rank, each as a difference from the base with its interval.
    """
    places = table.world + table.users.map(lambda users: "" if users == "all" else f", {users} users")
    places += table.history.map(lambda share: "" if share == 1 else f", {share:.0%} of histories")
    policies = table.policy.map(names).fillna(table.policy)
    table = table.assign(place=places, policy=policies)[table.world.str.contains("factors") & ~table.policy.isin(PLAIN)]
    gain = next(name for name in table if name.startswith("true_discovery_") and name.split("_")[-1].isdigit())
    table = table.rename(columns={f"{gain}{end}": f"gain{end}" for end in ("", "_low", "_high")})
    order = list(table.policy.unique())
    policy = {"field": "policy", "type": "nominal", "title": None, "sort": order}
    colours = alt.Scale(domain=order, range=[choose_series_colour(LIGHT, "blend", n) for n in range(len(order))])
    shapes = alt.Scale(domain=order, range=[choose_series_shape("blend", n) for n in range(len(order))])
    colour = alt.Color(**policy, scale=colours)
    axis, every = alt.Axis(labelExpr=PER_CENT, tickCount=4), alt.Chart(table)
    titles = {"welfare_1": "welfare in round 1", "gain": f"true discovery by round {gain.split('_')[-1]}"}
    x, x_low = (alt.X(f"welfare_1{end}:Q", title=titles["welfare_1"], axis=axis) for end in ("", "_low"))
    y, y_low = (alt.Y(f"gain{end}:Q", title=titles["gain"], axis=axis) for end in ("", "_low"))
    across = every.mark_rule(opacity=0.6).encode(x=x_low, x2="welfare_1_high:Q", y=y, color=colour)
    along = every.mark_rule(opacity=0.6).encode(x=x, y=y_low, y2="gain_high:Q", color=colour)
    points = every.mark_point(filled=True, size=55, opacity=1)
    points = points.encode(x=x, y=y, color=colour, shape=alt.Shape(**policy, scale=shapes))
    zeros = [every.mark_rule(color=LIGHT["ink"], strokeDash=[4, 3]).encode(**{at: alt.datum(0)}) for at in "xy"]
    panel = alt.layer(*zeros, across, along, points).properties(width=185, height=200)
    header = alt.Header(title=None, labelFontSize=11, labelColor=LIGHT["ink"])
    facet = alt.Facet("place:N", sort=list(table.place.unique()), header=header)
    return apply_theme(panel.facet(facet, columns=3, spacing={"row": 60, "column": 80}, bounds="flush"))


def draw_zero(table: pd.DataFrame) -> alt.Chart:
    return alt.Chart(table).mark_rule(color=LIGHT["ink"], strokeDash=[4, 3]).encode(x=alt.datum(0))


def choose_limits(low: pd.Series, high: pd.Series) -> tuple[float, float]:
    """Return the ends of an axis that shows all values within LIMITS, and zero."""
    ends = min(low.min(), high.min(), 0.0), max(low.max(), high.max(), 0.0)
    room = 0.04 * (ends[1] - ends[0])
    return max(LIMITS[0], float(ends[0]) - room), min(LIMITS[1], float(ends[1]) + room)


def apply_theme(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    axis = {
        "labelColor": LIGHT["ink"], "titleColor": LIGHT["ink"], "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "gridColor": LIGHT["line"], "gridOpacity": 0.6, "domain": False, "ticks": False,
        "labelLimit": 260, "labelPadding": 6,
    }  # fmt: skip
    legend = {
        "orient": "bottom", "labelFontSize": 11, "labelColor": LIGHT["ink"], "labelLimit": 400, "symbolSize": 60,
        "offset": 4,
    }  # fmt: skip
    padding = {
        "left": 22,
        "right": 8,
        "top": 4,
        "bottom": 4,
    }  # the font is not known when widths of labels are measured
    return chart.configure(font=FONT, padding=padding, axis=axis, legend=legend, view={"stroke": LIGHT["line"]})


OF_THE_DOCUMENTATION = {"gains.svg": "discovery.svg", "loops.svg": "loops.svg"}  # what it is called there


def write_figures(root: Path) -> None:
    table = read_families(root)
    made = {
        "seen": draw_seen(table),
        "gains": draw_gains(table, read_source("discover-logs", root)),
        "loops": draw_loops(read_source("questions-policies", root), read_lookups(root)["names"]),
    }
    for name, chart in made.items():
        write_text(root / "paper" / "build" / f"{name}.svg", vl_convert.vegalite_to_svg(chart.to_json()))
