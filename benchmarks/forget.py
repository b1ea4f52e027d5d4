"""What a forget takes: `python benchmarks/forget.py`.

The ranker is that of `benchmarks/dials.py`: 20,000 items with 128 factors and 5,000 users, all of whose requests go the
compiled way. `ours` is the median processor time of one thread, other work of the machine left out, from the call until
the ranker that obeys has answered its first request, without what the disk takes; `theirs` is what making such a ranker
anew from its fitted parts takes, and the ratio ours / theirs. The target is 50 ms. In brackets stand the first and
third quartile. The time that the disk takes until a line is on it (by the clock on the wall), and that of `refresh`
where nothing is new, have rows of their own; and a request of a user with a stopped topic is held against one without,
in turns. Writes `benchmarks/results/forget.csv`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import speeds
from serving import SMALL, build_synthetic_ranker
from speeds import Row, print_row
from threadpoolctl import threadpool_limits

from recsys.control import forget_lists
from recsys.rankers import Ranker

RESULTS = Path(__file__).parent / "results" / "forget.csv"
D, N_USERS, TARGET_MS = 128, 5_000, 50.0
PER_TURN = 20  # requests


def describe(seconds: list[float]) -> tuple[float, str]:
    """Return the median in milliseconds, and the quartiles in words."""
    low, middle, high = np.quantile(1e3 * np.array(seconds), [0.25, 0.5, 0.75])
    return float(middle), f"[{low:.1f}, {high:.1f}]"


def remake(ranker: Ranker) -> float:
    """Return the seconds until a ranker of the same parts has answered."""
    start = time.process_time()
    names = ("model", "context", "blend", "scales", "policy", "available")
    Ranker(*(getattr(ranker, name) for name in names), name="again").rank(user="7")
    return time.process_time() - start


def measure_forgets(ranker: Ranker, rounds: int) -> Iterator[Row]:
    """Yield a row for each kind of forget, each of another user in every round."""
    theirs = 1e3 * float(np.median([remake(ranker) for _ in range(3)]))
    ways = {
        "an interaction": lambda one, user, item: one.forget(user=user, item=item),
        "a person": lambda one, user, item: one.forget(user=user),
        "a topic of 1,100 items": lambda one, user, item: one.stop(user, "f3"),
        "an interaction, its undo": lambda one, user, item: one.undo(user=user, item=item),
    }
    obeying = ranker
    for place, (what, way) in enumerate(ways.items()):
        took = []
        for user in map(str, range(place * rounds, (place + 1) * rounds)):
            item = ranker.context.item_ids[ranker.context.train[[ranker.known_users[user]]].indices[0]]
            if what.endswith("undo"):
                obeying = obeying.forget(user=user, item=item)
            start = time.process_time()
            obeying = way(obeying, user, item)
            obeying.rank(user="4999" if what == "a person" else user)
            took.append(time.process_time() - start)
        middle, between = describe(took)
        held = f"; {len(obeying.forget_state.lines)} lines hold" if what.endswith("undo") else ""
        what = f"forget of {what}, until the first answer {between}{held}; theirs is a ranker made anew"
        yield Row(what, middle, theirs, "ms of one core, target 50", middle / theirs, None, "max")


def measure_requests(ranker: Ranker, rounds: int) -> Row:
    """Return the row of a request whose user stopped a topic."""
    ranker = ranker.refresh()
    stopped = ranker.stop("4900", "f5")
    ratios, both = [], []
    for _ in range(rounds):
        took = []
        for one in (stopped, ranker):
            start = time.process_time()
            for _ in range(PER_TURN):
                one.rank(user="4900")
            took.append((time.process_time() - start) / PER_TURN)
        both.append(took)
        ratios.append(took[0] / took[1])
    ours, theirs = 1e6 * np.median(both, axis=0)
    low, high = np.quantile(ratios, [0.25, 0.75])
    what = f"rank of a user with a stopped topic [{low:.3f}, {high:.3f}]; theirs is without"
    return Row(what, float(ours), float(theirs), "us of one core", float(np.median(ratios)), 1.2, "max")


def measure_file(folder: Path, rounds: int) -> Iterator[Row]:
    """Yield the rows of what a line takes with the disk, and without."""
    took = []
    for n in range(rounds):
        start = time.perf_counter()
        forget_lists.forget(folder / "disk.jsonl", user=str(n))
        took.append(time.perf_counter() - start)
    middle, between = describe(took)
    yield Row(f"a line of the list, on the disk {between}", middle, None, "ms on the wall", middle, None, "max")


def measure_all(rounds: int, folder: Path) -> Iterator[Row]:
    """Yield every row."""
    yield from measure_file(folder, rounds)
    path = folder / "forget.jsonl"
    with mock.patch.object(os, "fsync", lambda number: None):
        forget_lists.forget(path, user="nobody")
        ranker = build_synthetic_ranker(SMALL, N_USERS, D).follow_forget_list(path)
        ranker.forget(user="4998").rank(user="7")
        yield from measure_forgets(ranker, rounds)
        yield measure_requests(ranker, 4 * rounds)
        current, took = ranker.refresh(), []
        for _ in range(rounds):
            start = time.process_time()
            current.refresh()
            took.append(time.process_time() - start)
    middle = 1e3 * describe(took)[0]
    yield Row("refresh where nothing is new", middle, None, "us", middle, None, "max")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    with threadpool_limits(1, user_api="blas"), tempfile.TemporaryDirectory() as folder:
        found = [print_row(row) for row in measure_all(settings.rounds, Path(folder))]
    speeds.write_speed_rows(found, settings.out)


if __name__ == "__main__":
    main()
