"""How fast a ranker answers all its users, and with how much memory: `python benchmarks/batch.py`.

The made-up ranker of `serving.py`, of a million users with 100 likes each and 50,000 items, of which `recsys batch`
answers some: each run is a new process that loads the ranker and writes partitions of Parquet. The time of a run of one
user, which is that of loading, stands in a row of its own and is taken off when growth and users per second are
computed. The exponent of growth is the slope of a line through the logarithms. Memory is the peak of the process, with
the pages of the artefact that it read. `theirs` is a loop of `Ranker.rank` in one process, over users who stand as far
apart as there is room. Scales and vectors of items are fitted to the first 50,000 users. Takes some six minutes on two
cores, 5 GB of memory and 2 GB of disk. Writes `benchmarks/results/batch.csv`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import speeds
from serving import D, K, N, build_synthetic_ranker, draw_likes
from speeds import Row, print_row

from recsys.batch import run_batch
from recsys.control.forgetting import widen_tables
from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker
from recsys.types.arrays import make_empty_matrix

RESULTS = Path(__file__).parent / "results" / "batch.csv"
BLEND = {"relevance": 1.0, "mmr": 0.2, "unexplored": 0.2}
USERS, ITEMS, LOOPED = 1_000_000, 50_000, 1_000
FITTED = 50_000  # users whom scales and vectors of items are fitted to
NOW = 1_800_000_000
MAX_MINUTES, MAX_BYTES, MIN_SPEEDUP, MAX_EXPONENT = 6.0, 3 * 2**30, 5.0, 1.05


class Run(NamedTuple):
    """A run of a process."""

    seconds: float
    peak: int  # bytes


def build_ranker(users: int, items: int, folder: str) -> None:
    """Write the ranker, in a process of its own: what it takes is no part of the measurement."""
    made = build_synthetic_ranker(items, min(users, FITTED), D, BLEND)
    (add_users(made, users) if users > FITTED else made).save(folder)


def add_users(ranker: Ranker, users: int) -> Ranker:
    """Return a ranker of more users, drawn alike: its tables of items stay, as `Ranker.update` leaves them."""
    rng, context = np.random.default_rng(1), ranker.context
    known, items = len(context.user_ids), len(context.item_ids)
    train = draw_likes(rng, users, items)
    user = np.concatenate([rng.normal(0, 0.1, (FITTED, D)).astype(np.float32) for _ in range(-(-users // FITTED))])
    model = FittedFactors(replace(ranker.model.factors, user_factors=user[:users]))
    around = replace(
        context,
        user_ids=np.arange(users).astype(str),
        train=train,
        dislikes=make_empty_matrix(train.shape),
        factors=model.factors,
        exposures=None,
        tables=widen_tables(context, users - known),
    )
    return Ranker(model, around, ranker.blend, ranker.scales, ranker.policy, ranker.available)


def serve_as_worker(kind: str, folder: str, users: Path, out: str) -> None:
    """Do what a process is started for, and tell its seconds and its peak of memory."""
    start = time.perf_counter()
    if kind == "batch":
        run_batch(folder, out, users=users, now=NOW, quiet=True)
    else:
        ranker, asked = Ranker.load(folder), users.read_text().split()
        ranker.rank(user=asked[0], now=NOW)
        start = time.perf_counter()
        for user in asked:
            ranker.rank(user=user, now=NOW)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(Run(time.perf_counter() - start, peak)), flush=True)


def run_worker(kind: str, folder: Path, users: Sequence[int]) -> Run:
    """Return what a process takes for these users."""
    with tempfile.TemporaryDirectory() as place:
        asked = Path(place) / "users.txt"
        asked.write_text("\n".join(map(str, users)) + "\n")
        command = [sys.executable, __file__, "--worker", kind, folder, asked, Path(place) / "out"]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True, text=True)
    return Run(*json.loads(done.stdout.splitlines()[-1]))


def measure_all(folder: Path, users: int, items: int, sizes: Sequence[int]) -> Iterator[Row]:
    """Yield all rows."""
    blend, target = ", ".join(BLEND), MAX_MINUTES * sizes[-1] / USERS
    what = f"blend of {blend}, {users:,} x {items:,} x {D}, {N} candidates, k = {K}"
    loading = run_worker("batch", folder, [0])
    yield Row(f"batch of 1 user: {what}", loading.seconds, None, "s", loading.seconds, None, "max")
    spread = np.linspace(0, users - 1, LOOPED).astype(int).tolist()
    looped = LOOPED / run_worker("loop", folder, spread).seconds
    took = []
    for size in sizes:
        run = run_worker("batch", folder, np.linspace(0, users - 1, size).astype(int).tolist())
        took.append(run.seconds - loading.seconds)
        bound, minutes = target if size == sizes[-1] else None, run.seconds / 60
        yield Row(f"batch of {size:,} users to Parquet: {what}", minutes, None, "minutes", minutes, bound, "max")
        peak, bound = run.peak / 2**20, MAX_BYTES / 2**20 if size == sizes[-1] else None
        yield Row(f"peak memory, batch of {size:,} users: {what}", peak, None, "MiB", peak, bound, "max")
    speed = sizes[-1] / took[-1]
    yield Row(f"batch against a loop of rank: {what}", speed, looped, "users/s", speed / looped, MIN_SPEEDUP, "min")
    slope = float(np.polyfit(np.log(sizes), np.log(took), 1)[0])
    yield Row(
        f"growth with {', '.join(f'{n:,}' for n in sizes)} users", slope, None, "exponent", slope, MAX_EXPONENT, "max"
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS, help="of the ranker")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[USERS // 100, USERS // 10, USERS], help="that are answered"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        kind, folder, users, out = settings.worker
        serve_as_worker(kind, folder, Path(users), out)
    elif settings.build:
        build_ranker(settings.users, settings.items, settings.build)
    else:
        print(speeds.NOTE)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "ranker"
            built = ["--users", str(settings.users), "--items", str(settings.items), "--build", str(folder)]
            subprocess.run([sys.executable, __file__, *built], check=True)
            found = [
                print_row(row) for row in measure_all(folder, settings.users, settings.items, sorted(settings.sizes))
            ]
        speeds.write_speed_rows(found, settings.out)


if __name__ == "__main__":
    main()
