"""What Spark adds on one machine, what 100 million users cost, MLlib's ALS beside ours: `python benchmarks/spark.py`.

The made-up ranker of `serving.py`: 50,000 items x 128 factors, and 100,000 users with 100 likes each, who speak for
all. Each run is a new process on two cores (`--cores`), which answers a user in each of eight partitions first, so
that all workers have the ranker and what is compiled, and then once more: these seconds, of a job without users to
speak of, are taken off those of all users. `files` are users whom the ranker knows, by `recsys batch` from and to
Parquet; `frames` are users whom it does not know, with their histories of 100 items beside them, by `rank_batches` of
one process, and by `recsys.spark.rank`. `theirs` is the run without Spark: the ratio is how many times as long Spark
takes.

`spark-scale.csv` says what 100 million users cost on clusters of several sizes, by the formula of docs/spark.md and
the parts that were measured just before: core-seconds of a user by `frames` on Spark, seconds until all workers have
the ranker, private bytes of a worker, bytes of the artefact, and bytes that are read and written for a user. Takes a
Java of 17 or newer, 6 GB of memory and 1 GB of disk. Writes `benchmarks/results/spark.csv` and `spark-scale.csv`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import speeds
from defaults import load_split
from pyarrow import parquet
from serving import LIKES, D, K, N, build_synthetic_ranker
from speeds import Row, print_row, write_figures

import recsys as rs
from recsys import spark
from recsys.batch import rank_batches, run_batch
from recsys.rankers import Ranker
from recsys.scores.tables import tabulate_differences
from recsys.types import GroundTruth

RESULTS = Path(__file__).parent / "results"
BLEND = {"relevance": 1.0, "mmr": 0.2, "unexplored": 0.2}
USERS, ITEMS, ASKED, PARTITIONS = 100_000, 50_000, 50_000, 8
NOW = 1_800_000_000
MILLIONS, EXECUTORS, EXECUTOR_CORES = 100, (50, 200, 800), 4
DATA, FACTORS = "ml-100k", 64


class Run(NamedTuple):
    """A run of a process."""

    start: float  # seconds until there is a session
    first: float  # seconds of a user in each partition
    again: float  # seconds of the same once more
    all: float  # seconds of all users
    private: int  # bytes of a worker that are its own
    written: int  # bytes


def measure_private_bytes(_: object = None) -> int:
    """Return the bytes of this process that it shares with no other and no file."""
    told = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in told if line.startswith("RssAnon"))) * 1024


def serve_as_worker(kind: str, master: str, folder: str, asked: str, out: str) -> None:
    """Do what a process is started for, and tell what it took."""
    begin = time.perf_counter()
    if master == "here":
        took, private = time_runs(kind, None, folder, asked, out), measure_private_bytes()
        start = 0.0
    else:
        with spark.open_session(master, quiet=True) as session:
            start = time.perf_counter() - begin
            took = time_runs(kind, session, folder, asked, out)
            several = session.sparkContext.parallelize(range(PARTITIONS), PARTITIONS)
            private = several.map(measure_private_bytes).max()
    written = sum(path.stat().st_size for path in Path(out, "all").glob("part-*"))
    print(json.dumps(Run(start, *took, private, written)), flush=True)


def time_runs(kind: str, session: Any, folder: str, asked: str, out: str) -> list[float]:
    """Return the seconds of the answers to a user in each partition, of the same once more, and of those to all."""
    answer = answer_files if kind == "files" else answer_frames
    took = []
    for part, run in (("first", "first"), ("first", "again"), ("all", "all")):
        start = time.perf_counter()
        answer(session, folder, Path(asked) / part, Path(out) / run)
        took.append(time.perf_counter() - start)
    return took


def answer_files(session: Any, folder: str, asked: Path, out: Path) -> None:
    (users,) = asked.glob("*.parquet")
    size = -(-parquet.read_metadata(users).num_rows // PARTITIONS)
    settings: dict[str, Any] = {"users": users, "now": NOW, "partition_size": size, "quiet": True}
    if session is None:
        run_batch(folder, out, **settings)
    else:
        spark.run_batch(session, folder, out, **settings)


def answer_frames(session: Any, folder: str, asked: Path, out: Path) -> None:
    files = sorted(asked.glob("*.parquet"))
    if session is not None:  # each file is a partition
        session.conf.set("spark.sql.files.maxPartitionBytes", max(file.stat().st_size for file in files))
        spark.rank(session.read.parquet(str(asked)), folder, now=NOW).write.parquet(str(out))
        return
    out.mkdir(parents=True)
    batches = (batch for file in files for batch in parquet.ParquetFile(file).iter_batches())
    ranked = rank_batches(Ranker.load(folder), batches, now=NOW)
    with parquet.ParquetWriter(out / "part-0.parquet", ranked.schema, compression="zstd") as file:
        for batch in ranked:
            file.write_batch(batch)


def write_requests(folder: Path, kind: str, users: int, items: int, asked: int) -> None:
    """Write who asks: a user for each partition, and all of them; frames as a file for each partition."""
    rng = np.random.default_rng(2)
    if kind == "files":
        table = pa.table({"user": np.linspace(0, users - 1, asked).astype(int).astype(str).tolist()})
    else:
        histories = [rng.choice(items, LIKES, replace=False).astype(str).tolist() for _ in range(asked)]
        table = pa.table({"user": [f"new-{n}" for n in range(asked)], "history": histories})
    for part, rows in (("first", table.slice(0, PARTITIONS)), ("all", table)):
        (folder / kind / part).mkdir(parents=True)
        size = len(rows) if kind == "files" else -(-len(rows) // PARTITIONS)
        for start in range(0, len(rows), size):
            file = folder / kind / part / f"users-{start:08}.parquet"
            parquet.write_table(rows.slice(start, size), file, compression="zstd")


def run_process(kind: str, master: str, folder: Path, asked: Path, cores: int) -> Run:
    """Return what a new process on so many cores takes."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--worker", kind, master, folder, asked, out]
        pinned = list(range(cores))
        done = subprocess.run(
            list(map(str, command)), stdout=subprocess.PIPE, check=True, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, pinned),
        )  # fmt: skip
    return Run(*json.loads(done.stdout.splitlines()[-1]))


def measure_overhead(folder: Path, asked: Path, n: int, items: int, cores: int) -> Iterator[tuple[str, Row, Run]]:
    """Yield kind and row of each comparison, and the run on Spark."""
    masters = [f"local[{cores}]", f"local-cluster[{cores},1,2048]"]
    for kind in ("files", "frames"):
        here = run_process(kind, "here", folder, asked / kind, cores)
        for master in masters:
            run = run_process(kind, master, folder, asked / kind, cores)
            rest = n - PARTITIONS
            mine, theirs = rest / (run.all - run.again), rest / (here.all - here.again)
            what = f"{kind} of {n:,} users, {items:,} items x {D}, {N} candidates, k = {K}, on {master}"
            yield kind, Row(what, mine, theirs, "users/s", theirs / mine, None, "max"), run
            begun = run.start + run.first
            said = f"{kind}, until each partition has answered a user, on {master}"
            yield kind, Row(said, begun, here.first, "s", begun / here.first, None, "max"), run


def list_costs(run: Run, cores: int, asked: int, folder: Path, requests: Path) -> Iterator[tuple[object, ...]]:
    """Yield the measured parts of the formula, and what it says of each cluster."""
    users, gib = MILLIONS * 10**6, 2.0**30
    artefact = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    each = (run.all - run.again) * cores / (asked - PARTITIONS)
    begun = run.start + run.first
    read = sum(path.stat().st_size for path in requests.glob("*.parquet")) / asked
    written = run.written / asked
    parts = [
        ("core-seconds of a user", each, "s"), ("until all workers have the ranker", begun, "s"),
        ("private memory of a worker", run.private / 2**20, "MiB"), ("artefact", artefact / 2**20, "MiB"),
        ("read for a user", read, "bytes"), ("written for a user", written, "bytes"),
    ]  # fmt: skip
    for executors in EXECUTORS:
        where = f"{MILLIONS} million users on {executors} executors of {EXECUTOR_CORES} cores"
        minutes = (begun + users * each / (executors * EXECUTOR_CORES)) / 60
        memory = (artefact + EXECUTOR_CORES * run.private) / gib
        parts += [
            (f"{where}: time", minutes, "min"), (f"{where}: memory of an executor, beside its heap", memory, "GiB"),
            (f"{where}: disk of an executor", 2 * artefact / gib, "GiB"),
        ]  # fmt: skip
    parts += [
        (f"{MILLIONS} million users: core-hours", users * each / 3600, "h"),
        (f"{MILLIONS} million users: read", users * read / gib, "GiB"),
        (f"{MILLIONS} million users: written", users * written / gib, "GiB"),
    ]
    for what, value, unit in parts:
        yield what, f"{value:.4g}", unit, "", ""


def compare_als(cores: int) -> Row:
    """Return nDCG@10 on test of MLlib's factors and of ours, and the interval of their ratio."""
    split = load_split(DATA).test_view()
    likes = split.train.tocoo()
    log = pa.table({"user": split.user_ids[likes.row].tolist(), "item": split.item_ids[likes.col].tolist()})
    with spark.open_session(f"local[{cores}]", quiet=True) as session:
        made = spark.fit_als(
            session.createDataFrame(log), items=split.items, factors=FACTORS, sample_users=None, blocks=2
        )
    ours = rs.models.ALS(factors=FACTORS).fit(split.train)
    scored = {"als": ours.score(np.arange(len(split.user_ids))), "mllib": made.model.fold(split.train)}
    picks = {}
    for name, scores in scored.items():
        scores[split.seen.nonzero()] = -np.inf
        picks[name] = np.argsort(-scores, axis=1, kind="stable")[:, :10].astype(np.int32)
    found = rs.evaluate(picks, GroundTruth(split), ["ndcg"], [10])
    values = {cell.run: cell.value for cell in found.cells}
    row = tabulate_differences(found, "als").iloc[0]
    limits = f"[{1 + row.relative_low:.3f}, {1 + row.relative_high:.3f}]"
    what = f"nDCG@10 of {DATA} on test, ALS of MLlib with {FACTORS} factors {limits}; theirs is our ALS"
    return Row(what, values["mllib"], values["als"], "nDCG@10", values["mllib"] / values["als"], None, "min")


def measure_all(cores: int, users: int, items: int, asked: int) -> tuple[list[Row], list[tuple[object, ...]]]:
    """Return the rows of both files."""
    rows = [print_row(compare_als(cores))]
    costs: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as place:
        folder, requests = Path(place) / "ranker", Path(place) / "requests"
        built = ["--users", users, "--items", items, "--build", folder]
        subprocess.run([sys.executable, __file__, *map(str, built)], check=True)
        for kind in ("files", "frames"):
            write_requests(requests, kind, users, items, asked)
        for kind, row, run in measure_overhead(folder, requests, asked, items, cores):
            rows.append(print_row(row))
            if kind == "frames" and not costs:
                costs = list(list_costs(run, cores, asked, folder, requests / kind / "all"))
    return rows, costs


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS, help="of the ranker")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--asked", type=int, default=ASKED, help="users who are answered")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of both files")
    parser.add_argument("--als", action="store_true", help="compare the models alone, and write nothing")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    settings = parser.parse_args(given)
    if settings.worker:
        serve_as_worker(*settings.worker)
    elif settings.build:
        build_synthetic_ranker(settings.items, settings.users, D, BLEND).save(settings.build)
    elif settings.als:
        print_row(compare_als(settings.cores))
    else:
        print(speeds.NOTE)
        rows, costs = measure_all(settings.cores, settings.users, settings.items, settings.asked)
        speeds.write_speed_rows(rows, settings.out / "spark.csv")
        write_figures(costs, settings.out / "spark-scale.csv")


if __name__ == "__main__":
    main()
