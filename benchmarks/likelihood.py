"""How long a likelihood takes: `python benchmarks/likelihood.py`.

On a made-up world: scoring of users with 120 candidates, histories of 100, vectors of 64 dimensions and 20 maps
by the compiled kernel, on one core, against the two matrix products that it cannot do without (candidates with the
history, and with each other) by the machine's BLAS on one thread, in turns; at most twice as long, or 60 microseconds,
whichever is larger. And `fit_likelihood` of 6,000 users with 300 candidates, all of which are looked at. Writes
`benchmarks/results/likelihood.csv`. `likelihood_accuracy.py` measures what it earns.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import speeds
from speeds import Row, print_row, time_work
from threadpoolctl import threadpool_limits

import recsys as rs
from recsys.kernels.likelihood_features import score_likelihoods
from recsys.likelihoods.features import COMPILED_FEATURES
from recsys.likelihoods.tables import get_feature_tables
from recsys.types import Split

RESULTS = Path(__file__).parent / "results"
USERS, ITEMS, N, HISTORY, DIMENSIONS = 256, 3000, 120, 100, 64
FIT_USERS, FIT_N, FIT_TARGET = 6000, 300, 10.0  # seconds
TARGET_MICROSECONDS, TARGET_RATIO = 60.0, 2.0


def draw_world(users: int) -> tuple[Split, Any]:
    """Return a split whose users have about HISTORY likes, and a fitted model of random factors."""
    split = speeds.draw_split(users, ITEMS, liked=HISTORY + 8, held=6)
    return replace(split, validation=split.test), speeds.draw_factors(split, DIMENSIONS)


def time_scoring(rounds: int) -> list[Row]:
    """Return the microseconds a user of the kernel and of the two matrix products, and their ratio."""
    split, model = draw_world(USERS)
    pool = rs.candidates(model, split.validation_view(), n=N, maps=speeds.draw_maps(ITEMS, 20, 24))
    tables = get_feature_tables(pool.context, "factors", True)
    rng = np.random.default_rng(0)
    history = np.concatenate([np.sort(rng.permutation(ITEMS)[:HISTORY]) for _ in range(USERS)]).astype(np.int32)
    starts, weights = np.arange(USERS + 1) * HISTORY, rng.normal(size=(USERS, len(COMPILED_FEATURES)))
    given = (
        pool.items, pool.scores, np.full(USERS, N), starts, history, N, tables.vectors, tables.log_popularity,
        tables.usual_popularity, tables.regions, tables.region_shares, weights, np.zeros(USERS), np.zeros((USERS, N)),
    )  # fmt: skip
    candidates = [tables.vectors[items] for items in pool.items]
    liked = [tables.vectors[history[starts[u] : starts[u + 1]]] for u in range(USERS)]
    to_history, to_each_other = np.empty((N, HISTORY), np.float32), np.empty((N, N), np.float32)

    def multiply() -> None:
        for own, far in zip(candidates, liked, strict=True):
            np.matmul(own, far.T, out=to_history)
            np.matmul(own, own.T, out=to_each_other)

    kernel: Any = score_likelihoods
    with threadpool_limits(1, user_api="blas"), speeds.pin_to_quiet_core():
        works = (lambda: time_work(lambda: kernel(*given)), lambda: time_work(multiply))
        took = speeds.time_in_turns(works, rounds) / USERS * 1e6
    ours, theirs = (float(one) for one in np.median(took, axis=0))
    ratio = float(np.median(took[:, 0] / took[:, 1]))
    target = max(TARGET_RATIO, TARGET_MICROSECONDS / theirs)
    work = f"{N * (HISTORY + N) * DIMENSIONS:,} multiply-adds"
    what = f"a likelihood's score, {N} candidates, history of {HISTORY}, {DIMENSIONS} dimensions, against its products"
    return [Row(what, ours, theirs, "us a user", ratio, target, "max", work)]


def time_fitting() -> list[Row]:
    """Return the seconds of `fit_likelihood`, of users with FIT_N candidates, all of them among those fitted to."""
    small, model = draw_world(200)  # kernels are compiled before the clock starts
    rs.fit_likelihood(rs.candidates(model, small.validation_view(), n=N, maps=speeds.draw_maps(ITEMS, 2, 24)), small)
    split, model = draw_world(FIT_USERS)
    pool = rs.candidates(model, split.validation_view(), n=FIT_N, maps=speeds.draw_maps(ITEMS, 20, 24))
    rows = []
    for n in (FIT_N, N):
        took = time_work(lambda n=n: rs.fit_likelihood(pool, split, n=n))
        what = f"fit_likelihood, {FIT_USERS:,} users, the best {n} of {FIT_N} candidates"
        rows.append(Row(what, took, None, "s", took, FIT_TARGET, "max"))
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    made = [print_row(row) for row in (*time_scoring(settings.rounds), *time_fitting())]
    speeds.write_speed_rows(made, settings.out / "likelihood.csv")


if __name__ == "__main__":
    main()
