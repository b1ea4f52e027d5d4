"""A description, drawn for a terminal: tables and small pictures made of characters."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsys.data.profile import CountSummary, Description, Histogram, TimeSummary
from recsys.types.notebooks import format_day

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

BLOCK_LEVELS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII_LEVELS = " .:-=+*#@"  # where the terminal knows no block characters
MAX_FEATURES = 20


def print_description(description: Description, console: "Console") -> None:
    """Print a description: counts, pictures of how they are spread, features, notes."""
    levels = BLOCK_LEVELS if console.encoding.lower().startswith("utf") else ASCII_LEVELS
    for part in (
        _make_numbers_table(description),
        _make_sparkline_table(description, levels),
        _make_feature_table(description),
    ):
        console.print(part)
    for note in description.notes:
        console.print(f"note: {note}", soft_wrap=True)


def draw_sparkline(values: Sequence[float], levels: str = BLOCK_LEVELS) -> str:
    """Return one character per value, its height the value's share of the largest; only 0 is empty.

    >>> draw_sparkline([0, 1, 4, 8])
    ' \u2581\u2584\u2588'
    """
    top, steps = max(values, default=0.0), len(levels) - 1
    if top <= 0:
        return levels[0] * len(values)
    return "".join(levels[math.ceil(max(value, 0.0) / top * steps)] for value in values)


def _make_table(title: str, *columns: str, right: bool = False) -> "Table":
    from rich import box
    from rich.table import Table

    style = box.SIMPLE_HEAD if any(columns) else None
    table = Table(title=title, title_justify="left", box=style, show_header=any(columns), pad_edge=False)
    for n, column in enumerate(columns):
        table.add_column(column, justify="right" if n and right else "left", no_wrap=n == 1 and not right)
    return table


def _make_numbers_table(d: Description) -> "RenderableType":
    from rich.text import Text

    table = _make_table(f"{d.name}  (fingerprint {d.fingerprint[:12]})", "", "")
    for label, value in (*_format_numbers(d), *_format_columns(d)):
        table.add_row(label, Text(value))
    return table


def _format_columns(d: Description) -> list[tuple[str, str]]:
    said = {"columns": d.columns, "columns of the items": d.item_columns}
    lines = [(label, "\n".join(f"{field} = {name}" for field, name in pairs)) for label, pairs in said.items() if pairs]
    return [*lines, *([("written as", d.dialect)] if d.dialect else [])]


def _format_numbers(d: Description) -> list[tuple[str, str]]:
    return [
        ("users", f"{d.users:,}"),
        ("items", f"{d.items:,}"),
        ("interactions", f"{d.rows:,}"),
        ("density", f"{d.density:.3%}"),
        ("pairs that repeat", f"{d.repeated_pairs:,} of {d.pairs:,} ({d.repeated_pairs / d.pairs:.1%})"),
        ("Gini of popularity", f"{d.gini:.3f}"),
        ("interactions per user", _format_count_summary(d.per_user)),
        ("interactions per item", _format_count_summary(d.per_item)),
        ("users with one interaction", f"{d.single_row_users:.1%}"),
        *([("time", "none")] if d.times is None else _format_times(d.times)),
        ("items without features", f"{d.items_without_features:,} ({d.items_without_features / d.items:.1%})"),
        ("items untitled, undated", f"{d.items_without_title:,}, {d.items_without_year:,}"),
    ]


def _format_times(times: TimeSummary) -> list[tuple[str, str]]:
    days = (times.last - times.first) / 86400
    return [
        ("time", f"{_format_day(times.first)} to {_format_day(times.last)} ({days:,.0f} days)"),
        ("users tied at their last time", f"{times.tied_users:.1%}"),
        ("rows tied within their user", f"{times.tied_rows:.1%}"),
    ]


def _format_count_summary(s: CountSummary) -> str:
    return f"min {s.minimum:,}, median {s.median:,.0f}, mean {s.mean:,.1f}, 90 % {s.p90:,.0f}, max {s.maximum:,}"


def _make_sparkline_table(d: Description, levels: str) -> "RenderableType":
    table = _make_table("", "", "", "")
    tenth = d.popularity_curve[len(d.popularity_curve) // 10 - 1]
    table.add_row("popularity", draw_sparkline(d.popularity_curve, levels), f"a tenth of the items: {tenth:.0%}")
    table.add_row("users by rows", *_draw_histogram(d.rows_per_user, levels))
    if d.times is not None:
        span = f"{_format_day(d.times.first)} to {_format_day(d.times.last)}"
        table.add_row("rows over time", draw_sparkline(d.times.rows.counts, levels), span)
    table.add_row("weights", *_draw_weights(d.weights, levels))
    return table


def _draw_weights(weights: Histogram | tuple[tuple[float, int], ...], levels: str) -> tuple[str, str]:
    if isinstance(weights, Histogram):
        return _draw_histogram(weights, levels)
    total = sum(rows for _, rows in weights)
    shares = ", ".join(f"{value:g}: {rows / total:.0%}" for value, rows in weights)
    return draw_sparkline([rows for _, rows in weights], levels), shares


def _draw_histogram(histogram: Histogram, levels: str) -> tuple[str, str]:
    span = f"{histogram.edges[0]:,g} to {histogram.edges[-1]:,g}"
    return draw_sparkline(histogram.counts, levels), span + (", logarithmic" if histogram.logarithmic else "")


def _make_feature_table(d: Description) -> "RenderableType":
    from rich.text import Text

    if not d.features:
        return Text("no features of items")
    shown = d.features[:MAX_FEATURES]
    rest = f", the first {MAX_FEATURES} of {len(d.features)}" if len(d.features) > MAX_FEATURES else ""
    table = _make_table(f"features of items{rest}", "feature", "items", "share of interactions", right=True)
    for feature in shown:
        table.add_row(feature.name, f"{feature.items:,}", f"{feature.row_share:.1%}")
    return table


def _format_day(seconds: int) -> str:
    return format_day(seconds) or f"{seconds:,} s"
