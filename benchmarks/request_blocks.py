"""What blocks save where many requests come at once: `python benchmarks/request_blocks.py`.

`rank_many` and `rerank_many` of 1,000 known users against a loop of `rank` and `rerank`, and whether both are equal, on
the made-up log of `serving.py`, also with a look at the items of each answer, and of columns of arrays; then users of a
catalogue of 50,000 items, blend of relevance, mmr and unexplored, in calls of 512, and what the process's memory grows
by between the first thousand and the last. Both sides take turns in one run; batches use all cores, the loop is one
thread. Takes some minutes and 1 GB of memory. Writes `benchmarks/results/request_blocks.csv`.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import speeds
from serving import LARGE, SMALL, D, N, build_synthetic_ranker
from speeds import Row, print_row, time_side_by_side, time_work

from recsys.rankers import Recommendation

RESULTS = Path(__file__).parent / "results" / "request_blocks.csv"
MANY, USERS, CALL = 50_000, 5_000, 512
BLEND = {"relevance": 1.0, "mmr": 0.2, "unexplored": 0.2}
NOW = 1_700_000_000


def check_equal(ours: list[Recommendation], theirs: list[Recommendation]) -> None:
    """Refuse answers of which two differ by a bit."""
    for one, other in zip(ours, theirs, strict=True):
        if one.to_dict() != other.to_dict() or one.contributions.tobytes() != other.contributions.tobytes():
            raise SystemExit(f"request_blocks: answers differ: {one.items} and {other.items}")


def compare(what: str, many: Callable[[], list], loop: Callable[[], list], target: float | None, rounds: int) -> Row:
    """Return the row of a batch and a loop over the same requests."""
    check_equal(many(), loop())
    ours, theirs, ratio = time_side_by_side(lambda: time_work(many), lambda: time_work(loop), rounds)
    return Row(what, ours, theirs, "s", ratio, target, "min")


def measure_small(rounds: int) -> Iterator[Row]:
    """Yield the rows of 1,000 known users of 20,000 items."""
    ranker, rng = build_synthetic_ranker(SMALL, USERS, D), np.random.default_rng(1)
    users = rng.permutation(ranker.context.user_ids)[:1000].tolist()
    yield compare(
        f"rank_many, 1,000 known users, {SMALL:,} items x {D}; theirs is a loop of rank",
        lambda: list(ranker.rank_many(users=users, now=NOW)),
        lambda: [ranker.rank(user=user, now=NOW) for user in users],
        4.0,
        rounds,
    )
    pools = [rng.permutation(SMALL)[:N] for _ in users]
    scores = [-np.sort(-rng.normal(size=N)).astype(np.float32) for _ in users]

    def rerank_many() -> list[Recommendation]:
        return list(ranker.rerank_many(pools, scores, users=users, now=NOW))

    def rerank_each() -> list[Recommendation]:
        return [
            ranker.rerank(pool, score, user=user, now=NOW)
            for pool, score, user in zip(pools, scores, users, strict=True)
        ]

    what = f"rerank_many, 1,000 known users, {N} candidates; theirs is a loop of rerank"
    yield compare(what, rerank_many, rerank_each, 4.0, rounds)
    works = (lambda work=work: time_work(lambda: [one.items for one in work()]) for work in (rerank_many, rerank_each))
    ours, theirs, ratio = time_side_by_side(*works, rounds)
    yield Row(f"{what}, the items of each answer read", ours, theirs, "s", ratio, None, "min")
    ours, theirs, ratio = time_side_by_side(
        lambda: time_work(lambda: ranker.make_slate_columns(pools, scores, users=users, now=NOW)),
        lambda: time_work(rerank_each),
        rounds,
    )
    yield Row(what.replace("rerank_many", "make_slate_columns"), ours, theirs, "s", ratio, None, "min")


def measure_many(rounds: int) -> Iterator[Row]:
    """Yield the rows of a catalogue of 50,000 items."""
    ranker = build_synthetic_ranker(MANY, USERS, D, BLEND)
    users, process = ranker.context.user_ids.tolist(), psutil.Process()
    few = users[:CALL]
    what = f"rank_many in calls of {CALL}, {MANY:,} items x {D}, {', '.join(BLEND)}"
    yield compare(
        f"{what}; theirs is a loop of rank",
        lambda: list(ranker.rank_many(users=few, now=NOW)),
        lambda: [ranker.rank(user=user, now=NOW) for user in few],
        5.0,
        rounds,
    )
    calls = [users[start : start + CALL] for start in range(0, len(users), CALL)]
    ranker.rank_many(users=users[:1000])
    before = process.memory_info().rss

    def answer_all() -> None:
        for call in calls:
            ranker.rank_many(users=call)

    took = float(np.median([time_work(answer_all) for _ in range(rounds)]))
    minutes = LARGE * took / len(users) / 60
    yield Row(f"{what}, {len(users):,} users: {LARGE:,} would take", minutes, None, "minutes", minutes, 6.0, "max")
    grown = max(0, process.memory_info().rss - before) / 2**20
    yield Row(
        f"{what}: memory that {rounds * len(users):,} users add to that of 1,000",
        grown,
        None,
        "MiB",
        grown,
        64.0,
        "max",
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    found = [print_row(row) for measure in (measure_small, measure_many) for row in measure(settings.rounds)]
    speeds.write_speed_rows(found, settings.out)


if __name__ == "__main__":
    main()
