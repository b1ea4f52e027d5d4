"""The terminal's tables: the headline of a benchmark, one row per run."""

import math
from typing import TYPE_CHECKING

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
    values = summary[summary.k == k].set_index(["run", "metric"])
    changes = differences[differences.k == k].set_index(["run", "metric"])
    for run in dict.fromkeys(summary.run):
        cells = [_number(values.value.get((run, m))) for m in PLAIN if m in here]
        cells += [_change(changes, run, m) for m in RELATIVE if m in here]
        seconds = summary.seconds[summary.run == run].iloc[0]
        table.add_row(run, *cells, f"{seconds:.2f}", style="bold" if run == base else None)
    return table


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def _change(changes: "pd.DataFrame", run: str, metric: str) -> str:
    if (run, metric) not in changes.index:
        return ""
    row = changes.loc[(run, metric)]
    if math.isnan(row.relative):
        return ""
    low, high = 100 * row.relative_low, 100 * row.relative_high
    return f"{100 * row.relative:+.1f} [{low:+.1f}, {high:+.1f}]"
