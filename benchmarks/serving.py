"""How long a ranker takes for one request, and to load: written to results/serving.csv.

A made-up log: users with 100 likes each, drawn with a heavy tail, and 20 random maps of 24 regions, whose candidates
lie in all regions (the dearest case for negative space). Requests differ from each other, and so do users, as they do
on a server; times are of one thread, medians and 90th percentiles. `python benchmarks/serving.py` takes two minutes
and 2 GB of memory and of disk.
"""

import csv
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

import recsys.kernels.greedy  # noqa: F401  what loading a ranker takes, without what importing Numba takes
from recsys.models.by_factors import ByFactors
from recsys.rankers import Ranker
from recsys.types import Factors, Items, Split, TasteMap
from recsys.types.arrays import Csr, empty

RESULTS = Path(__file__).parent / "results" / "serving.csv"
BLEND = {"relevance": 1.0, "diversity": 0.2, "negative_space": 0.2}
MAPS, REGIONS, LIKES, N, K = 20, 24, 100, 200, 10


def rows(rng: np.random.Generator, columns: list[np.ndarray], width: int) -> Csr:
    """A matrix of ones in these columns of each row."""
    pointers = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    entries = np.ones(pointers[-1], np.float32)
    return Csr(
        (entries, np.concatenate(columns).astype(np.int32), pointers.astype(np.int32)), shape=(len(columns), width)
    )


def made_up(items: int, users: int, d: int) -> Ranker:
    """The ranker of a random factor model."""
    rng = np.random.default_rng(0)
    place = rng.permutation(items)
    tail = np.minimum(rng.pareto(1.2, (users, LIKES)) * items / 50, items - 1).astype(int)
    train = rows(rng, [np.unique(place[liked]) for liked in tail], items)
    ids, none = np.arange(items).astype(str), empty(train.shape)
    features = rows(rng, [np.array([region]) for region in rng.integers(0, 18, items)], 18)
    catalogue = Items(ids, ids, features, tuple(f"f{n}" for n in range(18)), np.zeros(items, np.int32))
    split = Split("whole", 0, np.arange(users).astype(str), catalogue, train, none, none, none, none)
    maps = [TasteMap(f"random-{m}", _hard(rng.integers(0, REGIONS, items)), "random", m) for m in range(MAPS)]
    user, item = (rng.normal(0, 0.1, (size, d)).astype(np.float32) for size in (users, items))
    model = ByFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))
    return Ranker.fit(model, split, BLEND, maps=maps, k=K, n=N)


def _hard(region: np.ndarray) -> Csr:
    pointers = np.arange(len(region) + 1, dtype=np.int32)
    return Csr((np.ones(len(region), np.float32), region.astype(np.int32), pointers), shape=(len(region), REGIONS))


def clock(ask: Callable[[int], object], times: int) -> tuple[float, float]:
    """The median and the 90th percentile of what `ask` takes, in milliseconds."""
    took = []
    for n in range(times + 10):
        start = time.perf_counter()
        ask(n)
        took.append(1000 * (time.perf_counter() - start))
    return float(np.median(took[10:])), float(np.percentile(took[10:], 90))


def requests(ranker: Ranker) -> dict[str, tuple[float, float]]:
    """What requests take."""
    rng, ids = np.random.default_rng(1), ranker.context.item_ids
    pools = [rng.permutation(len(ids))[:N] for _ in range(50)]
    named = [ids[pool].tolist() for pool in pools]
    scores = [-np.sort(-rng.normal(size=N)).astype(np.float32) for _ in range(50)]
    histories = [rng.permutation(len(ids))[:LIKES] for _ in range(50)]
    users = [str(user) for user in rng.integers(0, len(ranker.context.user_ids), 50)]
    return {
        "rerank, known user, ids as integers": clock(
            lambda n: ranker.rerank(pools[n % 50], scores[n % 50], user=users[n % 50]), 2000
        ),
        "rerank, known user, ids as text": clock(
            lambda n: ranker.rerank(named[n % 50], scores[n % 50], user=users[n % 50]), 2000
        ),
        "rerank, the same request again": clock(lambda n: ranker.rerank(pools[0], scores[0], user=users[0]), 2000),
        "rerank, history": clock(
            lambda n: ranker.rerank(pools[n % 50], scores[n % 50], history=histories[n % 50]), 2000
        ),
        "rank, known user": clock(lambda n: ranker.rank(user=users[n % 50]), 300),
        "rank, history": clock(lambda n: ranker.rank(history=histories[n % 50]), 300),
    }


def main() -> None:
    """Measure and write."""
    told, turn = [], count()
    for items, users, d in ((20_000, 5_000, 128), (1_000_000, 1_400, 128)):
        with tempfile.TemporaryDirectory() as place:
            folder = made_up(items, users, d).save(Path(place) / str(next(turn)))
            found = {"load": clock(lambda n, folder=folder: Ranker.load(folder), 5)}
            found |= requests(Ranker.load(folder))
        told += [{"items": items, "what": what, "median_ms": m, "p90_ms": p} for what, (m, p) in found.items()]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["items", "what", "median_ms", "p90_ms"])
        writer.writeheader()
        for row in told:
            writer.writerow(row | {name: f"{row[name]:.3f}" for name in ("median_ms", "p90_ms")})
            print(f"{row['items']:>9,}  {row['what']:40} {row['median_ms']:9.3f} ms  {row['p90_ms']:9.3f} ms")


if __name__ == "__main__":
    main()
