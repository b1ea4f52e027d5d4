"""Receipts: is every slate made again to the last bit, and what do receipts cost? Writes `results/receipts.csv`.

A made-up world of 2,000 users and 2,000 items x 64 factors. Two rankers that draw their picks answer requests of every
kind: known users, users with further likes and exposures, histories, candidates of the caller's, under dials, guards
and without a profile; one goes the compiled way, the other samples by Thompson's rule. Every request has a seed of its
own. Their receipts are appended to a log; both rankers are saved and loaded, and the log is replayed.

The cost is that of a request of the compiled ranker with `receipt()`, and with `receipt()` and its line in a log, to
one without, in turns. Intervals are 95 %: of a share by Clopper and Pearson, of a ratio over rounds, by bootstrap of
the median. `python benchmarks/receipts.py [--count 100000]`.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta
from speeds import draw_factors, draw_maps, draw_split, time_in_turns, time_work

import recsys as rs
from recsys.rankers import replay_log
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator

RESULTS = Path(__file__).parent / "results" / "receipts.csv"
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
SAMPLED = {"relevance": 1.0, "novelty": 0.2, "thompson": 0.3}
USERS, ITEMS, D, N, K, THOMPSON_SHARE = 2_000, 2_000, 64, 100, 10, 0.02
PER_LINE, PER_TURN, ROUNDS, NOW = 1_000, 50, 31, 86_400_000


def fit_rankers() -> tuple[rs.Ranker, rs.Ranker]:
    """Return the compiled ranker and the one that samples."""
    split = draw_split(USERS, ITEMS)
    model, maps = draw_factors(split, D), draw_maps(ITEMS, 6, 24)
    given: dict[str, Any] = {"maps": maps, "k": K, "n": N, "temperature": 0.3, "epsilon": 0.05}
    return rs.Ranker.fit(model, split, BLEND, **given), rs.Ranker.fit(model, split, SAMPLED, **given)


def draw_request(number: int, ranker: rs.Ranker) -> dict[str, Any]:
    """Return one request of any kind."""
    rng = make_generator(0, "benchmark", "receipts", number)
    items = ranker.context.item_ids
    few = items[rng.choice(ITEMS, 12, replace=False)].tolist()
    user = str(ranker.context.user_ids[rng.integers(USERS)])
    asked: dict[str, Any] = {"seed": number, "now": NOW + number, "profile_free": bool(rng.random() < 0.05)}
    kind = rng.integers(4)
    if kind == 0:
        asked |= {"user": user}
    elif kind == 1:
        asked |= {"user": user, "more": few[:3], "shown": [(item, NOW - 60) for item in few[3:8]]}
    else:
        asked |= {"history": few}
    if kind == 3:
        some = rng.choice(ITEMS, 50, replace=False)
        asked |= {"items": items[some].tolist(), "scores": rng.normal(size=50)}
    if rng.random() < 0.3:
        asked |= {"weights": {"relevance": float(rng.uniform(0.2, 3))}}
    if rng.random() < 0.2:
        asked |= {"guards": [rs.guards.exclude(few[8:]), rs.guards.pin(2, few[0])]}
    return asked


def ask(ranker: rs.Ranker, asked: dict[str, Any]) -> rs.Recommendation:
    """Return the answer to a request."""
    return ranker.rerank(**asked) if "items" in asked else ranker.rank(**asked)


def answer_requests(rankers: tuple[rs.Ranker, rs.Ranker], count: int) -> Iterator[rs.Receipt]:
    """Yield the receipt of each request."""
    for number in range(count):
        ranker = rankers[number % round(1 / THOMPSON_SHARE) == 0]
        yield ask(ranker, draw_request(number, ranker)).receipt(inputs=True)


def measure_replay(rankers: tuple[rs.Ranker, rs.Ranker], count: int, folder: Path) -> list[tuple[Any, ...]]:
    """Return how many slates are the same, and what a replay and a receipt take."""
    log = rs.ReceiptLog(folder / "slates.jsonl")
    receipts = answer_requests(rankers, count)
    while some := list(islice(receipts, PER_LINE)):
        log.append(*some)
    loaded = [rs.Ranker.load(one.save(folder / f"ranker-{n}")) for n, one in enumerate(rankers)]
    start = time.process_time()
    report = replay_log(log, loaded)
    seconds = time.process_time() - start
    equal, n = report.counts["equal"], report.n_receipts
    low = beta.ppf(0.025, equal, n - equal + 1)
    high = 1.0 if equal == n else beta.ppf(0.975, equal + 1, n - equal)
    return [
        ("replayed", n, "", "", "receipts"),
        ("of them equal to the last bit", equal, "", "", "receipts"),
        ("share that is equal", equal / n, low, high, "of 1"),
        ("processor time of 1,000 replays", 1000 * seconds / n, "", "", "s"),
        ("a receipt with inputs in a log", log.path.stat().st_size / n, "", "", "bytes"),
    ]


def measure_cost(ranker: rs.Ranker, folder: Path) -> list[tuple[Any, ...]]:
    """Return what receipts cost requests of known users, with and without retrieval."""
    rng = make_generator(0, "benchmark", "receipts", "cost")
    log, users = rs.ReceiptLog(folder / "cost.jsonl"), ranker.context.user_ids[rng.integers(0, USERS, PER_TURN)]
    lists = [(ranker.context.item_ids[rng.permutation(ITEMS)[:N]], rng.normal(size=N)) for _ in users]
    requests = {
        "rank": [{"user": str(user), "now": NOW} for user in users],
        "rerank": [
            {"user": str(user), "now": NOW, "items": items, "scores": scores}
            for user, (items, scores) in zip(users, lists, strict=True)
        ],
    }
    rows: list[tuple[Any, ...]] = []
    for kind, asked in requests.items():
        works = (
            lambda some=asked: time_work(lambda: [ask(ranker, one) for one in some]),
            lambda some=asked: time_work(lambda: [ask(ranker, one).receipt() for one in some]),
            lambda some=asked: time_work(lambda: [log.append(ask(ranker, one).receipt()) for one in some]),
        )
        times = time_in_turns(works, ROUNDS)
        rows.append((f"{kind}, without a receipt", 1e6 * float(np.median(times[:, 0])) / PER_TURN, "", "", "us"))
        for place, what in ((1, "with a receipt"), (2, "with a receipt in a log")):
            ratio = times[:, place] / times[:, 0]
            draws = np.median(ratio[rng.integers(0, len(ratio), (2_000, len(ratio)))], axis=1)
            rows.append(
                (f"{kind}, {what}, to one without", np.median(ratio), *np.quantile(draws, [0.025, 0.975]), "times")
            )
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="How many receipts are replayed.")
    count = parser.parse_args().count
    rankers = fit_rankers()
    with tempfile.TemporaryDirectory() as made:
        rows = [*measure_cost(rankers[0], Path(made)), *measure_replay(rankers, count, Path(made))]
    with replace_file(RESULTS) as target, target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "value", "low", "high", "unit"])
        for row in rows:
            shown = [f"{value:.7g}" if isinstance(value, float) else value for value in row]
            writer.writerow(shown)
            print(*shown)


if __name__ == "__main__":
    main()
