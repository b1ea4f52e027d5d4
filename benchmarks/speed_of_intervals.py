"""How long the intervals of every metric take: `python benchmarks/speed_of_intervals.py`.

A made-up world of 100,000 users with 19 maps, slates of 10, 1,000 draws. Timed is what `recsys.scores.evaluate` does
beyond the metrics themselves: draws of users and maps, subsamples of users where a metric is of the whole catalogue,
and limits. Held against the same target are the intervals with the values of all metrics, and what is made once for
all runs besides the co-occurrence space. Without a target: that space, and the values of a run after the first. Kernels
are compiled beforehand. Writes `benchmarks/results/speed_of_intervals.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
import speeds
from speeds import Row, print_row, time_work

from recsys import metrics
from recsys.maths import embeddings
from recsys.scores.metric_names import resolve_metrics
from recsys.scores.runs import build_scores
from recsys.types import Evaluation, GroundTruth, MetricValues

RESULTS = Path(__file__).parent / "results" / "speed_of_intervals.csv"
USERS, ITEMS, K, DRAWS = 100_000, 5_000, 10, 1000
TARGET = 30.0  # seconds
Answers = dict[tuple[str, int], MetricValues]


def compute_all_metrics(truth: GroundTruth) -> Answers:
    """Return what every metric says of a new run."""
    evaluation = Evaluation(speeds.draw_slates(truth.split, K), truth)
    return {(want.name, want.k): want.metric(evaluation, want.k) for want in resolve_metrics(metrics.__all__, [K])}


def build_ground_truth(users: int, items: int) -> GroundTruth:
    return GroundTruth(speeds.draw_split(users, items), *(speeds.draw_maps(items, n, 24) for n in (8, 8, 3)))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    compute_all_metrics(build_ground_truth(500, 200))
    truth, users, answers = (
        build_ground_truth(settings.users, ITEMS),
        np.arange(settings.users, dtype=np.int32),
        Answers(),
    )
    train = truth.split.train
    space = time_work(lambda: truth.split_tables.get("cooccurrence", lambda: embeddings.cooccurrence_vectors(train)))
    first = time_work(lambda: answers.update(compute_all_metrics(truth)))
    again = time_work(lambda: compute_all_metrics(truth))
    took = time_work(lambda: build_scores("run", answers, users, 0, DRAWS))
    what = f"of {len(answers)} metrics, {len(users):,} users, 19 maps, k = {K}"
    both, weights = f"values and intervals {what}, without the co-occurrence space", f"{DRAWS * len(users):,} weights"
    rows = [
        Row(f"intervals, {DRAWS:,} draws {what}", took, None, "s", took, TARGET, "max", weights),
        Row(both, first + took, None, "s", first + took, TARGET, "max", weights),
        Row(f"values {what}, of a run after the first", again, None, "s", again, None, "max"),
        Row(f"co-occurrence space of {ITEMS:,} items, once for all runs", space, None, "s", space, None, "max"),
    ]
    speeds.write_speed_rows([print_row(row) for row in rows], settings.out)


if __name__ == "__main__":
    main()
