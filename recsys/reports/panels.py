"""One panel per family: each metric as dots and intervals, a row per series, the base as a rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.reports.caveats import EXPOSURE, counted, marked, of_discovery, of_shares
from recsys.reports.encodings import PARAMETERS, POINTED, Spec, along, form, hue, shown, sizes
from recsys.reports.formats import BETTER, arrow, number
from recsys.reports.scales import Domain, domain_of, ends
from recsys.reports.sheets import Series, Sheet
from recsys.reports.tips import tip

WIDTH, COLUMNS = 212, 3
ROW, DOT = 15.0, 6.0  # pixels: of a series with one run, of each further weight

Rows = list[dict[str, Any]]


def panel(sheet: Sheet, family: str, metrics: Sequence[str], config: Mapping[str, Any]) -> Spec:
    """Return the charts of a family's metrics, side by side, with the same rows."""
    note = [EXPOSURE] if any(of_discovery(metric) for metric in metrics) else []
    ways = sorted(
        {int(way) for metric in metrics if (way := sheet.first(metric, "direction")) is not None}, reverse=True
    )
    key = ", ".join(f"{arrow(way)} {BETTER[way]}" for way in ways)
    lines = [
        *([f"{key}."] if key else []),
        f"95 % intervals of the difference from {sheet.base} (dashed), paired by user; band: that of its value.",
        *note,
    ]
    domains = {metric: _domain(sheet, metric) for metric in metrics}
    rows = {metric: _rows(sheet, metric, domains[metric]) for metric in metrics}
    charts = [
        _dots(sheet, metric, domains[metric], i % COLUMNS == 0) if rows[metric] else _undefined(sheet, metric)
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
        "datasets": rows | {f"{metric} rules": _rules(sheet, metric) for metric in metrics} | {"one": [{}]},
        "config": config,
    }


def _domain(sheet: Sheet, metric: str) -> Domain:
    held_out = sheet.first(metric, "held_out") if of_shares(metric) else None
    return domain_of(sheet, metric, () if held_out is None else (held_out,))


def _rows(sheet: Sheet, metric: str, domain: Domain) -> Rows:
    return [
        _row(sheet, series, i, metric, domain)
        for series in sheet.series
        for i, run in enumerate(series.runs)
        if sheet.number(run, metric, "value") is not None
    ]


def _row(sheet: Sheet, series: Series, i: int, metric: str, domain: Domain) -> dict[str, Any]:
    run = series.runs[i]
    value = sheet.number(run, metric, "value") or 0.0
    low, high = ends(sheet, run, metric, value)
    off = domain.side(value)
    last = i == len(series.runs) - 1
    lines = tip(sheet, series, run, [metric])
    return {
        "series": series.name, "run": run, "place": (i - (len(series.runs) - 1) / 2) * DOT, "at": domain.clamp(value),
        "size": 0.45 * sizes(series)[i], "low": low, "high": high, "off": off,
        "text": number(value) if off and last else "", "tip": lines, "said": f"{run}: {lines[f'{metric}@{sheet.k}']}",
    }  # fmt: skip


def _rules(sheet: Sheet, metric: str) -> Rows:
    rules: Rows = []
    value, held_out = sheet.number(sheet.base, metric, "value"), sheet.first(metric, "held_out")
    if value is not None:
        low, high = ends(sheet, sheet.base, metric, value)
        rules.append({"rule": "base", "at": value, "low": low, "high": high})
    if of_shares(metric) and held_out is not None:
        said = {"title": "the same share in the held-out data", "value": number(held_out)}
        rules.append({"rule": "held out", "at": held_out, "tip": said, "said": " ".join(said.values())})
    return rules


def _dots(sheet: Sheet, metric: str, domain: Domain, labels: bool) -> Spec:
    axis = {"title": None, "tickCount": 4}
    x, span = along("at", domain, axis), {"x": along("low", domain, axis), "x2": {"field": "high"}}
    size = {"field": "size", "type": "quantitative", "scale": None}
    aside = {"dx": {"expr": "-8 * datum.off"}, "align": {"expr": "datum.off < 0 ? 'left' : 'right'"}}
    series = {"color": hue(sheet, False), "opacity": shown(0.15), **_places(sheet, labels)}
    point = {"type": "point", "filled": True, "strokeWidth": 0, **POINTED}
    layers = [
        _rule(metric, "base", {"type": "rect", "style": "base-band", "clip": True}, span),
        _rule(metric, "base", {"type": "rule", "style": "base-rule"}, {"x": x}),
        _rule(metric, "held out", {"type": "rule", "style": "held-out", **POINTED}, {"x": x}),
        _layer("datum.off === 0", {"type": "rule", "clip": True, "strokeWidth": 1.4}, series | span),
        _layer("true", point, series | {"x": x, "shape": form(sheet, False), "size": size}),
        _layer(
            "datum.text !== ''", {"type": "text", "fontSize": 10, **aside}, series | {"x": x, "text": {"field": "text"}}
        ),
    ]
    return _framed(sheet, metric, {"data": {"name": metric}, "height": _height(sheet), "layer": layers})


def _layer(test: str, mark: Spec, encoding: Spec) -> Spec:
    return {"transform": [{"filter": test}], "mark": mark, "encoding": encoding}


def _rule(metric: str, name: str, mark: Spec, encoding: Spec) -> Spec:
    return {"data": {"name": f"{metric} rules"}, **_layer(f"datum.rule === '{name}'", mark, encoding)}


def _places(sheet: Sheet, labels: bool) -> Spec:
    """Return the row of a series, and within it the place of a weight."""
    axis = {"title": None, "labelLimit": 130, "labelPadding": 12, "grid": True, "tickBand": "extent"} | (
        {} if labels else {"labelExpr": "''"}
    )
    names = {"domain": [series.name for series in sheet.series], "padding": 0}
    half = _height(sheet) / len(sheet.series) / 2
    inner = {"domain": [-half, half], "nice": False, "zero": False}
    return {
        "y": {"field": "series", "type": "nominal", "scale": names, "axis": axis},
        "yOffset": {"field": "place", "type": "quantitative", "scale": inner},
    }


def _height(sheet: Sheet) -> int:
    most = max(len(series.runs) for series in sheet.series)
    return round(len(sheet.series) * (ROW + DOT * (most - 1)))


def _framed(sheet: Sheet, metric: str, spec: Spec) -> Spec:
    text = f"{marked(metric, f'{metric}@{sheet.k}')} {arrow(sheet.first(metric, 'direction'))}".strip()
    return {"title": {"text": text, "subtitle": counted(sheet, metric)}, "width": WIDTH, **spec}


def _undefined(sheet: Sheet, metric: str) -> Spec:
    note = {"type": "text", "style": "empty", "text": "not defined on this data"}
    return _framed(sheet, metric, {"data": {"name": "one"}, "height": 60, "mark": note})
