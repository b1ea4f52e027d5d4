"""The difference from the base in each segment of users, for the runs that the page is short about."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from recsys.html import Html, element, join
from recsys.reports.caveats import marked
from recsys.reports.formats import MISSING, interval, interval_percent, number, percent

RULE = (
    "Change in per cent of the base's value in that segment, and limits of the change beneath, which hold for all "
    "segments of a run together with 95 %; plain numbers where that value is 0. Training data alone tells segments: "
    "quarters of users by number of positives, by their mean popularity, and by how varied they are."
)


def segments(found: pd.DataFrame) -> Html:
    """Return a table per metric: a row per run, a column per part of a segment."""
    parts = [
        _table(str(name), rows)
        for name, rows in found.groupby(found["metric"] + "@" + found["k"].astype(str), sort=False)
    ]
    return join(element("p", RULE, class_="note"), *parts)


def _table(metric: str, rows: pd.DataFrame) -> Html:
    columns = list(dict.fromkeys(zip(rows["segment"], rows["part"], strict=True)))
    names = list(dict.fromkeys(segment for segment, _ in columns))
    groups = [
        element("th", name, colspan=sum(segment == name for segment, _ in columns), scope="colgroup") for name in names
    ]
    users = {(row["segment"], row["part"]): int(row["n_users"]) for row in rows.to_dict("records")}
    heads = [
        element("th", part.removesuffix(" quarter"), element("small", f"{users[segment, part]:,} users"), class_="n")
        for segment, part in columns
    ]
    head = element("thead", element("tr", element("th", "run", rowspan=2, scope="col"), *groups), element("tr", *heads))
    by_run = {
        str(run): {(row["segment"], row["part"]): row for row in one.to_dict("records")}
        for run, one in rows.groupby("run", sort=False)
    }
    body = [
        element("tr", element("th", run, scope="row"), *(_cell(cells.get(column)) for column in columns))
        for run, cells in by_run.items()
    ]
    table = element("table", head, element("tbody", *body), class_="differences segments")
    return join(element("h3", marked(metric, metric)), element("div", table, class_="scroll", tabindex="0"))


def _cell(row: Mapping[Hashable, Any] | None) -> Html:
    if row is None:
        return element("td", MISSING, class_="n")
    change, low, high = (
        None if pd.isna(row[name]) else row[name] for name in ("difference", "joint_low", "joint_high")
    )
    base = row["base"]
    if not base > 0:
        return element(
            "td", number(change, signed=True), element("small", interval(low, high, signed=True)), class_="n"
        )
    limits = interval_percent(*(None if end is None else end / base for end in (low, high)))
    shown = MISSING if change is None else percent(change / base)
    return element("td", shown, element("small", limits.removesuffix(" %")), class_="n")
