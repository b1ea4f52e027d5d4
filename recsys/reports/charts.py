"""The charts of a report, and the same as files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import altair as alt
import vl_convert

from recsys.escaping import escape_hidden_everywhere
from recsys.reports import themes
from recsys.reports.encodings import Spec
from recsys.reports.panels import draw_family_panel
from recsys.reports.results import Results
from recsys.reports.tradeoffs import can_draw_tradeoff, draw_tradeoff
from recsys.reports.view import ReportView, build_report_view
from recsys.support.atomic_files import write_text

TRADEOFFS = {
    "tradeoff-discovery": ("discovery", "Accuracy against discovery"),
    "tradeoff-novelty": ("self_information", "Accuracy against novelty"),
}
GAINS = {metric: title.removeprefix("Accuracy against ") for metric, title in TRADEOFFS.values()}
Chart: TypeAlias = alt.LayerChart | alt.ConcatChart


def build_charts(results: Results) -> dict[str, Chart]:
    """Return name -> chart: the two trade-offs, where the data defines them, and a panel per metric family.

    Raises:
        RecsysError: if no report can be made of the results.
    """
    return {name: _build_chart(spec) for name, spec in draw_charts(build_report_view(results)).items()}


def write_charts(results: Results, folder: Path) -> list[Path]:
    """Write the charts as `folder`/charts/NAME.svg and return the paths.

    Raises:
        RecsysError: if no report can be made of the results, or the folder cannot be written.
    """
    return save_charts(draw_charts(build_report_view(results)), folder)


def draw_charts(view: ReportView) -> dict[str, Spec]:
    """Return name -> Vega-Lite specification."""
    config = themes.build_vega_config(
        themes.LIGHT, [series.get_colour(themes.LIGHT) for series in view.series], legend=True
    )
    x = choose_accuracy_metric(view)
    made = {
        name: draw_tradeoff(view, x, y, title, config)
        for name, (y, title) in TRADEOFFS.items()
        if can_draw_tradeoff(view, x, y)
    }
    for family, metrics in view.families.items():
        made[_make_name_unique(f"family-{_slugify(family)}", made)] = draw_family_panel(view, family, metrics, config)
    return made


def choose_accuracy_metric(view: ReportView) -> str:
    """Return the accuracy metric of the trade-offs: ndcg, or else the first metric there is."""
    return "ndcg" if "ndcg" in view.metrics or not view.metrics else view.metrics[0]


def save_charts(specs: Mapping[str, Spec], folder: Path) -> list[Path]:
    """Write specifications as `folder`/charts/NAME.svg and return the paths."""
    paths = [folder / "charts" / f"{name}.svg" for name in specs]
    for path, spec in zip(paths, specs.values(), strict=True):
        write_text(path, convert_to_svg(spec))
    return paths


def convert_to_svg(spec: Spec) -> str:
    """Return the picture of a specification."""
    # A control character would end the process.
    return _renumber_clips(vl_convert.vegalite_to_svg(escape_hidden_everywhere(spec), allowed_base_urls=[]))


def _renumber_clips(svg: str) -> str:
    """Return the picture with its clips counted from 1: the converter counts on from picture to picture."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(re.findall(r"url\(#clip(\d+)\)", svg)), start=1)}
    return re.sub(r"(url\(#|id=\")clip(\d+)", lambda m: f"{m[1]}clip{numbers.get(m[2], m[2])}", svg)


def _build_chart(spec: Spec) -> Chart:
    large = ("datasets", "config")  # resolving these against the schema takes most of the time
    made = (alt.LayerChart if "layer" in spec else alt.ConcatChart).from_dict(
        {name: part for name, part in escape_hidden_everywhere(spec).items() if name not in large}
    )
    made.datasets, made.config = (escape_hidden_everywhere(spec[name]) for name in large)
    return made


def _slugify(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _make_name_unique(name: str, taken: Mapping[str, Spec]) -> str:
    return name if name not in taken else _make_name_unique(f"{name}-2", taken)
