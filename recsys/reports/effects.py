"""How large an effect the data could have shown: computed per metric, before any effect is read."""

from collections.abc import Mapping
from typing import Any

from recsys.html import Html, element, join
from recsys.reports.caveats import EXPOSURE, marked, of_discovery, of_shares
from recsys.reports.formats import MISSING, number, percent, plural, tally
from recsys.reports.sheets import Sheet
from recsys.scores.verdicts import FEW

UNDETECTED = "not detectable on this data"
UNDEFINED = "not defined on this data"
APART = "interval without 0"
OPEN = "other intervals with 0"
FEWER = f"fewer than {FEW} users differ"
RULE = f"{UNDETECTED}: the interval contains 0 and the difference is smaller than the smallest detectable one"


def verdict(row: Mapping[str, Any] | None) -> str:
    """Return what the interval of a difference says, by rule.

    >>> verdict({"difference": 0.01, "ci_low": -0.02, "ci_high": 0.04, "detectable": 0.05})
    'not detectable on this data'
    """
    if row is None or row["difference"] is None:
        return UNDEFINED
    if row["ci_low"] is None or row["ci_high"] is None:
        return FEWER if row.get("n_differ") is not None and row["n_differ"] < FEW else UNDEFINED
    if row["ci_low"] > 0 or row["ci_high"] < 0:
        return APART
    detectable = row["detectable"]
    return UNDETECTED if detectable is not None and abs(row["difference"]) < detectable else OPEN


def effects(sheet: Sheet) -> Html:
    """Return a sentence for the first metric of every family, the numbers of all, and the runs concerned."""
    head = (
        "metric", "users", f"hits of {sheet.base}", "held out", sheet.base, "smallest detectable difference",
        f"in % of {sheet.base}", APART, UNDETECTED, OPEN, FEWER, UNDEFINED,
    )  # fmt: skip
    names = [element("th", name, scope="col", class_=None if i == 0 else "n") for i, name in enumerate(head)]
    rows = [element("tr", *_cells(sheet, metric)) for metric in sheet.metrics]
    table = element("table", element("thead", element("tr", *names)), element("tbody", *rows), class_="plain")
    return join(
        element("ul", *(element("li", _sentence(sheet, metric)) for metric in sheet.headline), class_="sentences"),
        element("div", table, class_="scroll", tabindex="0"),
        _listed(sheet),
    )


def _rows(sheet: Sheet, metric: str) -> dict[str, Mapping[str, Any]]:
    return {run: sheet.differences[run, metric] for run in sheet.runs if (run, metric) in sheet.differences}


def _runs(sheet: Sheet, metric: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {APART: [], UNDETECTED: [], OPEN: [], FEWER: [], UNDEFINED: []}
    for run, row in _rows(sheet, metric).items():
        found[verdict(row)].append(run)
    return found


def _cells(sheet: Sheet, metric: str) -> list[Html]:
    name = f"{metric}@{sheet.k}"
    base, span = sheet.number(sheet.base, metric, "value"), sheet.detectable(metric)
    held_out = sheet.first(metric, "held_out")
    texts = [tally(sheet.first(metric, "n_users")), tally(sheet.number(sheet.base, metric, "hits"))]
    texts += [number(held_out) if of_shares(metric) else tally(held_out), number(base), MISSING, MISSING]
    if span:
        texts[4] = _between(number(span[0]), number(span[2]))
        texts[5] = _between(*(percent(s / abs(base), signed=False) for s in (span[0], span[2]))) if base else MISSING
    texts += [str(len(runs)) for runs in _runs(sheet, metric).values()]
    return [element("th", marked(metric, name), scope="row"), *(element("td", text, class_="n") for text in texts)]


def _sentence(sheet: Sheet, metric: str) -> Html:
    span, base = sheet.detectable(metric), sheet.number(sheet.base, metric, "value")
    users, hits = sheet.first(metric, "n_users"), sheet.number(sheet.base, metric, "hits")
    given = f" with {plural(int(users), 'user')}" if users is not None else ""
    given += f" and {tally(hits, f'hits of {sheet.base}')}" if hits is not None else ""
    runs = _runs(sheet, metric)
    told = sum(len(found) for found in runs.values())
    if not sheet.defined(metric):
        text = f" is {UNDEFINED}."
    elif not told:
        text = f"{given} is compared with no other run."
    else:
        text = f"{given}: {_size(span, base, sheet.base)}{len(runs[UNDETECTED])} of {plural(told, 'run')} {UNDETECTED}."
    text += f" {EXPOSURE}" if of_discovery(metric) else ""
    return join(element("b", marked(metric, f"{metric}@{sheet.k}")), text)


def _size(span: tuple[float, float, float] | None, base: float | None, name: str) -> str:
    if span is None:
        return ""
    share = f" ({percent(span[1] / abs(base), signed=False)} of {name})" if base else ""
    return f"the smallest detectable difference is {number(span[1])}{share} in the median run; "


def _listed(sheet: Sheet) -> Html:
    items = []
    for metric in sheet.metrics:
        runs = _runs(sheet, metric)[UNDETECTED]
        if runs:
            items += [element("dt", f"{metric}@{sheet.k}"), element("dd", ", ".join(runs))]
    if not items:
        return Html()
    return element("details", element("summary", f"Runs that are {UNDETECTED}, by metric"), element("dl", *items))


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
