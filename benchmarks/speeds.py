"""What the scripts about speed share: timing in pairs, made-up worlds of any size, and rows of `results/*.csv`.

Other work may share the machine: both sides take turns, and a ratio is the median over the rounds of one run. Ratios of
one run are what counts, not seconds of two.
"""

import csv
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import sparse

from recsys.models.factor_model import FittedFactors
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment
from recsys.support.rng import make_generator
from recsys.types import Factors, Items, Split, TasteMap
from recsys.types.arrays import Csr, Floats, Ints

COLUMNS = ("what", "ours", "theirs", "unit", "ratio", "target", "direction", "floor", "machine", "versions", "commit")
PACKAGES = ("numba", "numpy", "recsys-negspace", "scipy")
PAUSE = 0.2  # seconds
NOTE = "other work may share the machine: ratios of one run are what counts"


class Row(NamedTuple):
    """A figure, what it is held against, and whether the ratio may be at most ("max") or must be at least ("min")."""

    what: str
    ours: float
    theirs: float | None
    unit: str
    ratio: float
    target: float | None
    direction: str
    floor: str = ""  # bytes that must be read or written, multiply-adds

    @property
    def met(self) -> bool:
        sign = 1 if self.direction == "min" else -1
        return self.target is None or sign * self.ratio >= sign * self.target


def time_work(work: Callable[[], object]) -> float:
    """Return how long it takes, by the clock on the wall."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def time_in_turns(works: Sequence[Callable[[], float]], rounds: int) -> np.ndarray:
    """Return the seconds of each round and work, (R, W), after a round that is not counted; works take turns.

    Each begins after a pause: threads of BLAS and OpenMP that have nothing more to do keep a core busy for a while.
    """
    return np.array([[_run_after_pause(work) for work in works] for _ in range(rounds + 1)])[1:]


def _run_after_pause(work: Callable[[], float]) -> float:
    time.sleep(PAUSE)
    return work()


@njit(nogil=True, fastmath=True)
def multiply_in_cache(table: Floats, loops: int) -> float:
    """What a core does best: multiplications of what is in its nearest cache."""
    total = np.float32(0.0)
    for _ in range(loops):
        for j in range(len(table)):
            total += table[j] * table[j]
    return total


@contextmanager
def pin_to_quiet_core(process: int = 0) -> Iterator[None]:
    """Keep a process (0 is this one) on the core that is the quicker at the moment, by a loop of multiplications.

    Cores may be those of a host that others use too: one of them can take twice as long as the other for a while. Where
    a system does not let processes be kept on a core, nothing is done.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores, table, took = os.sched_getaffinity(0), np.ones(8192, np.float32), {}
    try:
        for core in cores:
            os.sched_setaffinity(0, {core})
            took[core] = min(time_work(lambda: multiply_in_cache(table, 1000)) for _ in range(5))
        os.sched_setaffinity(0, cores)
        os.sched_setaffinity(process, {min(took, key=lambda core: took[core])})
        yield
    finally:
        os.sched_setaffinity(process, cores)


def time_side_by_side(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Return the median seconds of both sides, and the median of theirs / ours over rounds in which both took turns."""
    took = time_in_turns([ours, theirs], rounds)
    mine, their = np.median(took, axis=0)
    return float(mine), float(their), float(np.median(took[:, 1] / took[:, 0]))


def write_speed_rows(rows: Sequence[Row], out: Path, *peers: str) -> None:
    """Write the rows with machine, versions (`peers` as "name version" beside ours) and commit."""
    versions = " ".join([*(f"{name} {version(name)}" for name in PACKAGES), *peers])
    end = (describe_machine(), versions, describe_environment(0, "")["git_commit"])
    with replace_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows((*map(_format_cell, row), *end) for row in rows)


def write_figures(rows: Sequence[Sequence[object]], out: Path) -> None:
    """Write figures that are held against no other side: what, value, unit, target, and whether it is a "max"."""
    end = (describe_machine(), version("recsys-negspace"), describe_environment(0, "")["git_commit"])
    with replace_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["what", "value", "unit", "target", "direction", "machine", "version", "commit"])
        table.writerows((*row, *end) for row in rows)


def print_row(row: Row) -> Row:
    """Print the row and return it."""
    print(*map(_format_cell, row), "" if row.met else "MISSED", sep="\t", flush=True)
    return row


@cache
def describe_machine() -> str:
    """Return processor, cores and Python."""
    model = platform.machine()
    if (told := Path("/proc/cpuinfo")).exists():
        named = [
            line.split(":", 1)[1].strip() for line in told.read_text().splitlines() if line.startswith("model name")
        ]
        model = named[0] if named else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def draw_split(users: int, items: int, liked: int = 20, held: int = 5, features: int = 18) -> Split:
    """Return a split of users with at most so many likes and held-out positives, some items liked far more than others.

    Every item has one to three features.
    """
    rng = make_generator(0, "benchmark", "speeds", users, items)
    place = rng.permutation(items)
    drawn = place[(items * rng.random((users, liked + held)) ** 2.0).astype(np.int64)]
    test = _build_ones_matrix(drawn[:, :held], items)
    train = _build_ones_matrix(drawn[:, held:], items)
    train = Csr(train - train.multiply(test))
    train.eliminate_zeros()
    ids, none = np.arange(items).astype(str), Csr((users, items), dtype=np.float32)
    names = tuple(f"f{f}" for f in range(features))
    catalogue = Items(
        ids, ids, _build_ones_matrix(rng.integers(0, features, (items, 3)), features), names, np.zeros(items, np.int32)
    )
    return Split("random", 0, np.arange(users).astype(str), catalogue, train, none, test, none, none)


def draw_factors(split: Split, d: int) -> FittedFactors:
    """Return a fitted model with random factors."""
    rng = make_generator(0, "benchmark", "factors", *split.shape, d)
    user, item = (rng.standard_normal((n, d), dtype=np.float32) / np.float32(d**0.5) for n in split.shape)
    return FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 1.0, 1.0, 0.0, 1.0, 0.0))


def draw_maps(items: int, n: int, regions: int) -> tuple[TasteMap, ...]:
    """Return random hard maps."""
    rng = make_generator(0, "benchmark", "maps", items)
    drawn = rng.integers(0, regions, (n, items, 1))
    return tuple(TasteMap(f"random-{m}", _build_ones_matrix(drawn[m], regions), "random", m) for m in range(n))


def draw_slates(split: Split, k: int) -> Ints:
    """Return k different items for each user, (U, k): half of the users get one of their held-out positives first."""
    users, items = split.shape
    rng = make_generator(0, "benchmark", "slates", users, items, k)
    first, step = rng.integers(0, items, (users, 1)), rng.integers(1, items // k, (users, 1))
    drawn = ((first + step * np.arange(k)) % items).astype(np.int32)
    hit = split.test.indices[split.test.indptr[:-1]]  # everybody has one
    lucky = (rng.random(users) < 0.5) & (drawn != hit[:, None]).all(axis=1)
    drawn[lucky, 0] = hit[lucky]
    return drawn


def _build_ones_matrix(columns: Ints, width: int) -> Csr:
    rows = np.repeat(np.arange(len(columns)), columns.shape[1])
    cells = sparse.csr_array((np.ones(columns.size, np.float32), (rows, columns.ravel())), shape=(len(columns), width))
    cells.sum_duplicates()
    cells.data[:] = 1.0
    return Csr(cells)


def _format_cell(value: object) -> object:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else value
