"""The page of a sweep: its trials and their front, what was chosen and bought, how the search went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.escaping import json_script
from recsys.files import write_text
from recsys.html import Html, element, join
from recsys.reports import themes
from recsys.reports.drawings import save
from recsys.reports.encodings import Spec
from recsys.reports.formats import interval, interval_percent, percent, plural
from recsys.reports.pages import POLICY, libraries
from recsys.reports.search_charts import as_text, front, importance, missing, progress
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
WORDS = {"method": "blend", "seconds": "seconds of the trial"}
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
    constraints: tuple[str, ...] = ()  # such as "ndcg@10 >= 98 % of base", as the file says them
    failed: pd.DataFrame | None = None  # trials that could not be judged: method, trial, reason


def write_search(search: Search, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    methods = list(dict.fromkeys(search.trials["method"]))
    colours = [themes.colour(themes.LIGHT, "blend", place) for place in range(len(methods))]
    config = themes.config(themes.LIGHT, colours, legend=True)
    specs = {
        "front": front(search.trials, search.goals, search.constraints),
        "hypervolume": progress(search.hypervolume),
    }
    if len(search.importance):
        specs["importance"] = importance(search.importance)
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
    parts = {
        "chosen": ("What was chosen, and what it bought", _said(search)),
        **{name: (str(spec["title"]["text"]), _figure(spec, name)) for name, spec in specs.items()},
        "counts": ("Trials and constraints", _trials(search)),
        "points": ("The front", _table(_worded_front(search))),
    }
    links = (element("a", title, href=f"#{name}") for name, (title, _) in parts.items())
    sections = (element("section", element("h2", title), part, id=name) for name, (title, part) in parts.items())
    body = element(
        "body",
        element(
            "header",
            element("h1", search.title),
            element("p", _lead(search), class_="lead"),
            element("nav", *links, aria_label="Contents"),
        ),
        element("main", *sections),
        element("script", Html(json_script(data)), type="application/json", id="charts"),
        element("script", Html(f"(() => {{{libraries()}}})();")),
        element("script", Html(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _lead(search: Search) -> Html:
    counts = search.trials.groupby("method", sort=False).size()
    trials = ", ".join(f"{plural(int(count), 'trial')} of {name}" for name, count in counts.items())
    goals = ", ".join(f"{'more' if more else 'less'} {metric}" for metric, more in search.goals)
    kept = f"; to be kept: {', '.join(search.constraints)}" if search.constraints else ""
    judged = element("a", "the benchmark of what was chosen", href="judged/report.html")
    return join(f"{trials}, judged on validation; after: {goals}{kept}. On test: ", judged, ".")


def _said(search: Search) -> Html:
    said = element("ul", *(element("li", line) for line in search.lines), class_="sentences")
    names = {"validation": "change on validation", "bound": "surely above, on validation", "relative": "change on test"}
    parts = [said, _table(_worded(search.bought, names, "relative_low", "relative_high"))]
    if len(search.matched):
        names = {"loss": "at a loss of", "gain": "gain", "reached": "reached in", "points": "points of the curve"}
        table = _table(_worded(search.matched, names, "ci_low", "ci_high"))
        parts += [element("h3", "At the same loss, on test"), element("p", MATCHED, class_="note"), table]
    if len(search.ahead):
        names = {"rival": "ahead of", "loss": "at a loss of", "difference": "by"}
        table = _table(_worded(search.ahead, names, "ci_low", "ci_high"))
        parts += [element("h3", "How far the best is ahead"), element("p", AHEAD, class_="note"), table]
    return element("div", *parts)


def _trials(search: Search) -> Html:
    """Return how many trials there were of each method, and what became of them."""
    rows = []
    failed = search.failed if search.failed is not None else pd.DataFrame(columns=["method", "trial", "reason"])
    for method, trials in search.trials.groupby("method", sort=False):
        kept, count = int(trials["feasible"].sum()), len(trials)
        lost = int((failed["method"] == method).sum())
        row = {"method": method, "trials": count, "keep the constraints": kept, "break one": count - kept}
        rows.append(row | {"failed": lost, "on the front": int(trials["front"].sum())})
    said = "; ".join(search.constraints) or "none"
    parts = [element("p", f"Constraints: {said}."), _table(pd.DataFrame(rows))]
    if len(failed):
        parts += [element("h3", "Trials that failed"), _table(failed[["method", "trial", "reason"]])]
    return element("div", *parts)


def _worded(frame: pd.DataFrame, names: Mapping[str, str], low: str, high: str) -> pd.DataFrame:
    """Return a table of shares with its columns in words, shares in per cent, and an interval in one column."""
    plain = ("method", "rival", "trial", "metric", "points")
    made = frame.drop(columns=[low, high])
    made = made.assign(**{str(c): [_percent(value) for value in made[c]] for c in made if c not in plain})
    made["95 % interval"] = [interval_percent(*ends) for ends in _ends(frame, low, high)]
    return made.rename(columns=dict(names))


def _ends(frame: pd.DataFrame, low: str, high: str) -> list[tuple[float | None, float | None]]:
    """Return the two ends of each row's interval, None where there is none."""
    known = frame[[low, high]].astype(float)
    return [(None if a != a else a, None if b != b else b) for a, b in known.itertuples(index=False)]


def _worded_front(search: Search) -> pd.DataFrame:
    """Return the points of the fronts: goals on validation, the base's and those on test with intervals, settings."""
    points, made = search.front, {name: search.front[name] for name in ("method", "trial")}
    metrics = [str(name).removeprefix("base ") for name in points if str(name).startswith("base ")]
    for metric in metrics:
        made[f"{metric} on validation"] = points[metric]
        made[f"{metric} of the base"] = points[f"base {metric}"]
        test = f"test {metric}"
        if test in points:
            made[f"{metric} on test"] = points[test]
            ends = [interval(*both) for both in _ends(points, f"{test} ci_low", f"{test} ci_high")]
            made[f"95 % interval of {metric}"] = pd.Series(ends, points.index)
    known = {"method", "trial", "feasible", "front", "seconds", *metrics}
    rest = [c for c in points if c not in known and not str(c).startswith(("base ", "test "))]
    return pd.DataFrame(made | {str(name): points[name] for name in rest} | {"seconds": points["seconds"]})


def _figure(spec: Spec, name: str) -> Html:
    title = spec["title"]
    caption = element("figcaption", *(element("p", line) for line in title["subtitle"]))
    return element("figure", caption, element("div", class_="chart", data_chart=name))


def _table(frame: pd.DataFrame) -> Html:
    """Return a table: names of columns in words, what can be counted or measured at the right."""
    texts = ("method", "metric", "reason", "ahead of")
    names = [str(name) for name in frame.columns]
    sides = [None if name in texts else "n" for name in names]
    heads = (element("th", WORDS.get(n, n), scope="col", class_=side) for n, side in zip(names, sides, strict=True))
    rows = [
        element("tr", *(element("td", as_text(value), class_=side) for value, side in zip(row, sides, strict=True)))
        for row in frame.itertuples(index=False)
    ]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="plain")
    return element("div", table, class_="scroll", tabindex="0")


def _percent(value: Any) -> str:
    return "" if missing(value) else percent(value)
