"""The terminal's tables: the headline of a benchmark, one row per run."""

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

RELATIVE = ("ndcg", "discovery", "self_information", "coverage")  # shown as % of the base, with intervals
PLAIN = ("ndcg", "untouched_share")


def headline(summary: "pd.DataFrame", differences: "pd.DataFrame", base: str, k: int) -> Table:
    """Return one row per run: values, and differences against the base in % with 95 % intervals."""
    table = Table(title=f"Against {base}, at k = {k}, with 95 % intervals", title_justify="left")
    here = set(summary.metric)
    table.add_column("run", no_wrap=True)
    for metric in PLAIN:
        if metric in here:
            table.add_column(f"{metric}@{k}", justify="right", no_wrap=True)
    for metric in RELATIVE:
        if metric in here:
            table.add_column(f"{metric} %", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    values = {(row["run"], row["metric"]): row for row in summary[summary.k == k].to_dict("records")}
    changes = {(row["run"], row["metric"]): row for row in differences[differences.k == k].to_dict("records")}
    for run in dict.fromkeys(summary.run):
        cells = [_number(values.get((run, m), {}).get("value")) for m in PLAIN if m in here]
        cells += [_change(changes.get((run, m))) for m in RELATIVE if m in here]
        seconds = values[run, summary.metric.iloc[0]]["seconds"]
        table.add_row(run, *cells, _number(seconds, 2), style="bold" if run == base else None)
    return table


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _change(row: Mapping[Hashable, Any] | None) -> str:
    if row is None or math.isnan(row["relative"]):
        return ""
    change, low, high = (100 * row[name] for name in ("relative", "relative_low", "relative_high"))
    return f"{change:+.1f} [{low:+.1f}, {high:+.1f}]"
