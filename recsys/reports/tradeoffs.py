"""Trade-off charts: one metric against another, a line per blend."""

from collections.abc import Mapping
from math import ceil
from textwrap import wrap
from typing import Any

from recsys.reports.caveats import add_dagger, explain_discovery_counts, is_discovery
from recsys.reports.encodings import (
    ACTIVE,
    CHOSEN,
    PARAMETERS,
    TOOLTIP,
    Spec,
    encode_opacity,
    encode_position,
    encode_series_colour,
    encode_series_mark,
)
from recsys.reports.marks import EDGE_ARROWS, Axes, build_mark_rows, has_both_values
from recsys.reports.scales import choose_metric_domain
from recsys.reports.view import ReportView
from recsys.types.notebooks import format_count

WIDTH, HEIGHT = 900, 575  # pixels, without the legend
LEGEND_COLUMNS, LEGEND_ROW_HEIGHT = 5, 22  # of the legend: in a row, and the height of a row
MIN_NAMED_WIDTH = 640  # pixels of the frame below which the names are left to the legend


def can_draw_tradeoff(view: ReportView, x: str, y: str) -> bool:
    """Return whether some run has a value of both metrics."""
    return any(has_both_values(view, run, x, y) for run in view.runs)


def draw_tradeoff(view: ReportView, x: str, y: str, title: str, config: Mapping[str, Any]) -> Spec:
    """Return a chart of metric `y` against `x` with 95 % intervals of the differences from the base on both.

    The base is the crossing of two rules. Runs far off either axis stand at its end with an arrow and
    their value.
    """
    axes: Axes = {"x": (x, choose_metric_domain(view, x)), "y": (y, choose_metric_domain(view, y))}
    at = {channel: _encode_axis(view, channel, axes) for channel in axes}
    notes = _build_notes(view, x, y)
    layers = [
        _draw_base_rule(at, "x"),
        _draw_base_rule(at, "y"),
        _draw_intervals(view, at, "x"),
        _draw_intervals(view, at, "y"),
        _draw_blend_lines(view, at),
        _draw_points(view, at),
        _draw_names(at, "halo", {}),
        _draw_names(at, "name", {"color": encode_series_colour(view, True)}),
    ]
    return {
        "title": {"text": title, "subtitle": [part for note in notes for part in wrap(note, 145)], "frame": "bounds"},
        "description": title,
        "usermeta": {"notes": notes},
        "width": WIDTH,
        "height": HEIGHT + LEGEND_ROW_HEIGHT * ceil(len(view.series) / LEGEND_COLUMNS),
        "padding": 16,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": list(PARAMETERS),
        "data": {"name": "runs"},
        "layer": layers,
        "datasets": {"runs": build_mark_rows(view, axes)},
        "config": config,
    }


def _encode_axis(view: ReportView, channel: str, axes: Axes) -> Spec:
    metric, domain = axes[channel]
    base, direction = view.get_number(view.base, metric, "value"), view.get_first(metric, "direction")
    labels = "datum.label"
    if base and base > 0:
        digits = 0 if domain.high - domain.low > 0.25 * base else 1
        labels = f"[datum.label, format(100 * datum.value / {base} - 100, '+.{digits}f') + ' %']"
    title = add_dagger(metric, f"{metric}@{view.k}")
    title += f" ({EDGE_ARROWS[channel, int(direction)]} better)" if direction else ""
    return encode_position(
        f"{channel}_at", domain, {"title": title, "labelExpr": labels, "tickCount": 6, "labelPadding": 11}
    )


def _draw_base_rule(positions: Mapping[str, Spec], channel: str) -> Spec:
    mark = {"type": "rule", "style": "base-rule", "clip": True}
    return {"transform": [{"filter": "datum.base"}], "mark": mark, "encoding": {channel: positions[channel]}}


def _draw_intervals(view: ReportView, positions: Mapping[str, Spec], channel: str) -> Spec:
    across = "y" if channel == "x" else "x"
    levels = [{"test": CHOSEN, "value": 0.95}, {"test": ACTIVE, "value": 0.28}]
    encoding = {
        channel: positions[channel] | {"field": f"{channel}_low"},
        f"{channel}2": {"field": f"{channel}_high"},
        across: positions[across],
        "color": encode_series_colour(view, True),
        "opacity": {"condition": levels, "value": 0.05},
    }
    mark = {"type": "rule", "clip": True, "strokeWidth": 1.2}
    return {"transform": [{"filter": "!datum.off && !datum.base"}], "mark": mark, "encoding": encoding}


def _draw_blend_lines(view: ReportView, positions: Mapping[str, Spec]) -> Spec:
    encoding = {
        "x": positions["x"] | {"field": "x"},
        "y": positions["y"] | {"field": "y"},
        "order": {"field": "weight", "type": "quantitative"},
        "detail": {"field": "series", "type": "nominal"},
        "color": encode_series_colour(view, True),
        "opacity": encode_opacity(0.12),
    }
    mark = {"type": "line", "clip": True, "strokeWidth": 1.8}
    return {"transform": [{"filter": "datum.kind === 'blend'"}], "mark": mark, "encoding": encoding}


def _draw_points(view: ReportView, positions: Mapping[str, Spec]) -> Spec:
    size = {"field": "size", "type": "quantitative", "scale": None, "legend": None}
    encoding = {
        **positions,
        "color": encode_series_colour(view, True),
        "shape": encode_series_mark(view, True),
        "size": size,
        "opacity": encode_opacity(0.12),
    }
    return {"mark": {"type": "point", "filled": True, "strokeWidth": 0, **TOOLTIP}, "encoding": encoding}


def _draw_names(positions: Mapping[str, Spec], style: str, encoding: Spec) -> Spec:
    offsets = {side: {"expr": f"datum.{side}"} for side in ("dx", "dy", "align")}
    text = {"field": "text", "type": "nominal"}
    return {
        "transform": [{"filter": "datum.named"}],
        "mark": {"type": "text", "style": style, "baseline": "middle", **offsets},
        "encoding": {
            **positions,
            **encoding,
            "text": text,
            "opacity": encode_opacity(0, f"width >= {MIN_NAMED_WIDTH} && ({ACTIVE})"),
        },
    }


def _build_notes(view: ReportView, x: str, y: str) -> list[str]:
    lines = [f"95 % intervals of the difference from {view.base} (dashed), paired by user."]
    if any(len(series.runs) > 1 for series in view.series):
        lines[:0] = ["One line per blend; a larger mark is a larger weight."]
    lines[0] = f"{describe_evaluation(view)} {lines[0]}".strip()
    lines += [explain_discovery_counts(view, metric) for metric in (x, y) if is_discovery(metric)]
    lost = [run for run in view.runs if not has_both_values(view, run, x, y)]
    lines += [f"Without a value of both: {', '.join(lost)}."] if lost else []
    return lines


def describe_evaluation(view: ReportView) -> str:
    """Return the data, the split and the users in one sentence, as far as the facts tell."""
    data, split = view.facts.get("data"), view.facts.get("split")
    parts = [str(data["name"])] if isinstance(data, Mapping) and "name" in data else []
    parts += [f"{split['kind']} split"] if isinstance(split, Mapping) and "kind" in split else []
    users = max((row["n_users"] for row in view.values.values() if row["n_users"] is not None), default=None)
    parts += [format_count(int(users), "user")] if users is not None else []
    return f"{', '.join(parts)}." if parts else ""
