"""Results laid out for printing: rows found by run and metric at the headline k, and the series they form."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from recsys.metrics import ACCURACY_AXES
from recsys.reports import themes
from recsys.reports.results import RUN_KINDS, Results, check_results

Row = Mapping[str, Any]

HEADLINE_METRICS = (
    "ndcg", "stratified_recall", "discovery", "self_information", "coverage", "ild_cooccurrence", "exposure_deficit",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """Runs that share a name: one blend by weight, or one model or control."""

    name: str
    kind: str
    place: int  # among the series of its kind
    runs: tuple[str, ...]

    @property
    def shape(self) -> str:
        """The path of its mark."""
        return themes.choose_series_shape(self.kind, self.place)

    def get_colour(self, theme: Mapping[str, Any]) -> str:
        """Return its colour in a theme."""
        return themes.choose_series_colour(theme, self.kind, self.place)


@dataclass(frozen=True, eq=False)
class ReportView:
    """The results laid out for all parts of the report. Numbers that are not finite are None."""

    k: int
    base: str
    facts: Mapping[str, Any]
    series: tuple[Series, ...]  # base, models, controls, blends
    families: Mapping[str, Sequence[str]]  # family -> metrics that were measured; the rest in "other"
    values: Mapping[tuple[str, str], Row]  # (run, metric) -> row of the summary
    differences: Mapping[tuple[str, str], Row]  # (run, metric) -> row of the differences from the base
    seconds: Mapping[str, float | None]
    weights: Mapping[str, float | None]

    @property
    def metrics(self) -> list[str]:
        """All metrics, in the order of the families."""
        return list(dict.fromkeys(metric for metrics in self.families.values() for metric in metrics))

    @property
    def headline_metrics(self) -> list[str]:
        """The headline metric of every family: the first of `HEADLINE_METRICS` in it, else its first metric."""
        return [next((m for m in HEADLINE_METRICS if m in metrics), metrics[0]) for metrics in self.families.values()]

    @property
    def runs(self) -> list[str]:
        """All runs, in the order of the series."""
        return [run for one in self.series for run in one.runs]

    def get_number(self, run: str, metric: str, column: str) -> float | None:
        """Return one number of the summary, None where there is none."""
        number: float | None = self.values.get((run, metric), {}).get(column)
        return number

    def get_first(self, metric: str, column: str) -> Any:
        """Return the value of the first run, the base before all others, in a column of the summary."""
        found = (self.values.get((run, metric), {}).get(column) for run in self.runs)
        return next((value for value in found if value is not None), None)

    def get_detectable_range(self, metric: str) -> tuple[float, float, float] | None:
        """Return the lowest, median and highest of the runs' smallest detectable differences from the base."""
        rows = (self.differences.get((run, metric), {}) for run in self.runs)
        found = [row["detectable"] for row in rows if row.get("detectable") is not None]
        return (min(found), median(found), max(found)) if found else None

    def is_defined(self, metric: str) -> bool:
        """Return whether any run has a value."""
        return any(self.get_number(run, metric, "value") is not None for run in self.runs)


def build_report_view(results: Results) -> ReportView:
    """Lay out results.

    Raises:
        RecsysError: if no report can be made of them, see `check`.
    """
    check_results(results)
    values = _index_rows(results.summary[results.summary["k"] == results.k])
    table = results.differences
    differences = _index_rows(table[(table["k"] == results.k) & (table["against"] == results.base)])
    return ReportView(
        k=results.k,
        base=results.base,
        facts=results.facts,
        series=_build_series(results.summary),
        families=_complete_families(results.families, list(dict.fromkeys(metric for _, metric in values))),
        values=values,
        differences=differences,
        seconds=_index_by_run(results.summary, "seconds"),
        weights=_index_by_run(results.summary, "weight"),
    )


def list_accuracy_axes(view: ReportView) -> tuple[str, ...]:
    """Return the metrics whose losses stand beside gains: nDCG and stratified recall, or else the first metric.

    A metric that no run has a value of is not among them, unless it is the only one.
    """
    axes = tuple(metric for metric in ACCURACY_AXES if metric in view.metrics and view.is_defined(metric))
    return axes or (view.metrics[0] if view.metrics else "ndcg",)


def _index_rows(table: pd.DataFrame) -> dict[tuple[str, str], Row]:
    found: dict[tuple[str, str], Row] = {}
    for record in table.to_dict("records"):
        row = {str(name): _convert_value(value) for name, value in record.items()}
        found.setdefault((row["run"], row["metric"]), row)
    return found


def _convert_value(value: Any) -> Any:
    if isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _build_series(summary: pd.DataFrame) -> tuple[Series, ...]:
    first = summary.drop_duplicates("run").sort_values("weight", kind="stable")
    runs: dict[tuple[str, str], list[str]] = {}
    for run, kind, blend in zip(first["run"], first["kind"], first["blend"], strict=True):
        runs.setdefault((kind, blend if kind == "blend" else run), []).append(str(run))
    names = summary["blend"].where(summary["kind"] == "blend", summary["run"])
    appearance = dict.fromkeys(zip(summary["kind"], names, strict=True))
    ordered = sorted(appearance, key=lambda key: RUN_KINDS.index(key[0]))
    kinds = [kind for kind, _ in ordered]
    return tuple(
        Series(str(name), str(kind), kinds[:i].count(kind), tuple(runs[kind, name]))
        for i, (kind, name) in enumerate(ordered)
    )


def _complete_families(families: Mapping[str, Sequence[str]], have: Sequence[str]) -> dict[str, list[str]]:
    found = {str(name): [m for m in metrics if m in have] for name, metrics in families.items()}
    listed = {metric for metrics in found.values() for metric in metrics}
    rest = [metric for metric in have if metric not in listed]
    if rest:
        found["other"] = [*found.get("other", []), *rest]
    return {name: metrics for name, metrics in found.items() if metrics}


def _index_by_run(summary: pd.DataFrame, column: str) -> dict[str, float | None]:
    found = summary.groupby("run", sort=False)[column].first()
    return {str(run): _convert_value(value) for run, value in found.items()}
