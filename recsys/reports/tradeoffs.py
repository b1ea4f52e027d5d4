"""What is bought against what it costs: one metric against another, a line per blend."""

from collections.abc import Mapping
from math import ceil
from textwrap import wrap
from typing import Any

from recsys.reports.caveats import behind, marked, of_discovery
from recsys.reports.encodings import ACTIVE, CHOSEN, PARAMETERS, POINTED, Spec, along, form, hue, shown
from recsys.reports.formats import plural
from recsys.reports.points import TOWARDS, Axes, both, points
from recsys.reports.scales import domain_of
from recsys.reports.sheets import Sheet

WIDTH, HEIGHT = 900, 575  # pixels, without the legend
ENTRIES, ENTRY = 5, 22  # of the legend: in a row, and the height of a row
NARROW = 640  # pixels of the frame below which the names are left to the legend


def drawable(sheet: Sheet, x: str, y: str) -> bool:
    """Return whether some run has a value of both metrics."""
    return any(both(sheet, run, x, y) for run in sheet.runs)


def tradeoff(sheet: Sheet, x: str, y: str, title: str, config: Mapping[str, Any]) -> Spec:
    """Return a chart of metric `y` against `x` with 95 % intervals of the differences from the base on both.

    The base is the crossing of two rules. Runs far off either axis stand at its end with an arrow and
    their value.
    """
    axes: Axes = {"x": (x, domain_of(sheet, x)), "y": (y, domain_of(sheet, y))}
    at = {channel: _position(sheet, channel, axes) for channel in axes}
    notes = _notes(sheet, x, y)
    layers = [
        _base_rule(at, "x"), _base_rule(at, "y"), _intervals(sheet, at, "x"), _intervals(sheet, at, "y"),
        _lines(sheet, at), _points(sheet, at), _names(at, "halo", {}), _names(at, "name", {"color": hue(sheet, True)}),
    ]  # fmt: skip
    return {
        "title": {"text": title, "subtitle": [part for note in notes for part in wrap(note, 145)], "frame": "bounds"},
        "description": title,
        "usermeta": {"notes": notes},
        "width": WIDTH,
        "height": HEIGHT + ENTRY * ceil(len(sheet.series) / ENTRIES),
        "padding": 16,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": list(PARAMETERS),
        "data": {"name": "runs"},
        "layer": layers,
        "datasets": {"runs": points(sheet, axes)},
        "config": config,
    }


def _position(sheet: Sheet, channel: str, axes: Axes) -> Spec:
    metric, domain = axes[channel]
    base, direction = sheet.number(sheet.base, metric, "value"), sheet.first(metric, "direction")
    labels = "datum.label"
    if base and base > 0:
        digits = 0 if domain.high - domain.low > 0.25 * base else 1
        labels = f"[datum.label, format(100 * datum.value / {base} - 100, '+.{digits}f') + ' %']"
    title = marked(metric, f"{metric}@{sheet.k}")
    title += f" ({TOWARDS[channel, int(direction)]} better)" if direction else ""
    return along(f"{channel}_at", domain, {"title": title, "labelExpr": labels, "tickCount": 6, "labelPadding": 11})


def _base_rule(at: Mapping[str, Spec], channel: str) -> Spec:
    mark = {"type": "rule", "style": "base-rule", "clip": True}
    return {"transform": [{"filter": "datum.base"}], "mark": mark, "encoding": {channel: at[channel]}}


def _intervals(sheet: Sheet, at: Mapping[str, Spec], channel: str) -> Spec:
    across = "y" if channel == "x" else "x"
    levels = [{"test": CHOSEN, "value": 0.95}, {"test": ACTIVE, "value": 0.28}]
    encoding = {
        channel: at[channel] | {"field": f"{channel}_low"},
        f"{channel}2": {"field": f"{channel}_high"},
        across: at[across],
        "color": hue(sheet, True),
        "opacity": {"condition": levels, "value": 0.05},
    }
    mark = {"type": "rule", "clip": True, "strokeWidth": 1.2}
    return {"transform": [{"filter": "!datum.off && !datum.base"}], "mark": mark, "encoding": encoding}


def _lines(sheet: Sheet, at: Mapping[str, Spec]) -> Spec:
    encoding = {
        "x": at["x"] | {"field": "x"},
        "y": at["y"] | {"field": "y"},
        "order": {"field": "weight", "type": "quantitative"},
        "detail": {"field": "series", "type": "nominal"},
        "color": hue(sheet, True),
        "opacity": shown(0.12),
    }
    mark = {"type": "line", "clip": True, "strokeWidth": 1.8}
    return {"transform": [{"filter": "datum.kind === 'blend'"}], "mark": mark, "encoding": encoding}


def _points(sheet: Sheet, at: Mapping[str, Spec]) -> Spec:
    size = {"field": "size", "type": "quantitative", "scale": None, "legend": None}
    encoding = {**at, "color": hue(sheet, True), "shape": form(sheet, True), "size": size, "opacity": shown(0.12)}
    return {"mark": {"type": "point", "filled": True, "strokeWidth": 0, **POINTED}, "encoding": encoding}


def _names(at: Mapping[str, Spec], style: str, encoding: Spec) -> Spec:
    offsets = {side: {"expr": f"datum.{side}"} for side in ("dx", "dy", "align")}
    text = {"field": "text", "type": "nominal"}
    return {
        "transform": [{"filter": "datum.named"}],
        "mark": {"type": "text", "style": style, "baseline": "middle", **offsets},
        "encoding": {**at, **encoding, "text": text, "opacity": shown(0, f"width >= {NARROW} && ({ACTIVE})")},
    }


def _notes(sheet: Sheet, x: str, y: str) -> list[str]:
    lines = [f"95 % intervals of the difference from {sheet.base} (dashed), paired by user."]
    if any(len(series.runs) > 1 for series in sheet.series):
        lines[:0] = ["One line per blend; a larger mark is a larger weight."]
    lines[0] = f"{about(sheet)} {lines[0]}".strip()
    lines += [behind(sheet, metric) for metric in (x, y) if of_discovery(metric)]
    lost = [run for run in sheet.runs if not both(sheet, run, x, y)]
    lines += [f"Without a value of both: {', '.join(lost)}."] if lost else []
    return lines


def about(sheet: Sheet) -> str:
    """Return the data, the split and the users in one sentence, as far as the facts tell."""
    data, split = sheet.facts.get("data"), sheet.facts.get("split")
    parts = [str(data["name"])] if isinstance(data, Mapping) and "name" in data else []
    parts += [f"{split['kind']} split"] if isinstance(split, Mapping) and "kind" in split else []
    users = max((row["n_users"] for row in sheet.values.values() if row["n_users"] is not None), default=None)
    parts += [plural(int(users), "user")] if users is not None else []
    return f"{', '.join(parts)}." if parts else ""
