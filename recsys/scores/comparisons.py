"""Runs side by side, for a notebook or a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.escaping import visible
from recsys.html import element
from recsys.scores.alignments import align, check_names, check_split
from recsys.scores.claims import claims
from recsys.scores.intervals import MOST, check_draws
from recsys.scores.joints import joint_table
from recsys.scores.names import wanted
from recsys.scores.records import Scores
from recsys.scores.runs import score
from recsys.scores.segments import segment_table
from recsys.scores.tables import paired, summary
from recsys.scores.verdicts import check_margin
from recsys.threads import one_blas_thread
from recsys.types import Slates, Split, TasteMap, Yardstick, unknown
from recsys.types.arrays import Ints
from recsys.types.numbers import whole

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = {
    "audit": ("discovery", "untouched_share", "deficit"),
    "own": ("discovery_own", "untouched_share_own", "deficit_own"),
    "content": ("discovery_content", "untouched_share_content"),
}


@dataclass(frozen=True)
class Source:
    """A run folder, and what of it is compared."""

    folder: str
    about: str  # the benchmark, its data and seed, in words
    runs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What comparing runs found. All tables are long; `docs/statistics.md` says what each number means."""

    summary: "pd.DataFrame"  # of `recsys.scores.summary`
    differences: "pd.DataFrame"  # of `recsys.scores.claims`
    joint: "pd.DataFrame"  # of `recsys.scores.joints.joint_table`; empty for replicates
    segments: "pd.DataFrame"  # of `recsys.scores.segments.segment_table`; empty for replicates
    against: str
    margin: float  # of equivalence and non-inferiority, a share of the base's mean
    explore: bool  # p-values are adjusted by Benjamini and Hochberg instead of Holm
    replicates: int = 1
    sources: tuple[Source, ...] = ()  # where the runs are from, if from folders

    def __str__(self) -> str:
        """Return both tables, short: values with intervals, then relative differences with theirs."""
        values, changes = self.tables()
        return visible(f"{values.to_string()}\n\nagainst {self.against}\n{changes.to_string()}", keep="\n")

    def _repr_html_(self) -> str:
        values, changes = self.tables()
        return f"{values.to_html()}{element('p', f'against {self.against}')}{changes.to_html()}"

    def tables(self) -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """Return a row per run and a column per metric: values as text, and differences in per cent as text."""
        values = self.summary.assign(text=[_value(row) for row in self.summary.itertuples()])
        changes = self.differences.assign(text=[_change(row) for row in self.differences.itertuples()])
        return _wide(values), _wide(changes)


@one_blas_thread()
def compare(
    runs: Mapping[str, Slates | Ints],
    split: Split,
    metrics: Sequence[str] = (),
    against: str = "",
    *,
    ks: Sequence[int] = (10,),
    own_maps: Iterable[TasteMap] = (),
    audit_maps: Iterable[TasteMap] = (),
    content_maps: Iterable[TasteMap] = (),
    seed: int = 0,
    draws: int = 1000,
    margin: float = 0.02,
    explore: bool = False,
) -> Comparison:
    """Return the runs' values and their differences from the run `against`, with 95 % intervals and verdicts.

    Maps that a metric needs and that are not given are made from the split. `margin` is the largest loss that
    counts as none, a share of the mean of `against`. Runs times metrics are the declared comparisons, for which
    p-values are adjusted (Holm); where many are looked through, `explore` controls the share of false finds
    instead (Benjamini and Hochberg). The first metric is the one whose loss is set beside the others' gains.

    Raises:
        RecsysError: as `recsys.score` does, if there is no run `against`, or the margin is no share.
    """
    check_split(split)
    check_names(runs)
    asked = wanted(metrics, ks)
    if against not in tuple(runs):
        raise unknown("run", str(against), runs, "against")
    draws, seed = whole("compare: draws", draws, 2, MOST), whole("compare: seed", seed)
    align(runs, split, max(want.k for want in asked))  # what does not fit is said before maps are made
    names = {want.name for want in asked}
    given = {"audit": tuple(audit_maps), "own": tuple(own_maps), "content": tuple(content_maps)}
    made = {family: given[family] or _make(family, split, seed, names) for family in given}
    yardstick = Yardstick(split, made["own"], made["audit"], made["content"])
    scores = score(runs, yardstick, metrics, ks, seed=seed, draws=draws)
    return compare_scores(scores, against, margin=margin, explore=explore)


@one_blas_thread()
def compare_scores(scores: Scores, against: str, *, margin: float = 0.02, explore: bool = False) -> Comparison:
    """Return what `compare` does, of scores: of one split, or of `recsys.scores.pool_replicates`.

    Raises:
        RecsysError: if there is no run `against`, or the margin is no share.
    """
    check_margin(margin)
    check_draws("compare: draws", whole("compare: draws", scores.draws, 2, MOST), len(scores.cells))
    pairs = paired(scores, against)
    alone = pairs if scores.replicates == 1 else []
    return Comparison(
        summary(scores),
        claims(pairs, scores, margin, explore),
        joint_table(alone),
        segment_table(alone, scores),
        against,
        margin,
        explore,
        scores.replicates,
    )


def _make(family: str, split: Split, seed: int, names: set[str]) -> tuple[TasteMap, ...]:
    if not names.intersection(_FAMILIES[family]):
        return ()
    from recsys import maps

    makers: dict[str, Callable[[], tuple[TasteMap, ...]]] = {
        "audit": lambda: maps.audit(split.train, seed=seed),
        "own": lambda: maps.own(split.train),
        "content": lambda: maps.content(split.items),
    }
    return tuple(makers[family]())


def _wide(long: "pd.DataFrame") -> "pd.DataFrame":
    long = long.assign(at=long.metric + "@" + long.k.astype(str))
    wide = long.pivot(index="run", columns="at", values="text")
    return wide.loc[long["run"].unique(), long["at"].unique()].rename_axis(index=None, columns=None)


def _value(row: Any) -> str:
    if row.value != row.value:
        return "not defined"
    return f"{row.value:.4f} [{row.ci_low:.4f}, {row.ci_high:.4f}]"


def _change(row: Any) -> str:
    if row.difference != row.difference:
        return "not defined"
    if row.ci_low != row.ci_low:
        return f"{row.difference:+.4f}{_p(row)}"
    if row.relative_low != row.relative_low:
        return f"{row.difference:+.4f} [{row.ci_low:+.4f}, {row.ci_high:+.4f}]{_p(row)}"
    low, high = 100 * row.relative_low, 100 * row.relative_high
    return f"{100 * row.relative:+.1f} % [{low:+.1f}, {high:+.1f}]{_p(row)}"


def _p(row: Any) -> str:
    if row.p_value != row.p_value:
        return ""
    return f" p={row.p_value:.3f}" if row.p_value >= 0.001 else " p<0.001"
