"""Colour, mark and emphasis of a series, and the interval of a value: the same in every chart."""

from typing import Any

from recsys.reports.scales import Domain
from recsys.reports.view import ReportView, Series

Spec = dict[str, Any]  # a part of a Vega-Lite specification

# A page sets `pick` (the series chosen in its legend) and `over` (the one pointed at).
PARAMETERS = ({"name": "pick", "value": []}, {"name": "over", "value": ""})
CHOSEN = "over === datum.series || indexof(pick, datum.series) >= 0"
ACTIVE = f"(!length(pick) && !over) || {CHOSEN}"

MARK_AREAS = {"base": 230.0, "model": 110.0, "control": 90.0}
TOOLTIP = {"tooltip": {"expr": "datum.tip"}, "description": {"expr": "datum.said"}}


def encode_series_colour(view: ReportView, legend: bool) -> Spec:
    """Return the colour of each series; the colours themselves are in the configuration."""
    scale = {"domain": [series.name for series in view.series]}
    return {"field": "series", "type": "nominal", "scale": scale, "legend": {"title": None} if legend else None}


def encode_series_mark(view: ReportView, legend: bool) -> Spec:
    """Return the mark of each series."""
    encoded = encode_series_colour(view, legend)
    return encoded | {"scale": encoded["scale"] | {"range": [series.shape for series in view.series]}}


def encode_opacity(faint: float, when: str = ACTIVE, full: float = 1.0) -> Spec:
    """Return full opacity for chosen series, or for all where none is chosen; `faint` for the rest."""
    return {"condition": {"test": when, "value": full}, "value": faint}


def encode_position(field: str, domain: Domain, axis: Spec) -> Spec:
    """Return a position on an axis."""
    scale = {"domain": [domain.low, domain.high], "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def compute_mark_areas(series: Series) -> list[float]:
    """Return the area of each run's mark: a larger mark is a larger weight."""
    if series.kind in MARK_AREAS or len(series.runs) == 1:
        return [MARK_AREAS.get(series.kind, 80.0)] * len(series.runs)
    return [45.0 + 85.0 * i / (len(series.runs) - 1) for i in range(len(series.runs))]
