"""The terminal's tables: the headline of a benchmark, one row per run."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from recsys.cli import options
from recsys.metrics import STANDARD

if TYPE_CHECKING:
    import pandas as pd

    from recsys.experiments import Bench

# What a row says, in the order of importance, with the width that it takes: a narrow terminal shows the first ones.
HEADLINE_COLUMNS = (
    ("value", "ndcg", 9), ("change", "ndcg", 24), ("change", "stratified_recall", 24), ("change", "discovery", 26),
    ("change", "self_information", 23), ("seconds", "", 10), ("change", "coverage", 26),
    ("value", "unexplored_share", 21),
)  # fmt: skip
PART_COLUMNS = (
    ("change", "discovery_head", 26), ("change", "discovery_middle", 26), ("change", "discovery_tail", 26),
    ("change", "stratified_discovery", 26),
)  # fmt: skip


def print_bench(done: "Bench") -> None:
    """Print the headline, the notes, and where the files are."""
    config, screen = done.preparation.config, options.make_console()
    shown = (done.summary, done.differences, config.base_name, config.headline_k, screen.width)
    for table in (make_headline_table(*shown), make_discovery_table(*shown)):
        if table is not None:
            screen.print(table)
    for note in done.notes:
        options.print_line(f"note: {note}")
    options.print_line(f"report: {done.folder / 'report.html'}")
    options.print_line(f"tables: {done.folder}")


def make_headline_table(
    summary: "pd.DataFrame", differences: "pd.DataFrame", base: str, k: int, width: int = 160
) -> Table:
    """Return one row per run: values, and differences against the base in % with 95 % intervals, `width` columns.

    After the headline's metrics come those that the config asks for beside the standard ones.
    """
    title, columns = (
        f"Against {base}, at k = {k}, with 95 % intervals",
        (*HEADLINE_COLUMNS, *_list_asked_columns(summary, k)),
    )
    return _make_table(title, columns, summary, differences, base, k, width)


def make_discovery_table(
    summary: "pd.DataFrame", differences: "pd.DataFrame", base: str, k: int, width: int = 160
) -> Table | None:
    """Return one row per run: changes of discovery by thirds of popularity, and credited; None where none was measured.

    The row of the base has its values, and the hits behind them, the mean over maps. Widths are those of
    `make_headline_table`.
    """
    if not {metric for _, metric, _ in PART_COLUMNS} & {*summary.metric}:
        return None
    title = "Discovery by thirds of popularity (training interactions), and with a credit of popularity^-g for each hit"
    return _make_table(title, PART_COLUMNS, summary, differences, base, k, width, base_values=True)


def _make_table(
    title: str,
    columns: Sequence[tuple[str, str, int]],
    summary: "pd.DataFrame",
    differences: "pd.DataFrame",
    base: str,
    k: int,
    width: int,
    base_values: bool = False,
) -> Table:
    table = Table(title=title, title_justify="left")
    here, runs = {*summary.metric, ""}, list(dict.fromkeys(summary.run))
    left, shown = width - max(map(len, runs)) - 4, []
    for kind, metric, wide in columns:
        if metric in here and wide + 3 <= left:
            shown.append((kind, metric))
            left -= wide
    titles = {"value": "{}@" + str(k), "change": "{} %", "seconds": "seconds"}
    table.add_column("run", no_wrap=True)
    for kind, metric in shown:
        table.add_column(titles[kind].format(_shorten_name(metric)), justify="right", no_wrap=True)
    values = {(row["run"], row["metric"]): row for row in summary[summary.k == k].to_dict("records")}
    changes = {(row["run"], row["metric"]): row for row in differences[differences.k == k].to_dict("records")}
    seconds = dict(zip(summary.run, summary.seconds, strict=True))
    for run in runs:
        cells = {
            "value": lambda metric, run=run: _format_number(values.get((run, metric), {}).get("value")),
            "change": lambda metric, run=run: (
                _format_value(values.get((run, metric)))
                if base_values and run == base
                else _format_change(changes.get((run, metric)))
            ),
            "seconds": lambda metric, run=run: _format_number(seconds[run], 2),
        }
        row = [cells[kind](metric) for kind, metric in shown]
        table.add_row(run, *row, style="bold" if run == base else None)
    return table


def _list_asked_columns(summary: "pd.DataFrame", k: int) -> list[tuple[str, str, int]]:
    """Return columns of the metrics that the headline has none for, except the standard ones where all are there."""
    there = dict.fromkeys(summary.metric[summary.k == k])
    known = {metric for _, metric, _ in (*HEADLINE_COLUMNS, *PART_COLUMNS)}
    if there.keys() >= set(STANDARD):
        known |= set(STANDARD)
    return [
        ("value", name, max(len(_shorten_name(name)) + len(str(k)) + 1, 7) + 3) for name in there if name not in known
    ]


def _shorten_name(metric: str) -> str:
    """Return the name of a metric without the module of one of somebody's own."""
    return metric.rpartition(":")[2]


def _format_number(value: float | None, digits: int = 4) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _format_value(row: Mapping[Hashable, Any] | None) -> str:
    if row is None or math.isnan(row["value"]):
        return ""
    return f"{row['value']:.4f}" + ("" if math.isnan(row["hits"]) else f" ({row['hits']:.1f} hits)")


def _format_change(row: Mapping[Hashable, Any] | None) -> str:
    if row is None or math.isnan(row["relative"]) or math.isnan(row["relative_low"]):
        return ""
    change, low, high = (100 * row[name] for name in ("relative", "relative_low", "relative_high"))
    return f"{change:+.1f} [{low:+.1f}, {high:+.1f}]"
