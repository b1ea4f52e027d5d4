"""The reliability of probabilities as a picture: what was said against what was liked, a line for each run."""

from pathlib import Path
from typing import TYPE_CHECKING

from recsys.reports import themes
from recsys.reports.charts import convert_to_svg
from recsys.reports.encodings import Spec
from recsys.support.atomic_files import write_text
from recsys.types.paths import check_path

if TYPE_CHECKING:
    import pandas as pd

SIZE = 360  # pixels


def draw_reliability(table: "pd.DataFrame") -> Spec:
    """Return a Vega-Lite specification: a line for each run and part of a table of reliability, and the diagonal."""
    rows = table.assign(series=[f"{run}, {part}" for run, part in zip(table.run, table.part, strict=True)])
    most = float(max(table.probability.max(), table.liked.max(), 1e-6))
    scale = {"domain": [0, most]}
    x: Spec = {
        "field": "probability",
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": "mean P(like) of a bin"},
    }
    y: Spec = {"field": "liked", "type": "quantitative", "scale": scale, "axis": {"title": "share that was liked"}}
    names = list(dict.fromkeys(rows.series))
    colour: Spec = {"field": "series", "type": "nominal", "sort": None, "legend": {"title": None}}
    ends = [{"probability": 0.0, "liked": 0.0}, {"probability": most, "liked": most}]
    colours = [themes.LIGHT["series"][n % len(themes.LIGHT["series"])] for n in range(len(names))]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": "Reliability of P(like)", "frame": "bounds"},
        "description": "Mean probability of a like against the share of picks that were liked, by bins",
        "width": SIZE,
        "height": SIZE,
        "padding": 16,
        "layer": [
            {"data": {"name": "ends"}, "mark": {"type": "line", "strokeDash": [4, 4]}, "encoding": {"x": x, "y": y}},
            {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": y, "color": colour}},
        ],
        "data": {"name": "rows"},
        "datasets": {"rows": rows.to_dict("records"), "ends": ends},
        "config": themes.build_vega_config(themes.LIGHT, colours, legend=True),
    }


def write_reliability(table: "pd.DataFrame", path: str | Path) -> Path:
    """Write the picture as SVG and return its path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    target = check_path("path", path, "the path of a file")
    write_text(target, convert_to_svg(draw_reliability(table)))
    return target
