"""How long the intervals of every metric take: `python benchmarks/speed_of_intervals.py`.

A made-up world of 100,000 users with 19 maps, slates of 10, 1,000 draws. Timed is what `recsys.scores.score` does
beyond the metrics themselves: draws of users and maps, subsamples of users where a metric is of the whole catalogue,
and limits. Held against the same target are the intervals with the values of all metrics, and what is made once for
all runs besides the co-occurrence space. Without a target: that space, and the values of a run after the first. Kernels
are compiled beforehand. Writes `benchmarks/results/speed_of_intervals.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
import speeds
from speeds import Row, seconds, tell

from recsys import maths, metrics
from recsys.scores.names import wanted
from recsys.scores.runs import of_answers
from recsys.types import Answer, Evaluation, Yardstick

RESULTS = Path(__file__).parent / "results" / "speed_of_intervals.csv"
USERS, ITEMS, K, DRAWS = 100_000, 5_000, 10, 1000
TARGET = 30.0  # seconds
Answers = dict[tuple[str, int], Answer]


def judge(yardstick: Yardstick) -> Answers:
    """Return what every metric says of a new run."""
    evaluation = Evaluation(speeds.slates(yardstick.split, K), yardstick)
    return {(want.name, want.k): want.metric(evaluation, want.k) for want in wanted(metrics.__all__, [K])}


def world(users: int, items: int) -> Yardstick:
    return Yardstick(speeds.world(users, items), *(speeds.maps(items, n, 24) for n in (8, 8, 3)))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    judge(world(500, 200))
    yardstick, users, answers = world(settings.users, ITEMS), np.arange(settings.users, dtype=np.int32), Answers()
    train = yardstick.split.train
    space = seconds(lambda: yardstick.tables.get("cooccurrence", lambda: maths.cooccurrence_vectors(train)))
    first = seconds(lambda: answers.update(judge(yardstick)))
    again = seconds(lambda: judge(yardstick))
    took = seconds(lambda: of_answers("run", answers, users, 0, DRAWS))
    what = f"of {len(answers)} metrics, {len(users):,} users, 19 maps, k = {K}"
    both, weights = f"values and intervals {what}, without the co-occurrence space", f"{DRAWS * len(users):,} weights"
    rows = [
        Row(f"intervals, {DRAWS:,} draws {what}", took, None, "s", took, TARGET, "max", weights),
        Row(both, first + took, None, "s", first + took, TARGET, "max", weights),
        Row(f"values {what}, of a run after the first", again, None, "s", again, None, "max"),
        Row(f"co-occurrence space of {ITEMS:,} items, once for all runs", space, None, "s", space, None, "max"),
    ]
    speeds.write([tell(row) for row in rows], settings.out)


if __name__ == "__main__":
    main()
