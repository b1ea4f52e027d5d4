"""Runs side by side, for a notebook or a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.scores.alignments import align, check_names
from recsys.scores.names import wanted
from recsys.scores.runs import score
from recsys.scores.tables import differences, summary
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


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found: the long tables of `recsys.scores.summary` and `recsys.scores.differences`."""

    summary: "pd.DataFrame"
    differences: "pd.DataFrame"
    against: str

    def __str__(self) -> str:
        """Return both tables, short: values with intervals, then relative differences with theirs."""
        values, changes = self.tables()
        return f"{values.to_string()}\n\nagainst {self.against}\n{changes.to_string()}"

    def _repr_html_(self) -> str:
        values, changes = self.tables()
        return f"{values.to_html()}<p>against {self.against}</p>{changes.to_html()}"

    def tables(self) -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """Return a row per run and a column per metric: values as text, and differences in per cent as text."""
        values = self.summary.assign(text=[_value(row) for row in self.summary.itertuples()])
        changes = self.differences.assign(text=[_change(row) for row in self.differences.itertuples()])
        return _wide(values), _wide(changes)


def compare(
    runs: Mapping[str, Slates | Ints],
    split: Split,
    metrics: Sequence[str],
    against: str,
    *,
    ks: Sequence[int] = (10,),
    own_maps: Iterable[TasteMap] = (),
    audit_maps: Iterable[TasteMap] = (),
    content_maps: Iterable[TasteMap] = (),
    seed: int = 0,
    draws: int = 1000,
) -> Comparison:
    """Return the runs' values and their differences from the run `against`, with 95 % intervals.

    Maps that a metric needs and that are not given are made from the split.

    Raises:
        RecsysError: as `recsys.score` does, or if there is no run `against`.
    """
    asked = wanted(metrics, ks)
    check_names(runs)
    if against not in tuple(runs):
        raise unknown("run", str(against), runs, "against")
    draws, seed = whole("compare: draws", draws, 2), whole("compare: seed", seed)
    align(runs, split, max(want.k for want in asked))  # what does not fit is said before maps are made
    names = {want.name for want in asked}
    given = {"audit": tuple(audit_maps), "own": tuple(own_maps), "content": tuple(content_maps)}
    made = {family: given[family] or _make(family, split, seed, names) for family in given}
    yardstick = Yardstick(split, made["own"], made["audit"], made["content"])
    scores = score(runs, yardstick, metrics, ks, seed=seed, draws=draws)
    return Comparison(summary(scores), differences(scores, against), against)


def _make(family: str, split: Split, seed: int, names: set[str]) -> tuple[TasteMap, ...]:
    if not names.intersection(_FAMILIES[family]):
        return ()
    from recsys import maps

    makers: dict[str, Callable[[], tuple[TasteMap, ...]]] = {
        "audit": lambda: maps.audit(split.train, seed=seed),
        "own": lambda: maps.own(split.train, seed=seed),
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
    if row.relative_low != row.relative_low:
        return f"{row.difference:+.4f} [{row.ci_low:+.4f}, {row.ci_high:+.4f}]{_p(row)}"
    low, high = 100 * row.relative_low, 100 * row.relative_high
    return f"{100 * row.relative:+.1f} % [{low:+.1f}, {high:+.1f}]{_p(row)}"


def _p(row: Any) -> str:
    if row.p_value != row.p_value:
        return ""
    return f" p={row.p_value:.3f}" if row.p_value >= 0.001 else " p<0.001"
