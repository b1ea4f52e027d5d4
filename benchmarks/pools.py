"""How fast exact pools are made, beside implicit: `python benchmarks/pools.py`.

Both sides get the same factors and the same histories to leave out, and make the 200 best of all items for each of
2,048 users on all cores. implicit's `recommend` has BLAS at as many threads as it likes better, one or all of them; its
items must be ours, but where two scores are less than 1e-5 apart. The rate of matrix multiplication is that of the
products alone, into an array that is there already, of as many users at once as ours. Writes
`benchmarks/results/pools.csv`.
"""

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
import speeds
from scipy import sparse
from speeds import Row, print_row, time_in_turns, time_work
from threadpoolctl import threadpool_limits

from recsys.retrieval.candidates import BLOCK, candidates
from recsys.types import Pool

RESULTS = Path(__file__).parent / "results" / "pools.csv"
USERS, D, N = 2048, 128, 200
ITEMS = (20_000, 60_000)
TOLERANCE = 1e-5


def time_pools(items: int, rounds: int) -> list[Row]:
    """Return what pools of so many items take: beside implicit, and beside the products alone."""
    from implicit.als import AlternatingLeastSquares

    split = speeds.draw_split(USERS, items, liked=100)
    model = speeds.draw_factors(split, D)
    user, item = model.factors.user_factors, model.factors.item_factors
    met, everybody = sparse.csr_matrix(split.train), np.arange(USERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that BLAS has threads
        peer = AlternatingLeastSquares(factors=D, num_threads=os.cpu_count())
    peer.user_factors, peer.item_factors = user, item
    room = np.empty((BLOCK, items), np.float32)

    def ours() -> Pool:
        return candidates(model, split, n=N)

    def theirs(threads: int | None) -> tuple[np.ndarray, np.ndarray]:
        with threadpool_limits(threads, user_api="blas"):
            return peer.recommend(everybody, met, N=N, filter_already_liked_items=True)

    def products() -> None:
        for start in range(0, USERS, BLOCK):
            np.matmul(user[start : start + BLOCK], item.T, out=room)

    check_same_pools(ours(), *theirs(1))
    works = (ours, lambda: theirs(1), lambda: theirs(None), products)
    took = time_in_turns([lambda work=work: time_work(work) for work in works], rounds)
    mine, their = took[:, 0], took[:, 1 + int(np.argmin(np.median(took[:, 1:3], axis=0)))]
    one, other, bare = (float(np.median(side)) * 1e6 / USERS for side in (mine, their, took[:, 3]))
    what = f"pool, {items:,} items, {D} factors, the {N} best; theirs is"
    floor = f"{4 * D * items // BLOCK:,} B of factors, {items * D:,} multiply-adds"
    beside, alone = float(np.median(their / mine)), float(np.median(took[:, 3] / mine))
    return [
        Row(f"{what} implicit's recommend", one, other, "us per user", beside, 1.3, "min", floor),
        Row(f"{what} the matrix products alone", one, bare, "us per user", alone, 0.6, "min", floor),
    ]


def check_same_pools(pool: Pool, items: np.ndarray, scores: np.ndarray) -> None:
    """Refuse to go on where both sides do not have the same items, but for ties in single precision."""
    differ = pool.items != items
    if differ.mean() > 0.01 or np.abs(pool.scores - scores).max() > TOLERANCE:
        raise SystemExit(f"not the same pools: {differ.mean():.2%} of the places differ")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    found = [print_row(row) for items in ITEMS for row in time_pools(items, settings.rounds)]
    speeds.write_speed_rows(found, settings.out, f"implicit {speeds.version('implicit')}")


if __name__ == "__main__":
    main()
