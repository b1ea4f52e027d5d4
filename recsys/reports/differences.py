"""The table of all runs against the base: every metric with its interval, seconds, sortable by a click."""

from collections.abc import Mapping, Sequence

from recsys.html import Html, element, join
from recsys.reports.caveats import EXPOSURE, MARK, marked, of_discovery, of_shares
from recsys.reports.effects import FEWER, RULE, UNDEFINED, UNDETECTED, verdict
from recsys.reports.formats import BETTER, MISSING, arrow, duration, interval, interval_percent, number, percent, tally
from recsys.reports.legends import swatch
from recsys.reports.sheets import Row, Sheet
from recsys.reports.tips import against

Column = tuple[Sheet, str]  # a metric at the sheet's k


def differences(sheet: Sheet) -> Html:
    """Return the buttons that choose the columns, the table, and what its signs mean."""
    sets = {"headline": sheet.headline, **sheet.families, "all": sheet.metrics}
    chosen = {name: [sheet.metrics.index(metric) for metric in metrics] for name, metrics in sets.items()}
    columns = [(sheet, metric) for metric in sheet.metrics]
    return join(choices(chosen), table(sheet, columns, "differences", seconds=True), _key(sheet))


def lengths(sheet: Sheet, sheets: Sequence[Sheet]) -> Html:
    """Return the same table for the first metric of each family, side by side at every slate length."""
    columns = [(one, metric) for metric in sheet.headline for one in sheets if metric in one.metrics]
    chosen = {metric: [i for i, (_, name) in enumerate(columns) if name == metric] for metric in sheet.headline}
    return join(choices(chosen), table(sheet, columns, "lengths", at=True), _key(sheet))


def choices(chosen: Mapping[str, Sequence[int]]) -> Html:
    """Return a button per set of columns."""
    buttons = [
        element("button", name, type="button", data_metrics=" ".join(map(str, places)), aria_pressed="false")
        for name, places in chosen.items()
    ]
    return element("div", *buttons, class_="choices", role="group", aria_label="Columns of the table")


def table(sheet: Sheet, columns: Sequence[Column], name: str, *, seconds: bool = False, at: bool = False) -> Html:
    """Return a row per run, the base's first, and a cell per column; `at` says the k of each."""
    head = [_button("run", "text"), *([_button("seconds", "number")] if seconds else [])]
    head += [_heading(column, i, at) for i, column in enumerate(columns)]
    blocks: dict[bool, list[Html]] = {True: [], False: []}
    for series in sheet.series:
        for run in series.runs:
            cells = [_seconds(sheet, run)] if seconds else []
            cells += [_cell(column, run, i) for i, column in enumerate(columns)]
            title = element(
                "th", swatch(series), element("span", run, class_="run", title=run), scope="row", data_value=run
            )
            blocks[run == sheet.base].append(element("tr", title, *cells, data_series=series.name))
    made = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *blocks[True], class_="base"),
        element("tbody", *blocks[False], class_="runs"),
        id=name,
        class_="differences",
    )
    return element("div", made, class_="scroll tall", tabindex="0")


def _button(text: str, kind: str, **attributes: str | int | bool | None) -> Html:
    inside = element("button", text, type="button", data_sort=kind)
    return element("th", inside, scope="col", aria_sort="none", **attributes)


def _heading(column: Column, place: int, at: bool) -> Html:
    sheet, metric = column
    way = sheet.first(metric, "direction")
    text = f"{marked(metric, f'{metric}@{sheet.k}' if at else metric)} {arrow(way)}".strip()
    title = "; ".join(
        part for part in (BETTER[int(way)] if way is not None else "", sheet.first(metric, "convention")) if part
    )
    return _button(text, "number", title=title or None, data_metric=place, class_="n")


def _seconds(sheet: Sheet, run: str) -> Html:
    seconds = sheet.seconds.get(run)
    return element("td", duration(seconds), class_="n", data_value=None if seconds is None else repr(seconds))


def _cell(column: Column, run: str, place: int) -> Html:
    sheet, metric = column
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
        data_metric=place,
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
    count = number if of_shares(metric) else tally
    lines += [f"{label}: {count(value[name])}" for label, name in counts.items() if value.get(name) is not None]
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
