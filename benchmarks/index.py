"""How long `Ranker.rank` takes with an index and without, and what the index finds: written to results/index.csv.

A made-up catalogue of a million items: factors lie around 300 tastes, with noise of 0.7 of their spread, and are longer
the more popular an item is; a user's factor is a mix of three tastes and noise. So much structure is kind to any index,
and recall on a made-up world says little of a real one: `Ranker.fit` measures it on the users of the data that it is
given. Exact and indexed requests take turns, each of one thread, those of one round asked by the same users.
`python benchmarks/index.py` takes some ten minutes, 6 GB of memory and 2 GB of disk.
"""

import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from sklearn import __version__ as sklearn_version
from speeds import Row, draw_maps, draw_split, print_row, time_side_by_side, time_work, write_speed_rows

from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker
from recsys.rankers.indexes import build_index
from recsys.support.rng import make_generator
from recsys.types import Factors

RESULTS = Path(__file__).parent / "results" / "index.csv"
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
USERS, ITEMS, D, TASTES, N, K, REQUESTS, ROUNDS = 1_400, 1_000_000, 128, 300, 200, 10, 20, 15


def draw_taste_factors() -> FittedFactors:
    """Return a fitted model whose factors lie around tastes."""
    rng = make_generator(0, "benchmark", "tastes")
    centres = rng.standard_normal((TASTES, D), dtype=np.float32)
    item = centres[rng.integers(0, TASTES, ITEMS)] + np.float32(0.7) * rng.standard_normal((ITEMS, D), dtype=np.float32)
    popularity = ((rng.permutation(ITEMS) + 1) / ITEMS) ** -0.15
    item *= (popularity / np.linalg.norm(item, axis=1)).astype(np.float32)[:, None]
    shares = rng.dirichlet(np.ones(3), USERS).astype(np.float32)
    user = np.einsum("um,umd->ud", shares, centres[rng.integers(0, TASTES, (USERS, 3))])
    user += np.float32(0.3) * rng.standard_normal((USERS, D), dtype=np.float32)
    user /= np.linalg.norm(user, axis=1, keepdims=True)
    return FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))


def time_requests(ranker: Ranker, who: str) -> float:
    """Return the milliseconds of a request, of twenty whose askers differ."""
    rng, users, ids = make_generator(0, "benchmark", "asking"), ranker.context.user_ids, ranker.context.item_ids
    given = rng.integers(0, len(users), REQUESTS), rng.integers(0, len(ids), (REQUESTS, 100))
    asks = [{"user": users[u]} if who == "known user" else {"history": ids[h]} for u, h in zip(*given, strict=True)]
    return 1000 * time_work(lambda: [ranker.rank(**one) for one in asks]) / REQUESTS


def main() -> None:
    """Measure and write."""
    rows, split, model, turn = [], draw_split(USERS, ITEMS), draw_taste_factors(), count()
    exact = Ranker.fit(model, split, BLEND, maps=draw_maps(ITEMS, 20, 24), k=K, n=N)
    for recall in (0.95, 0.99):
        found: list = []
        took = time_work(
            lambda r=recall, f=found: f.append(build_index(model, exact.context, exact.available, exact.policy, r))
        )
        indexed = replace(exact, index=found[0])
        print(f"recall {recall}: {indexed.index}", flush=True)
        of = f"{ITEMS:,} x {D}, recall {recall}"
        rows.append(print_row(Row(f"index, {of}", took, None, "s", took, None, "max")))
        share = indexed.index.recall
        rows.append(print_row(Row(f"recall of {N}, {of}", share, 1.0, "share", share / recall, 1.0, "min")))
        for who in ("known user", "history"):
            times = time_side_by_side(
                lambda w=who, i=indexed: time_requests(i, w), lambda w=who: time_requests(exact, w), ROUNDS
            )
            rows.append(print_row(Row(f"rank, {who}, {of}", times[0], times[1], "ms", times[2], 3.0, "min")))
    with tempfile.TemporaryDirectory() as place:
        folders = [ranker.save(Path(place) / str(next(turn))) for ranker in (indexed, exact)]
        times = time_side_by_side(*(lambda f=folder: time_work(lambda: Ranker.load(f)) for folder in folders), 5)
    rows.append(print_row(Row(f"load, {ITEMS:,} x {D}", times[0], times[1], "s", times[2], None, "min")))
    write_speed_rows(rows, RESULTS, f"scikit-learn {sklearn_version}")


if __name__ == "__main__":
    main()
