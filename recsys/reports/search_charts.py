"""The charts of a sweep: trials and front, the course of the search, importance of settings."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from recsys.reports import themes
from recsys.reports.encodings import Spec
from recsys.reports.formats import format_number

WIDTH, HEIGHT = 900, 460
Goals = Sequence[tuple[str, bool]]


def draw_trials(trials: pd.DataFrame, goals: Goals, constraints: Sequence[str]) -> Spec:
    """Return the trials, first goal against second (or against the trial's number), the front joined."""
    metric = goals[0][0]
    across = goals[1][0] if len(goals) > 1 else "trial"
    named = {metric: "first", across: "second"}
    hidden = ("method", "trial", "feasible", "front", "seconds")
    rows = []
    for record in trials.to_dict("records"):
        settings = {
            str(key): format_cell(value) for key, value in record.items() if key not in hidden and not is_missing(value)
        }
        tip = {"trial": f"{record['method']}-{record['trial']}", **settings}
        rows.append(
            {
                "method": record["method"],
                "front": bool(record["front"]),
                "feasible": bool(record["feasible"]),
                "tip": tip,
                **{place: float(record[key]) for key, place in named.items() if not is_missing(record[key])},
            }
        )
    bases = trials.drop_duplicates([f"base {key}" for key in named if key != "trial"])
    starts = [
        {place: float(row[f"base {key}"]) for key, place in named.items() if key != "trial"}
        for row in bases.to_dict("records")
        if not any(is_missing(row[f"base {key}"]) for key in named if key != "trial")
    ]
    steps = "step-before" if goals[0][1] else "step-after"  # what can be had of the second for a given first
    axes = {"x": _build_axis("first", metric), "y": _build_axis("second", across)}
    methods = list(dict.fromkeys(trials["method"]))
    of = {"field": "method", "type": "nominal", "legend": {"title": None, "symbolStrokeWidth": 2}}
    colour = of | {"scale": {"domain": methods}}
    marks = {"domain": methods, "range": [themes.choose_series_shape("blend", place) for place in range(len(methods))]}
    faint = {"condition": {"test": "datum.front", "value": 1}, "value": 0.45}
    kept = of | {"scale": marks, "condition": {"test": "!datum.feasible", "value": themes.SHAPES["cross"]}}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "datum.front"}],
            "mark": {"type": "line", "interpolate": steps, "strokeWidth": 1.2},
            "encoding": {**axes, "order": {"field": "first", "type": "quantitative"}, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "tooltip": {"expr": "datum.tip"}},
            "encoding": {
                **axes, "color": colour, "opacity": faint, "shape": kept,
                "size": {"condition": {"test": "datum.front", "value": 70}, "value": 40},
            },
        },
    ]  # fmt: skip
    if across != "trial":
        star = {"type": "point", "filled": True, "shape": themes.SHAPES["star"], "size": 200, "style": "base-rule"}
        layers.append({"data": {"values": starts}, "mark": star, "encoding": axes})
    else:
        del layers[0]
    note = "Each mark is a trial on validation; those that no other beats are joined, and a star is the base."
    broken = sum(not row["feasible"] for row in rows)
    notes = [note, *([f"A cross breaks a constraint ({', '.join(constraints)})."] if broken else [])]
    return _build_spec("Trials and their front", [*notes, "Point at a mark for its settings."], layers, rows)


def draw_hypervolume(hypervolume: pd.DataFrame) -> Spec:
    """Return a chart of the hypervolume that the front dominates, by trial."""
    rows = [
        {"method": row["method"], "trial": int(row["trial"]), "dpp": float(row["hypervolume"])}
        for row in hypervolume.to_dict("records")
    ]
    encoding = {
        "x": {"field": "trial", "type": "quantitative", "axis": {"title": "trial", "tickMinStep": 1, "format": "d"}},
        "y": {"field": "volume", "type": "quantitative", "axis": {"title": "hypervolume"}},
        "color": {"field": "method", "type": "nominal", "legend": {"title": None, "symbolStrokeWidth": 2}},
    }
    layers = [{"mark": {"type": "line", "interpolate": "step-after"}, "encoding": encoding}]
    note = "What the front dominates, against the base made worse by a fifth; flat: more trials find nothing new."
    return _build_spec("How the search went", [note], layers, rows) | {"height": 240}


def draw_importance(found: pd.DataFrame) -> Spec:
    """Return which settings moved which goal."""
    rows = [
        {
            "setting": f"{row['setting']}" if found["method"].nunique() == 1 else f"{row['method']}: {row['setting']}",
            "metric": row["metric"],
            "share": float(row["importance"]),
        }
        for row in found.to_dict("records")
    ]
    encoding = {
        "y": {"field": "setting", "type": "nominal", "sort": "-x", "axis": {"title": None, "labelLimit": 260}},
        "x": {
            "field": "share",
            "type": "quantitative",
            "axis": {"title": "share of the variance that settings explain"},
        },
        "yOffset": {"field": "metric", "type": "nominal"},
        "color": {"field": "metric", "type": "nominal", "legend": {"title": None}},
        "tooltip": [{"field": "setting"}, {"field": "metric"}, {"field": "share", "format": ".2f"}],
    }
    note = "fANOVA on the trials (Hutter et al. 2014): it tells which settings moved a goal, not in which direction."
    layers = [{"mark": {"type": "bar"}, "encoding": encoding}]
    return _build_spec("What mattered", [note], layers, rows) | {"height": {"step": 14}}


def _build_spec(title: str, notes: Sequence[str], layers: list[Spec], rows: list[dict[str, Any]]) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "subtitle": list(notes)},
        "width": WIDTH,
        "height": HEIGHT,
        "padding": 16,
        "data": {"values": rows},
        "layer": layers,
    }


def _build_axis(field: str, title: str) -> Spec:
    axis = {"title": title, "tickCount": 7}
    return {"field": field, "type": "quantitative", "scale": {"zero": False, "padding": 14}, "axis": axis}


def format_cell(value: Any) -> str:
    """Return a setting or a number as text, "" where there is none."""
    if is_missing(value):
        return ""
    return format_number(value) if isinstance(value, float) else str(value)


def is_missing(value: Any) -> bool:
    """Return whether there is no value: None, or NaN."""
    return value is None or (isinstance(value, float) and value != value)
