"""The claim by other judges, over all its splits and beside plain controls: `python benchmarks/discovery_judges.py`,
after `benchmarks/discovery.py`.

Two of its tables are about the points that were fixed on validation for a loss of 2 %, beside what they lose on test.

`results/discovery-judges.csv`: discovery@10 of the headline by each method of the audit family apart, by the same
maps made from 600 users of the same half, and by the same maps made from other logs (likes of MovieLens latest-small,
whose ids are the same, and of MovieLens 100K, by title and year): what regions are worth that were not cut from this
log.

`results/discovery-splits.csv`: the mean over the splits of the headline, with limits of the two-level bootstrap of
`recsys.scores.replicates`: splits, and users, who are the same in all of them.

`results/discovery-controls.csv`: the most popular items, random items and the base's pool in a random order, in every
run.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from discovery import (
    ACCURACY,
    GAIN,
    HERE,
    OTHER_METRICS,
    K,
    Run,
    choose_fixed_point,
    compute_relative_change,
    name_limit_columns,
    write_results,
)
from scipy import sparse

import recsys
from recsys import configs
from recsys.experiments.pipeline import Preparation, prepare_benchmark
from recsys.scores import Scores, evaluate
from recsys.scores.replicates import pool_replicates, two_level_interval
from recsys.support import rng
from recsys.sweeps.trials import TrialResult
from recsys.types import GroundTruth, Split, TasteMap
from recsys.types.arrays import Csr, Ints, Strings

SPLITS = ("ml-1m-likes", "ml-1m-likes, second split", "ml-1m-likes, third split")
LOSS = 0.02
CONTROLS = ("most_popular", "random", "random_rerank")
N_SAMPLED_USERS = 600


@dataclass(frozen=True)
class SweepFolder:
    """One run of the protocol, as its sweep has left it in a folder."""

    run: Run
    folder: Path

    @cached_property
    def preparation(self) -> Preparation:
        config = configs.read_config(self.folder / "base.toml")
        return prepare_benchmark(config, quiet=True, log_line=lambda line: None)

    @cached_property
    def sweep(self) -> Path:
        (found,) = self.folder.glob("sweep-*")
        return found

    @property
    def base(self) -> str:
        return configs.read_config(self.folder / "base.toml").base_name

    def find_fixed_runs(self, methods: Mapping[str, object]) -> dict[str, str]:
        """Return the run of the point that was fixed for each method, and that of the base."""
        trials = pd.read_parquet(self.sweep / "trials.parquet")
        judged = set(pd.read_csv(self.sweep / "judged" / "summary.csv").run)
        chosen = {"base": self.base}
        for method in methods:
            rows = trials[trials.method == method].to_dict("records")
            curve = [build_trial_result(row) for row in rows if f"{method}-{row['trial']}" in judged]
            chosen[method] = choose_fixed_point(method, curve, LOSS, self.base).run
        return chosen

    def read_slates(self, methods: Mapping[str, object]) -> dict[str, Ints]:
        """Return what was shown by the base and by the fixed point of each method, (U, K)."""
        split, points = self.preparation.split, self.find_fixed_runs(methods)
        path, wanted = self.sweep / "judged" / "slates.parquet", [("run", "in", [*set(points.values())])]
        table = pd.read_parquet(path, filters=wanted, columns=["run", "k", "user_id", "rank", "item_id"])
        table = table[table.k == K]
        made = {}
        for run, rows in table.groupby("run"):
            items = np.full((split.shape[0], K), -1, dtype=np.int32)
            user, item = (
                find_codes(ids, rows[name]) for name, ids in (("user_id", split.user_ids), ("item_id", split.item_ids))
            )
            items[user, rows["rank"].to_numpy() - 1] = item
            made[run] = items
        return {method: made[run] for method, run in points.items()}


def find_codes(ids: Strings, names: pd.Series) -> Ints:
    """Return the place of each name among ids."""
    return pd.Index(ids.astype(str)).get_indexer(names.astype(str)).astype(np.int32)


def build_trial_result(row: Mapping[str, float]) -> TrialResult:
    values = {metric: row[metric] for metric in (ACCURACY, GAIN)}
    return TrialResult(int(row["trial"]), {}, values, {name: row[f"base {name}"] for name in values}, True, 0.0)


def map_other_log(split: Split, name: str, by_id: bool) -> Csr:
    """Return the likes of another log over the items of `split`, (users, I): items by their id, or title and year."""
    data = recsys.load_dataset(name)
    log, theirs, ours = data.interactions, data.items, split.items
    mine = ours.ids if by_id else np.char.add(ours.titles.astype(str), ours.years.astype(str))
    keys = theirs.ids if by_id else np.char.add(theirs.titles.astype(str), theirs.years.astype(str))
    place = dict(zip(mine.tolist(), range(len(mine)), strict=True))
    code = np.array([place.get(key, -1) for key in keys.tolist()])
    names = np.array([place.get(item, -1) for item in log.item_ids.tolist()]) if by_id else None
    row_of = dict(zip(theirs.ids.tolist(), code.tolist(), strict=True))
    item = names[log.item] if names is not None else np.array([row_of[i] for i in log.item_ids.tolist()])[log.item]
    liked = (log.weight >= 4) & (item >= 0)
    ones = np.ones(liked.sum(), np.float32)
    return Csr(sparse.csr_array((ones, (log.user[liked], item[liked])), shape=(len(log.user_ids), split.shape[1])))


def build_judge_families(preparation: Preparation) -> Iterator[tuple[str, tuple[TasteMap, ...]]]:
    """Yield the families of maps by which the headline is judged."""
    split, audit = preparation.split, preparation.audit
    yield "the audit family", audit
    for method in dict.fromkeys(one.method for one in audit):
        yield f"{method} alone", tuple(one for one in audit if one.method == method)
    users = np.flatnonzero(rng.draw_uniforms(0, "map halves", np.arange(split.shape[0])) >= 0.5)
    few = np.random.default_rng(0).choice(users, N_SAMPLED_USERS, replace=False)
    yield f"{N_SAMPLED_USERS} users of the same half", recsys.maps.audit_maps(split.train[np.sort(few)], half=None)
    yield "likes of ml-latest-small", recsys.maps.audit_maps(map_other_log(split, "ml-latest-small", True), half=None)
    yield "likes of ml-100k", recsys.maps.audit_maps(map_other_log(split, "ml-100k", False), half=None)


def evaluate_by_judges(judged: SweepFolder, methods: Mapping[str, object]) -> Iterator[dict[str, object]]:
    preparation, slates = judged.preparation, judged.read_slates(methods)
    for judge, family in build_judge_families(preparation):
        truth = GroundTruth(preparation.split, preparation.objective_maps, family, preparation.content)
        scores = evaluate(slates, truth, [ACCURACY, GAIN], [K], seed=judged.run.seed)
        cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in scores.cells}
        for method in slates:
            lost, won = (
                compute_relative_change(cells[method, metric], cells["base", metric]) for metric in (ACCURACY, GAIN)
            )
            counts = cells[method, GAIN].counts
            yield {
                "run": judged.run.name, "judge": judge, "maps": len(family), "method": method, "loss": -lost[0],
                **name_limit_columns("gain", won), "held_out": counts["held_out"], "hits": counts["hits"],
            }  # fmt: skip


def pool_splits(splits: list[SweepFolder], methods: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield the change of each method from the base, over all splits, and in each of them."""
    replicates = [score_split(one, methods) for one in splits]
    together = pool_replicates(replicates)
    cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in together.cells}
    n, users = len(splits), len(together.users)
    for metric in (ACCURACY, GAIN, OTHER_METRICS[0]):
        base = cells["base", metric]
        for method in methods:
            cell = cells[method, metric]
            value, draws = cell.value / base.value - 1.0, cell.draws / base.draws - 1.0
            limits = two_level_interval(value, draws, n, users)
            each = {f"split_{i}": float(change) for i, change in enumerate(draws[-n:], 1)}
            yield {
                "run": SPLITS[0], "splits": n, "method": method, "metric": metric,
                **name_limit_columns("change", (value, limits.low, limits.high)), **each,
            }  # fmt: skip


def build_control_rows(judged: SweepFolder) -> Iterator[dict[str, object]]:
    """Yield what lists that nobody would serve get, and the change from the base: no loss is matched here."""
    table = pd.read_csv(judged.sweep / "judged" / "summary.csv")
    table = table[table.k == K].assign(metric=lambda rows: rows.metric + f"@{K}").set_index(["run", "metric"])
    for control in CONTROLS:
        for metric in (ACCURACY, GAIN):
            value = table.loc[(control, metric), "value"]
            change = value / table.loc[(judged.base, metric), "value"] - 1.0
            yield {"run": judged.run.name, "control": control, "metric": metric, "value": value, "change": change}


def score_split(judged: SweepFolder, methods: Mapping[str, object]) -> Scores:
    preparation = judged.preparation
    truth = GroundTruth(preparation.split, preparation.objective_maps, preparation.audit, preparation.content)
    return evaluate(judged.read_slates(methods), truth, [ACCURACY, GAIN, OTHER_METRICS[0]], [K], seed=judged.run.seed)


def main() -> None:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/discovery"), help="where the sweeps were kept")
    work = parser.parse_args().work
    protocol = tomllib.loads((HERE / "discovery.toml").read_text(encoding="utf-8"))
    runs = {run.name: run for run in (Run(**tables) for tables in protocol["runs"])}
    splits = [SweepFolder(runs[name], work / runs[name].slug) for name in SPLITS]
    made = [SweepFolder(run, work / run.slug) for run in runs.values() if (work / run.slug).exists()]
    write_results("discovery-controls", [row for one in made for row in build_control_rows(one)])
    write_results("discovery-judges", list(evaluate_by_judges(splits[0], protocol["methods"])))
    write_results("discovery-splits", list(pool_splits(splits, protocol["methods"])))


if __name__ == "__main__":
    main()
