"""The input of a report: the numbers of all runs, their differences from the base, and the facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recsys.types import RecsysError, make_unknown_name_error

SUMMARY_COLUMNS = (
    "run", "kind", "blend", "weight", "metric", "k", "value", "ci_low", "ci_high", "n_users", "convention",
    "direction", "seconds", "hits", "held_out",
)  # fmt: skip
DIFFERENCE_COLUMNS = (
    "run", "against", "metric", "k", "difference", "ci_low", "ci_high", "relative", "relative_low", "relative_high",
    "p_value", "detectable", "n_users", "n_differ",
)  # fmt: skip
RUN_KINDS = ("base", "model", "control", "blend")


@dataclass(frozen=True)
class Example:
    """An example of one user: the history, and the slates of the base and of a blend, by titles."""

    user: str
    history: tuple[str, ...]  # some of the training positives
    n_history: int
    base: tuple[str, ...]
    blend: str  # the run
    picks: tuple[str, ...]
    displaced: tuple[str, ...]  # what would stand in the place of each pick, "" where nothing is left
    costs: tuple[float | None, ...]  # blended gain of that item above the pick's, in units of the slate's scores
    held_out: frozenset[str] = frozenset()  # titles of the user's held-out positives among all of these


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a report prints.

    `summary`: a row per run, metric and k. `kind` is "control", "model", "base" or "blend"; `blend` is the run
    without its weight ("mmr"), for all others the run itself; `direction` is 1 where more is better, -1 where
    less is, 0 where neither. `hits` and `held_out` may be NaN; `held_out` is what the held-out data has of the
    same: for `discovery` the number of positives in unexplored regions, for `unexplored_share` that share.

    `differences`: a row per run, metric and k, `run` minus `against`, paired by user. `relative*` are fractions
    of the value of `against` (0.03 is 3 %); `detectable` is the smallest difference the data could have shown.

    `facts`: what was run on what data with which settings, in sections. All are printed as they are; the page
    also looks for `facts["data"]["name"]`, `facts["split"]["kind"]` (text), and for
    `facts["models"][run]` and `facts["blends"][blend]` (settings shown when hovering), none of them required.
    """

    summary: pd.DataFrame
    differences: pd.DataFrame
    facts: Mapping[str, Any]
    k: int  # the headline slate length
    base: str  # the run that all others are held against
    families: Mapping[str, Sequence[str]]  # family -> metrics, in the order of the page
    segments: pd.DataFrame | None = None  # of `recsys.scores.segments.tabulate_segments`, for some of the runs
    examples: Sequence[Example] = ()  # users as they would see it
    rules: pd.DataFrame | None = None  # of `recsys.experiments.rule_costs`: each rule beside its absence


def check_results(results: Results) -> None:
    """Refuse results of which no report can be made.

    Raises:
        RecsysError: if a table lacks a column, or the base, the headline k or a kind is unknown.
    """
    _check_columns("summary", results.summary, SUMMARY_COLUMNS)
    _check_columns("differences", results.differences, DIFFERENCE_COLUMNS)
    runs = {str(run) for run in results.summary["run"]}
    if results.base not in runs:
        raise make_unknown_name_error("base run", results.base, runs, "report")
    lengths = sorted({int(k) for k in results.summary["k"]})
    if results.k not in lengths:
        raise RecsysError(f"report: the headline k is {results.k}, expected one of {lengths}")
    for kind in results.summary["kind"].unique():
        if kind not in RUN_KINDS:
            raise make_unknown_name_error("kind of run", str(kind), RUN_KINDS, "report: summary")


def _check_columns(place: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise RecsysError(f"report: {place} has no column '{missing[0]}', expected {', '.join(columns)}")
