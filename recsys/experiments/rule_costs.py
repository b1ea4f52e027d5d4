"""What each rule of a benchmark cost and prevented: one table, with intervals."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import Config
from recsys.experiments.rule_sides import METRICS, RuleComparison
from recsys.scores import Scores, evaluate, tabulate_differences
from recsys.scores.cross_fitting import evaluate_folds
from recsys.splits.forgotten_rows import find_forgotten_rows, parse_forget_list
from recsys.splits.permissions import find_left_out_rows, select_permitted_rows
from recsys.support.rng import make_generator
from recsys.types import Dataset, GroundTruth
from recsys.types.arrays import Anys, Bools, Doubles

if TYPE_CHECKING:
    import pandas as pd

WITH, WITHOUT = "with the rule", "without"
COLUMNS = ("rule", "run", "measure", "with_rule", "without", "difference", "low", "high", "relative", "n_users")


def tabulate_rule_costs(
    comparisons: Iterable[RuleComparison], left_out: Iterable[dict[str, Any]] = ()
) -> "pd.DataFrame":
    """Return a row for each rule, run and measure, with 95 % intervals: `difference` is with the rule minus without.

    `ndcg`, `stratified_recall` (hits credited by popularity) and `discovery` are what a rule costs, read as the
    benchmark reads them; further measures are what it is there to prevent, each a mean over users of their slates'.
    `left_out` are the rows of `list_left_out_rows`.
    """
    import pandas as pd

    rows = [row for found in comparisons for run in found.with_rule.slates for row in _iter_rows(found, run)]
    return pd.DataFrame([*left_out, *rows], columns=list(COLUMNS))


def _iter_rows(found: RuleComparison, run: str) -> Iterator[dict[str, Any]]:
    config, about = found.preparation.config, {"rule": found.rule, "run": run}
    truth = found.preparation.build_ground_truth()
    judged = [
        (METRICS, METRICS, truth),
        *(([name], [metric], of) for name, (metric, of) in found.further_truths.items()),
    ]
    for measures, metrics, of in judged:
        scores = _score_sides(found, run, of, metrics)
        table = tabulate_differences(scores, WITHOUT).to_dict("records")
        for measure, row in zip(measures, table, strict=True):
            values = [
                next(c.value for c in scores.select_run(side) if c.metric == row["metric"]) for side in (WITH, WITHOUT)
            ]
            told = {"with_rule": values[0], "without": values[1], "difference": row["difference"]}
            told |= {
                "low": row["ci_low"],
                "high": row["ci_high"],
                "relative": row["relative"],
                "n_users": row["n_users"],
            }
            yield {**about, "measure": measure, **told}
    for one in found.prevented:
        how = (config.seed, config.evaluation.n_bootstrap)
        yield {**about, "measure": one.name, **describe_change(one.with_rule[run], one.without[run], *how)}
    yield from ({**about, **row} for row in found.further_rows.get(run, ()))


def _score_sides(found: RuleComparison, run: str, truth: GroundTruth, metrics: Any) -> Scores:
    """Return the scores of both sides of a run, cross-fitted where there are judges."""
    config = found.preparation.config
    k = [config.headline_k]
    how: dict[str, Any] = {"seed": config.seed, "n_bootstrap": config.evaluation.n_bootstrap}
    if not found.judges:
        sides = {WITH: found.with_rule.slates[run], WITHOUT: found.without.slates[run]}
        return evaluate(sides, truth, metrics, k, **how)
    pairs = zip(found.with_rule.by_fold, found.without.by_fold, strict=True)
    return evaluate_folds([{WITH: a[run], WITHOUT: b[run]} for a, b in pairs], truth, found.judges, metrics, k, **how)


def describe_change(ours: Doubles, theirs: Doubles, seed: int, n_bootstrap: int) -> dict[str, Any]:
    """Return the mean of two values of each user, and their difference with its limits over draws of users."""
    there = ~(np.isnan(ours) | np.isnan(theirs))
    change: Anys = (ours - theirs)[there]
    n = len(change)
    if not n:
        return {"n_users": 0}
    counts = make_generator(seed, "rule costs").multinomial(n, np.full(n, 1 / n), n_bootstrap)
    low, high = np.percentile(counts @ change / n, [2.5, 97.5])
    means = {"with_rule": ours[there].mean(), "without": theirs[there].mean()}
    relative = change.mean() / means["without"] if means["without"] > 0 else np.nan
    return {**means, "difference": change.mean(), "low": low, "high": high, "relative": relative, "n_users": n}


def list_left_out_rows(config: Config, dataset: Dataset) -> list[dict[str, Any]]:
    """Return how many rows and users each rule of [filter] leaves, and takes out of those that the rule before left.

    Rows that may not be used are not used for a comparison either: such a rule has no price. Consent and purposes are
    told where the log has the column; a user is taken out who has no row left.
    """
    wanted, log = config.filter, dataset.interactions
    reasons = find_left_out_rows(dataset, wanted.sources, wanted.purposes)
    there = {
        "consent": log.consent is not None,
        "sources": wanted.sources is not None,
        "purposes": log.purposes is not None,
    }
    steps = {name: rows for (name, on), rows in zip(there.items(), reasons.values(), strict=True) if on}
    if (forget_list := parse_forget_list(wanted.forget_list)) is not None:
        steps["forget_list"] = forgotten = ~np.logical_or.reduce(list(reasons.values()))
        forgotten[forgotten] = find_forgotten_rows(
            select_permitted_rows(dataset, wanted.sources, wanted.purposes)[0], forget_list, config.read_topics()
        )
    kept, told = np.ones(len(log), dtype=bool), []
    for rule, rows in steps.items():
        left = kept & ~rows
        for measure, (n, before) in _count_rows_and_users(log.user, left, kept).items():
            change = {"with_rule": n, "without": before, "difference": n - before, "relative": n / before - 1}
            told.append({"rule": rule, "run": "", "measure": measure, **change})
        kept = left
    return told


def _count_rows_and_users(user: Anys, *masks: Bools) -> dict[str, list[int]]:
    return {
        "rows": [int(mask.sum()) for mask in masks],
        "users": [len(np.unique(user[mask])) for mask in masks],
    }
