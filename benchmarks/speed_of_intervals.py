"""How long the intervals of every metric take: `python benchmarks/speed_of_intervals.py`.

A made-up world of 100,000 users with 19 maps, slates of 10, 1,000 draws. Timed is what `recsys.scores.score` does
beyond the metrics themselves, after all of them were made: draws of users and maps, subsamples of users where a metric
is of the whole catalogue, and limits. Beside it, without a target: what the metrics took, vectors of items included,
which are made once for all runs. Writes `benchmarks/results/speed_of_intervals.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
import speeds
from speeds import Row, seconds, tell

from recsys import metrics
from recsys.scores.intervals import means
from recsys.scores.names import wanted
from recsys.scores.runs import of_catalogue, of_table, table
from recsys.types import Answer, Evaluation, PerCatalogue, Yardstick

RESULTS = Path(__file__).parent / "results" / "speed_of_intervals.csv"
USERS, ITEMS, K, DRAWS = 100_000, 5_000, 10, 1000


def limits(answers: dict[str, Answer]) -> None:
    """Make the scores of all answers, as `recsys.scores.score` does."""
    users = np.arange(USERS, dtype=np.int32)
    tables = {name: table(answer, users) for name, answer in answers.items() if not isinstance(answer, PerCatalogue)}
    drawn = dict(zip(tables, means(list(tables.values()), users, 0, DRAWS), strict=True))
    for name, answer in answers.items():
        if isinstance(answer, PerCatalogue):
            of_catalogue("run", name, K, answer, users, 0)
        else:
            of_table("run", name, K, answer, tables[name], drawn[name])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    split = speeds.world(USERS, ITEMS)
    yardstick = Yardstick(split, *(speeds.maps(ITEMS, n, 24) for n in (8, 8, 3)))
    evaluation, answers = Evaluation(speeds.slates(split, K), yardstick), {}

    def answer() -> None:
        for want in wanted(metrics.__all__, [K]):
            answers[want.name] = want.metric(evaluation, want.k)

    bare = seconds(answer)
    took = seconds(lambda: limits(answers))
    what, floor = f"of {len(answers)} metrics, {USERS:,} users, 19 maps, k = {K}", f"{DRAWS * USERS:,} weights drawn"
    rows = [
        tell(Row(f"intervals, {DRAWS:,} draws {what}", took, None, "s", took, 30.0, "max", floor)),
        tell(Row(f"values {what}", bare, None, "s", bare, None, "max")),
    ]
    speeds.write(rows, settings.out)


if __name__ == "__main__":
    main()
