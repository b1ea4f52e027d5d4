"""What dials cost a request: `python benchmarks/dials.py`.

The requests are those of `benchmarks/serving.py` on its small catalogue, all of which go the compiled way. Both sides
ask the same ranker in turns: `ours` with dials, `theirs` without. A figure is the processor time of a request, and the
ratio the median over the rounds of ours / theirs. A request brings factors of two objectives, the same ones each time
or new ones each time; or its user has stored dials that end, so that the clock is read; or it has no profile. Factors
near 1 leave most picks as they are, so that the ratio is what the dials take and not another blend; an objective that
is turned off takes no time. Writes `benchmarks/results/dials.csv`.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import speeds
from serving import (
    BLENDED,
    LIKES,
    SMALL,
    Requests,
    build_synthetic_ranker,
    draw_requests,
)
from speeds import Row, pin_to_quiet_core, print_row
from threadpoolctl import threadpool_limits

from recsys.rankers import Ranker

RESULTS = Path(__file__).parent / "results" / "dials.csv"
D, N_USERS, TARGET = 128, 5_000, 1.1
PER_TURN = 50  # requests: turns are short, so that other work of the machine meets both sides alike
FOREVER = 4e9  # seconds since 1970: no dial of this run ends
Ask = Callable[[int], object]


def build_pairs(ranker: Ranker, given: Requests) -> dict[str, tuple[Ask, Ask]]:
    """Return the requests with dials and those without, by what they are."""
    pools, _, scores, histories, users = given
    some = len(pools)
    changed = {"mmr": 1.01, "negative_space": 0.99}
    ever = count()
    stored = ranker.set_user_dials(dict.fromkeys(users, changed), until=FOREVER)

    def rerank(n: int, by: Ranker = ranker, **settings: object) -> object:
        return by.rerank(pools[n % some], scores[n % some], user=users[n % some], **settings)

    def rerank_history(n: int, **settings: object) -> object:
        return ranker.rerank(pools[n % some], scores[n % some], history=histories[n % some], **settings)

    def rank(n: int, **settings: object) -> object:
        return ranker.rank(user=users[n % some], **settings)

    of_history = BLENDED.replace("known user", f"history of {LIKES}")
    return {
        f"{BLENDED}; two factors": (lambda n: rerank(n, weights=changed), rerank),
        f"{BLENDED}; two factors, new ones each time": (
            lambda n: rerank(n, weights={"mmr": 1.01 + next(ever) * 1e-9, "negative_space": 0.99}),
            rerank,
        ),
        f"{BLENDED}; two stored factors that end": (lambda n: rerank(n, stored), rerank),
        f"{BLENDED}; mmr turned off": (lambda n: rerank(n, weights={"mmr": 0.0}), rerank),
        f"{of_history}; two factors": (lambda n: rerank_history(n, weights=changed), rerank_history),
        "rank, known user; two factors": (lambda n: rank(n, weights=changed), rank),
        "rank, known user; profile-free": (lambda n: rank(n, profile_free=True), rank),
    }


def time_processor(ask: Ask, first: int) -> float:
    """Return the processor seconds of a request, on average over some, from number `first` on."""
    start = time.process_time()
    for n in range(first, first + PER_TURN):
        ask(n)
    return (time.process_time() - start) / PER_TURN


def compare(dialled: Ask, plain: Ask, rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of a request with dials and without, and the median of the ratios of the rounds."""
    with pin_to_quiet_core():
        pairs = [[time_processor(ask, PER_TURN * turn) for ask in (dialled, plain)] for turn in range(rounds + 1)]
    took = np.array(pairs[1:])
    ours, theirs = np.median(took, axis=0)
    return float(ours), float(theirs), float(np.median(took[:, 0] / took[:, 1]))


def measure_all(rounds: int) -> Iterator[Row]:
    """Yield a row for each kind of request."""
    ranker = build_synthetic_ranker(SMALL, N_USERS, D)
    for what, (dialled, plain) in build_pairs(ranker, draw_requests(ranker)).items():
        ours, theirs, ratio = compare(dialled, plain, rounds)
        what = f"{what}; theirs is without"
        yield Row(what, 1e6 * ours, 1e6 * theirs, "us of one core", ratio, TARGET, "max")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=201)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    with threadpool_limits(1, user_api="blas"):
        found = [print_row(row) for row in measure_all(settings.rounds)]
    speeds.write_speed_rows(found, settings.out)


if __name__ == "__main__":
    main()
