"""What a likelihood earns over its tuned base, on several logs: `python benchmarks/likelihood_accuracy.py`.

A log is the name of a shipped config, or a config's file: its data, filter and sizes of the split. Its base is the most
accurate model, or mean of models, on validation: the first row of `results/bases-<name>.csv`, with settings from
`results/tuning-<name>.csv` (`tune.py` and `choose_base.py` make them). The base is fitted to train, and the likelihood
with default settings to the validation likes among its candidates. Then the base is refitted to all of both, and
nDCG@10 and stratified recall@10 on test of the likelihood's order are compared with its own, user by user, whatever
the likelihood was out of fold; `used` says whether it would have been left out. Splits are random, with three seeds,
on every log, and per user and time, with three seeds of ties, on logs whose config splits by time.

Each row of `results/likelihood-accuracy.csv` is written as soon as it is made, seed after seed, and a row that is there
is not made again: delete the file to begin anew. `results/likelihood-gains.csv` has the means over seeds of each log
and split. Its splits share users: the ends of an interval are the means of the ends, as wide as that of one split.
`results/likelihood-targets.csv` holds these against what was asked of the likelihood before it was measured.

A log that cannot be had is left out, and said. `logs/` has the configs of those that no shipped config names, and
`likes.py` makes that of ML-1M.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from choose_base import RESULTS, build_model_section, read_best_settings
from tune import write_table

import recsys as rs
from recsys import configs
from recsys.experiments import pipeline
from recsys.support.cache import Cache, get_default_cache_folder
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, Pool, RecsysError, Split

LOGS = (
    "ml-100k", "ml-latest-small", "online-retail-ii", "runs/ml-1m-likes/ml-1m-likes.toml", "benchmarks/logs/coat.toml",
    "benchmarks/logs/lastfm-hetrec.toml", "benchmarks/logs/gowalla-10k.toml",
)  # fmt: skip
SEEDS, N, K = 3, 200, 10
SPLITS = ("random", "per_user_time")
KINDS = ("softmax", "logistic")
GAINERS, LEAST_GAIN = ("lastfm-hetrec", "gowalla-10k"), 0.03  # logs on which so much was asked, relative to the base
TARGETS = ["what", "kind", "found", "target", "met"]
METRICS = {"ndcg": "ndcg", "stratified_recall": "recall"}  # and how its columns begin
KEY = ["dataset", "split", "seed", "kind"]
FOLD = ["fold_base", "fold_ndcg", "fold_low", "fold_high"]
PARTS = ("base", "likelihood", "difference", "low", "high", "relative", "relative_low", "relative_high")
COLUMNS = [*KEY, "base", "users", "used", *FOLD, *(f"{name}_{part}" for name in METRICS.values() for part in PARTS)]


def read_base_name(name: str) -> str:
    """Return the base of a log: the most accurate on validation, kinds joined by "+".

    Raises:
        RecsysError: if it was not chosen.
    """
    path = RESULTS / f"bases-{name}.csv"
    if not path.exists():
        raise RecsysError(f"{path}: is not there, expected the bases of choose_base.py --data")
    return str(pd.read_csv(path)["base"][0])


def build_base_section(name: str, base: str) -> configs.ModelSection:
    """Return [model] of the base of a log, with its tuned settings."""
    return configs.ModelSection.model_validate(build_model_section(base, read_best_settings(name)))


def build_or_load_base_pool(config: configs.Config, data: Dataset, whole: Split, part: str) -> Pool:
    """Return the candidates of the base that are judged by "validation" or "test", fitted to all before it."""
    judged = config.evaluation.model_copy(update={"split": part})
    split = whole.validation_view() if part == "validation" else whole.test_view()
    cache, key = Cache(get_default_cache_folder()), ["own", split.fingerprint, part, config.seed]
    own = pipeline.build_or_load_maps(cache, key, lambda: rs.maps.objective_maps(split.train))
    config = config.model_copy(update={"evaluation": judged})
    before = pipeline.Preparation(config, data, split, cache, own, (), (), quiet=True, whole=whole)
    return pipeline.build_or_load_pool(before, config.model, configs.PoolSection(n=N))[0]


def list_splits(config: configs.Config, data: Dataset) -> tuple[str, ...]:
    """Return the kinds of split of a log: the second needs times."""
    has_times = config.split.kind != "random" and data.interactions.datetime is not None
    return SPLITS if has_times else SPLITS[:1]


def change_config(config: configs.Config, base: str, kind: str, seed: int) -> configs.Config:
    """Return the config of a log with its base, and a split of another kind and seed, of the same sizes."""
    sizes = {name: getattr(config.split, name) for name in ("validation", "test", "cold_items")}
    split = configs.SplitSection.model_validate({"kind": kind, **sizes})
    model = build_base_section(Path(config.name).stem, base)
    return config.model_copy(update={"split": split, "seed": seed, "model": model})


@limit_to_one_blas_thread()
def compare_kinds(config: configs.Config, data: Dataset, kinds: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each kind of likelihood with the columns that it fills: accuracy out of fold and on test."""
    split = pipeline.split_dataset(config, data)
    before, after = (build_or_load_base_pool(config, data, split, part) for part in ("validation", "test"))
    for kind in kinds:
        made = rs.fit_likelihood(before, split, kind=kind)
        ranked = rs.apply_likelihood(after, made, even_if_worse=True)
        runs = {
            name: rs.rerank(pool, {"relevance": 1.0}, K) for name, pool in (("base", after), ("likelihood", ranked))
        }
        compared = rs.compare(runs, split.test_view(), list(METRICS), against="base", ks=[K])
        fold = [made.base_ndcg, made.ndcg, made.ci_low, made.ci_high]
        yield kind, [compared.differences["n_users"].max(), int(made.beats_base), *fold, *read_differences(compared)]


def read_differences(compared: Any) -> list[float]:
    """Return the columns of each metric: both values, their difference and the relative one, with intervals."""
    values = compared.summary.set_index(["run", "metric"])["value"]
    rows = compared.differences.set_index("metric")
    parts = ["difference", "ci_low", "ci_high", "relative", "relative_low", "relative_high"]
    found = []
    for metric in METRICS:
        found += [values["base", metric], values["likelihood", metric], *rows.loc[metric, parts]]
    return [float(value) for value in found]


def measure_log(config: configs.Config, seed: int, done: list[list[Any]], kinds: Sequence[str]) -> Iterator[list[Any]]:
    """Yield a row for each split and kind of a seed that is not among those done."""
    name = Path(config.name).stem
    base, data = read_base_name(name), pipeline.load_dataset(config)
    for split_kind in list_splits(config, data):
        known = {str(row[3]) for row in done if [str(cell) for cell in row[:3]] == [name, split_kind, str(seed)]}
        missing = [kind for kind in kinds if kind not in known]
        if missing:
            changed = change_config(config, base, split_kind, seed)
            for kind, cells in compare_kinds(changed, data, missing):
                yield [name, split_kind, seed, kind, base, *cells[:2], *(f"{cell:.5f}" for cell in cells[2:])]


def average_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds of each log, split and kind, and the number of splits."""
    keys = ["dataset", "split", "kind", "base"]
    numbers = [name for name in table if name not in (*keys, "seed")]
    grouped = table.groupby(keys, sort=False)
    averaged = grouped[numbers].mean()
    averaged.insert(0, "splits", grouped.size())
    return averaged.reset_index()


def read_rows(path: Path) -> list[list[Any]]:
    """Return the rows that are there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    if head != COLUMNS:
        raise RecsysError(f"{path}: has other columns, expected none of it, or a file of this script")
    return [list(row) for row in rows]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=LOGS, help="names of shipped configs, or configs' files")
    parser.add_argument("--seeds", nargs="*", type=int, default=range(SEEDS))
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    path = wanted.out / "likelihood-accuracy.csv"
    done = read_rows(path)
    warnings.simplefilter("ignore", rs.RecsysWarning)
    for seed, log in product(wanted.seeds, wanted.data):
        start = time.perf_counter()
        try:
            for row in measure_log(configs.read_config(log), seed, done, wanted.kinds):
                done.append(row)
                write_table(path, COLUMNS, sorted(done, key=lambda row: [str(cell) for cell in row[:4]]))
                print(
                    *row[:4],
                    f"{float(row[COLUMNS.index('ndcg_relative')]):+.1%}, {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
        except RecsysError as error:
            print(f"{log} is left out: {error}", flush=True)
    write_summaries(path)


def compare_with_targets(table: pd.DataFrame) -> list[list[Any]]:
    """Return a row for each kind and target, of a table of rows: what was found, what was asked, whether it is met.

    A likelihood that was below its base out of fold is left out in use: it changes nothing there.
    """
    applied = table.assign(change=table["ndcg_relative"] * table["used"])
    rows = []
    for kind in KINDS:
        changes = applied[applied["kind"] == kind].groupby(["dataset", "split"], sort=False)["change"].mean()
        averaged = average_over_seeds(table[table["kind"] == kind]).set_index(["dataset", "split"])
        above = averaged["ndcg_relative_low"] > 0
        found: list[tuple[str, float, float]] = [("least change of nDCG@10, where used", changes.min(), 0.0)]
        found += [
            (f"change of nDCG@10 on {name}", averaged["ndcg_relative"][name].mean(), LEAST_GAIN)
            for name in GAINERS
            if name in averaged.index
        ]
        found.append(("share of logs and splits with an interval above zero", above.mean(), 0.5))
        rows += [
            [what, kind, f"{value:.4f}", f"{target:g}", "yes" if value >= target else "no"]
            for what, value, target in found
        ]
    return rows


def write_summaries(path: Path) -> None:
    """Write means over seeds, and targets, of the rows in `path`."""
    table = pd.read_csv(path)
    averaged = average_over_seeds(table).round(5)
    write_table(path.with_name("likelihood-gains.csv"), list(averaged), averaged.to_numpy().tolist())
    write_table(path.with_name("likelihood-targets.csv"), TARGETS, compare_with_targets(table))


if __name__ == "__main__":
    main()
