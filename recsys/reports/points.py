"""The marks of a trade-off: where each run stands, what it says, and where its name goes."""

from typing import Any

from recsys.reports.encodings import sizes
from recsys.reports.formats import number
from recsys.reports.labels import place, steps
from recsys.reports.scales import Domain, ends
from recsys.reports.sheets import Series, Sheet
from recsys.reports.tips import tip

PLOT = (815.0, 400.0)  # pixels of the frame for which the names are placed
TOWARDS = {
    ("x", -1): "\N{LEFTWARDS ARROW}", ("x", 1): "\N{RIGHTWARDS ARROW}",
    ("y", -1): "\N{DOWNWARDS ARROW}", ("y", 1): "\N{UPWARDS ARROW}",
}  # fmt: skip

Row = dict[str, Any]
Axes = dict[str, tuple[str, Domain]]  # "x" and "y" -> metric, its part of the axis


def points(sheet: Sheet, axes: Axes) -> list[Row]:
    """Return a row per run with values of both metrics; runs off an axis stand at its end, `off`."""
    rows = [
        _point(sheet, series, i, axes)
        for series in sheet.series
        for i, run in enumerate(series.runs)
        if both(sheet, run, *(metric for metric, _ in axes.values()))
    ]
    return _named(_apart(rows, axes["x"][1]), axes)


def both(sheet: Sheet, run: str, x: str, y: str) -> bool:
    """Return whether a run has values of two metrics."""
    return sheet.number(run, x, "value") is not None and sheet.number(run, y, "value") is not None


def _point(sheet: Sheet, series: Series, i: int, axes: Axes) -> Row:
    run = series.runs[i]
    row: Row = {
        "series": series.name, "kind": series.kind, "run": run, "base": run == sheet.base,
        "weight": sheet.weights.get(run), "size": sizes(series)[i],
        "tip": tip(sheet, series, run, [metric for metric, _ in axes.values()]),
    }  # fmt: skip
    arrows, values = "", []
    for channel, (metric, domain) in axes.items():
        value = sheet.number(run, metric, "value") or 0.0
        low, high = ends(sheet, run, metric, value)
        row |= {channel: value, f"{channel}_low": low, f"{channel}_high": high, f"{channel}_at": domain.clamp(value)}
        if domain.side(value):
            arrows += TOWARDS[channel, domain.side(value)]
            values.append(number(value))
    text = f"{arrows} {run} {', '.join(values)}" if arrows else series.name
    said = ", ".join(f"{metric}@{sheet.k} {row['tip'][f'{metric}@{sheet.k}']}" for metric, _ in axes.values())
    return row | {"off": bool(arrows), "text": text, "named": False, "said": f"{run}: {said}"}


def _apart(rows: list[Row], domain: Domain) -> list[Row]:
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


def _named(rows: list[Row], axes: Axes) -> list[Row]:
    """Return the rows with a place for the name of each series, at its largest weight on the axes."""
    last = {row["series"]: row["run"] for row in rows if not row["off"]}
    wanted = [i for i, row in enumerate(rows) if row["off"] or last[row["series"]] == row["run"]]
    wanted.sort(key=lambda i: (rows[i]["kind"] == "blend", rows[i]["off"]))
    pixels = [_pixel(row, axes) for row in rows]
    found = place([rows[i]["text"] for i in wanted], [pixels[i] for i in wanted], pixels, _strokes(rows, axes), *PLOT)
    places = {i: {"named": True, **vars(spot)} for i, spot in zip(wanted, found, strict=True) if spot}
    return [row | places.get(i, {}) for i, row in enumerate(rows)]


def _strokes(rows: list[Row], axes: Axes) -> list[tuple[float, float]]:
    blends: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["kind"] == "blend":
            blends.setdefault(row["series"], []).append(_pixel(row, axes))
    return [at for line in blends.values() for at in steps(line)]


def _pixel(row: Row, axes: Axes) -> tuple[float, float]:
    x, y = ((row[f"{channel}_at"] - d.low) / (d.high - d.low) for channel, (_, d) in axes.items())
    return float(x * PLOT[0]), float((1 - y) * PLOT[1])
