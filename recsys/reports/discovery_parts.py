"""Where in the catalogue the discovery of the listed runs lies: by thirds of popularity, and with credited hits."""

from collections.abc import Sequence

from recsys.html import Html, make_element
from recsys.reports.caveats import add_dagger, describe_counts
from recsys.reports.formats import format_change, format_interval, format_number
from recsys.reports.view import ReportView

PARTS = {
    "discovery_head": "head",
    "discovery_middle": "middle",
    "discovery_tail": "tail",
    "stratified_discovery": "credited",
}
PARTS_NOTE = (
    "Where it lies: discovery of items of the head, the middle and the tail, each with a third of the training "
    "interactions, the most popular items first; and of all, each hit credited by its item's popularity. Changes with "
    "95 % intervals beneath."
)


def render_discovery_parts(view: ReportView, runs: Sequence[str]) -> list[Html]:
    """Return a note and a table, a row per run and a column per part; nothing where no part was measured."""
    parts = {metric: name for metric, name in PARTS.items() if metric in view.metrics and view.is_defined(metric)}
    if not parts or not runs:
        return []
    heads = (
        make_element("th", add_dagger(metric, name), make_element("small", describe_counts(view, metric)), class_="n")
        for metric, name in parts.items()
    )
    head = make_element("tr", make_element("th", "run", scope="col"), *heads)
    rows = [
        make_element("tr", make_element("th", run, scope="row"), *(_render_cell(view, run, metric) for metric in parts))
        for run in (view.base, *runs)
    ]
    table = make_element("table", make_element("thead", head), make_element("tbody", *rows), class_="plain short")
    return [make_element("p", PARTS_NOTE, class_="note"), make_element("div", table, class_="scroll", tabindex="0")]


def _render_cell(view: ReportView, run: str, metric: str) -> Html:
    row = view.differences.get((run, metric))
    if run == view.base or row is None:
        value, low, high = (view.get_number(run, metric, name) for name in ("value", "ci_low", "ci_high"))
        text, ends = format_number(value), format_interval(low, high)
    else:
        text, ends = format_change(row)
    return make_element("td", text, make_element("small", ends), class_="n")
