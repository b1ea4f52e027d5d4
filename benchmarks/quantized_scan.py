"""How much quicker a scan of eight bits makes `Ranker.rank`, and what it leaves to score: `results/quantized_scan.csv`.

Random factors, one thread, requests of known users; both sides are this ranker, with the scan and without, and take
turns, the requests of a round asked by the same users. Both give the same items and scores, which is checked. What the
scan leaves is told in items for each of the n best: at made-up factors of 60,000 items (a flat spectrum, falling ones,
items around 300 tastes), and at those of models of MovieLens 100K, n = 6 of 1,682 items, as if there were 200 of
60,000. BPR's, whose biases are one more factor, are told for comparison: it scores its items otherwise.
`python benchmarks/quantized_scan.py` takes some minutes and 3 GB of memory; `--items N` measures one size alone.
Pools are made by products of blocks of users: one row holds a scan for one user against these.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from speeds import Row, draw_factors, draw_maps, draw_split, print_row, time_side_by_side, time_work, write_speed_rows
from threadpoolctl import threadpool_limits

import recsys as rs
from recsys.models import ALS, BPR, IALS, PureSVD
from recsys.rankers import Ranker, quantized_retrieval
from recsys.rankers.quantized_retrieval import QuantizedItems
from recsys.retrieval.candidates import BLOCK
from recsys.support.rng import make_generator

RESULTS = Path(__file__).parent / "results" / "quantized_scan.csv"
SIZES = {20_000: None, 60_000: 1.3, 200_000: None, 1_000_000: 2.0}  # items, and how much quicker it has to be
USERS, D, N, K, REQUESTS, ROUNDS = 400, 128, 200, 10, 10, 15
BLOCK_ITEMS = 60_000
NOBODY_PAYS = 2**62  # items


def rank_users(ranker: Ranker, users: np.ndarray, least: int) -> list[rs.Recommendation]:
    """Answer requests, by a scan of eight bits from so many items on."""
    kept, quantized_retrieval.MIN_ITEMS = quantized_retrieval.MIN_ITEMS, least
    try:
        return [ranker.rank(user=user, now=0) for user in users]
    finally:
        quantized_retrieval.MIN_ITEMS = kept


def measure_requests(items: int, target: float | None) -> Iterator[Row]:
    """Yield the milliseconds of a request with the scan and without, and the seconds to quantise."""
    split = draw_split(USERS, items)
    blend = {"relevance": 1.0, "mmr": 0.2}
    ranker = Ranker.fit(draw_factors(split, D), split, blend, maps=draw_maps(items, 1, 24), k=K, n=N, scale=None)
    users = ranker.context.user_ids[:: USERS // REQUESTS]
    answers = [rank_users(ranker, users, least) for least in (0, NOBODY_PAYS)]
    assert [(one.items, one.relevance.tobytes()) for one in answers[0]] == [
        (one.items, one.relevance.tobytes()) for one in answers[1]
    ]
    quick, plain, ratio = time_side_by_side(
        *(lambda least=least: time_work(lambda: rank_users(ranker, users, least)) for least in (0, NOBODY_PAYS)), ROUNDS
    )
    each = 1000 / len(users)
    floor = f"{items * (D + 8):,} B; theirs {4 * items * D:,} B"
    what = f"rank, known user, {items:,} x {D}; theirs is the scan of 32 bits"
    yield Row(what, quick * each, plain * each, "ms", ratio, target, "min", floor)
    factors = np.asarray(ranker.model.factors.item_factors)  # type: ignore[union-attr]
    took = time_work(lambda: QuantizedItems(factors))
    yield Row(f"quantise {items:,} x {D}", took, None, "s", took, None, "max", floor)


def measure_block(items: int) -> Iterator[Row]:
    """Yield the microseconds a user of a scan, and of the products of a block of users, by one thread each.

    The scan is without the scores of what it leaves, the products without the n best.
    """
    split = draw_split(BLOCK, items)
    factors = draw_factors(split, D).factors
    quantized, nothing = QuantizedItems(factors.item_factors), np.zeros(items, bool)
    room = np.empty((BLOCK, items), np.float32)

    def scan() -> float:
        some = factors.user_factors[:REQUESTS]
        return time_work(lambda: [quantized.find_possible_best(user, N, nothing) for user in some]) / REQUESTS

    def multiply() -> float:
        return time_work(lambda: np.matmul(factors.user_factors, factors.item_factors.T, out=room)) / BLOCK

    with threadpool_limits(1, user_api="blas"):
        ours, theirs, ratio = time_side_by_side(scan, multiply, ROUNDS)
    what = f"scan for a user, {items:,} x {D}; theirs is the product of {BLOCK} users"
    floor = f"{items * D:,} multiply-adds"
    yield Row(what, ours * 1e6, theirs * 1e6, "us of a core per user", ratio, None, "min", floor)


def measure_left(what: str, items: np.ndarray, users: np.ndarray, n: int) -> Iterator[Row]:
    """Yield the items that the scan leaves for each of the n best: the median over users, and the share it fails."""
    quantized, nothing = QuantizedItems(np.ascontiguousarray(items, np.float32)), np.zeros(len(items), bool)
    found = [quantized.find_possible_best(np.array(user, np.float32), n, nothing) for user in users]
    left = [len(one) / n for one in found if one is not None]
    median, failed = float(np.median(left)) if left else float("inf"), 1 - len(left) / len(found)
    of = f"{what}, {len(items):,} x {items.shape[1]}, n = {n}"
    yield Row(f"items left for each of the n best, {of}", median, None, "items", median, None, "max")
    yield Row(f"share of users left to the plain scan, {of}", failed, None, "share", failed, None, "max")


def measure_spectra() -> Iterator[Row]:
    """Yield what the scan leaves at factors of several kinds."""
    rng, place = make_generator(0, "benchmark", "spectra"), np.arange(1, D + 1)
    item, user, taste = (rng.standard_normal((count, D), dtype=np.float32) for count in (60_000, 100, 300))
    for what, power in (("a flat spectrum", 0.0), ("a spectrum of 1 / j", 1.0), ("a spectrum of 1 / sqrt j", 0.5)):
        yield from measure_left(what, item * place**-power, user * place**-power, N)
    near = taste[rng.integers(0, len(taste), len(item))] + np.float32(0.05) * item
    yield from measure_left("300 tastes", near, taste[:100], N)
    train = rs.splits.no_holdout(rs.load_dataset("ml-100k"), positive="rating >= 4").train
    for model in (ALS(), IALS(), PureSVD()):
        factors = model.fit(train).factors
        what = f"{type(model).__name__} of MovieLens 100K"
        yield from measure_left(what, factors.item_factors, factors.user_factors, 6)
    made = BPR().fit(train)
    users = np.column_stack([made.user_factors, np.ones(len(made.user_factors))])
    yield from measure_left("BPR of MovieLens 100K", np.column_stack([made.item_factors, made.biases]), users, 6)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, help="Measure requests of one size alone, and write nothing.")
    given = parser.parse_args()
    if given.items is not None:
        for row in measure_requests(given.items, SIZES.get(given.items)):
            print_row(row)
        return
    rows = [print_row(row) for items, target in SIZES.items() for row in measure_requests(items, target)]
    rows += [print_row(row) for row in measure_block(BLOCK_ITEMS)]
    rows += [print_row(row) for row in measure_spectra()]
    write_speed_rows(rows, RESULTS)


if __name__ == "__main__":
    main()
