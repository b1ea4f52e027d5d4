"""The table of all runs against the base: every metric with its interval, seconds, sortable by a click."""

from recsys.html import Html, element, join
from recsys.reports.caveats import EXPOSURE, MARK, marked, of_discovery
from recsys.reports.effects import FEWER, RULE, UNDEFINED, UNDETECTED, verdict
from recsys.reports.formats import BETTER, MISSING, arrow, duration, interval, interval_percent, number, percent
from recsys.reports.legends import swatch
from recsys.reports.sheets import Row, Series, Sheet
from recsys.reports.tips import against


def differences(sheet: Sheet) -> Html:
    """Return the buttons that choose the columns, the table, and what its signs mean."""
    head = [
        _button("run", "text"),
        _button("seconds", "number"),
        *(_heading(sheet, metric) for metric in sheet.metrics),
    ]
    blocks: dict[bool, list[Html]] = {True: [], False: []}
    for series in sheet.series:
        for run in series.runs:
            blocks[run == sheet.base].append(_row(sheet, series, run))
    table = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *blocks[True], class_="base"),
        element("tbody", *blocks[False], class_="runs"),
        id="differences",
    )
    return join(_choices(sheet), element("div", table, class_="scroll tall", tabindex="0"), _key(sheet))


def _choices(sheet: Sheet) -> Html:
    sets = {"headline": sheet.headline, **sheet.families, "all": sheet.metrics}
    buttons = [
        element("button", name, type="button", data_metrics=" ".join(str(sheet.metrics.index(m)) for m in metrics),
                aria_pressed="false")
        for name, metrics in sets.items()
    ]  # fmt: skip
    return element("div", *buttons, class_="choices", role="group", aria_label="Columns of the table")


def _button(text: str, kind: str, **attributes: str | int | bool | None) -> Html:
    inside = element("button", text, type="button", data_sort=kind)
    return element("th", inside, scope="col", aria_sort="none", **attributes)


def _heading(sheet: Sheet, metric: str) -> Html:
    way = sheet.first(metric, "direction")
    text = f"{marked(metric, metric)} {arrow(way)}".strip()
    title = "; ".join(
        part for part in (BETTER[int(way)] if way is not None else "", sheet.first(metric, "convention")) if part
    )
    return _button(text, "number", title=title or None, data_metric=sheet.metrics.index(metric), class_="n")


def _row(sheet: Sheet, series: Series, run: str) -> Html:
    name = element("th", swatch(series), element("span", run, class_="run", title=run), scope="row", data_value=run)
    seconds = sheet.seconds.get(run)
    cells = [_cell(sheet, run, metric) for metric in sheet.metrics]
    time = element("td", duration(seconds), class_="n", data_value=None if seconds is None else repr(seconds))
    return element("tr", name, time, *cells, data_series=series.name)


def _cell(sheet: Sheet, run: str, metric: str) -> Html:
    row = sheet.differences.get((run, metric))
    shown, ends, order = _value(sheet, run, metric) if row is None else _difference(row)
    sign = element("abbr", "n.d.", title=RULE) if verdict(row) == UNDETECTED else Html()
    small = element("small", ends, " " if sign and ends else "", sign)
    return element(
        "td",
        shown,
        small,
        class_="n",
        title=_title(sheet, run, metric),
        data_metric=sheet.metrics.index(metric),
        data_value=None if order is None else repr(order),
    )


def _value(sheet: Sheet, run: str, metric: str) -> tuple[str, str, float | None]:
    if run != sheet.base and sheet.differences:
        return MISSING, "", None
    value, low, high = (sheet.number(run, metric, column) for column in ("value", "ci_low", "ci_high"))
    return number(value), interval(low, high), value


def _difference(row: Row) -> tuple[str, str, float | None]:
    """Return the text, the interval and the number by which rows are sorted."""
    if row["relative"] is None:
        ends = interval(row["ci_low"], row["ci_high"], signed=True)
        return number(row["difference"], signed=True), ends, row["difference"]
    ends = interval_percent(row["relative_low"], row["relative_high"]).removesuffix(" %")
    return percent(row["relative"]), ends, row["relative"]


def _title(sheet: Sheet, run: str, metric: str) -> str:
    row, value = sheet.differences.get((run, metric)), sheet.values.get((run, metric), {})
    ends = interval(value.get("ci_low"), value.get("ci_high"))
    lines = [f"{run}, {metric}@{sheet.k}: {number(value.get('value'))}{f' ({ends})' if ends else ''}"]
    if row is not None:
        absolute = f"{number(row['difference'], signed=True)} ({interval(row['ci_low'], row['ci_high'], signed=True)})"
        lines += [f"against {sheet.base}: {absolute}, {against(sheet, run, metric)}", verdict(row)]
        lines += [f"p = {number(row['p_value'])}, smallest detectable {number(row['detectable'])}"]
    counts = {"users": "n_users", "hits": "hits", "held out": "held_out"}
    lines += [f"{label}: {number(value[name])}" for label, name in counts.items() if value.get(name) is not None]
    return "\n".join(lines)


def _key(sheet: Sheet) -> Html:
    lines = [
        f"Values with 95 % intervals beneath; no differences from {sheet.base} were computed."
        if not sheet.differences
        else f"First row: values of {sheet.base}. Below: differences from it in per cent of its value, 95 % intervals "
        f"beneath; where its value is 0 or not known, plain differences. {MISSING}: {UNDEFINED}.",
        f"n.d.: {RULE}. No interval: {FEWER}, and it would hold the truth too rarely.",
    ]
    lines += [f"{MARK} {EXPOSURE}"] if any(of_discovery(metric) for metric in sheet.metrics) else []
    return element("p", *(part for line in lines for part in (line, element("br"))), class_="note")
