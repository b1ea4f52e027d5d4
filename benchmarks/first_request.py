"""How long the first request of a fresh environment takes: `python benchmarks/first_request.py [--against COMMIT]`.

A ranker of 20,000 items and 128 factors is saved. Then new processes, each with an empty folder for compiled code,
import the library, load the ranker and answer one request of a known user; `ours` is their wall time from the first
import on. Python's own bytecode is there, as after `pip install`. Work of others on the machine is in it: `floor` says
the processor time. The last rows go on in such a process: the first request of a history, the first batch. `theirs` is
the same at another commit, where one is given.
Writes `benchmarks/results/first_request.csv`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "first_request.csv"
TARGET = 10.0
BLENDS = {
    "relevance, mmr, negative_space": {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2},
    "relevance, unexplored": {"relevance": 1.0, "unexplored": 0.2},
    "relevance, dpp": {"relevance": 1.0, "dpp": 0.2},
}
PARTS = ("load and the first request", "then the first request of a history", "then the first batch, of 50")
WORKER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
found, last = [], (time.perf_counter(), time.process_time())
def tell():
    global last
    now = (time.perf_counter(), time.process_time())
    found.append([now[0] - last[0], now[1] - last[1]])
    last = now
import recsys
ranker = recsys.Ranker.load(sys.argv[2])
ranker.rank(user=sys.argv[3])
tell()
ranker.rank(history=sys.argv[4:54])
tell()
ranker.rank_many(histories=[[item] for item in sys.argv[4:54]])
tell()
assert recsys.__file__.startswith(sys.argv[1]), recsys.__file__
print(json.dumps(found))
"""


def time_fresh_process(checkout: Path, folder: Path, user: str, items: list[str]) -> np.ndarray:
    """Return the wall and processor time of each of PARTS, (parts, 2), of a process without compiled code."""
    with tempfile.TemporaryDirectory() as cache:
        around = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", WORKER, str(checkout), str(folder), user, *items]
        done = subprocess.run(command, env=around, cwd=cache, capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


def main() -> None:
    """Measure, print and write."""
    from serving import SMALL, D, build_synthetic_ranker
    from speeds import Row, print_row, write_speed_rows

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="COMMIT", help="what to compare with, as git names it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        sides = [HERE.parent]
        if settings.against:
            sides.append(Path(place) / "theirs")
            sides[1].mkdir()
            git = ["git", "archive", settings.against]
            archive = subprocess.run(git, cwd=HERE.parent, stdout=subprocess.PIPE, check=True)
            subprocess.run(["tar", "-x", "-C", sides[1]], input=archive.stdout, check=True)
        for side in sides:  # as pip does when it installs
            subprocess.run([sys.executable, "-m", "compileall", "-q", side / "recsys"], check=True)
        for number, (named, blend) in enumerate(BLENDS.items()):
            ranker = build_synthetic_ranker(SMALL, 500, D, blend)
            folder = ranker.save(Path(place) / str(number))
            user, items = ranker.context.user_ids[0], ranker.context.item_ids[:50].tolist()
            took = np.array(
                [[time_fresh_process(side, folder, user, items) for side in sides] for _ in range(settings.rounds)]
            )
            for part, what in enumerate(PARTS):
                seconds, busy = np.median(took[:, 0, part], axis=0)
                theirs = float(np.median(took[:, 1, part, 0])) if settings.against else None
                target = TARGET if part == 0 and "dpp" not in blend else None
                what = f"{what}, nothing compiled: {named}, {SMALL:,} items x {D}"
                what += f"; theirs is commit {settings.against}" if settings.against else ""
                floor = f"{busy:.1f} s of the processor"
                rows.append(print_row(Row(what, seconds, theirs, "s", seconds, target, "max", floor)))
    write_speed_rows(rows, settings.out)


if __name__ == "__main__":
    main()
