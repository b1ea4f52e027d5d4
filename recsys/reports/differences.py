"""The table of all runs against the base: every metric with its interval, seconds, sortable by a click."""

from collections.abc import Mapping, Sequence

from recsys.html import Html, join_html, make_element
from recsys.reports.caveats import DAGGER, EXPOSURE_CAVEAT, add_dagger, is_discovery, is_unexplored_share
from recsys.reports.formats import (
    BETTER,
    MISSING,
    format_change,
    format_direction,
    format_duration,
    format_interval,
    format_mean_count,
    format_number,
)
from recsys.reports.legends import render_swatch
from recsys.reports.power import TOO_FEW_DIFFER, UNDEFINED, UNDETECTED, UNDETECTED_RULE, classify_difference
from recsys.reports.tooltips import format_base_difference
from recsys.reports.view import ReportView, Row

Column = tuple[ReportView, str]  # a metric at the sheet's k


def render_differences(view: ReportView) -> Html:
    """Return the buttons that choose the columns, the table, and the legend of its signs."""
    sets = {"headline": view.headline_metrics, **view.families, "all": view.metrics}
    chosen = {name: [view.metrics.index(metric) for metric in metrics] for name, metrics in sets.items()}
    columns = [(view, metric) for metric in view.metrics]
    return join_html(
        render_column_buttons(chosen), render_run_table(view, columns, "differences", seconds=True), _render_key(view)
    )


def render_lengths(view: ReportView, sheets: Sequence[ReportView]) -> Html:
    """Return the same table for the first metric of each family, side by side at every slate length."""
    columns = [(one, metric) for metric in view.headline_metrics for one in sheets if metric in one.metrics]
    chosen = {metric: [i for i, (_, name) in enumerate(columns) if name == metric] for metric in view.headline_metrics}
    return join_html(
        render_column_buttons(chosen), render_run_table(view, columns, "lengths", show_k=True), _render_key(view)
    )


def render_column_buttons(chosen: Mapping[str, Sequence[int]]) -> Html:
    """Return a button per set of columns."""
    buttons = [
        make_element("button", name, type="button", data_metrics=" ".join(map(str, places)), aria_pressed="false")
        for name, places in chosen.items()
    ]
    return make_element("div", *buttons, class_="choices", role="group", aria_label="Columns of the table")


def render_run_table(
    view: ReportView, columns: Sequence[Column], name: str, *, seconds: bool = False, show_k: bool = False
) -> Html:
    """Return a row per run, the base's first, and a cell per column; `at` says the k of each."""
    head = [_render_sort_button("run", "text"), *([_render_sort_button("seconds", "number")] if seconds else [])]
    head += [_render_heading(column, i, show_k) for i, column in enumerate(columns)]
    blocks: dict[bool, list[Html]] = {True: [], False: []}
    for series in view.series:
        for run in series.runs:
            cells = [_render_seconds(view, run)] if seconds else []
            cells += [_render_cell(column, run, i) for i, column in enumerate(columns)]
            title = make_element(
                "th",
                render_swatch(series),
                make_element("span", run, class_="run", title=run),
                scope="row",
                data_value=run,
            )
            blocks[run == view.base].append(make_element("tr", title, *cells, data_series=series.name))
    made = make_element(
        "table",
        make_element("thead", make_element("tr", *head)),
        make_element("tbody", *blocks[True], class_="base"),
        make_element("tbody", *blocks[False], class_="runs"),
        id=name,
        class_="differences",
    )
    return make_element("div", made, class_="scroll tall", tabindex="0")


def _render_sort_button(text: str, kind: str, **attributes: str | int | bool | None) -> Html:
    inside = make_element("button", text, type="button", data_sort=kind)
    return make_element("th", inside, scope="col", aria_sort="none", **attributes)


def _render_heading(column: Column, place: int, show_k: bool) -> Html:
    sheet, metric = column
    way = sheet.get_first(metric, "direction")
    text = f"{add_dagger(metric, f'{metric}@{sheet.k}' if show_k else metric)} {format_direction(way)}".strip()
    title = "; ".join(
        part for part in (BETTER[int(way)] if way is not None else "", sheet.get_first(metric, "convention")) if part
    )
    return _render_sort_button(text, "number", title=title or None, data_metric=place, class_="n")


def _render_seconds(view: ReportView, run: str) -> Html:
    seconds = view.seconds.get(run)
    return make_element(
        "td", format_duration(seconds), class_="n", data_value=None if seconds is None else repr(seconds)
    )


def _render_cell(column: Column, run: str, place: int) -> Html:
    sheet, metric = column
    row = sheet.differences.get((run, metric))
    shown, ends, order = _format_value(sheet, run, metric) if row is None else _format_difference(row)
    sign = make_element("abbr", "n.d.", title=UNDETECTED_RULE) if classify_difference(row) == UNDETECTED else Html()
    small = make_element("small", ends, " " if sign and ends else "", sign)
    return make_element(
        "td",
        shown,
        small,
        class_="n",
        title=_describe_cell(sheet, run, metric),
        data_metric=place,
        data_value=None if order is None else repr(order),
    )


def _format_value(view: ReportView, run: str, metric: str) -> tuple[str, str, float | None]:
    if run != view.base and view.differences:
        return MISSING, "", None
    value, low, high = (view.get_number(run, metric, column) for column in ("value", "ci_low", "ci_high"))
    return format_number(value), format_interval(low, high), value


def _format_difference(row: Row) -> tuple[str, str, float | None]:
    """Return the text, the interval and the number by which rows are sorted."""
    size, ends = format_change(row)
    return size, ends.removesuffix(" %"), row["difference"] if row["relative"] is None else row["relative"]


def _describe_cell(view: ReportView, run: str, metric: str) -> str:
    row, value = view.differences.get((run, metric)), view.values.get((run, metric), {})
    ends = format_interval(value.get("ci_low"), value.get("ci_high"))
    lines = [f"{run}, {metric}@{view.k}: {format_number(value.get('value'))}{f' ({ends})' if ends else ''}"]
    if row is not None:
        limits = format_interval(row["ci_low"], row["ci_high"], signed=True)
        absolute = f"{format_number(row['difference'], signed=True)} ({limits})"
        lines += [
            f"against {view.base}: {absolute}, {format_base_difference(view, run, metric)}",
            classify_difference(row),
        ]
        lines += [f"p = {format_number(row['p_value'])}, smallest detectable {format_number(row['detectable'])}"]
    counts = {"users": "n_users", "hits": "hits", "held out": "held_out"}
    count = format_number if is_unexplored_share(metric) else format_mean_count
    lines += [f"{label}: {count(value[name])}" for label, name in counts.items() if value.get(name) is not None]
    return "\n".join(lines)


def _render_key(view: ReportView) -> Html:
    lines = [
        f"Values with 95 % intervals beneath; no differences from {view.base} were computed."
        if not view.differences
        else f"First row: values of {view.base}. Below: differences from it in per cent of its value, 95 % intervals "
        f"beneath; where its value is 0 or not known, plain differences. {MISSING}: {UNDEFINED}.",
        f"n.d.: {UNDETECTED_RULE}. No interval: {TOO_FEW_DIFFER}, and it would hold the truth too rarely.",
    ]
    lines += [f"{DAGGER} {EXPOSURE_CAVEAT}"] if any(is_discovery(metric) for metric in view.metrics) else []
    return make_element("p", *(part for line in lines for part in (line, make_element("br"))), class_="note")
