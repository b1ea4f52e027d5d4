"""Tooltips of marks in charts."""

from collections.abc import Mapping
from typing import Any

from recsys.reports.caveats import EXPOSURE_CAVEAT, is_discovery, is_unexplored_share
from recsys.reports.formats import (
    MISSING,
    format_change,
    format_duration,
    format_interval,
    format_mean_count,
    format_number,
)
from recsys.reports.view import ReportView, Series


def build_tooltip(view: ReportView, series: Series, run: str, metrics: list[str]) -> dict[str, str]:
    """Return label -> text: the run, its settings, and every number of the metrics."""
    lines = {"title": run, "kind": series.kind}
    weight = view.weights.get(run)
    lines |= {} if weight is None else {"weight": f"{weight:g}"}
    lines |= _format_settings(view, series)
    for metric in metrics:
        lines |= _format_numbers(view, run, metric)
    lines["seconds"] = format_duration(view.seconds.get(run))
    if any(is_discovery(metric) for metric in metrics):
        lines["note"] = EXPOSURE_CAVEAT
    return lines


def format_base_difference(view: ReportView, run: str, metric: str) -> str:
    """Return the difference from the base as text: in per cent where the base is not 0."""
    row = view.differences.get((run, metric))
    if row is None:
        return "the base itself" if run == view.base else MISSING
    return _append_interval(*format_change(row))


def format_setting(value: Any) -> str:
    """Return a setting as it would stand in a config file.

    >>> format_setting({"weight": 0.2, "tau": 1.0, "exact": True})
    'weight = 0.2, tau = 1.0, exact = true'
    """
    if isinstance(value, Mapping):
        inner = {
            k: f"{{{format_setting(v)}}}" if isinstance(v, Mapping) else format_setting(v) for k, v in value.items()
        }
        return ", ".join(f"{name} = {text}" for name, text in inner.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set):
        return f"[{', '.join(format_setting(part) for part in value)}]"
    return MISSING if value is None else str(value)


def _format_numbers(view: ReportView, run: str, metric: str) -> dict[str, str]:
    row = view.values.get((run, metric), {})
    name = f"{metric}@{view.k}"
    lines = {
        name: _append_interval(format_number(row.get("value")), format_interval(row.get("ci_low"), row.get("ci_high")))
    }
    if (run, metric) in view.differences:
        lines[f"{name} against {view.base}"] = format_base_difference(view, run, metric)
    for column, label in (("n_users", "users"), ("hits", "hits"), ("held_out", "held out")):
        if row.get(column) is not None:
            lines[f"{name} {label}"] = (
                format_number(row[column]) if is_unexplored_share(metric) else format_mean_count(row[column])
            )
    return lines


def _format_settings(view: ReportView, series: Series) -> dict[str, str]:
    section = view.facts.get("blends" if series.kind == "blend" else "models")
    found = section.get(series.name) if isinstance(section, Mapping) else None
    return {} if found is None else {"settings": format_setting(found)}


def _append_interval(value: str, span: str) -> str:
    return f"{value} ({span})" if span else value
