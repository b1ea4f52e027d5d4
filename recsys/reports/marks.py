"""The marks of a trade-off chart: position, tooltip and label of each run."""

from typing import Any

from recsys.reports.encodings import compute_mark_areas
from recsys.reports.formats import format_number
from recsys.reports.labels import place_labels, sample_line_points
from recsys.reports.scales import Domain, compute_interval_ends
from recsys.reports.tooltips import build_tooltip
from recsys.reports.view import ReportView, Series, list_accuracy_axes

PLOT_SIZE = (815.0, 400.0)  # pixels of the frame for which the names are placed
EDGE_ARROWS = {
    ("x", -1): "\N{LEFTWARDS ARROW}", ("x", 1): "\N{RIGHTWARDS ARROW}",
    ("y", -1): "\N{DOWNWARDS ARROW}", ("y", 1): "\N{UPWARDS ARROW}",
}  # fmt: skip

Row = dict[str, Any]
Axes = dict[str, tuple[str, Domain]]  # "x" and "y" -> metric, its part of the axis


def build_mark_rows(view: ReportView, axes: Axes) -> list[Row]:
    """Return a row per run with values of both metrics; runs off an axis stand at its end, `off`."""
    rows = [
        _build_mark_row(view, series, i, axes)
        for series in view.series
        for i, run in enumerate(series.runs)
        if has_both_values(view, run, *(metric for metric, _ in axes.values()))
    ]
    return _place_series_names(_separate_edge_marks(rows, axes["x"][1]), axes)


def has_both_values(view: ReportView, run: str, x: str, y: str) -> bool:
    """Return whether a run has values of two metrics."""
    return view.get_number(run, x, "value") is not None and view.get_number(run, y, "value") is not None


def _build_mark_row(view: ReportView, series: Series, i: int, axes: Axes) -> Row:
    run = series.runs[i]
    told = list(dict.fromkeys([*list_accuracy_axes(view), *(metric for metric, _ in axes.values())]))
    row: Row = {
        "series": series.name, "kind": series.kind, "run": run, "base": run == view.base,
        "weight": view.weights.get(run), "size": compute_mark_areas(series)[i],
        "tip": build_tooltip(view, series, run, told),
    }  # fmt: skip
    arrows, values = "", []
    for channel, (metric, domain) in axes.items():
        value = view.get_number(run, metric, "value") or 0.0
        low, high = compute_interval_ends(view, run, metric, value)
        row |= {channel: value, f"{channel}_low": low, f"{channel}_high": high, f"{channel}_at": domain.clamp(value)}
        if domain.side(value):
            arrows += EDGE_ARROWS[channel, domain.side(value)]
            values.append(format_number(value))
    text = f"{arrows} {run} {', '.join(values)}" if arrows else series.name
    said = ", ".join(f"{metric}@{view.k} {row['tip'][f'{metric}@{view.k}']}" for metric, _ in axes.values())
    return row | {"off": bool(arrows), "text": text, "named": False, "said": f"{run}: {said}"}


def _separate_edge_marks(rows: list[Row], domain: Domain) -> list[Row]:
    """Return the rows with those that stand at the same place of the edge side by side."""
    seen: list[tuple[float, float]] = []
    moved = []
    for row in rows:
        here = (row["x_at"], row["y_at"])
        inwards = -1 if row["x_at"] > (domain.low + domain.high) / 2 else 1
        step = inwards * 0.03 * (domain.high - domain.low) * seen.count(here)
        moved.append(row | {"x_at": row["x_at"] + step} if row["off"] else row)
        seen += [here] if row["off"] else []
    return moved


def _place_series_names(rows: list[Row], axes: Axes) -> list[Row]:
    """Return the rows with a place for the name of each series, at its largest weight on the axes."""
    last = {row["series"]: row["run"] for row in rows if not row["off"]}
    wanted = [i for i, row in enumerate(rows) if row["off"] or last[row["series"]] == row["run"]]
    wanted.sort(key=lambda i: (rows[i]["kind"] == "blend", rows[i]["off"]))
    pixels = [_compute_pixel(row, axes) for row in rows]
    found = place_labels(
        [rows[i]["text"] for i in wanted],
        [pixels[i] for i in wanted],
        pixels,
        _sample_blend_lines(rows, axes),
        *PLOT_SIZE,
    )
    places = {i: {"named": True, **vars(spot)} for i, spot in zip(wanted, found, strict=True) if spot}
    return [row | places.get(i, {}) for i, row in enumerate(rows)]


def _sample_blend_lines(rows: list[Row], axes: Axes) -> list[tuple[float, float]]:
    blends: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["kind"] == "blend":
            blends.setdefault(row["series"], []).append(_compute_pixel(row, axes))
    return [at for line in blends.values() for at in sample_line_points(line)]


def _compute_pixel(row: Row, axes: Axes) -> tuple[float, float]:
    x, y = ((row[f"{channel}_at"] - d.low) / (d.high - d.low) for channel, (_, d) in axes.items())
    return float(x * PLOT_SIZE[0]), float((1 - y) * PLOT_SIZE[1])
