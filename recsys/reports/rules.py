"""What each rule cost and prevented: the runs with it beside the same runs without."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recsys.html import Html, join_html, make_element
from recsys.reports.formats import MISSING, format_interval, format_number

COSTS = {"ndcg": "nDCG", "stratified_recall": "credited recall", "discovery": "discovery"}
RULES_NOTE = (
    "Each cell: with the rule, without it, and beneath the difference with its 95 % interval. Both sides are judged by "
    "the same held-out likes and maps, and all other rules hold on both. Credited recall counts each hit by its "
    "item's popularity. For a dial the rule is the end of its range."
)
LEFT_OUT_NOTE = (
    "These rows may not be used, for a comparison neither: such a rule has no price. Users are those of whom no row is "
    "left."
)


def render_rules(found: pd.DataFrame, k: int) -> Html:
    """Return a table of rules by run, and one of the rows and users that rules took out.

    `found` is the table of `recsys.experiments.rule_costs`.
    """
    priced, counted = found[found["run"] != ""], found[found["run"] == ""]
    parts = [_render_costs(priced, k)] if len(priced) else []
    return join_html(*parts, *([_render_left_out(counted)] if len(counted) else []))


def _render_costs(rows: pd.DataFrame, k: int) -> Html:
    heads = ["rule", "run", *(f"{title}@{k}" for title in COSTS.values()), "further measures"]
    body = []
    for (rule, run), one in rows.groupby(["rule", "run"], sort=False):
        cells = {str(row["measure"]): row for row in one.to_dict("records")}
        costs = [make_element("td", *_describe(cells.get(name)), class_="n") for name in COSTS]
        others = [_render_measure(name, row) for name, row in cells.items() if name not in COSTS]
        named = (make_element("th", str(rule), scope="row"), make_element("td", str(run)))
        body.append(make_element("tr", *named, *costs, make_element("td", *others)))
    return join_html(make_element("p", RULES_NOTE, class_="note"), _render_table(heads, body))


def _render_measure(name: str, row: Mapping[Any, Any]) -> Html:
    return make_element("div", f"{name}: ", *_describe(row))


def _describe(row: Mapping[Any, Any] | None) -> tuple[str | Html, ...]:
    """Return both values of a row, and their difference."""
    if row is None or pd.isna(row["with_rule"]):
        return (MISSING,)
    numbers = {name: None if pd.isna(row[name]) else row[name] for name in ("difference", "low", "high")}
    shown = format_number(numbers["difference"], signed=True)
    limits = format_interval(numbers["low"], numbers["high"], signed=True)
    sides = f"{format_number(row['with_rule'])}, without {format_number(row['without'])}"
    return sides, make_element("small", f"{shown} ({limits})" if limits else shown)


def _render_left_out(rows: pd.DataFrame) -> Html:
    body = []
    for rule, one in rows.groupby("rule", sort=False):
        cells = {str(row["measure"]): row for row in one.to_dict("records")}
        taken = [
            f"{-int(cells[name]['difference']):,} of {int(cells[name]['without']):,}" for name in ("rows", "users")
        ]
        body.append(
            make_element(
                "tr",
                make_element("th", str(rule), scope="row"),
                *(make_element("td", text, class_="n") for text in taken),
            )
        )
    table = _render_table(["rule", "rows taken out", "users taken out"], body)
    return join_html(make_element("p", LEFT_OUT_NOTE, class_="note"), table)


def _render_table(heads: list[str], body: list[Html]) -> Html:
    head = make_element("tr", *(make_element("th", name, scope="col") for name in heads))
    table = make_element("table", make_element("thead", head), make_element("tbody", *body), class_="plain")
    return make_element("div", table, class_="scroll", tabindex="0")
