"""Whether a ranker answers the same, and stays as large, for as long as it serves: `python benchmarks/soak.py`.

Four threads ask a ranker that was loaded from a folder, all kinds of requests mixed in an order that each draws, for
`--minutes`. Every answer is held against that of one thread for the same request before, bit for bit. Resident memory
is looked at every second; what it grows by is Theil and Sen's slope after a warm-up of a minute (of a third of the
time, where there are less than three minutes), times the time that is left, with limits at 95 % as if the looks were
independent. It may grow by 1 % of what is resident at the end of the warm-up. Times of requests are kept as counts in
bins of 1 %, so that they take no more memory the longer it goes. If an answer differs, a request fails or memory grows,
the exit code is 1. Writes `benchmarks/results/soak.csv`.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import speeds
from scipy import stats
from serving import N_DIFFERENT, SMALL, Requests, build_synthetic_ranker, draw_requests
from speeds import Row, print_row

from recsys.rankers import Ranker, Recommendation
from recsys.reranking import guards

RESULTS = Path(__file__).parent / "results" / "soak.csv"
STATUS = Path("/proc/self/status")
THREADS, D, USERS = 4, 64, 5_000
WARM, EVERY = 60.0, 1.0  # seconds
TOLERANCE = 0.01  # of what is resident
WIDTH, LEAST = np.log(1.01), 1e-6  # of bins, and seconds of the first
BINS = 2048


class SoakRequest(NamedTuple):
    """A request, and what it is told for."""

    kind: str
    ask: Callable[[], tuple[object, ...]]


@dataclass
class ThreadResult:
    """What one thread found."""

    counts: dict[str, np.ndarray]  # of seconds, by kind and bin
    wrong: int = 0
    failed: list[str] = field(default_factory=list)


def encode_answer(answer: Recommendation, words: bool = False) -> tuple[object, ...]:
    """Everything that an answer says."""
    chances = None if answer.log_propensity is None else answer.log_propensity.tobytes()
    numbers = (answer.scores.tobytes(), answer.contributions.tobytes(), answer.base_ranks.tobytes(), chances)
    said = (answer.explanations(), answer.displaced, answer.notes) if words else ()
    return (answer.items, tuple(answer.violations.items()), answer.seed, *numbers, *said)


def build_soak_requests(ranker: Ranker) -> list[SoakRequest]:
    """Requests of every kind."""
    given, features = draw_requests(ranker), ranker.context.need_items("a soak").feature_names
    drawn = replace(ranker, policy=replace(ranker.policy, temperature=0.5, epsilon=0.1))
    guarded = replace(ranker, guards=(guards.at_most(3, features=features[:4]), guards.exclude(features=features[4:5])))
    made = []
    for n in range(N_DIFFERENT):
        made += [SoakRequest(kind, ask) for kind, ask in build_request_kinds(ranker, drawn, guarded, given, n).items()]
    return made


def build_request_kinds(
    ranker: Ranker, drawn: Ranker, guarded: Ranker, given: Requests, n: int
) -> dict[str, Callable[[], tuple[object, ...]]]:
    """The n-th request of each kind."""
    pool, named, user = given.pools[n], given.ids_as_text[n], {"user": given.users[n]}
    history, scores = {"history": given.histories[n]}, given.scores[n]
    own = [guards.exclude(items=named[:20]), guards.pin(3, named[-1]), guards.at_least(2, features=["f7"])]
    return {
        "rerank, known user": lambda: encode_answer(ranker.rerank(pool, scores, **user)),
        "rerank, history": lambda: encode_answer(ranker.rerank(named, scores, **history)),
        "rank, known user": lambda: encode_answer(ranker.rank(**user)),
        "rank, history": lambda: encode_answer(ranker.rank(**history)),
        "rerank, guards": lambda: encode_answer(guarded.rerank(pool, scores, **user, guards=own)),
        "rank, guards": lambda: encode_answer(guarded.rank(**history, guards=own)),
        "rerank, drawn": lambda: encode_answer(drawn.rerank(pool, scores, **user, seed=n)),
        "rerank, all in words": lambda: encode_answer(ranker.rerank(pool, scores, **user), words=True),
    }


def ask_until_end(
    requests: Sequence[SoakRequest], expected: Sequence[object], end: float, result: ThreadResult, thread: int
) -> None:
    """Ask until the end, in an order of one's own."""
    draw = random.Random(thread)
    while time.monotonic() < end:
        n = draw.randrange(len(requests))
        start = time.perf_counter()
        try:
            found = requests[n].ask()
        except Exception as error:  # whatever it is, it is told
            result.failed += [f"{requests[n].kind}: {error!r}"] if len(result.failed) < 100 else []
            continue
        took = time.perf_counter() - start
        result.counts[requests[n].kind][min(int(np.log(max(took, LEAST) / LEAST) / WIDTH), BINS - 1)] += 1
        result.wrong += found != expected[n]


def read_resident_memory() -> float:
    """The MiB that this process has in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def compute_time_quantile(counts: np.ndarray, share: float) -> float:
    """The microseconds that this share of requests takes at most, to 1 %."""
    last = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    return 1e6 * LEAST * float(np.exp((last + 0.5) * WIDTH))


def run_soak(ranker: Ranker, minutes: float) -> tuple[list[ThreadResult], list[tuple[float, float]]]:
    """Return what each thread found, and the seconds and MiB of each look at memory."""
    asked = build_soak_requests(ranker)
    expected = [one.ask() for one in asked]
    names = sorted({one.kind for one in asked})
    told = [ThreadResult({name: np.zeros(BINS, np.int64) for name in names}) for _ in range(THREADS)]
    start = time.monotonic()
    end = start + 60 * minutes
    threads = [
        threading.Thread(target=partial(ask_until_end, asked, expected, end, own, n), name=f"soak {n}")
        for n, own in enumerate(told)
    ]
    for thread in threads:
        thread.start()
    looks = []
    while (now := time.monotonic()) < end:
        looks.append((now - start, read_resident_memory()))
        time.sleep(EVERY)
    for thread in threads:
        thread.join()
    return told, looks


def build_growth_row(looks: Sequence[tuple[float, float]]) -> Row:
    """Return the row of memory."""
    seconds, there = np.array(looks).T
    warm = seconds >= min(WARM, seconds[-1] / 3)
    slope, _, low, high = stats.theilslopes(there[warm], seconds[warm], 0.95)
    left, first = seconds[-1] - seconds[warm][0], float(there[warm][0])
    grown = float(slope * left)
    what = f"growth of resident memory in {left / 60:.1f} minutes after the warm-up; theirs is what is resident"
    floor = f"limits {low * left:.3g} to {high * left:.3g} MiB"
    return Row(what, grown, first, "MiB", grown / first, TOLERANCE, "max", floor)


def build_rows(results: Sequence[ThreadResult], looks: Sequence[tuple[float, float]]) -> list[Row]:
    """Return what is to be said."""
    counts = {name: sum(own.counts[name] for own in results) for name in results[0].counts}
    answered = int(sum(int(one.sum()) for one in counts.values()))
    wrong, failed = sum(own.wrong for own in results), sum(len(own.failed) for own in results)
    found = [
        Row("answers that are not those of one thread; theirs is all", wrong, answered, "requests", wrong, 0.0, "max"),
        Row("requests that fail; theirs is all", failed, answered + failed, "requests", failed, 0.0, "max"),
        build_growth_row(looks),
    ]
    for name, count in counts.items():
        slow, usual = compute_time_quantile(count, 0.99), compute_time_quantile(count, 0.5)
        what = f"{name}, {THREADS} threads at once: 99th percentile; theirs is the median"
        found.append(Row(what, slow, usual, "us", slow / usual, None, "max"))
    return found


def main() -> None:
    """Soak, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    if not STATUS.exists():
        raise SystemExit("resident memory is looked up in /proc, which is not there")
    print(speeds.NOTE)
    with tempfile.TemporaryDirectory() as place:
        ranker = Ranker.load(build_synthetic_ranker(SMALL, USERS, D).save(Path(place) / "ranker"))
        told, looks = run_soak(ranker, settings.minutes)
    found = [print_row(row) for row in build_rows(told, looks)]
    speeds.write_speed_rows(found, settings.out)
    if not all(row.met for row in found):
        raise SystemExit("\n".join(["not as it must be:", *(text for own in told for text in own.failed[:3])]))


if __name__ == "__main__":
    main()
