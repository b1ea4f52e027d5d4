"""What judges by halves of the users say: inside and outside of their half, beside seen users, and how surely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import Config
from recsys.experiments.pipeline import Preparation, build_or_load_pool
from recsys.metrics import discovery, discovery_two_witnesses
from recsys.scores import Scores, tabulate_differences, tabulate_scores
from recsys.scores.alignment import align_runs, restrict_to_users
from recsys.scores.cross_fitting import Reader, evaluate_readers, get_judged_truth
from recsys.scores.judges import MIN_JUDGE_USERS, MIN_UNEXPLORED_HITS, summarize_judge
from recsys.scores.metric_names import resolve_metrics
from recsys.scores.records import join_scores
from recsys.scores.tables import pair_with_base
from recsys.types import Evaluation, GroundTruth, Judge, Slates
from recsys.types.arrays import Ints

if TYPE_CHECKING:
    import pandas as pd

READ_METRICS = ("ndcg", "recall", "discovery", "unexplored_share")  # those of a config among these are read for each
WITNESSED = "discovery_two_witnesses"


@dataclass(frozen=True, eq=False)
class FoldReadings:
    """Long tables of what judges say, at the headline k.

    `judges`: a row per fold. halving, half, users (whose histories its maps are made from), maps, regions (of the mean
    map), unexplored (P that a candidate of the base's pool is), lift (P(unexplored | own maps say so) / P(unexplored)),
    and of the base: held_out (positives in unexplored regions), hits and hits_two_witnesses (among them), means over
    maps.

    `readings`: a row per run, metric and reader. "all" users of the cross-fitted judges; users "inside" and "outside"
    of the judge's half; "two witnesses"; "seen", the reading by audit maps of users whom objectives know. value,
    ci_low, ci_high, n_users; relative, relative_low, relative_high against the base, as in `tabulate_differences`.
    """

    judges: "pd.DataFrame"
    readings: "pd.DataFrame"


def evaluate_each_reader(
    config: Config,
    by_fold: Sequence[dict[int, dict[str, Slates]]],
    truth: GroundTruth,
    judges: Sequence[Judge],
    seconds: Mapping[str, float],
) -> dict[str, Scores]:
    """Return the cross-fitted scores by reader: of "all" users at every k, of the others at the headline k."""
    found: dict[str, list[Scores]] = {}
    asked = resolve_metrics(config.evaluation.metrics, config.slate.k)
    how: dict[str, Any] = {"seed": config.seed, "n_bootstrap": config.evaluation.n_bootstrap, "seconds": seconds}
    for k in by_fold[0]:
        names = [want.name for want in asked if want.k == k]
        readers = {"all": Reader("all", [f"{name}@{k}" for name in names])}
        if k == config.headline_k:
            read = [f"{name}@{k}" for name in READ_METRICS if name in names]
            readers |= {"inside": Reader("inside", read), "outside": Reader("outside", read)}
            readers["two witnesses"] = Reader("all", [f"{WITNESSED}@{k}"])
        readers = {name: reader for name, reader in readers.items() if reader.metrics}
        runs = [of[k] for of in by_fold]
        for name, scores in evaluate_readers(runs, truth, judges, readers, [k], **how).items() if readers else ():
            found.setdefault(name, []).append(scores)
    alone = {name: parts[0] for name, parts in found.items() if name != "all"}
    return {"all": join_scores(found["all"], [(want.name, want.k) for want in asked]), **alone}


def read_folds(
    preparation: Preparation,
    truth: GroundTruth,
    judges: Sequence[Judge],
    by_fold: Sequence[dict[int, dict[str, Slates]]],
    read: Mapping[str, Scores],
) -> FoldReadings:
    """Return what each judge is, and what each reader says of each run: those of `read`, by name."""
    import pandas as pd

    config, k = preparation.config, preparation.config.headline_k
    metrics = {cell.metric for cell in read["all"].cells if cell.k == k} & {*READ_METRICS}
    tables = [_tabulate_reading(name, of, {*metrics, WITNESSED}, config.base_name, k) for name, of in read.items()]
    readings = pd.concat([table for table in tables if len(table)], ignore_index=True)
    return FoldReadings(_tabulate_judges(preparation, truth, judges, [of[k] for of in by_fold]), readings)


def add_seen_reading(
    summary: "pd.DataFrame", differences: "pd.DataFrame", seen: Scores, base: str
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Return both tables with the reading on seen users, and how much more it says than the cross-fitted one.

    `summary`: seen, seen_gap (seen - value). `differences`: seen_relative, seen_gap (seen_relative - relative).
    """
    values = {(cell.run, cell.metric, cell.k): cell.value for cell in seen.cells}
    changes = {
        (cell.run, cell.metric, cell.k): cell.value / other.value - 1.0 if other.value > 0 else float("nan")
        for cell, other in pair_with_base(seen, base)
    }
    summary = summary.assign(seen=[values[key] for key in zip(summary.run, summary.metric, summary.k, strict=True)])
    keys = zip(differences.run, differences.metric, differences.k, strict=True)
    differences = differences.assign(seen_relative=[changes[key] for key in keys])
    return (
        summary.assign(seen_gap=summary.seen - summary.value),
        differences.assign(seen_gap=differences.seen_relative - differences.relative),
    )


def describe_power(read: FoldReadings, differences: "pd.DataFrame", config: Config) -> tuple[str, ...]:
    """Say in one line that judges are small, or see few hits, and how small a change they could have shown."""
    users, hits = int(read.judges.users.min()), float(read.judges.hits.mean())
    few = [f"{users:,} users (fewer than {MIN_JUDGE_USERS:,})"] if users < MIN_JUDGE_USERS else []
    if hits < MIN_UNEXPLORED_HITS:
        few.append(f"{hits:.0f} hits of {config.base_name} in unexplored regions (fewer than {MIN_UNEXPLORED_HITS})")
    if not few:
        return ()
    k, shown = config.headline_k, ""
    rows = differences[(differences.metric == "discovery") & (differences.k == k)]
    base = read.readings.query("reader == 'all' and metric == 'discovery' and run == @config.base_name").value
    if len(base) and base.iloc[0] > 0 and (rows.detectable > 0).any():
        least = rows.detectable[rows.detectable > 0] / float(base.iloc[0])
        shown = (
            f": the smallest change of discovery@{k} that could have been shown is {100 * least.min():.1f} % to "
            f"{100 * least.max():.1f} % of {config.base_name}'s, by run"
        )
    return (f"judges have {' and '.join(few)}{shown}",)


def _tabulate_reading(reader: str, scores: Scores, metrics: set[str], base: str, k: int) -> "pd.DataFrame":
    kept = [cell for cell in scores.cells if cell.k == k and cell.metric in metrics]
    part = replace(scores, cells=tuple(kept))
    values = tabulate_scores(part)[["run", "metric", "k", "value", "ci_low", "ci_high", "n_users"]]
    columns = ["run", "metric", "relative", "relative_low", "relative_high"]
    changes = tabulate_differences(part, base)[columns] if len(kept) else values.reindex(columns=columns)
    table = values.merge(changes, on=["run", "metric"], how="left")
    table["metric"] = table["metric"].replace(WITNESSED, "discovery")
    table.insert(3, "reader", reader)
    return table


def _tabulate_judges(
    preparation: Preparation, truth: GroundTruth, judges: Sequence[Judge], runs: Sequence[dict[str, Slates]]
) -> "pd.DataFrame":
    import pandas as pd

    config, train = preparation.config, truth.split.train
    pool = build_or_load_pool(preparation, config.model, config.pool)[0]
    items: Ints = np.full((train.shape[0], pool.items.shape[1]), -1, dtype=np.int32)
    items[pool.users] = pool.items
    rows = []
    for f, (judge, found) in enumerate(zip(judges, runs, strict=True)):
        said, counts = (
            summarize_judge(judge, train, items),
            _count_base_hits(truth, judge, found[config.base_name], config),
        )
        rows.append(
            {
                "halving": judge.fold.halving + 1,
                "half": "ab"[f % 2],
                "users": said.n_users,
                "maps": said.n_maps,
                "regions": said.n_regions,
                "unexplored": said.unexplored,
                "lift": said.lift,
                **counts,
            }
        )
    return pd.DataFrame(rows)


def _count_base_hits(truth: GroundTruth, judge: Judge, base: Slates, config: Config) -> dict[str, float]:
    """Return the base's hits in regions that a judge calls unexplored, and the positives there: means over maps."""
    users, picks = align_runs({"base": base}, truth.split, config.headline_k)
    evaluation = Evaluation(picks["base"], get_judged_truth(restrict_to_users(truth, users), judge))
    alone, both = (metric(evaluation, config.headline_k).counts for metric in (discovery, discovery_two_witnesses))
    return {"held_out": alone["held_out"], "hits": alone["hits"], "hits_two_witnesses": both["hits"]}
