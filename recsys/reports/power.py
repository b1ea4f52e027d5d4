"""How large an effect the data could have shown: computed per metric, before any effect is read."""

from collections.abc import Mapping
from typing import Any

from recsys.html import Html, join_html, make_element
from recsys.reports.caveats import EXPOSURE_CAVEAT, add_dagger, is_discovery, is_unexplored_share
from recsys.reports.formats import MISSING, format_mean_count, format_number, format_percent
from recsys.reports.view import ReportView
from recsys.scores.hypothesis_tests import MIN_DIFFERING_USERS
from recsys.types.notebooks import format_count

UNDETECTED = "not detectable on this data"
UNDEFINED = "not defined on this data"
EXCLUDES_ZERO = "interval without 0"
INCLUDES_ZERO = "other intervals with 0"
TOO_FEW_DIFFER = f"fewer than {MIN_DIFFERING_USERS} users differ"
UNDETECTED_RULE = (
    f"{UNDETECTED}: the interval contains 0 and the difference is smaller than the smallest detectable one"
)


def classify_difference(row: Mapping[str, Any] | None) -> str:
    """Return how the interval of a difference lies: without 0, with 0, not detectable on this data, or undefined.

    >>> classify_difference({"difference": 0.01, "ci_low": -0.02, "ci_high": 0.04, "detectable": 0.05})
    'not detectable on this data'
    """
    if row is None or row["difference"] is None:
        return UNDEFINED
    if row["ci_low"] is None or row["ci_high"] is None:
        return (
            TOO_FEW_DIFFER if row.get("n_differ") is not None and row["n_differ"] < MIN_DIFFERING_USERS else UNDEFINED
        )
    if row["ci_low"] > 0 or row["ci_high"] < 0:
        return EXCLUDES_ZERO
    detectable = row["detectable"]
    return UNDETECTED if detectable is not None and abs(row["difference"]) < detectable else INCLUDES_ZERO


def render_detectable_effects(view: ReportView) -> Html:
    """Return a sentence for the first metric of every family, the numbers of all, and the runs concerned."""
    head = (
        "metric", "users", f"hits of {view.base}", "held out", view.base, "smallest detectable difference",
        f"in % of {view.base}", EXCLUDES_ZERO, UNDETECTED, INCLUDES_ZERO, TOO_FEW_DIFFER, UNDEFINED,
    )  # fmt: skip
    names = [make_element("th", name, scope="col", class_=None if i == 0 else "n") for i, name in enumerate(head)]
    rows = [make_element("tr", *_render_cells(view, metric)) for metric in view.metrics]
    table = make_element(
        "table", make_element("thead", make_element("tr", *names)), make_element("tbody", *rows), class_="plain"
    )
    return join_html(
        make_element(
            "ul",
            *(make_element("li", _describe_metric(view, metric)) for metric in view.headline_metrics),
            class_="sentences",
        ),
        make_element("div", table, class_="scroll", tabindex="0"),
        _render_undetected_runs(view),
    )


def _select_differences(view: ReportView, metric: str) -> dict[str, Mapping[str, Any]]:
    return {run: view.differences[run, metric] for run in view.runs if (run, metric) in view.differences}


def _group_runs_by_verdict(view: ReportView, metric: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {
        EXCLUDES_ZERO: [],
        UNDETECTED: [],
        INCLUDES_ZERO: [],
        TOO_FEW_DIFFER: [],
        UNDEFINED: [],
    }
    for run, row in _select_differences(view, metric).items():
        found[classify_difference(row)].append(run)
    return found


def _render_cells(view: ReportView, metric: str) -> list[Html]:
    name = f"{metric}@{view.k}"
    base, span = view.get_number(view.base, metric, "value"), view.get_detectable_range(metric)
    held_out = view.get_first(metric, "held_out")
    texts = [
        format_mean_count(view.get_first(metric, "n_users")),
        format_mean_count(view.get_number(view.base, metric, "hits")),
    ]
    texts += [
        format_number(held_out) if is_unexplored_share(metric) else format_mean_count(held_out),
        format_number(base),
        MISSING,
        MISSING,
    ]
    if span:
        texts[4] = _format_range(format_number(span[0]), format_number(span[2]))
        texts[5] = (
            _format_range(*(format_percent(s / abs(base), signed=False) for s in (span[0], span[2])))
            if base
            else MISSING
        )
    texts += [str(len(runs)) for runs in _group_runs_by_verdict(view, metric).values()]
    return [
        make_element("th", add_dagger(metric, name), scope="row"),
        *(make_element("td", text, class_="n") for text in texts),
    ]


def _describe_metric(view: ReportView, metric: str) -> Html:
    span, base = view.get_detectable_range(metric), view.get_number(view.base, metric, "value")
    users, hits = view.get_first(metric, "n_users"), view.get_number(view.base, metric, "hits")
    given = f" with {format_count(int(users), 'user')}" if users is not None else ""
    given += f" and {format_mean_count(hits, f'hits of {view.base}')}" if hits is not None else ""
    runs = _group_runs_by_verdict(view, metric)
    told = sum(len(found) for found in runs.values())
    if not view.is_defined(metric):
        text = f" is {UNDEFINED}."
    elif not told:
        text = f"{given} is compared with no other run."
    else:
        text = f"{given}: {_describe_detectable(span, base, view.base)}"
        text += f"{len(runs[UNDETECTED])} of {format_count(told, 'run')} {UNDETECTED}."
    text += f" {EXPOSURE_CAVEAT}" if is_discovery(metric) else ""
    return join_html(make_element("b", add_dagger(metric, f"{metric}@{view.k}")), text)


def _describe_detectable(span: tuple[float, float, float] | None, base: float | None, name: str) -> str:
    if span is None:
        return ""
    share = f" ({format_percent(span[1] / abs(base), signed=False)} of {name})" if base else ""
    return f"the smallest detectable difference is {format_number(span[1])}{share} in the median run; "


def _render_undetected_runs(view: ReportView) -> Html:
    items = []
    for metric in view.metrics:
        runs = _group_runs_by_verdict(view, metric)[UNDETECTED]
        if runs:
            items += [make_element("dt", f"{metric}@{view.k}"), make_element("dd", ", ".join(runs))]
    if not items:
        return Html()
    return make_element(
        "details", make_element("summary", f"Runs that are {UNDETECTED}, by metric"), make_element("dl", *items)
    )


def _format_range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
