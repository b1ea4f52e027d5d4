"""One panel per family: each metric as dots and intervals, a row per series, the base as a rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.reports.caveats import EXPOSURE_CAVEAT, add_dagger, describe_counts, is_discovery, is_unexplored_share
from recsys.reports.encodings import (
    PARAMETERS,
    TOOLTIP,
    Spec,
    compute_mark_areas,
    encode_opacity,
    encode_position,
    encode_series_colour,
    encode_series_mark,
)
from recsys.reports.formats import BETTER, format_direction, format_number
from recsys.reports.scales import Domain, choose_metric_domain, compute_interval_ends
from recsys.reports.tooltips import build_tooltip
from recsys.reports.view import ReportView, Series

WIDTH, COLUMNS = 212, 3
ROW_HEIGHT, DOT_HEIGHT = 15.0, 6.0  # pixels: of a series with one run, of each further weight

Rows = list[dict[str, Any]]


def draw_family_panel(view: ReportView, family: str, metrics: Sequence[str], config: Mapping[str, Any]) -> Spec:
    """Return the charts of a family's metrics, side by side, with the same rows."""
    note = [EXPOSURE_CAVEAT] if any(is_discovery(metric) for metric in metrics) else []
    ways = sorted(
        {int(way) for metric in metrics if (way := view.get_first(metric, "direction")) is not None}, reverse=True
    )
    key = ", ".join(f"{format_direction(way)} {BETTER[way]}" for way in ways)
    lines = [
        *([f"{key}."] if key else []),
        f"95 % intervals of the difference from {view.base} (dashed), paired by user; band: that of its value.",
        *note,
    ]
    domains = {metric: _choose_panel_domain(view, metric) for metric in metrics}
    rows = {metric: _build_rows(view, metric, domains[metric]) for metric in metrics}
    charts = [
        _draw_dots(view, metric, domains[metric], i % COLUMNS == 0) if rows[metric] else _draw_undefined(view, metric)
        for i, metric in enumerate(metrics)
    ]
    return {
        "title": {"text": family, "subtitle": lines, "frame": "bounds"},
        "description": family,
        "usermeta": {"notes": lines},
        "padding": 16,
        "params": list(PARAMETERS),
        "columns": COLUMNS,
        "concat": charts,
        "datasets": rows | {f"{metric} rules": _build_rule_rows(view, metric) for metric in metrics} | {"one": [{}]},
        "config": config,
    }


def _choose_panel_domain(view: ReportView, metric: str) -> Domain:
    held_out = view.get_first(metric, "held_out") if is_unexplored_share(metric) else None
    return choose_metric_domain(view, metric, () if held_out is None else (held_out,))


def _build_rows(view: ReportView, metric: str, domain: Domain) -> Rows:
    return [
        _build_row(view, series, i, metric, domain)
        for series in view.series
        for i, run in enumerate(series.runs)
        if view.get_number(run, metric, "value") is not None
    ]


def _build_row(view: ReportView, series: Series, i: int, metric: str, domain: Domain) -> dict[str, Any]:
    run = series.runs[i]
    value = view.get_number(run, metric, "value") or 0.0
    low, high = compute_interval_ends(view, run, metric, value)
    off = domain.side(value)
    last = i == len(series.runs) - 1
    lines = build_tooltip(view, series, run, [metric])
    return {
        "series": series.name,
        "run": run,
        "place": (i - (len(series.runs) - 1) / 2) * DOT_HEIGHT,
        "at": domain.clamp(value),
        "size": 0.45 * compute_mark_areas(series)[i],
        "low": low,
        "high": high,
        "off": off,
        "text": format_number(value) if off and last else "",
        "tip": lines,
        "said": f"{run}: {lines[f'{metric}@{view.k}']}",
    }


def _build_rule_rows(view: ReportView, metric: str) -> Rows:
    rules: Rows = []
    value, held_out = view.get_number(view.base, metric, "value"), view.get_first(metric, "held_out")
    if value is not None:
        low, high = compute_interval_ends(view, view.base, metric, value)
        rules.append({"rule": "base", "at": value, "low": low, "high": high})
    if is_unexplored_share(metric) and held_out is not None:
        said = {"title": "the same share in the held-out data", "value": format_number(held_out)}
        rules.append({"rule": "held out", "at": held_out, "tip": said, "said": " ".join(said.values())})
    return rules


def _draw_dots(view: ReportView, metric: str, domain: Domain, labels: bool) -> Spec:
    axis = {"title": None, "tickCount": 4}
    x, span = encode_position("at", domain, axis), {"x": encode_position("low", domain, axis), "x2": {"field": "high"}}
    size = {"field": "size", "type": "quantitative", "scale": None}
    aside = {"dx": {"expr": "-8 * datum.off"}, "align": {"expr": "datum.off < 0 ? 'left' : 'right'"}}
    series = {"color": encode_series_colour(view, False), "opacity": encode_opacity(0.15), **_encode_rows(view, labels)}
    point = {"type": "point", "filled": True, "strokeWidth": 0, **TOOLTIP}
    layers = [
        _build_rule_layer(metric, "base", {"type": "rect", "style": "base-band", "clip": True}, span),
        _build_rule_layer(metric, "base", {"type": "rule", "style": "base-rule"}, {"x": x}),
        _build_rule_layer(metric, "held out", {"type": "rule", "style": "held-out", **TOOLTIP}, {"x": x}),
        _build_layer("datum.off === 0", {"type": "rule", "clip": True, "strokeWidth": 1.4}, series | span),
        _build_layer("true", point, series | {"x": x, "shape": encode_series_mark(view, False), "size": size}),
        _build_layer(
            "datum.text !== ''", {"type": "text", "fontSize": 10, **aside}, series | {"x": x, "text": {"field": "text"}}
        ),
    ]
    return _frame_chart(view, metric, {"data": {"name": metric}, "height": _compute_height(view), "layer": layers})


def _build_layer(test: str, mark: Spec, encoding: Spec) -> Spec:
    return {"transform": [{"filter": test}], "mark": mark, "encoding": encoding}


def _build_rule_layer(metric: str, name: str, mark: Spec, encoding: Spec) -> Spec:
    return {"data": {"name": f"{metric} rules"}, **_build_layer(f"datum.rule === '{name}'", mark, encoding)}


def _encode_rows(view: ReportView, labels: bool) -> Spec:
    """Return the row of a series, and within it the place of a weight."""
    axis = {"title": None, "labelLimit": 130, "labelPadding": 12, "grid": True, "tickBand": "extent"} | (
        {} if labels else {"labelExpr": "''"}
    )
    names = {"domain": [series.name for series in view.series], "padding": 0}
    half = _compute_height(view) / len(view.series) / 2
    inner = {"domain": [-half, half], "nice": False, "zero": False}
    return {
        "y": {"field": "series", "type": "nominal", "scale": names, "axis": axis},
        "yOffset": {"field": "place", "type": "quantitative", "scale": inner},
    }


def _compute_height(view: ReportView) -> int:
    most = max(len(series.runs) for series in view.series)
    return round(len(view.series) * (ROW_HEIGHT + DOT_HEIGHT * (most - 1)))


def _frame_chart(view: ReportView, metric: str, spec: Spec) -> Spec:
    text = f"{add_dagger(metric, f'{metric}@{view.k}')} {format_direction(view.get_first(metric, 'direction'))}".strip()
    return {"title": {"text": text, "subtitle": describe_counts(view, metric)}, "width": WIDTH, **spec}


def _draw_undefined(view: ReportView, metric: str) -> Spec:
    note = {"type": "text", "style": "empty", "text": "not defined on this data"}
    return _frame_chart(view, metric, {"data": {"name": "one"}, "height": 60, "mark": note})
