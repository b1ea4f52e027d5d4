"""Colours, shapes and type: one definition for the charts, the page and the legend.

Neighbouring series differ in colour and in shape, so that none is told by its hue alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"

# Hues of Okabe and Ito (2008), darkened for a white ground and lightened for a dark one.
LIGHT = {
    "ink": "#1b1f24", "soft": "#57606a", "line": "#d0d7de", "ground": "#ffffff", "panel": "#f6f8fa",
    "model": "#3d444d", "control": "#7d8590",
    "series": ("#0072b2", "#d55e00", "#008f68", "#a8478a", "#b07800", "#c2304a", "#2b96cf", "#6d5fc7",
               "#7a6a00", "#4d7a8c"),
}  # fmt: skip
DARK = {
    "ink": "#e6edf3", "soft": "#9da7b3", "line": "#363d47", "ground": "#0f1318", "panel": "#171c23",
    "model": "#c9d1d9", "control": "#8b949e",
    "series": ("#4aa8e8", "#f5824d", "#2fc79b", "#dd8fc4", "#e8b13d", "#ff7d92", "#8ed3ff", "#a99df5",
               "#c9bd52", "#8fb5c4"),
}  # fmt: skip

# Paths in a square from -1 to 1, as Vega wants custom marks.
SHAPES = {
    "star": "M0,-1.25L.32,-.42L1.2,-.38L.51,.16L.75,1.02L0,.53L-.75,1.02L-.51,.16L-1.2,-.38L-.32,-.42Z",
    "plus": "M-.3,-1H.3V-.3H1V.3H.3V1H-.3V.3H-1V-.3H-.3Z",
    "cross": "M-1,-.62L-.62,-1L0,-.38L.62,-1L1,-.62L.38,0L1,.62L.62,1L0,.38L-.62,1L-1,.62L-.38,0Z",
    "circle": "M0,-.95A.95,.95,0,0,1,0,.95A.95,.95,0,0,1,0,-.95Z",
    "square": "M-.84,-.84H.84V.84H-.84Z",
    "up": "M0,-1.05L1,.78H-1Z",
    "diamond": "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "down": "M0,1.05L1,-.78H-1Z",
    "left": "M-1.05,0L.78,-1V1Z",
    "right": "M1.05,0L-.78,-1V1Z",
    "hourglass": "M-.9,-1H.9L.15,0L.9,1H-.9L-.15,0Z",
    "bow": "M-1,-.9L0,-.15L1,-.9V.9L0,.15L-1,.9Z",
    "pentagon": "M0,-1.05L1,-.32L.62,.85H-.62L-1,-.32Z",
    "bar": "M-1.1,-.38H1.1V.38H-1.1Z",
    "pillar": "M-.38,-1.1H.38V1.1H-.38Z",
    "slash": "M.45,-1.05H1.1L-.45,1.05H-1.1Z",
    "crescent": "M-.6,-1A1.05,1.05,0,1,1,-.6,1A1.3,1.3,0,0,0,-.6,-1Z",
}
# No shape belongs to two kinds. Models and controls go through their shapes in one colour, then in the others; blends
# go through colours and shapes at once, a shape later with each round: the same pair comes again after 50 of them.
KIND_SHAPES = {
    "base": ("star",),
    "model": ("plus", "left", "hourglass", "pentagon", "right", "bow"),
    "control": ("cross", "bar", "pillar", "slash", "crescent"),
    "blend": ("circle", "square", "up", "diamond", "down"),
}
KIND_COLOURS = {"base": "ink", "model": "model", "control": "control"}


def choose_series_colour(theme: Mapping[str, Any], kind: str, place: int) -> str:
    """Return the colour of the `place`-th series of its kind."""
    series: Sequence[str] = theme["series"]
    if kind not in KIND_COLOURS:
        return series[place % len(series)]
    turn = place // len(KIND_SHAPES[kind])
    return series[(turn - 1) % len(series)] if turn else str(theme[KIND_COLOURS[kind]])


def choose_series_shape(kind: str, place: int) -> str:
    """Return the path of the mark of the `place`-th series of its kind."""
    shapes = KIND_SHAPES[kind]
    return SHAPES[shapes[(place if kind in KIND_COLOURS else place + place // len(LIGHT["series"])) % len(shapes)]]


def format_css_variables(theme: Mapping[str, Any]) -> str:
    """Return the theme as CSS custom properties."""
    named = [f"--{name}:{value}" for name, value in theme.items() if isinstance(value, str)]
    return ";".join([*named, *(f"--series-{i}:{value}" for i, value in enumerate(theme["series"]))])


def build_css_theme() -> dict[str, Any]:
    """Return a theme whose colours are those custom properties: charts then follow the page."""
    named: dict[str, Any] = {name: f"var(--{name})" for name, value in LIGHT.items() if isinstance(value, str)}
    return named | {"series": tuple(f"var(--series-{i})" for i in range(len(LIGHT["series"])))}


def build_vega_config(theme: Mapping[str, Any], colours: Sequence[str], legend: bool) -> dict[str, Any]:
    """Return the Vega-Lite configuration: `colours` are those of the series, in their order."""
    ink, soft, line = theme["ink"], theme["soft"], theme["line"]
    return {
        "background": theme["ground"] if legend else "transparent",
        "font": FONT,
        "range": {"category": list(colours)},
        "view": {"stroke": line, "strokeWidth": 1},
        "axis": _build_axis_config(ink, soft, line),
        "axisY": {
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "end",
            "titleBaseline": "bottom",
            "titleX": 0,
            "titleY": -10,
        },
        "title": _build_title_config(ink, soft),
        "legend": {"disable": True} if not legend else _build_legend_config(ink),
        "concat": {"spacing": 26},
        "style": _build_style_config(theme),
    }


def _build_axis_config(ink: str, soft: str, line: str) -> dict[str, Any]:
    return {
        "labelColor": soft, "labelFontSize": 11, "labelLineHeight": 14, "labelPadding": 6, "titleColor": ink,
        "titleFontSize": 12, "titleFontWeight": 600, "titlePadding": 10, "gridColor": line, "gridOpacity": 0.5,
        "domain": False, "ticks": False,
    }  # fmt: skip


def _build_title_config(ink: str, soft: str) -> dict[str, Any]:
    return {
        "anchor": "start", "frame": "group", "color": ink, "fontSize": 13, "fontWeight": 600, "offset": 10,
        "subtitleColor": soft, "subtitleFontSize": 11, "subtitleLineHeight": 15, "subtitlePadding": 4,
    }  # fmt: skip


def _build_legend_config(ink: str) -> dict[str, Any]:
    return {
        "labelColor": ink, "labelFontSize": 12, "symbolSize": 90, "rowPadding": 5, "orient": "bottom", "columns": 5,
        "offset": 14, "symbolStrokeWidth": 0, "labelLimit": 150, "columnPadding": 24,
    }  # fmt: skip


def _build_style_config(theme: Mapping[str, Any]) -> dict[str, Any]:
    name = {"fontSize": 11.5, "fontWeight": 600}
    return {
        "base-rule": {"color": theme["ink"], "strokeWidth": 1, "strokeDash": [4, 3], "opacity": 0.75},
        "base-band": {"color": theme["ink"], "opacity": 0.08},
        "held-out": {"color": theme["soft"], "strokeWidth": 1.5, "strokeDash": [1, 3]},
        "name": name,
        "halo": {"color": theme["ground"], "stroke": theme["ground"], "strokeWidth": 4, "strokeJoin": "round", **name},
        "empty": {"color": theme["soft"], "fontSize": 12},
        "word": {"color": theme["ink"], "fontSize": 11},
        "region": {"color": theme["series"][0]},
    }  # fmt: skip
