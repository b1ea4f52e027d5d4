"""The difference from the base in each segment of users, for the runs that the page is short about."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from recsys.html import Html, join_html, make_element
from recsys.reports.caveats import add_dagger
from recsys.reports.formats import MISSING, format_interval, format_number, format_percent, format_percent_interval

SEGMENTS_NOTE = (
    "Change in per cent of the base's value in that segment, and limits of the change beneath, which hold for all "
    "segments of a run together with 95 %; plain numbers where that value is 0. Training data alone tells segments: "
    "quarters of users by number of positives, by their mean popularity, and by how varied they are."
)


def render_segments(found: pd.DataFrame) -> Html:
    """Return a table per metric: a row per run, a column per part of a segment."""
    parts = [
        _render_metric_table(str(name), rows)
        for name, rows in found.groupby(found["metric"] + "@" + found["k"].astype(str), sort=False)
    ]
    return join_html(make_element("p", SEGMENTS_NOTE, class_="note"), *parts)


def _render_metric_table(metric: str, rows: pd.DataFrame) -> Html:
    columns = list(dict.fromkeys(zip(rows["segment"], rows["part"], strict=True)))
    names = list(dict.fromkeys(segment for segment, _ in columns))
    groups = [
        make_element("th", name, colspan=sum(segment == name for segment, _ in columns), scope="colgroup")
        for name in names
    ]
    users = {(row["segment"], row["part"]): int(row["n_users"]) for row in rows.to_dict("records")}
    heads = [
        make_element(
            "th", part.removesuffix(" quarter"), make_element("small", f"{users[segment, part]:,} users"), class_="n"
        )
        for segment, part in columns
    ]
    head = make_element(
        "thead",
        make_element("tr", make_element("th", "run", rowspan=2, scope="col"), *groups),
        make_element("tr", *heads),
    )
    by_run = {
        str(run): {(row["segment"], row["part"]): row for row in one.to_dict("records")}
        for run, one in rows.groupby("run", sort=False)
    }
    body = [
        make_element(
            "tr", make_element("th", run, scope="row"), *(_render_cell(cells.get(column)) for column in columns)
        )
        for run, cells in by_run.items()
    ]
    table = make_element("table", head, make_element("tbody", *body), class_="differences segments")
    return join_html(
        make_element("h3", add_dagger(metric, metric)), make_element("div", table, class_="scroll", tabindex="0")
    )


def _render_cell(row: Mapping[Hashable, Any] | None) -> Html:
    if row is None:
        return make_element("td", MISSING, class_="n")
    change, low, high = (
        None if pd.isna(row[name]) else row[name] for name in ("difference", "joint_low", "joint_high")
    )
    base = row["base"]
    if not base > 0:
        return make_element(
            "td",
            format_number(change, signed=True),
            make_element("small", format_interval(low, high, signed=True)),
            class_="n",
        )
    limits = format_percent_interval(*(None if end is None else end / base for end in (low, high)))
    shown = MISSING if change is None else format_percent(change / base)
    return make_element("td", shown, make_element("small", limits.removesuffix(" %")), class_="n")
