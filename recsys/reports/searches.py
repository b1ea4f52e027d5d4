"""The page of a sweep: its trials and their front, what was chosen and bought, how the search went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.escaping import json_script
from recsys.files import write_text
from recsys.html import Html, element
from recsys.reports import themes
from recsys.reports.drawings import save
from recsys.reports.encodings import Spec
from recsys.reports.formats import number, percent
from recsys.reports.pages import POLICY, libraries
from recsys.reports.styles import style_sheet

SCRIPT = """
(() => {
  const page = JSON.parse(document.getElementById("charts").textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = structuredClone(page.charts[place.dataset.chart]);
    spec.width = place.clientWidth;
    spec.autosize = {type: "fit-x", contains: "padding"};
    vegaEmbed(place, spec, {mode: "vega-lite", renderer: "svg", actions: false, config: page.config});
  }
})();
"""
WIDTH, HEIGHT = 900, 460
MATCHED = (
    "Each method's curve from the base through its front, read where it has lost that share of accuracy; 95 % "
    "intervals draw loss and gain together. Reached: the share of draws in which the curve loses as much; the others "
    "count with the curve's last point."
)
AHEAD = (
    "How far the method that gains most on validation is ahead of each other one on test, at the same loss; 95 % "
    "limits hold for all others at once."
)


@dataclass(frozen=True, eq=False)
class Search:
    """What a sweep found, in tables (`recsys.sweeps.outputs.Tables`), and in sentences."""

    title: str
    lines: tuple[str, ...]
    goals: tuple[tuple[str, bool], ...]  # metric such as "ndcg@10", whether more of it is better
    trials: pd.DataFrame
    front: pd.DataFrame
    bought: pd.DataFrame
    matched: pd.DataFrame
    ahead: pd.DataFrame
    hypervolume: pd.DataFrame
    importance: pd.DataFrame


def write_search(search: Search, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    methods = list(dict.fromkeys(search.trials["method"]))
    colours = [themes.colour(themes.LIGHT, "blend", place) for place in range(len(methods))]
    config = themes.config(themes.LIGHT, colours, legend=True)
    specs = {"front": _front(search), "hypervolume": _progress(search)}
    if len(search.importance):
        specs["importance"] = _importance(search)
    paths = save({name: spec | {"config": config} for name, spec in specs.items()}, folder)
    write_text(folder / "report.html", _page(search, specs, methods))
    return [folder / "report.html", *paths]


def _page(search: Search, specs: Mapping[str, Spec], methods: Sequence[str]) -> str:
    theme = themes.by_reference()
    colours = [themes.colour(theme, "blend", place) for place in range(len(methods))]
    data: dict[str, Any] = {
        "charts": {
            name: {k: v for k, v in spec.items() if k not in ("title", "usermeta")} for name, spec in specs.items()
        },
        "config": themes.config(theme, colours, legend=True) | {"background": "transparent"},
    }
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", search.title),
        element("style", Html(style_sheet())),
    )
    sections = [
        element("section", element("h2", "What was chosen, and what it bought"), _said(search), id="chosen"),
        *(element("section", _figure(spec, name), id=name) for name, spec in specs.items()),
        element("section", element("h2", "The front"), _table(search.front), id="points"),
    ]
    body = element(
        "body",
        element("header", element("h1", search.title), element("p", _lead(search), class_="lead")),
        element("main", *sections),
        element("script", Html(json_script(data)), type="application/json", id="charts"),
        element("script", Html(f"(() => {{{libraries()}}})();")),
        element("script", Html(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _lead(search: Search) -> str:
    counts = search.trials.groupby("method", sort=False).size()
    trials = ", ".join(f"{count} trials of {name}" for name, count in counts.items())
    goals = ", ".join(f"{'more' if more else 'less'} {metric}" for metric, more in search.goals)
    return f"{trials}, judged on validation; after: {goals}. What was judged on test: judged/report.html."


def _said(search: Search) -> Html:
    parts = [element("ul", *(element("li", line) for line in search.lines)), _table(_in_percent(search.bought))]
    if len(search.matched):
        parts += [
            element("h3", "At the same loss, on test"),
            element("p", MATCHED),
            _table(_in_percent(search.matched)),
        ]
    if len(search.ahead):
        parts += [element("p", AHEAD), _table(_in_percent(search.ahead))]
    return element("div", *parts)


def _in_percent(frame: pd.DataFrame) -> pd.DataFrame:
    plain = ("method", "rival", "trial", "metric", "points")
    return frame.assign(
        **{str(name): [_percent(value) for value in frame[name]] for name in frame if name not in plain}
    )


def _figure(spec: Spec, name: str) -> Html:
    title = spec["title"]
    caption = element("figcaption", element("h3", title["text"]), *(element("p", line) for line in title["subtitle"]))
    return element("figure", caption, element("div", class_="chart", data_chart=name))


def _front(search: Search) -> Spec:
    """Return the trials, first goal against second (or against the trial's number), the front joined."""
    metric = search.goals[0][0]
    across = search.goals[1][0] if len(search.goals) > 1 else "trial"
    named = {metric: "first", across: "second"}
    hidden = ("method", "trial", "feasible", "front", "seconds")
    rows = []
    for record in search.trials.to_dict("records"):
        settings = {
            str(key): _text(value) for key, value in record.items() if key not in hidden and not _missing(value)
        }
        tip = {"trial": f"{record['method']}-{record['trial']}", **settings}
        rows.append(
            {
                "method": record["method"],
                "front": bool(record["front"]),
                "feasible": bool(record["feasible"]),
                "tip": tip,
                **{place: float(record[key]) for key, place in named.items() if not _missing(record[key])},
            }
        )
    bases = search.trials.drop_duplicates([f"base {key}" for key in named if key != "trial"])
    starts = [
        {place: float(row[f"base {key}"]) for key, place in named.items() if key != "trial"}
        for row in bases.to_dict("records")
        if not any(_missing(row[f"base {key}"]) for key in named if key != "trial")
    ]
    steps = "step-before" if search.goals[0][1] else "step-after"  # what can be had of the second for a given first
    axes = {"x": _axis("first", metric), "y": _axis("second", across)}
    colour = {"field": "method", "type": "nominal", "legend": {"title": None}}
    faint = {"condition": {"test": "datum.front", "value": 1}, "value": 0.3}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "datum.front"}],
            "mark": {"type": "line", "interpolate": steps, "strokeWidth": 1.2},
            "encoding": {**axes, "order": {"field": "first", "type": "quantitative"}, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "tooltip": {"expr": "datum.tip"}},
            "encoding": {
                **axes, "color": colour, "opacity": faint,
                "size": {"condition": {"test": "datum.front", "value": 70}, "value": 28},
            },
        },
    ]  # fmt: skip
    if across != "trial":
        star = {"type": "point", "filled": True, "shape": themes.SHAPES["star"], "size": 200, "style": "base-rule"}
        layers.append({"data": {"values": starts}, "mark": star, "encoding": axes})
    else:
        del layers[0]
    note = "Each mark is a trial on validation; those that no other beats are joined, and a star is the base."
    return _spec("Trials and their front", [note, "Point at a mark for its settings."], layers, rows)


def _progress(search: Search) -> Spec:
    rows = [
        {"method": row["method"], "trial": int(row["trial"]), "volume": float(row["hypervolume"])}
        for row in search.hypervolume.to_dict("records")
    ]
    encoding = {
        "x": {"field": "trial", "type": "quantitative", "axis": {"title": "trial"}},
        "y": {"field": "volume", "type": "quantitative", "axis": {"title": "hypervolume"}},
        "color": {"field": "method", "type": "nominal", "legend": {"title": None, "symbolStrokeWidth": 2}},
    }
    layers = [{"mark": {"type": "line", "interpolate": "step-after"}, "encoding": encoding}]
    note = "What the front dominates, against the base made worse by a fifth; flat: more trials find nothing new."
    return _spec("How the search went", [note], layers, rows) | {"height": 240}


def _importance(search: Search) -> Spec:
    rows = [
        {
            "setting": f"{row['setting']}"
            if search.importance["method"].nunique() == 1
            else f"{row['method']}: {row['setting']}",
            "metric": row["metric"],
            "share": float(row["importance"]),
        }
        for row in search.importance.to_dict("records")
    ]
    encoding = {
        "y": {"field": "setting", "type": "nominal", "sort": "-x", "axis": {"title": None, "labelLimit": 260}},
        "x": {
            "field": "share",
            "type": "quantitative",
            "axis": {"title": "share of the variance that settings explain"},
        },
        "yOffset": {"field": "metric", "type": "nominal"},
        "color": {"field": "metric", "type": "nominal", "legend": {"title": None}},
        "tooltip": [{"field": "setting"}, {"field": "metric"}, {"field": "share", "format": ".2f"}],
    }
    note = "fANOVA on the trials (Hutter et al. 2014): it tells which settings moved a goal, not in which direction."
    layers = [{"mark": {"type": "bar"}, "encoding": encoding}]
    return _spec("What mattered", [note], layers, rows) | {"height": {"step": 14}}


def _spec(title: str, notes: Sequence[str], layers: list[Spec], rows: list[dict[str, Any]]) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "subtitle": list(notes)},
        "width": WIDTH,
        "height": HEIGHT,
        "padding": 16,
        "data": {"values": rows},
        "layer": layers,
    }


def _axis(field: str, title: str) -> Spec:
    return {"field": field, "type": "quantitative", "scale": {"zero": False}, "axis": {"title": title}}


def _table(frame: pd.DataFrame) -> Html:
    head = element("tr", *(element("th", str(name), scope="col") for name in frame.columns))
    rows = [element("tr", *(element("td", _text(value)) for value in row)) for row in frame.itertuples(index=False)]
    table = element("table", element("thead", head), element("tbody", *rows), class_="plain")
    return element("div", table, class_="scroll", tabindex="0")


def _text(value: Any) -> str:
    if _missing(value):
        return ""
    return number(value) if isinstance(value, float) else str(value)


def _percent(value: Any) -> str:
    return "" if _missing(value) else percent(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)
