"""What a chart shows when a mark is pointed at."""

from collections.abc import Mapping
from typing import Any

from recsys.reports.caveats import EXPOSURE, of_discovery, of_shares
from recsys.reports.formats import MISSING, duration, interval, interval_percent, number, percent, tally
from recsys.reports.sheets import Series, Sheet


def tip(sheet: Sheet, series: Series, run: str, metrics: list[str]) -> dict[str, str]:
    """Return label -> text: the run, its settings, and every number of the metrics."""
    lines = {"title": run, "kind": series.kind}
    weight = sheet.weights.get(run)
    lines |= {} if weight is None else {"weight": f"{weight:g}"}
    lines |= _settings(sheet, series)
    for metric in metrics:
        lines |= _numbers(sheet, run, metric)
    lines["seconds"] = duration(sheet.seconds.get(run))
    if any(of_discovery(metric) for metric in metrics):
        lines["note"] = EXPOSURE
    return lines


def against(sheet: Sheet, run: str, metric: str) -> str:
    """Return the difference from the base as text: in per cent where the base is not 0."""
    row = sheet.differences.get((run, metric))
    if row is None:
        return "the base itself" if run == sheet.base else MISSING
    if row["relative"] is None:
        return _with(number(row["difference"], signed=True), interval(row["ci_low"], row["ci_high"], signed=True))
    return _with(percent(row["relative"]), interval_percent(row["relative_low"], row["relative_high"]))


def written(value: Any) -> str:
    """Return a setting as it would stand in a config file.

    >>> written({"weight": 0.2, "tau": 1.0, "exact": True})
    'weight = 0.2, tau = 1.0, exact = true'
    """
    if isinstance(value, Mapping):
        inner = {k: f"{{{written(v)}}}" if isinstance(v, Mapping) else written(v) for k, v in value.items()}
        return ", ".join(f"{name} = {text}" for name, text in inner.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set):
        return f"[{', '.join(written(part) for part in value)}]"
    return MISSING if value is None else str(value)


def _numbers(sheet: Sheet, run: str, metric: str) -> dict[str, str]:
    row = sheet.values.get((run, metric), {})
    name = f"{metric}@{sheet.k}"
    lines = {name: _with(number(row.get("value")), interval(row.get("ci_low"), row.get("ci_high")))}
    if (run, metric) in sheet.differences:
        lines[f"{name} against {sheet.base}"] = against(sheet, run, metric)
    for column, label in (("n_users", "users"), ("hits", "hits"), ("held_out", "held out")):
        if row.get(column) is not None:
            lines[f"{name} {label}"] = number(row[column]) if of_shares(metric) else tally(row[column])
    return lines


def _settings(sheet: Sheet, series: Series) -> dict[str, str]:
    section = sheet.facts.get("blends" if series.kind == "blend" else "models")
    found = section.get(series.name) if isinstance(section, Mapping) else None
    return {} if found is None else {"settings": written(found)}


def _with(value: str, span: str) -> str:
    return f"{value} ({span})" if span else value
