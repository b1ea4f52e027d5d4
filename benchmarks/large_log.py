"""How long a benchmark of 20 million rows takes, and how much memory: `python benchmarks/large_log.py`.

The log is made up with the counts of MovieLens-20M (20,000,263 ratings of 138,493 users and 26,744 items; at least 20 a
user, the median below half of the mean, few items with most of the ratings, half of them likes). `--scale 0.1` has a
tenth of the users and rows. What `recsys bench` does with ALS and five blends is done step by step in a process of its
own, with an empty cache of results, and compiled code that is kept: wall seconds, seconds of the processor (all
threads), and the peak of resident memory while the step runs, what earlier ones keep among it. Making and writing the
log is not counted. Runs are judged by the audit maps of one half of the users (`halvings = 0`); `--halvings 3` is the
default of a benchmark, which makes the maps again in six folds. Writes `benchmarks/results/large_log.csv`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from speeds import write_figures

from recsys.support.rng import make_generator
from recsys.types.arrays import Anys, Doubles, Longs

RESULTS = Path(__file__).parent / "results" / "large_log.csv"
ROWS, USERS, ITEMS, LEAST = 20_000_263, 138_493, 26_744, 20
GENRES, GROUPS = 20, 40  # of items; of users who like the same items
MAX_SECONDS, MAX_MIB = 900, 8192
STEPS = ("read", "split", "maps", "als", "pool", "slates", "judges", "scores", "report")
BLENDS = {
    "mmr": {"relevance": 1.0, "mmr": 0.2},
    "calibration": {"relevance": 1.0, "calibration": 0.2},
    "novelty": {"relevance": 1.0, "novelty": 0.2},
    "negative_space": {"relevance": 1.0, "negative_space": 0.2},
    "unexplored": {"relevance": 1.0, "unexplored": 0.2},
}


class Cost(NamedTuple):
    """What a step took."""

    wall: float  # seconds
    processor: float  # seconds of all threads
    peak: float  # MiB


def draw_pairs(rows: int, users: int, items: int) -> tuple[Longs, Longs]:
    """Return the user and the item of each rating, distinct pairs by user: an item of each user's group or any other.

    Activity is log-normal from `LEAST` on, popularity a power of the rank with a cut; each item has a rating.
    """
    rng = make_generator(0, "benchmark", "large_log", rows, users, items)
    activity = np.exp(1.15 * rng.standard_normal(users))
    wanted = np.minimum(LEAST + activity * (rows / users - LEAST) / activity.mean(), items / 3)
    popularity = (np.arange(items) + 12.0) ** -1.05 * np.exp(-np.arange(items) / (0.35 * items))
    group = rng.integers(0, GROUPS, users)
    liked = rng.random((GROUPS, items)) < 0.15
    tables: list[Doubles] = [np.cumsum(popularity * np.where(own, 8.0, 1.0)) for own in liked]
    pairs: Longs = rng.integers(0, users, items) * items + np.arange(items)
    while len(pairs) < rows:
        lacking = np.maximum(wanted - np.bincount(pairs // items, minlength=users), 0)
        n = rng.poisson(lacking * 1.05 + 0.5)
        drawn: list[Longs] = [pairs]
        for g, table in enumerate(tables):
            who = np.repeat(np.flatnonzero(group == g), n[group == g])
            drawn.append(who * items + np.searchsorted(table, rng.random(len(who)) * table[-1]))
        pairs = np.unique(np.concatenate(drawn))
    kept = np.ones(len(pairs), bool)
    kept[rng.choice(len(pairs), len(pairs) - rows, replace=False)] = False
    user, item = np.divmod(pairs[kept], items)
    return user, rng.permutation(items)[item]


def write_log(folder: Path, scale: float) -> int:
    """Write ratings.csv and movies.csv to `folder`, and return how many ratings there are."""
    import pyarrow as pa
    from pyarrow import csv

    rows, users = round(ROWS * scale), round(USERS * scale)
    user, item = draw_pairs(rows, users, ITEMS)
    rng = make_generator(1, "benchmark", "large_log", rows, users)
    taste = rng.normal(0.0, 0.35, users)[user] + rng.normal(0.0, 0.45, ITEMS)[item] + rng.normal(0.0, 0.8, rows)
    rating = np.clip(np.round(2 * (3.75 + taste)) / 2, 0.5, 5.0)
    start = rng.integers(820_000_000, 1_420_000_000, users)
    when = start[user] + rng.exponential(86_400 * 10.0, rows).astype(np.int64)
    columns: dict[str, Anys] = {"userId": user + 1, "movieId": item + 1, "rating": rating, "timestamp": when}
    csv.write_csv(pa.table(columns), folder / "ratings.csv")
    genres = ["|".join(f"genre {g}" for g in np.unique(some)) for some in rng.integers(0, GENRES, (ITEMS, 3)).tolist()]
    titles = [f"Film {n} ({1930 + n % 85})" for n in range(ITEMS)]
    csv.write_csv(
        pa.table({"movieId": np.arange(1, ITEMS + 1), "title": titles, "genres": genres}), folder / "movies.csv"
    )
    return rows


def describe_run(folder: Path, halvings: int) -> dict[str, Any]:
    """Return the config."""
    return {
        "seed": 0,
        "data": {"path": str(folder / "ratings.csv"), "items": str(folder / "movies.csv")},
        "filter": {"positive": "rating >= 4", "min_user_interactions": 10, "min_item_interactions": 5},
        "split": {"kind": "per_user_time", "validation": 0.1, "test": 0.2, "cold_items": "drop"},
        "model": {"kind": "als"},
        "pool": {"n": 200},
        "slate": {"k": [10]},
        "evaluation": {"split": "test", "n_bootstrap": 1000, "halvings": halvings},
        "blends": BLENDS,
    }


def read_peak() -> float:
    """Return the peak of resident memory since the last call, in MiB; the next one starts from what is there then."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def run_steps(folder: Path, halvings: int) -> Iterator[tuple[str, Cost]]:
    """Do what `recsys bench` does, step by step, and yield what each took."""
    from recsys.configs import parse_config
    from recsys.experiments import pipeline
    from recsys.experiments.benchmark import evaluate_slates
    from recsys.experiments.folds import build_or_load_judges
    from recsys.experiments.rerankings import build_run_slates
    from recsys.experiments.run_folder import RunFolder
    from recsys.support.cache import Cache, get_default_cache_folder
    from recsys.support.threads import limit_to_one_blas_thread

    config, made = parse_config(describe_run(folder, halvings), home=folder), dict[str, Any]()
    cache, out = Cache(get_default_cache_folder()), RunFolder(folder / "runs")
    specs = tuple(config.list_runs())

    def prepare() -> Any:
        return pipeline.prepare_split(config, made["read"], made["split"], cache, None, True, out.log_line)

    def evaluate() -> Any:
        return evaluate_slates(made["maps"], specs, *made["slates"], folder / "runs" / "large", True)

    works: dict[str, Callable[[], Any]] = {
        "read": lambda: pipeline.load_dataset(config, quiet=True),
        "split": lambda: pipeline.split_dataset(config, made["read"]),
        "maps": prepare,
        "als": lambda: pipeline.fit_or_load_model(made["maps"], config.model),
        "pool": lambda: pipeline.build_or_load_pool(made["maps"], config.model, config.pool),
        "slates": lambda: build_run_slates(made["maps"], specs, True, out.log_line),
        "judges": lambda: build_or_load_judges(made["maps"]),
        "scores": evaluate,
        "report": lambda: out.write_bench(made["scores"], 0.0),
    }
    read_peak()
    for name in STEPS:
        wall, processor = time.perf_counter(), time.process_time()
        if name in ("read", "split", "scores", "report"):
            made[name] = works[name]()
        else:
            with limit_to_one_blas_thread():
                made[name] = works[name]()
        yield name, Cost(time.perf_counter() - wall, time.process_time() - processor, read_peak())
        if name in ("als", "pool", "judges"):
            del made[name]  # the next step has it from the cache, as the command has


def measure_log(folder: Path, halvings: int) -> dict[str, Cost]:
    """Return what each step of a new process takes, with nothing kept of earlier results."""
    command = [sys.executable, __file__, "--worker", str(folder), "--halvings", str(halvings)]
    found = {}
    with subprocess.Popen(
        command, env={**os.environ, "RECSYS_CACHE": str(folder / "cache")}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, *cost = json.loads(line)
            found[name] = Cost(*cost)
            print(f"{name:8} {found[name].wall:8.1f} s {found[name].processor:8.1f} s of the processor "
                  f"{found[name].peak:8.0f} MiB", flush=True)  # fmt: skip
    if process.returncode:
        raise SystemExit(f"the process failed with status {process.returncode}")
    return found


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of users and rows")
    parser.add_argument("--halvings", type=int, default=0, help="of users, for judges")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--folder", type=Path, help="where the log is made and kept (default: a temporary folder)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        for name, cost in run_steps(settings.worker, settings.halvings):
            print(json.dumps([name, *cost]), flush=True)
        return
    with tempfile.TemporaryDirectory(dir=settings.folder) as place:
        folder = Path(place)
        rows = write_log(folder, settings.scale)
        print(f"{rows:,} rows are written", flush=True)
        found = measure_log(folder, settings.halvings)
    total = Cost(
        *(sum(part) for part in list(zip(*found.values(), strict=True))[:2]), max(c.peak for c in found.values())
    )
    table = []
    for name, cost in {**found, "all": total}.items():
        bound, most = (MAX_SECONDS, MAX_MIB) if name == "all" else ("", "")
        what = f"{name}: {rows:,} rows, {settings.halvings} halvings"
        table += [
            (f"{what}, wall time", round(cost.wall, 1), "s", bound, "max"),
            (f"{what}, time of the processor", round(cost.processor, 1), "s", "", "max"),
            (f"{what}, peak memory", round(cost.peak), "MiB", most, "max"),
        ]
    write_figures(table, settings.out)


if __name__ == "__main__":
    main()
