"""Whether slates, scales and requests became slower than at another commit: `python benchmarks/against.py COMMIT`.

The commit is checked out beside this one, and both sides run the same work in turns, each in a process of its own with
one thread. A figure is processor time; `ratio` is the median over the rounds of this checkout's time by the other's.
The other commit must know what `build_workloads` calls. Writes `benchmarks/results/against.csv`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "against.csv"
TARGET, ROUNDS = 1.03, 31
USERS, ITEMS, N, K = 2_000, 4_000, 200, 10
Work = Callable[[], object]


def build_workloads() -> dict[str, Work]:
    """What is timed: batches of slates, the scales that are fitted before, and requests one after the other."""
    import speeds
    from serving import SMALL, build_request_functions, build_synthetic_ranker, draw_requests

    import recsys as rs
    from recsys.reranking.slates import fit_scales

    split = speeds.draw_split(USERS, ITEMS)
    maps = speeds.draw_maps(ITEMS, 10, 20)
    pool = rs.candidates(speeds.draw_factors(split, 64), split, n=N, maps=maps)
    blends = {
        "relevance and mmr": {"relevance": 1.0, "mmr": 0.3},
        "relevance and dpp": {"relevance": 1.0, "dpp": 0.3},
        "relevance, novelty and negative space": {"relevance": 1.0, "novelty": 0.1, "negative_space": 0.3},
    }
    found: dict[str, Work] = {
        f"rerank of {USERS} users, {N} candidates: {name}": lambda blend=blend: rs.rerank(pool, blend, k=K, n_threads=1)
        for name, blend in blends.items()
    }
    for name, blend in blends.items():
        found[f"scales of {USERS} users, {N} candidates: {name}"] = lambda blend=blend: fit_scales(pool, blend, K)
    ranker = build_synthetic_ranker(SMALL, 500, 64)
    for name, ask in build_request_functions(ranker, draw_requests(ranker)).items():
        found[name] = lambda ask=ask: [ask(number) for number in range(400)]
    return found


def time_workloads(checkout: str) -> None:
    """Time the works whose names stand on standard input, one a line."""
    from threadpoolctl import threadpool_limits

    import recsys

    if not Path(recsys.__file__).is_relative_to(checkout):
        raise SystemExit(f"found the package in {recsys.__file__}, expected it in {checkout}")
    with threadpool_limits(1):
        found = build_workloads()
        for work in found.values():
            work()
        print("\t".join(found), flush=True)
        for line in sys.stdin:
            start = time.process_time()
            found[line.rstrip("\n")]()
            print(time.process_time() - start, flush=True)


def start_side(checkout: Path) -> subprocess.Popen[str]:
    """Start a side on the package and the scripts of a checkout."""
    places = [str(checkout), str(checkout / "benchmarks"), str(HERE)]
    code = f"import sys; sys.path[:0] = {places!r}; import against; against.time_workloads({str(checkout)!r})"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout)


def time_side(side: subprocess.Popen[str], name: str) -> float:
    """Return what one side takes."""
    print(name, file=side.stdin, flush=True)
    return float(side.stdout.readline())


def time_both_sides(sides: list[subprocess.Popen[str]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds of both sides, round by round, for what both can do; who begins changes by the round."""
    names = [side.stdout.readline().rstrip("\n").split("\t") for side in sides]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names[0] if name in names[1]}
    for turn in range(rounds):
        for name, took in found.items():
            ours, theirs = (time_side(side, name) for side in (sides if turn % 2 else sides[::-1]))
            took.append((ours, theirs) if turn % 2 else (theirs, ours))
    return found


def main() -> None:
    """Compare and write the table."""
    import numpy as np
    from speeds import Row, print_row, write_speed_rows

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="what to compare with, as git names it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = HERE.parent
        archive = subprocess.run(["git", "archive", settings.commit], cwd=home, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", name], input=archive.stdout, check=True)
        sides = [start_side(home), start_side(Path(name))]
        try:
            found = time_both_sides(sides, settings.rounds)
        finally:
            for side in sides:
                side.kill()
    rows = []
    for what, took in found.items():
        ours, theirs = (float(number) for number in np.median(took, axis=0))
        ratio = float(np.median([new / old for new, old in took]))
        what = f"{what}; theirs is commit {settings.commit}"
        rows.append(print_row(Row(what, ours, theirs, "s of one core", ratio, TARGET, "max")))
    write_speed_rows(rows, RESULTS)


if __name__ == "__main__":
    main()
