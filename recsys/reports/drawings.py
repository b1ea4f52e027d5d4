"""The charts of a report, and the same as files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import altair as alt
import vl_convert

from recsys.escaping import all_visible
from recsys.files import write_text
from recsys.reports import themes
from recsys.reports.encodings import Spec
from recsys.reports.panels import panel
from recsys.reports.results import Results
from recsys.reports.sheets import Sheet, read
from recsys.reports.tradeoffs import drawable, tradeoff

TRADEOFFS = {
    "tradeoff-discovery": ("discovery", "Accuracy against discovery"),
    "tradeoff-novelty": ("self_information", "Accuracy against novelty"),
}
GAINS = {metric: title.removeprefix("Accuracy against ") for metric, title in TRADEOFFS.values()}
Chart: TypeAlias = alt.LayerChart | alt.ConcatChart


def charts(results: Results) -> dict[str, Chart]:
    """Return name -> chart: the two trade-offs, where the data defines them, and a panel per metric family.

    Raises:
        RecsysError: if no report can be made of the results.
    """
    return {name: _chart(spec) for name, spec in draw(read(results)).items()}


def write_charts(results: Results, folder: Path) -> list[Path]:
    """Write the charts as `folder`/charts/NAME.svg and return the paths.

    Raises:
        RecsysError: if no report can be made of the results, or the folder cannot be written.
    """
    return save(draw(read(results)), folder)


def draw(sheet: Sheet) -> dict[str, Spec]:
    """Return name -> Vega-Lite specification."""
    config = themes.config(themes.LIGHT, [series.colour(themes.LIGHT) for series in sheet.series], legend=True)
    x = accuracy(sheet)
    made = {
        name: tradeoff(sheet, x, y, title, config) for name, (y, title) in TRADEOFFS.items() if drawable(sheet, x, y)
    }
    for family, metrics in sheet.families.items():
        made[_unused(f"family-{_slug(family)}", made)] = panel(sheet, family, metrics, config)
    return made


def accuracy(sheet: Sheet) -> str:
    """Return the accuracy metric of the trade-offs: ndcg, or else the first metric there is."""
    return "ndcg" if "ndcg" in sheet.metrics or not sheet.metrics else sheet.metrics[0]


def save(specs: Mapping[str, Spec], folder: Path) -> list[Path]:
    """Write specifications as `folder`/charts/NAME.svg and return the paths."""
    paths = [folder / "charts" / f"{name}.svg" for name in specs]
    for path, spec in zip(paths, specs.values(), strict=True):
        # A control character would end the process.
        svg = vl_convert.vegalite_to_svg(all_visible(spec), allowed_base_urls=[])
        write_text(path, _renumbered(svg))
    return paths


def _renumbered(svg: str) -> str:
    """Return the picture with its clips counted from 1: the converter counts on from picture to picture."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(re.findall(r"url\(#clip(\d+)\)", svg)), start=1)}
    return re.sub(r"(url\(#|id=\")clip(\d+)", lambda m: f"{m[1]}clip{numbers.get(m[2], m[2])}", svg)


def _chart(spec: Spec) -> Chart:
    large = ("datasets", "config")  # resolving these against the schema takes most of the time
    made = (alt.LayerChart if "layer" in spec else alt.ConcatChart).from_dict(
        {name: part for name, part in all_visible(spec).items() if name not in large}
    )
    made.datasets, made.config = (all_visible(spec[name]) for name in large)
    return made


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _unused(name: str, taken: Mapping[str, Spec]) -> str:
    return name if name not in taken else _unused(f"{name}-2", taken)
