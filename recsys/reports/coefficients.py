"""The coefficients of a likelihood as a picture: a mark and an interval for each feature."""

from pathlib import Path

from recsys.likelihoods import Likelihood, coefficient_table
from recsys.reports import themes
from recsys.reports.charts import convert_to_svg
from recsys.reports.encodings import Spec
from recsys.support.atomic_files import write_text
from recsys.types.paths import check_path

WIDTH, ROW = 560, 20  # pixels: of the frame, and the height of a feature


def draw_coefficients(likelihood: Likelihood) -> Spec:
    """Return a Vega-Lite specification: a row for each feature, the largest coefficient first, with 95 % intervals."""
    rows = coefficient_table(likelihood).to_dict("records")
    y: Spec = {"field": "feature", "type": "nominal", "sort": None, "axis": {"title": None, "grid": True}}
    title = "change of the score for one standard deviation of the feature"
    x: Spec = {"type": "quantitative", "axis": {"title": title, "labelFontSize": 11}}
    ends = {"x": x | {"field": "ci_low"}, "x2": {"field": "ci_high"}}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": "Coefficients with 95 % intervals", "subtitle": [likelihood.describe()], "frame": "bounds"},
        "description": "Coefficients of the likelihood's standardised features",
        "width": WIDTH,
        "height": ROW * max(len(rows), 1),
        "padding": 16,
        "layer": [
            {"mark": {"type": "rule", "style": "base-rule"}, "encoding": {"x": {"datum": 0, "type": "quantitative"}}},
            {"mark": {"type": "rule", "strokeWidth": 1.6}, "encoding": {"y": y, **ends}},
            {
                "mark": {"type": "point", "filled": True, "size": 60},
                "encoding": {"y": y, "x": x | {"field": "coefficient"}},
            },
        ],
        "data": {"name": "rows"},
        "datasets": {"rows": rows},
        "config": themes.build_vega_config(themes.LIGHT, themes.LIGHT["series"][:1], legend=True)
        | {"mark": {"color": themes.LIGHT["series"][0]}},
    }


def write_coefficients(likelihood: Likelihood, path: str | Path) -> Path:
    """Write the picture as SVG and return its path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    target = check_path("path", path, "the path of a file")
    write_text(target, convert_to_svg(draw_coefficients(likelihood)))
    return target
