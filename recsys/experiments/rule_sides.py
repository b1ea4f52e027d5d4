"""The two sides of a rule: the slates of the same runs with it and without, and what it is there to prevent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.configs import RunSpec
from recsys.experiments.folds import build_or_load_judges
from recsys.experiments.pipeline import LogFunction, Preparation
from recsys.experiments.rerankings import build_fold_slates, build_run_slates
from recsys.types import GroundTruth, Judge
from recsys.types.arrays import Anys, Doubles, Ints

METRICS = ("ndcg", "stratified_recall", "discovery")  # whose price is read


@dataclass(frozen=True, eq=False)
class RuleSide:
    """Slates of runs at the headline length, as codes of items: (U, k), -1 for none."""

    slates: Mapping[str, Ints]  # by run
    by_fold: Sequence[Mapping[str, Ints]] = ()  # the same of each fold; () where users are not halved


@dataclass(frozen=True, eq=False)
class RuleMeasure:
    """What a rule is there to prevent, as a value of each user, (U,), by run; NaN where a user has none."""

    name: str
    with_rule: Mapping[str, Doubles]
    without: Mapping[str, Doubles]


@dataclass(frozen=True, eq=False)
class RuleComparison:
    """A rule beside its absence: all other rules hold on both sides, and one truth judges them."""

    rule: str
    preparation: Preparation  # whose held-out likes and maps judge both sides
    judges: tuple[Judge, ...]
    with_rule: RuleSide
    without: RuleSide
    prevented: tuple[RuleMeasure, ...]
    further_rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # of the table, by run
    further_truths: Mapping[str, tuple[str, GroundTruth]] = field(
        default_factory=dict
    )  # measure: metric, and its truth


def narrow_preparation(preparation: Preparation) -> Preparation:
    """Return a preparation whose runs have the headline's length alone, and are judged by what rules cost."""
    config = preparation.config
    k = config.headline_k
    slate = config.slate.model_copy(update={"k": [k]})
    evaluation = config.evaluation.model_copy(update={"metrics": list(METRICS)})
    return replace(preparation, config=config.model_copy(update={"slate": slate, "evaluation": evaluation}))


def list_compared_runs(preparation: Preparation) -> tuple[RunSpec, ...]:
    """Return the runs that rules are compared on: all but controls."""
    return tuple(run for run in preparation.config.list_runs() if run.kind != "control")


def build_side(
    preparation: Preparation, specs: tuple[RunSpec, ...], quiet: bool, log_line: LogFunction
) -> tuple[RuleSide, tuple[Judge, ...]]:
    """Return the slates of some runs, all and those of each fold, and the judges of the folds."""
    judges, k = build_or_load_judges(preparation), preparation.config.headline_k
    slates, _ = build_run_slates(preparation, specs, quiet, log_line)
    folds = build_fold_slates(preparation, specs, slates, judges, quiet)
    seen, *by_fold = ({run: one.items for run, one in of[k].items()} for of in (slates, *folds))
    return RuleSide(seen, by_fold), judges


def measure_slots(name: str, sides: Sequence[RuleSide], mark: Callable[[Ints], Anys]) -> RuleMeasure:
    """Return the share of each user's slots that `mark` finds in slates (U, k), NaN for an empty slate."""

    def compute_shares(side: RuleSide) -> dict[str, Doubles]:
        return {run: divide_slots(mark(items), items) for run, items in side.slates.items()}

    return RuleMeasure(name, *map(compute_shares, sides))


def divide_slots(marked: Anys, items: Ints) -> Doubles:
    """Return the share of the items of each slate that are marked, (U,), NaN for an empty slate."""
    there = items >= 0
    n = there.sum(axis=1)
    return np.where(n > 0, (there & (marked > 0)).sum(axis=1) / np.maximum(n, 1), np.nan)
