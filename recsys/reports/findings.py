"""The summary of a page: a small table of gains and losses, and one sentence computed from the intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.html import Html, join_html, make_element
from recsys.reports.caveats import add_dagger, describe_counts
from recsys.reports.discovery_parts import render_discovery_parts
from recsys.reports.formats import MISSING, format_change, format_interval, format_number
from recsys.reports.view import ReportView, list_accuracy_axes
from recsys.types.notebooks import format_count

MAX_LISTED = 5
CHANCE = 0.025  # of 95 % intervals of no effect lie wholly above 0
Row = Mapping[str, Any]


def render_findings(view: ReportView, gains: Mapping[str, str]) -> Html:
    """Return for each gain (metric -> what it is called) a sentence and a table of the runs that have most of it.

    The losses of all metrics of accuracy (`list_accuracy_axes`) stand beside each gain.
    """
    axes = list_accuracy_axes(view)
    parts = [
        part
        for metric, name in gains.items()
        if select_with_interval(view, metric)
        for part in _render_gain(view, axes, metric, name)
    ]
    if parts:
        return join_html(*parts)
    lines = [_render_base_value(view, metric) for metric in (*axes, *gains) if view.is_defined(metric)]
    return make_element("ul", *(make_element("li", line) for line in lines), class_="sentences") if lines else Html()


def shortlist_runs(view: ReportView, metric: str) -> list[str]:
    """Return the runs that gain most of a metric: without a detectable loss before others, then the largest first."""
    gained, axes = _select_gaining_runs(view, metric), list_accuracy_axes(view)
    return sorted(gained, key=lambda run: (has_detectable_loss(view, run, axes), -abs(gained[run]["difference"])))[
        :MAX_LISTED
    ]


def select_with_interval(view: ReportView, metric: str) -> dict[str, Row]:
    """Return the differences from the base that have an interval, by run."""
    rows = {run: view.differences.get((run, metric)) for run in view.runs}
    return {run: row for run, row in rows.items() if row and row["ci_low"] is not None}


def has_detectable_loss(view: ReportView, run: str, axes: Sequence[str]) -> bool:
    """Return whether a run has a detectable loss of some metric of accuracy: an interval wholly below 0, or none."""
    rows = [view.differences.get((run, one)) for one in axes]
    return any(row is None or row["ci_high"] is None or row["ci_high"] < 0 for row in rows)


def _select_gaining_runs(view: ReportView, metric: str) -> dict[str, Row]:
    way = view.get_first(metric, "direction") or 1
    rows = select_with_interval(view, metric)
    return {run: row for run, row in rows.items() if (row["ci_low"] if way > 0 else -row["ci_high"]) > 0}


def _render_gain(view: ReportView, axes: Sequence[str], metric: str, name: str) -> list[Html]:
    n, gained = len(select_with_interval(view, metric)), _select_gaining_runs(view, metric)
    free = [run for run in gained if not has_detectable_loss(view, run, axes)]
    chance = round(CHANCE * n)
    by_chance = f"about {chance}" if chance else "fewer than 1"
    text = (
        f": {len(gained)} of {format_count(n, 'run')} have more, with an interval wholly on that side "
        "(by chance alone, "
        f"{by_chance} would), {len(free)} of them without a detectable loss of "
        f"{' or '.join(f'{one}@{view.k}' for one in axes)}. "
        f"Counted: {describe_counts(view, metric)}."
    )
    title = add_dagger(metric, f"{metric}@{view.k}")
    named = (*(f"{one}@{view.k}" for one in axes), title)
    changes = tuple(text for one in named for text in (f"change of {one}", "95 % interval"))
    head, listed = ("run", *changes, "verdict"), shortlist_runs(view, metric)
    rows = [
        _render_base_row(view, (*axes, metric)),
        *(_render_run_row(view, run, axes, metric, name) for run in listed),
    ]
    titles = make_element(
        "tr",
        *(
            make_element("th", title, scope="col", class_="n" if 0 < i < len(head) - 1 else None)
            for i, title in enumerate(head)
        ),
    )
    table = make_element("table", make_element("thead", titles), make_element("tbody", *rows), class_="plain short")
    return [
        make_element("p", make_element("b", add_dagger(metric, name)), text),
        make_element("div", table, class_="scroll", tabindex="0"),
        *(render_discovery_parts(view, listed) if metric == "discovery" else ()),
    ]  # fmt: skip


def _render_base_row(view: ReportView, metrics: Sequence[str]) -> Html:
    cells = []
    for one in metrics:
        low, high = (view.get_number(view.base, one, end) for end in ("ci_low", "ci_high"))
        cells += [format_number(view.get_number(view.base, one, "value")), format_interval(low, high) or MISSING]
    values = (make_element("td", text, class_="n") for text in cells)
    return make_element(
        "tr", make_element("th", view.base, scope="row"), *values, make_element("td", "the base: its values")
    )


def _render_run_row(view: ReportView, run: str, axes: Sequence[str], metric: str, name: str) -> Html:
    cells = [text for one in (*axes, metric) for text in _format_change(view.differences.get((run, one)))]
    changes = [view.differences.get((run, one)) for one in axes]
    surely = all(row is not None and row["ci_low"] is not None and row["ci_low"] > 0 for row in changes)
    cost = (
        "and of accuracy" if surely else "at a loss" if has_detectable_loss(view, run, axes) else "no detectable loss"
    )
    verdict = f"more {name}, {cost}"
    return make_element(
        "tr",
        make_element("th", run, scope="row"),
        *(make_element("td", text, class_="n") for text in cells),
        make_element("td", verdict),
    )


def _format_change(row: Row | None) -> tuple[str, str]:
    if row is None or row["difference"] is None:
        return MISSING, MISSING
    size, ends = format_change(row)
    return size, ends or MISSING


def _render_base_value(view: ReportView, metric: str) -> Html:
    value = format_number(view.get_number(view.base, metric, "value"))
    name = make_element("b", add_dagger(metric, f"{metric}@{view.k}"))
    return join_html(name, f" of {view.base}: {value} ({describe_counts(view, metric)}).")
