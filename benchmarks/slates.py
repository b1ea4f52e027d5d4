"""How fast slates are made, beside pyversity: `python benchmarks/slates.py`.

pyversity is installed from its package into an environment that is removed at the end, and both sides re-rank the same
made-up pools: the best items of users and items with tastes, in 64 dimensions. Figures are processor time of one core
(BLAS has one thread), medians over rounds that alternate, means over settings of the knob: ours is the whole of
`rerank` for a batch of users, theirs one call for each user. Unit vectors of items are at hand on our side and made by
each call on theirs.

In the same run every slate is compared where both sides define the same, pick by pick, but for candidates whose gains
are less than 1e-6 apart, as pyversity computes in single precision (1e-4 for COVER, whose gains are sums of 200 roots):
if they differ, the exit code is 1. `floor` is what a user takes at least where all candidates are looked at for each
pick: bytes of vectors, and multiplications with an addition; bounds make it fewer. How many are made is counted in the
kernel's own code, run uncompiled for a few users; both numbers are held against the peak, multiply-adds of the same
type in a matrix product on one thread. The blend of five objectives of all shapes is held against the sum of its single
runs, and two threads against one by wall time, beside what two cores of the machine gain where nothing is shared: they
may be those of a host that others use too. Writes `benchmarks/results/slates.csv`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import speeds
from agreement import VERSIONS, create_environment
from agreement_slates import FACTORS, PLAIN, TOLERANCE, Blend, build_dpp_blend, build_two_part_blend, compute_gain_gaps
from scipy import sparse
from speeds import Row, multiply_in_cache
from threadpoolctl import threadpool_limits

from recsys import rerank
from recsys.support.rng import make_generator
from recsys.types import Context, Factors, Pool, TasteMap
from recsys.types.arrays import Ints

RESULTS = Path(__file__).parent / "results" / "slates.csv"
PEER_SIDE = Path(__file__).parent / "peers" / "speed_of_pyversity.py"
ITEMS, TASTES, D = 4000, 20, 64
CELLS = 819_200  # candidates of all users of a batch
LOOPS = 800_000  # of multiplications: about as long as the blend
KNOBS = (0.3, 0.5, 0.7)
COUNTED_USERS = 4
PEAK_SIDE = 1024  # rows and columns of a matrix product
FIVE: Blend = {
    "relevance": 1.0,
    "novelty": 0.1,
    "mmr": {"weight": 0.3, **FACTORS},
    "dpp": {"weight": 0.1, **FACTORS},
    "negative_space": 0.3,
}


class Case(NamedTuple):
    """A strategy on pools of n, and the blend that is the same or the nearest."""

    what: str
    n: int
    k: int
    strategy: str
    blend: Callable[[Pool, float], Blend]
    target: float | None
    floor: tuple[int, int]  # rows of vectors that are read, multiplications with an addition
    same: bool = True
    settings: dict[str, Any] = {}  # noqa: RUF012
    tolerance: float = TOLERANCE

    @property
    def users(self) -> int:
        return CELLS // self.n


def count_dpp_operations(n: int, k: int) -> tuple[int, int]:
    """Return the floor of a determinant: a product with each pick, and with each row of the factor so far."""
    return n, n * D + n * (k - 1) * D + n * (k - 1) * (k - 2) // 2


MMR, SSD = build_two_part_blend("agreement_slates:clipped"), build_two_part_blend("ssd", **FACTORS)
CASES = [
    Case("MMR, 100 candidates, k = 10", 100, 10, "mmr", MMR, 20, (100, 100 * 9 * D)),
    Case("DPP, 100 candidates, k = 10", 100, 10, "dpp", build_dpp_blend(0.0), 22, count_dpp_operations(100, 10)),
    Case("MMR, 1,000 candidates, k = 20", 1000, 20, "mmr", MMR, 13, (1000, 1000 * 19 * D)),
    Case("DPP, 1,000 candidates, k = 20", 1000, 20, "dpp", build_dpp_blend(0.0), 12, count_dpp_operations(1000, 20)),
    Case("SSD, 200 candidates, k = 10", 200, 10, "ssd", SSD, 20, count_dpp_operations(200, 10), True, PLAIN),
    Case(
        "facility location (50 targets; theirs COVER, a root of sums over all), 200 candidates, k = 10",
        200,
        10,
        "cover",
        build_two_part_blend("facility_location", **FACTORS),
        20,
        (200, 200 * 50 * (D + 2)),
        False,
    ),
    Case(
        "COVER (Coverage, phi = sqrt, 200 targets), 200 candidates, k = 10",
        200,
        10,
        "cover",
        build_two_part_blend("agreement_slates:cover"),
        None,
        (200, 200 * 200 * (D + 10)),
        True,
        {},
        1e-4,  # sums of 200 roots
    ),
]


def draw_pool(n: int, users: int) -> Pool:
    """Return the n best items of users with a few tastes each; scores have a deviation of 1 over all items."""
    rng = make_generator(0, "benchmark", "slates")
    taste = rng.integers(0, TASTES, ITEMS)
    centres = rng.standard_normal((TASTES, D))
    item = centres[taste] + rng.standard_normal((ITEMS, D))
    user = rng.dirichlet(np.full(TASTES, 0.3), users) @ centres + 0.3 * rng.standard_normal((users, D))
    scores = user @ item.T
    scores = ((scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)).astype(np.float32)
    items = np.argsort(-scores, axis=1, kind="stable")[:, :n].astype(np.int32)
    train = sparse.csr_array((rng.random((users, ITEMS)) < 0.02).astype(np.float32))
    hard = sparse.csr_array((np.ones(ITEMS, np.float32), (np.arange(ITEMS), taste)), shape=(ITEMS, TASTES))
    vectors = item.astype(np.float32)
    factors = Factors(user.astype(np.float32), vectors, vectors[0], 1.0, 1.0, 1.0, 0.0, 1.0, 0.0)
    context = Context(
        np.arange(users).astype(str), np.arange(ITEMS).astype(str), train=train, factors=factors,
        make_maps=lambda: (TasteMap("tastes", hard, "made up", 0),),
    )  # fmt: skip
    return Pool(np.arange(users, dtype=np.int32), items, np.take_along_axis(scores, items, axis=1), context)


def time_pyversity(python: Path, case: Case, pool: Pool) -> tuple[float, list[Ints]]:
    """Return the processor seconds of all settings of the knob, and the picks of each."""
    told = [(case.k, {"strategy": case.strategy, "diversity": d, **case.settings}) for d in KNOBS]
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = pool.context.need_factors("this").item_factors
        np.savez(folder / "pools.npz", items=pool.items, scores=pool.scores, vectors=vectors)
        (folder / "cases.json").write_text(json.dumps(told), encoding="utf-8")
        subprocess.run([python, "-I", PEER_SIDE, folder], check=True, env={**os.environ, **one})
        with np.load(folder / "theirs.npz") as stored:
            seconds = sum(float(stored[f"seconds {number}"]) for number in range(len(told)))
            return seconds, [stored[f"picks {number}"] for number in range(len(told))]


def time_own(case: Case, pool: Pool) -> tuple[float, list[Ints]]:
    """The same of ours."""
    seconds, picks = 0.0, []
    for blend in [case.blend(pool, d) for d in KNOBS]:
        took, slates = time_rerank(time.process_time, pool, blend, case.k)
        seconds += took
        picks.append((pool.items[:, None, :] == slates[:, :, None]).argmax(axis=2))
    return seconds, picks


def time_rerank(clock: Callable[[], float], pool: Pool, blend: Blend, k: int, threads: int = 1) -> tuple[float, Ints]:
    start = clock()
    slates = rerank(pool, blend, k, scale=None, n_threads=threads)
    return clock() - start, slates.items


def compare_case(python: Path, case: Case, rounds: int) -> tuple[list[object], float]:
    """Return the row of a case, and by how much the worth of picks that differ is apart."""
    pool = draw_pool(case.n, case.users)
    time_own(case, pool)
    pairs = [(time_own(case, pool), time_pyversity(python, case, pool)) for _ in range(rounds)]
    mine, their = (1e6 * np.median([pair[s][0] for pair in pairs]) / case.users / len(KNOBS) for s in (0, 1))
    gaps = [0.0]
    for d, one, other in zip(KNOBS, pairs[-1][0][1], pairs[-1][1][1], strict=True):
        gaps += compute_gain_gaps(pool, case.blend(pool, d), one, other) if case.same else []
    floor = f"{4 * D * case.floor[0]:,} B, {case.floor[1]:,} multiply-adds"
    return format_row(case.what, mine, their, "us per user", their / mine, case.target, "min", floor), max(gaps)


def time_peak() -> float:
    """Return how many multiply-adds in single precision one thread makes in a second, at best of 20 matrix products."""
    one = np.ones((PEAK_SIDE, PEAK_SIDE), np.float32)
    room = np.empty_like(one)
    took = []
    for _ in range(20):
        start = time.process_time()
        np.matmul(one, one, out=room)
        took.append(time.process_time() - start)
    return float(PEAK_SIDE**3 / min(took))


def count_multiply_adds(case: Case) -> float:
    """Return how many multiply-adds the kernel makes for a user of a case, where it is not compiled."""
    from recsys.kernels import greedy

    made, dot, project = [0], greedy._dot_four, greedy._project_four

    def count_dots(table: Any, row: int, others: Any, d: int) -> Any:
        made[0] += len(others) * d
        return dot(table, row, others, d)

    def count_projections(basis: Any, roots: Any, own: int, others: Any, first: int, end: int, parts: Any) -> Any:
        made[0] += sum(range(first, end)) + end - first
        return project(basis, roots, own, others, first, end, parts)

    greedy._dot_four, greedy._project_four = count_dots, count_projections
    pool = draw_pool(case.n, COUNTED_USERS)
    time_own(case, pool)
    return made[0] / COUNTED_USERS / len(KNOBS)


def compare_with_peak(case: Case, microseconds: float, peak: float) -> Iterator[list[object]]:
    """Yield what part of the peak a case takes: of multiply-adds for all candidates, and of those that are made."""
    command = [sys.executable, __file__, "--count", case.what]
    counted = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}
    )
    for what, number in (
        (f"{case.what}: multiply-adds without bounds; theirs is the peak", case.floor[1]),
        (f"{case.what}: multiply-adds that are made; theirs is the peak", float(counted.stdout)),
    ):
        speed = number / microseconds * 1e6
        floor = f"{number:,.0f} multiply-adds"
        yield format_row(what, speed / 1e9, peak / 1e9, "G per second", speed / peak, None, "min", floor)


def compare_own_runs(rounds: int) -> Iterator[list[object]]:
    """Yield the row of a blend against its parts, and that of two threads against one."""
    pool, k = draw_pool(200, CELLS // 200), 10
    single = [{name: value} for name, value in FIVE.items()]
    for blend in (FIVE, *single):
        time_rerank(time.process_time, pool, blend, k)
    whole, parts = [], []
    for _ in range(rounds):
        whole.append(time_rerank(time.process_time, pool, FIVE, k)[0])
        parts.append(sum(time_rerank(time.process_time, pool, blend, k)[0] for blend in single))
    per_user = 1e6 / len(pool.users)
    blended, apart = np.median(whole) * per_user, np.median(parts) * per_user
    what = f"blend of {', '.join(FIVE)}, 200 candidates, k = 10; theirs is the sum of its single runs"
    yield format_row(what, blended, apart, "us per user", blended / apart, 1.2, "max", "")
    many = Pool(np.tile(pool.users, 8), np.tile(pool.items, (8, 1)), np.tile(pool.scores, (8, 1)), pool.context)
    table = np.ones(8192, np.float32)  # in the nearest cache
    multiply_in_cache(table, 1)

    def blended(threads: int) -> float:
        return time_rerank(time.perf_counter, many, FIVE, k, threads)[0]

    def bare(threads: int) -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(multiply_in_cache, [table.copy(), table.copy()], [LOOPS, LOOPS]))
        return time.perf_counter() - start

    times = np.array([(blended(1), blended(2), bare(1), bare(2)) for _ in range(3 * rounds)])
    one, two, alone, both = np.median(times, axis=0)
    what = f"the blend on two threads, {len(many.users):,} users; theirs is one, wall time"
    faster, bound = (float(np.median(times[:, w] / times[:, w + 1])) for w in (0, 2))
    per_user = 1e6 / len(many.users)
    yield format_row(what, two * per_user, one * per_user, "us per user", faster, 1.7, "min", "")
    what = "multiplications in the nearest cache on two threads that share nothing; theirs is one, wall time"
    yield format_row(what, both, alone, "s", bound, None, "min", "no lock, no memory: what the machine itself gains")


def format_row(
    what: str, mine: float, their: float, unit: str, ratio: float, target: float | None, direction: str, floor: str
) -> list[object]:
    wanted = "" if target is None else target
    return [what, f"{mine:.4g}", f"{their:.4g}", unit, f"{ratio:.3f}", wanted, direction, floor]


def main() -> None:
    """Measure, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--count", metavar="CASE", help="print how many multiply-adds the uncompiled kernel makes")
    settings = parser.parse_args()
    if settings.count:
        print(count_multiply_adds(next(case for case in CASES if case.what == settings.count)))
        return
    rows, apart, measured = [], [], {}
    with threadpool_limits(1, user_api="blas"), create_environment(f"pyversity=={VERSIONS['pyversity']}") as python:
        for case in CASES:
            found, gap = compare_case(python, case, settings.rounds)
            rows.append(found)
            print(*found, sep="\t", flush=True)
            apart += [f"{case.what}: {gap:.3g}"] if gap > case.tolerance else []
            measured[case.what] = float(str(found[1]))
        peak = time_peak()
        for case in CASES[:4]:
            for found in compare_with_peak(case, measured[case.what], peak):
                rows.append(found)
                print(*found, sep="\t", flush=True)
        for found in compare_own_runs(settings.rounds):
            rows.append(found)
            print(*found, sep="\t", flush=True)
    speeds.write_speed_rows([Row(*found) for found in rows], settings.out, f"pyversity {VERSIONS['pyversity']}")
    if apart:
        raise SystemExit("\n".join(["defined alike, and not the same slates:", *apart]))


if __name__ == "__main__":
    main()
