"""How long a ranker takes for one request and to load, beside pyversity: `python benchmarks/serving.py`.

A made-up log: users with 100 likes each, drawn with a heavy tail, and 20 random hard maps of 24 regions, whose
candidates lie in all regions (the dearest case for negative space). Where nothing else is said, requests differ from
one to the next, over 50 users and pools, as they do on a server, come one at a time from one thread, and name items by
arrays of integers; a figure is the median over requests, in wall time.

pyversity is installed from its package into an environment that is removed at the end, and both sides take turns: its
MMR alone on the same candidates, with the vectors that our diversity looks at, gathered before the clock starts. A
load is the first of a new process, without its imports; private memory is what the second of two such processes has
that is its own (`/proc/PID/smaps_rollup`) after it has answered a request, less what it had when all was imported.
One thread runs on the core that is the quicker at the moment by a plain loop, as does pyversity.
Threads that ask without a pause are more than the cores of a small machine: what the slices of its scheduler alone
make of the 99th percentile is told by a loop that takes as long as a request, needs no lock and reads no memory.
`floor` is what a request has to read at least, and multiply and add. Takes some minutes and 2 GB of memory and of disk.
Writes `benchmarks/results/serving.csv`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import speeds
from agreement import VERSIONS, create_environment
from numba import njit
from speeds import Row, pin_to_quiet_core, print_row, time_side_by_side
from threadpoolctl import threadpool_limits

import recsys.kernels.greedy  # noqa: F401  what loading a ranker takes, without what importing Numba takes
from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import get_item_vectors
from recsys.rankers import Ranker
from recsys.types import Factors, Items, Split, TasteMap
from recsys.types.arrays import Csr, make_empty_matrix

RESULTS = Path(__file__).parent / "results" / "serving.csv"
PEER_SIDE = Path(__file__).parent / "peers" / "serving_of_pyversity.py"
SMAPS = Path("/proc/self/smaps_rollup")
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
MAPS, REGIONS, LIKES, N, K, N_DIFFERENT = 20, 24, 100, 200, 10, 50
AT_ONCE = 50_000  # users whose likes are drawn at once
SMALL, LARGE, D = 20_000, 1_000_000, 128
THREADS, N_CONCURRENT = 4, 100_000
BLENDED = f"rerank of {', '.join(BLEND)}, known user, {N} candidates, k = {K}"
Ask = Callable[[int], object]


def build_rows_matrix(rng: np.random.Generator, columns: list[np.ndarray], width: int) -> Csr:
    """A matrix of ones in these columns of each row."""
    pointers = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    entries = np.ones(pointers[-1], np.float32)
    return Csr(
        (entries, np.concatenate(columns).astype(np.int32), pointers.astype(np.int32)), shape=(len(columns), width)
    )


def draw_likes(rng: np.random.Generator, users: int, items: int) -> Csr:
    """Likes with a heavy tail, of as many users at a time as memory allows."""
    place, indices, lengths = rng.permutation(items).astype(np.int32), [], []
    for first in range(0, users, AT_ONCE):
        drawn = rng.pareto(1.2, (min(AT_ONCE, users - first), LIKES)) * items / 50
        liked = np.sort(place[np.minimum(drawn, items - 1).astype(np.int32)], axis=1)
        is_new = np.ones(liked.shape, bool)
        is_new[:, 1:] = liked[:, 1:] != liked[:, :-1]
        indices.append(liked[is_new])
        lengths.append(is_new.sum(axis=1))
    pointers = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32)
    return Csr((np.ones(pointers[-1], np.float32), np.concatenate(indices), pointers), shape=(users, items))


def build_synthetic_ranker(items: int, users: int, d: int, blend: Mapping[str, float] = BLEND) -> Ranker:
    """The ranker of a random factor model."""
    rng = np.random.default_rng(0)
    train = draw_likes(rng, users, items)
    ids, none = np.arange(items).astype(str), make_empty_matrix(train.shape)
    features = build_rows_matrix(rng, [np.array([region]) for region in rng.integers(0, 18, items)], 18)
    catalogue = Items(ids, ids, features, tuple(f"f{n}" for n in range(18)), np.zeros(items, np.int32))
    split = Split("whole", 0, np.arange(users).astype(str), catalogue, train, none, none, none, none)
    maps = [
        TasteMap(f"random-{m}", _build_assignment(rng.integers(0, REGIONS, items)), "random", m) for m in range(MAPS)
    ]
    user, item = (rng.normal(0, 0.1, (size, d)).astype(np.float32) for size in (users, items))
    model = FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))
    return Ranker.fit(model, split, blend, maps=maps, k=K, n=N)


def _build_assignment(region: np.ndarray) -> Csr:
    pointers = np.arange(len(region) + 1, dtype=np.int32)
    return Csr((np.ones(len(region), np.float32), region.astype(np.int32), pointers), shape=(len(region), REGIONS))


class Requests(NamedTuple):
    """What is asked."""

    pools: list[np.ndarray]
    ids_as_text: list[list[str]]  # the same as text
    scores: list[np.ndarray]
    histories: list[np.ndarray]
    users: list[str]


def draw_requests(ranker: Ranker) -> Requests:
    """Requests that differ from each other."""
    rng, ids = np.random.default_rng(1), ranker.context.item_ids
    pools = [rng.permutation(len(ids))[:N] for _ in range(N_DIFFERENT)]
    return Requests(
        pools,
        [ids[pool].tolist() for pool in pools],
        [-np.sort(-rng.normal(size=N)).astype(np.float32) for _ in pools],
        [rng.permutation(len(ids))[:LIKES] for _ in pools],
        [str(user) for user in rng.integers(0, len(ranker.context.user_ids), N_DIFFERENT)],
    )


def build_request_functions(ranker: Ranker, given: Requests) -> dict[str, Ask]:
    """What answers the n-th request of each kind."""
    pools, named, scores, histories, users = given
    some = N_DIFFERENT
    return {
        BLENDED: lambda n: ranker.rerank(pools[n % some], scores[n % some], user=users[n % some]),
        f"{BLENDED}; ids as text": lambda n: ranker.rerank(named[n % some], scores[n % some], user=users[n % some]),
        f"{BLENDED}; one request again and again": lambda n: ranker.rerank(pools[0], scores[0], user=users[0]),
        BLENDED.replace("known user", f"history of {LIKES}"): lambda n: ranker.rerank(
            pools[n % some], scores[n % some], history=histories[n % some]
        ),
        "rank, known user": lambda n: ranker.rank(user=users[n % some]),
        f"rank, history of {LIKES} folded in": lambda n: ranker.rank(history=histories[n % some]),
    }


def time_requests(ask: Ask, times: int) -> list[float]:
    """The seconds of each request, after some that are not counted."""
    took = []
    for n in range(times + 10):
        start = time.perf_counter()
        ask(n)
        took.append(time.perf_counter() - start)
    return took[10:]


def time_median(ask: Ask, times: int) -> float:
    with pin_to_quiet_core():
        return float(np.median(time_requests(ask, times)))


@contextmanager
def run_pyversity(python: Path, ranker: Ranker, given: Requests) -> Iterator[Callable[[int], float]]:
    """Yield a function that asks pyversity for so many slates, and returns the median of their seconds."""
    table = np.asarray(get_item_vectors(ranker.context, "cooccurrence", "serving"))
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "given.npz"
        np.savez(told, vectors=[table[pool] for pool in given.pools], scores=given.scores, k=K)
        command = [python, "-I", PEER_SIDE, told]
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": {**os.environ, **one}}
        with subprocess.Popen(command, **pipes, text=True) as process:

            def ask(times: int) -> float:
                with pin_to_quiet_core(process.pid):
                    print(times, file=process.stdin, flush=True)
                    return float(process.stdout.readline())

            yield ask
            process.stdin.close()


def measure_headline(ranker: Ranker, given: Requests, python: Path, rounds: int) -> Iterator[Row]:
    """Yield the rows of one thread and of several."""
    ask = build_request_functions(ranker, given)[BLENDED]
    d = get_item_vectors(ranker.context, "cooccurrence", "serving").shape[1]
    floor = f"{4 * d * N:,} B of vectors, {N * (K - 1) * d:,} multiply-adds without bounds"
    with run_pyversity(python, ranker, given) as theirs:
        one, other, ratio = time_side_by_side(lambda: time_median(ask, 500), lambda: theirs(100), 3 * rounds)
    one, other = 1e6 * one, 1e6 * other
    what = f"{BLENDED}, {SMALL:,} items x {D}"
    yield Row(what, one, None, "us", one, 60.0, "max", floor)
    yield Row(f"{what}; theirs is pyversity's MMR alone", one, other, "us", ratio, 2.0, "min", floor)
    slow, usual = time_concurrent_requests(ask)
    what = f"{what}, {THREADS} threads at once, {N_CONCURRENT:,} requests: 99th percentile; theirs is their median"
    yield Row(what, slow, usual, "us", slow / usual, 5.0, "max")
    slow, usual = time_concurrent_requests(build_busy_loop(one))
    what = f"a compiled loop without the lock that takes as long, {THREADS} threads at once: as above"
    yield Row(what, slow, usual, "us", slow / usual, None, "max", "slices of the scheduler, where cores are fewer")


def build_busy_loop(microseconds: float) -> Ask:
    """What does nothing for so long, and holds nobody up: what is left are the slices of the operating system."""
    loop: Any = spin_loop
    some = 100_000
    rounds = int(some * microseconds / (1e6 * time_median(lambda _: loop(some), 20)))
    return lambda _: loop(rounds)


@njit(nogil=True)
def spin_loop(rounds: int) -> float:
    total = 1.0
    for _ in range(rounds):
        total = total * 1.0000001 + 1e-9
    return total


def time_concurrent_requests(ask: Ask) -> tuple[float, float]:
    """The 99th percentile and the median of the microseconds of requests that several threads ask at once."""

    def several(thread: int) -> list[float]:
        return time_requests(lambda n: ask(n + thread), N_CONCURRENT // THREADS)

    with ThreadPoolExecutor(THREADS) as threads:
        took = 1e6 * np.concatenate(list(threads.map(several, range(THREADS))))
    return float(np.percentile(took, 99)), float(np.median(took))


def measure_request_kinds(ranker: Ranker, given: Requests, targets: dict[str, float]) -> Iterator[Row]:
    """Yield a row for each kind of request, but the one of the headline."""
    items = len(ranker.context.item_ids)
    for what, ask in build_request_functions(ranker, given).items():
        if what == BLENDED and items == SMALL:
            continue
        unit, times, count = ("ms", 1e3, 300) if what.startswith("rank,") else ("us", 1e6, 2000)
        took = times * time_median(ask, count)
        floor = f"{4 * D * items:,} B of factors" if unit == "ms" else ""
        yield Row(f"{what}, {items:,} items x {D}", took, None, unit, took, targets.get(what), "max", floor)


def measure_loading(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the row of loading, and that of memory: the first of two processes stays while the second loads."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    told = []
    for _ in range(rounds):
        with ExitStack() as together:
            told.append([together.enter_context(run_worker(folder)) for _ in range(2)])
    seconds = float(np.median([one["seconds"] for both in told for one in both]))
    what = f"load, {LARGE:,} items x {D}: the first of a process"
    yield Row(what, seconds, None, "s", seconds, 1.0, "max", "header and size of each file, a name for each item")
    if SMAPS.exists():
        private, whole = float(np.median([second["private"] for _, second in told])) / 2**20, size / 2**20
        what = f"private memory of a second process with {LARGE:,} items x {D}, beyond imports; theirs is the folder"
        yield Row(what, private, whole, "MiB", private / whole, None, "max", "a name and a number for each id")


@contextmanager
def run_worker(folder: Path) -> Iterator[dict[str, float]]:
    """Yield what a process tells that has loaded a ranker and answered a request, while it is there."""
    command = [sys.executable, __file__, "--worker", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def serve_as_worker(folder: Path) -> None:
    """Load a ranker, answer requests, tell seconds and bytes, and wait."""
    before, start = read_private_memory(), time.perf_counter()
    ranker = Ranker.load(folder)
    took = time.perf_counter() - start
    ranker.rank(user=ranker.context.user_ids[0])
    ranker.rank(history=ranker.context.item_ids[:LIKES])
    print(json.dumps({"seconds": took, "private": read_private_memory() - before}), flush=True)
    sys.stdin.read()


def read_private_memory() -> int:
    """The bytes of memory that no other process shares."""
    told = SMAPS.read_text().splitlines()[1:] if SMAPS.exists() else []
    return sum(1024 * int(line.split()[1]) for line in told if line.startswith("Private_"))


def measure_all(python: Path, rounds: int) -> Iterator[Row]:
    """Yield all rows."""
    for items, users in ((SMALL, 5_000), (LARGE, 1_400)):
        with tempfile.TemporaryDirectory() as place:
            folder = build_synthetic_ranker(items, users, D).save(Path(place) / "ranker")
            ranker = Ranker.load(folder)
            given = draw_requests(ranker)
            if items == SMALL:
                yield from measure_headline(ranker, given, python, rounds)
                yield from measure_request_kinds(ranker, given, {f"rank, history of {LIKES} folded in": 3.0})
            else:
                yield from measure_request_kinds(ranker, given, {})
                del ranker
                yield from measure_loading(folder, rounds)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        serve_as_worker(settings.worker)
        return
    print(speeds.NOTE)
    pyversity = f"pyversity=={VERSIONS['pyversity']}"
    with threadpool_limits(1, user_api="blas"), create_environment(pyversity) as python:
        found = [print_row(row) for row in measure_all(python, settings.rounds)]
    speeds.write_speed_rows(found, settings.out, pyversity.replace("==", " "))


if __name__ == "__main__":
    main()
