"""The page in short: a small table of what was gained at what loss, and one sentence, from the intervals alone."""

from collections.abc import Mapping
from typing import Any

from recsys.html import Html, element, join
from recsys.reports.caveats import counted, marked
from recsys.reports.formats import MISSING, interval, interval_percent, number, percent, plural
from recsys.reports.sheets import Sheet

LISTED = 5
CHANCE = 0.025  # of 95 % intervals of no effect lie wholly above 0
Row = Mapping[str, Any]


def findings(sheet: Sheet, accuracy: str, gains: Mapping[str, str]) -> Html:
    """Return for each gain (metric -> what it is called) a sentence and a table of the runs that have most of it."""
    parts = [
        part
        for metric, name in gains.items()
        if compared(sheet, metric)
        for part in _gained(sheet, accuracy, metric, name)
    ]
    if parts:
        return join(*parts)
    lines = [_value(sheet, metric) for metric in (accuracy, *gains) if sheet.defined(metric)]
    return element("ul", *(element("li", line) for line in lines), class_="sentences") if lines else Html()


def shortlist(sheet: Sheet, accuracy: str, metric: str) -> list[str]:
    """Return the runs that gain most of a metric: without a detectable loss before others, then the largest first."""
    gained = _gaining(sheet, metric)
    return sorted(gained, key=lambda run: (loses(sheet, run, accuracy), -abs(gained[run]["difference"])))[:LISTED]


def compared(sheet: Sheet, metric: str) -> dict[str, Row]:
    """Return the differences from the base that have an interval, by run."""
    rows = {run: sheet.differences.get((run, metric)) for run in sheet.runs}
    return {run: row for run, row in rows.items() if row and row["ci_low"] is not None}


def loses(sheet: Sheet, run: str, accuracy: str) -> bool:
    """Return whether a run has a detectable loss: an interval wholly below 0, or none."""
    row = sheet.differences.get((run, accuracy))
    return row is None or row["ci_high"] is None or row["ci_high"] < 0


def _gaining(sheet: Sheet, metric: str) -> dict[str, Row]:
    way = sheet.first(metric, "direction") or 1
    rows = compared(sheet, metric)
    return {run: row for run, row in rows.items() if (row["ci_low"] if way > 0 else -row["ci_high"]) > 0}


def _gained(sheet: Sheet, accuracy: str, metric: str, name: str) -> list[Html]:
    n, gained = len(compared(sheet, metric)), _gaining(sheet, metric)
    free = [run for run in gained if not loses(sheet, run, accuracy)]
    chance = round(CHANCE * n)
    by_chance = f"about {chance}" if chance else "fewer than 1"
    text = (
        f": {len(gained)} of {plural(n, 'run')} have more, with an interval wholly on that side (by chance alone, "
        f"{by_chance} would), {len(free)} of them without a detectable loss of {accuracy}@{sheet.k}. "
        f"Counted: {counted(sheet, metric)}."
    )
    title = marked(metric, f"{metric}@{sheet.k}")
    changes = (f"change of {accuracy}@{sheet.k}", "95 % interval", f"change of {title}", "95 % interval")
    head = ("run", *changes, "verdict")
    rows = [
        _base(sheet, accuracy, metric),
        *(_row(sheet, run, accuracy, metric, name) for run in shortlist(sheet, accuracy, metric)),
    ]
    titles = element(
        "tr", *(element("th", title, scope="col", class_="n" if 0 < i < 5 else None) for i, title in enumerate(head))
    )
    table = element("table", element("thead", titles), element("tbody", *rows), class_="plain short")
    return [
        element("p", element("b", marked(metric, name)), text),
        element("div", table, class_="scroll", tabindex="0"),
    ]  # fmt: skip


def _base(sheet: Sheet, accuracy: str, metric: str) -> Html:
    cells = []
    for one in (accuracy, metric):
        low, high = (sheet.number(sheet.base, one, end) for end in ("ci_low", "ci_high"))
        cells += [number(sheet.number(sheet.base, one, "value")), interval(low, high) or MISSING]
    values = (element("td", text, class_="n") for text in cells)
    return element("tr", element("th", sheet.base, scope="row"), *values, element("td", "the base: its values"))


def _row(sheet: Sheet, run: str, accuracy: str, metric: str, name: str) -> Html:
    cells = [text for one in (accuracy, metric) for text in _change(sheet.differences.get((run, one)))]
    row = sheet.differences.get((run, accuracy))
    surely = row is not None and row["ci_low"] is not None and row["ci_low"] > 0
    cost = "and of accuracy" if surely else "at a loss" if loses(sheet, run, accuracy) else "no detectable loss"
    verdict = f"more {name}, {cost}"
    return element(
        "tr",
        element("th", run, scope="row"),
        *(element("td", text, class_="n") for text in cells),
        element("td", verdict),
    )


def _change(row: Row | None) -> tuple[str, str]:
    if row is None or row["difference"] is None:
        return MISSING, MISSING
    if row["relative_low"] is None:
        return number(row["difference"], signed=True), interval(row["ci_low"], row["ci_high"], signed=True) or MISSING
    return percent(row["relative"]), interval_percent(row["relative_low"], row["relative_high"])


def _value(sheet: Sheet, metric: str) -> Html:
    value = number(sheet.number(sheet.base, metric, "value"))
    name = element("b", marked(metric, f"{metric}@{sheet.k}"))
    return join(name, f" of {sheet.base}: {value} ({counted(sheet, metric)}).")
