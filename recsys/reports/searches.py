"""The page of a sweep: trials and front, the choice and its gains, the course of the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.html import Html, join_html, make_element
from recsys.reports import themes
from recsys.reports.chart_pages import render_chart_page, render_figure, render_frame
from recsys.reports.charts import save_charts
from recsys.reports.encodings import Spec
from recsys.reports.formats import format_interval, format_percent, format_percent_interval
from recsys.reports.search_charts import draw_hypervolume, draw_importance, draw_trials, is_missing
from recsys.support.atomic_files import write_text
from recsys.types.notebooks import format_count

COLUMN_TITLES = {"method": "blend", "seconds": "seconds of the trial"}
GAIN_AT_LOSS_NOTE = (
    "Each method's curve from the base through its front, read where the first metric of accuracy has lost that share; "
    "the losses of all of them there stand beside the gain. 95 % intervals draw losses and gain together. Reached: the "
    "share of draws in which the curve loses as much; the others count with the curve's last point."
)
BEST_VS_REST_NOTE = (
    "How far the method that gains most on validation is ahead of each other one on test, at the same loss; 95 % "
    "limits hold for all others at once."
)


@dataclass(frozen=True, eq=False)
class SweepReport:
    """The results of a sweep as tables (`recsys.sweeps.outputs.SweepTables`) and sentences."""

    title: str
    lines: tuple[str, ...]
    goals: tuple[tuple[str, bool], ...]  # metric such as "ndcg@10", whether more of it is better
    trials: pd.DataFrame
    front: pd.DataFrame
    chosen: pd.DataFrame
    gain_at_loss: pd.DataFrame
    best_vs_rest: pd.DataFrame
    hypervolume: pd.DataFrame
    importance: pd.DataFrame
    constraints: tuple[str, ...] = ()  # such as "ndcg@10 >= 98 % of base", as the file says them
    failed: pd.DataFrame | None = None  # trials that could not be judged: method, trial, reason
    judged: str = "the benchmark of what was chosen"  # what lies in judged/


def write_sweep_report(search: SweepReport, folder: Path) -> list[Path]:
    """Write `folder`/report.html and its charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if the folder cannot be written.
    """
    methods = list(dict.fromkeys(search.trials["method"]))
    colours = [themes.choose_series_colour(themes.LIGHT, "blend", place) for place in range(len(methods))]
    config = themes.build_vega_config(themes.LIGHT, colours, legend=True)
    specs = {
        "front": draw_trials(search.trials, search.goals, search.constraints),
        "hypervolume": draw_hypervolume(search.hypervolume),
    }
    if len(search.importance):
        specs["importance"] = draw_importance(search.importance)
    paths = save_charts({name: spec | {"config": config} for name, spec in specs.items()}, folder)
    write_text(folder / "report.html", _render_page(search, specs, methods))
    return [folder / "report.html", *paths]


def _render_page(search: SweepReport, specs: Mapping[str, Spec], methods: Sequence[str]) -> str:
    theme = themes.build_css_theme()
    colours = [themes.choose_series_colour(theme, "blend", place) for place in range(len(methods))]
    parts = {
        "chosen": ("What was chosen, and what it bought", _render_choices(search)),
        **{name: (str(spec["title"]["text"]), render_figure(spec, name)) for name, spec in specs.items()},
        "counts": ("Trials and constraints", _render_trial_counts(search)),
        "points": ("The front", _render_table(_format_front(search))),
    }
    config = themes.build_vega_config(theme, colours, legend=True)
    return render_chart_page(search.title, _describe_sweep(search), parts, specs, config)


def _describe_sweep(search: SweepReport) -> Html:
    counts = search.trials.groupby("method", sort=False).size()
    trials = ", ".join(f"{format_count(int(count), 'trial')} of {name}" for name, count in counts.items())
    goals = ", ".join(f"{'more' if more else 'less'} {metric}" for metric, more in search.goals)
    kept = f"; to be kept: {', '.join(search.constraints)}" if search.constraints else ""
    judged = make_element("a", search.judged, href="judged/report.html")
    return join_html(f"{trials}, judged on validation; after: {goals}{kept}. On test: ", judged, ".")


def _render_choices(search: SweepReport) -> Html:
    said = make_element("ul", *(make_element("li", line) for line in search.lines), class_="sentences")
    names = {"validation": "change on validation", "bound": "surely above, on validation", "relative": "change on test"}
    parts = [said, _render_table(_format_columns(search.chosen, names, "relative_low", "relative_high"))]
    if len(search.gain_at_loss):
        names = {"loss": "at a loss of", "gain": "gain", "reached": "reached in", "points": "points of the curve"}
        table = _render_table(_format_gains(search.gain_at_loss, names))
        parts += [
            make_element("h3", "At the same loss, on test"),
            make_element("p", GAIN_AT_LOSS_NOTE, class_="note"),
            table,
        ]
    if len(search.best_vs_rest):
        names = {"rival": "ahead of", "loss": "at a loss of", "difference": "by"}
        table = _render_table(_format_columns(search.best_vs_rest, names, "ci_low", "ci_high"))
        parts += [
            make_element("h3", "How far the best is ahead"),
            make_element("p", BEST_VS_REST_NOTE, class_="note"),
            table,
        ]
    return make_element("div", *parts)


def _render_trial_counts(search: SweepReport) -> Html:
    """Return a table of the trials of each method: how many kept the constraints, broke one, or failed."""
    rows = []
    failed = search.failed if search.failed is not None else pd.DataFrame(columns=["method", "trial", "reason"])
    for method, trials in search.trials.groupby("method", sort=False):
        kept, count = int(trials["feasible"].sum()), len(trials)
        lost = int((failed["method"] == method).sum())
        row = {"method": method, "trials": count, "keep the constraints": kept, "break one": count - kept}
        rows.append(row | {"failed": lost, "on the front": int(trials["front"].sum())})
    said = "; ".join(search.constraints) or "none"
    parts = [make_element("p", f"Constraints: {said}."), _render_table(pd.DataFrame(rows))]
    if len(failed):
        parts += [make_element("h3", "Trials that failed"), _render_table(failed[["method", "trial", "reason"]])]
    return make_element("div", *parts)


def _format_columns(frame: pd.DataFrame, names: Mapping[str, str], low: str, high: str) -> pd.DataFrame:
    """Return a table of shares with its columns in words, shares in per cent, and an interval in one column."""
    plain = ("method", "rival", "trial", "metric", "points")
    made = frame.drop(columns=[low, high])
    made = made.assign(**{str(c): [_format_share(value) for value in made[c]] for c in made if c not in plain})
    made["95 % interval"] = [format_percent_interval(*ends) for ends in _list_interval_ends(frame, low, high)]
    return made.rename(columns=dict(names))


def _format_gains(gains: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return the gains at a loss in words, with the loss of each metric of accuracy and its interval in one column."""
    losses = [
        str(name) for name in gains if str(name).startswith("loss ") and not str(name).endswith(("ci_low", "ci_high"))
    ]
    made = _format_columns(gains[[c for c in gains if not str(c).startswith("loss ")]], names, "ci_low", "ci_high")
    for loss in losses:
        ends = _list_interval_ends(gains, f"{loss} ci_low", f"{loss} ci_high")
        texts = [(_format_share(a), format_percent_interval(*b)) for a, b in zip(gains[loss], ends, strict=True)]
        made[f"loss of {loss.removeprefix('loss ')}"] = [f"{a} ({b})" if b else a for a, b in texts]
    return made


def _list_interval_ends(frame: pd.DataFrame, low: str, high: str) -> list[tuple[float | None, float | None]]:
    """Return the two ends of each row's interval, None where there is none."""
    known = frame[[low, high]].astype(float)
    return [(None if a != a else a, None if b != b else b) for a, b in known.itertuples(index=False)]


def _format_front(search: SweepReport) -> pd.DataFrame:
    """Return the points of the fronts: goals on validation, the base's and those on test with intervals, settings."""
    points, made = search.front, {name: search.front[name] for name in ("method", "trial")}
    metrics = [str(name).removeprefix("base ") for name in points if str(name).startswith("base ")]
    for metric in metrics:
        made[f"{metric} on validation"] = points[metric]
        made[f"{metric} of the base"] = points[f"base {metric}"]
        test = f"test {metric}"
        if test in points:
            made[f"{metric} on test"] = points[test]
            ends = [format_interval(*both) for both in _list_interval_ends(points, f"{test} ci_low", f"{test} ci_high")]
            made[f"95 % interval of {metric}"] = pd.Series(ends, points.index)
    known = {"method", "trial", "feasible", "front", "seconds", *metrics}
    rest = [c for c in points if c not in known and not str(c).startswith(("base ", "test "))]
    return pd.DataFrame(made | {str(name): points[name] for name in rest} | {"seconds": points["seconds"]})


def _render_table(frame: pd.DataFrame) -> Html:
    return render_frame(frame, ("method", "metric", "reason", "ahead of"), COLUMN_TITLES)


def _format_share(value: Any) -> str:
    return "" if is_missing(value) else format_percent(value)
