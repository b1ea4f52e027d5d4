"""Comparison of runs, for a notebook or a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.escaping import escape_hidden
from recsys.html import make_element
from recsys.scores.alignment import align_runs, check_run_names, check_split
from recsys.scores.hypothesis_tests import check_margin
from recsys.scores.intervals import MAX_BOOTSTRAP, check_bootstrap_memory
from recsys.scores.metric_names import resolve_metrics
from recsys.scores.records import Scores
from recsys.scores.runs import evaluate
from recsys.scores.segments import tabulate_segments
from recsys.scores.significance import tabulate_tests
from recsys.scores.simultaneous import tabulate_loss_and_gain
from recsys.scores.tables import pair_with_base, tabulate_scores
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import GroundTruth, Slates, Split, TasteMap, make_unknown_name_error
from recsys.types.arrays import Ints
from recsys.types.evaluations import DEFAULT_POPULARITY_EXPONENT
from recsys.types.numbers import check_int, check_number

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = {
    "audit": (
        "discovery",
        "discovery_head",
        "discovery_middle",
        "discovery_tail",
        "stratified_discovery",
        "unexplored_share",
        "exposure_deficit",
    ),
    "own": ("discovery_own", "unexplored_share_own", "exposure_deficit_own"),
    "content": ("discovery_content", "unexplored_share_content"),
}


@dataclass(frozen=True)
class ComparedFolder:
    """A run folder, and the runs of it that are compared."""

    folder: str
    description: str  # the benchmark, its data and seed, in words
    runs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of comparing runs. All tables are long; `docs/statistics.md` explains each number."""

    summary: "pd.DataFrame"  # of `recsys.scores.tabulate_scores`
    differences: "pd.DataFrame"  # of `recsys.scores.significance`
    joint: "pd.DataFrame"  # of `recsys.scores.simultaneous.tabulate_loss_and_gain`; empty for replicates
    segments: "pd.DataFrame"  # of `recsys.scores.segments.tabulate_segments`; empty for replicates
    against: str
    margin: float  # of equivalence and non-inferiority, a share of the base's mean
    explore: bool  # p-values are adjusted by Benjamini and Hochberg instead of Holm
    replicates: int = 1
    sources: tuple[ComparedFolder, ...] = ()  # where the runs are from, if from folders

    def __str__(self) -> str:
        """Return both tables, short: values with intervals, then relative differences with theirs."""
        values, changes = self.text_tables()
        return escape_hidden(f"{values.to_string()}\n\nagainst {self.against}\n{changes.to_string()}", keep="\n")

    def _repr_html_(self) -> str:
        values, changes = self.text_tables()
        return f"{values.to_html()}{make_element('p', f'against {self.against}')}{changes.to_html()}"

    def text_tables(self) -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """Return a row per run and a column per metric: values as text, and differences in per cent as text."""
        values = self.summary.assign(text=[_format_value(row) for row in self.summary.itertuples()])
        changes = self.differences.assign(text=[_format_difference(row) for row in self.differences.itertuples()])
        return _pivot_by_metric(values), _pivot_by_metric(changes)


@limit_to_one_blas_thread()
def compare(
    runs: Mapping[str, Slates | Ints],
    split: Split,
    metrics: Sequence[str] = (),
    against: str = "",
    *,
    ks: Sequence[int] = (10,),
    objective_maps: Iterable[TasteMap] = (),
    audit_maps: Iterable[TasteMap] = (),
    content_maps: Iterable[TasteMap] = (),
    seed: int = 0,
    n_bootstrap: int = 1000,
    margin: float = 0.02,
    explore: bool = False,
    popularity_exponent: float = DEFAULT_POPULARITY_EXPONENT,
) -> Comparison:
    """Return the runs' values and their differences from the run `against`, with 95 % intervals and verdicts.

    Maps that a metric needs and that are not given are made from the split. `margin` is the largest loss that
    counts as none, a share of the mean of `against`. Runs times metrics are the declared comparisons, for which
    p-values are adjusted (Holm); where many are looked through, `explore` controls the share of false finds
    instead (Benjamini and Hochberg). The losses of the first metric and of stratified accuracy are set beside the
    others' gains. `popularity_exponent` is g of stratified metrics, from 0 to 1.

    Raises:
        RecsysError: as `recsys.evaluate` does, if there is no run `against`, or the margin is no share.
    """
    check_split(split)
    check_run_names(runs)
    asked = resolve_metrics(metrics, ks)
    if against not in tuple(runs):
        raise make_unknown_name_error("run", str(against), runs, "against")
    n_bootstrap = check_int("compare: n_bootstrap", n_bootstrap, 2, MAX_BOOTSTRAP)
    seed = check_int("compare: seed", seed)
    check_number("compare: popularity_exponent", popularity_exponent, 0.0, 1.0)
    align_runs(runs, split, max(want.k for want in asked))  # what does not fit is said before maps are made
    names = {want.name for want in asked}
    given = {"audit": tuple(audit_maps), "own": tuple(objective_maps), "content": tuple(content_maps)}
    made = {family: given[family] or _build_missing_maps(family, split, seed, names) for family in given}
    truth = GroundTruth(split, made["own"], made["audit"], made["content"], popularity_exponent=popularity_exponent)
    scores = evaluate(runs, truth, metrics, ks, seed=seed, n_bootstrap=n_bootstrap)
    return compare_scores(scores, against, margin=margin, explore=explore)


@limit_to_one_blas_thread()
def compare_scores(scores: Scores, against: str, *, margin: float = 0.02, explore: bool = False) -> Comparison:
    """Return the comparison of scores: of one split, or of `recsys.scores.pool_replicates`.

    Raises:
        RecsysError: if there is no run `against`, or the margin is no share.
    """
    check_margin(margin)
    check_bootstrap_memory(
        "compare: n_bootstrap",
        check_int("compare: n_bootstrap", scores.n_bootstrap, 2, MAX_BOOTSTRAP),
        len(scores.cells),
    )
    pairs = pair_with_base(scores, against)
    alone = pairs if scores.replicates == 1 else []
    return Comparison(
        tabulate_scores(scores),
        tabulate_tests(pairs, scores, margin, explore),
        tabulate_loss_and_gain(alone),
        tabulate_segments(alone, scores),
        against,
        margin,
        explore,
        scores.replicates,
    )


def _build_missing_maps(family: str, split: Split, seed: int, names: set[str]) -> tuple[TasteMap, ...]:
    if not names.intersection(_FAMILIES[family]):
        return ()
    from recsys import maps

    makers: dict[str, Callable[[], tuple[TasteMap, ...]]] = {
        "audit": lambda: maps.audit_maps(split.train, seed=seed),
        "own": lambda: maps.objective_maps(split.weighted_train),
        "content": lambda: maps.content_maps(split.items),
    }
    return tuple(makers[family]())


def _pivot_by_metric(long: "pd.DataFrame") -> "pd.DataFrame":
    long = long.assign(at=long.metric + "@" + long.k.astype(str))
    wide = long.pivot(index="run", columns="at", values="text")
    return wide.loc[long["run"].unique(), long["at"].unique()].rename_axis(index=None, columns=None)


def _format_value(row: Any) -> str:
    if row.value != row.value:
        return "not defined"
    return f"{row.value:.4f} [{row.ci_low:.4f}, {row.ci_high:.4f}]"


def _format_difference(row: Any) -> str:
    if row.difference != row.difference:
        return "not defined"
    if row.ci_low != row.ci_low:
        return f"{row.difference:+.4f}{_format_p_value(row)}"
    if row.relative_low != row.relative_low:
        return f"{row.difference:+.4f} [{row.ci_low:+.4f}, {row.ci_high:+.4f}]{_format_p_value(row)}"
    low, high = 100 * row.relative_low, 100 * row.relative_high
    return f"{100 * row.relative:+.1f} % [{low:+.1f}, {high:+.1f}]{_format_p_value(row)}"


def _format_p_value(row: Any) -> str:
    if row.p_value != row.p_value:
        return ""
    return f" p={row.p_value:.3f}" if row.p_value >= 0.001 else " p<0.001"
