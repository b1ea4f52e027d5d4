"""The page in short: what each trade-off shows, by rule and from the intervals alone."""

from collections.abc import Mapping
from typing import Any

from recsys.html import Html, element, join
from recsys.reports.caveats import counted, marked
from recsys.reports.formats import interval_percent, number, percent, plural
from recsys.reports.sheets import Sheet

LISTED = 5
CHANCE = 0.025  # of 95 % intervals of no effect lie wholly above 0


def findings(sheet: Sheet, accuracy: str, gains: Mapping[str, str]) -> Html:
    """Return a list: what the base has, then per gain (metric -> what it is called) which runs have more of it."""
    lines = [_base(sheet, metric) for metric in (accuracy, *gains) if sheet.defined(metric)]
    lines += [_gained(sheet, accuracy, metric, name) for metric, name in gains.items() if _compared(sheet, metric)]
    return element("ul", *(element("li", line) for line in lines), class_="sentences") if lines else Html()


def _base(sheet: Sheet, metric: str) -> Html:
    value = number(sheet.number(sheet.base, metric, "value"))
    name = element("b", marked(metric, f"{metric}@{sheet.k}"))
    return join(name, f" of {sheet.base}: {value} ({counted(sheet, metric)}).")


def _gained(sheet: Sheet, accuracy: str, metric: str, name: str) -> Html:
    compared = _compared(sheet, metric)
    way = sheet.first(metric, "direction") or 1
    more = [run for run, row in compared.items() if (row["ci_low"] if way > 0 else -row["ci_high"]) > 0]
    free = [run for run in more if not _costs(sheet.differences.get((run, accuracy)))]
    free.sort(key=lambda run: -abs(compared[run]["difference"]))
    text = f": {len(more)} of {plural(len(compared), 'run')} have more, with an interval wholly on that side"
    text += f" (by chance alone, about {number(round(CHANCE * len(compared), 1))} would)"
    text += f"; {len(free)} of them without a detectable loss of {accuracy}@{sheet.k}"
    listed = [_changes(sheet, run, metric, accuracy) for run in free[:LISTED]]
    text += f", the largest first: {'; '.join(listed)}." if listed else "."
    return join(element("b", marked(metric, name)), text)


def _changes(sheet: Sheet, run: str, *metrics: str) -> str:
    return f"{run} {' for '.join(_change(sheet.differences[run, metric], metric) for metric in metrics)}"


def _change(row: Mapping[str, Any], metric: str) -> str:
    if row["relative_low"] is None:
        return f"{number(row['difference'], signed=True)} {metric}"
    return f"{percent(row['relative'])} [{interval_percent(row['relative_low'], row['relative_high'])}] {metric}"


def _costs(row: Mapping[str, Any] | None) -> bool:
    return row is None or row["ci_high"] is None or row["ci_high"] < 0


def _compared(sheet: Sheet, metric: str) -> dict[str, Mapping[str, Any]]:
    rows = {run: sheet.differences.get((run, metric)) for run in sheet.runs}
    return {run: row for run, row in rows.items() if row and row["ci_low"] is not None}
