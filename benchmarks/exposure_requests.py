"""How much longer a request takes where rules read what was shown before: written to results/exposure_requests.csv.

A made-up world of 20,000 items x 128 factors. The ranker holds 100 exposures of each user. Requests with a frequency
cap and a cool-down, with fatigue, and with 20 exposures that the request brings, take turns with requests of the same
ranker without them, each of one thread and of the same users. `ratio` is how many times as long it takes.
`python benchmarks/exposure_requests.py` takes a minute or two.
"""

from pathlib import Path
from typing import Any

import numpy as np
from speeds import Row, draw_factors, draw_maps, draw_split, print_row, time_in_turns, time_work, write_speed_rows

import recsys as rs
from recsys.support.rng import make_generator
from recsys.types.exposures import DAY

RESULTS = Path(__file__).parent / "results" / "exposure_requests.csv"
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
USERS, ITEMS, D, N, K, REQUESTS, ROUNDS, SHOWN, BROUGHT = 1_400, 20_000, 128, 200, 10, 100, 31, 100, 20
NOW, AT_MOST = 1000 * DAY, 1.2


def draw_exposures(model: Any, split: Any) -> rs.Exposures:
    """Return 100 exposures of each user in the last 30 days, of the user's 400 best items."""
    rng, users = make_generator(0, "benchmark", "shown"), np.arange(USERS).repeat(SHOWN)
    best = rs.candidates(model, split, n=400, maps=()).items
    items = best[users, rng.integers(0, 400, len(users))]
    when = NOW - rng.integers(0, 30 * DAY, len(users))
    return rs.Exposures(users, items, when, split.user_ids, split.item_ids, dismissed=rng.random(len(users)) < 0.05)


def main() -> None:
    """Measure and write."""
    split = draw_split(USERS, ITEMS)
    model, maps = draw_factors(split, D), draw_maps(ITEMS, 20, 24)
    shown = draw_exposures(model, split)
    guards = [rs.guards.frequency_cap(2, window_days=7), rs.guards.cool_down(14)]
    fit: dict[str, Any] = {"maps": maps, "k": K, "n": N}
    plain = rs.Ranker.fit(model, split, BLEND, **fit)
    rankers = {
        "cap and cool-down": (rs.Ranker.fit(model, split, BLEND, guards=guards, shown=shown, **fit), 0),
        "fatigue": (rs.Ranker.fit(model, split, {**BLEND, "fatigue": 0.2}, shown=shown, **fit), 0),
        "cap and cool-down, 20 exposures brought": (rs.Ranker.fit(model, split, BLEND, guards=guards, **fit), BROUGHT),
    }
    rng = make_generator(0, "benchmark", "asking")
    users = rng.integers(0, USERS, REQUESTS)
    best = rs.candidates(model, split, n=N, maps=())
    asked = [(split.user_ids[u], split.item_ids[best.items[u]], best.scores[u], best.items[u, :BROUGHT]) for u in users]

    def time_requests(ranker: rs.Ranker, kind: str, brought: int) -> float:
        """Return the microseconds of a request."""
        bring = [
            {"shown": [(str(split.item_ids[i]), NOW - 9 * DAY) for i in few]} if brought else {}
            for _, _, _, few in asked
        ]
        requests = [{"user": who, "now": NOW, **more} for (who, _, _, _), more in zip(asked, bring, strict=True)]
        if kind == "rank":
            return 1e6 * time_work(lambda: [ranker.rank(**one) for one in requests]) / REQUESTS
        lists = [(items, scores) for _, items, scores, _ in asked]
        both = list(zip(lists, requests, strict=True))
        return 1e6 * time_work(lambda: [ranker.rerank(*given, **one) for given, one in both]) / REQUESTS

    rows = []
    for kind in ("rank", "rerank"):
        sides = [lambda k=kind: time_requests(plain, k, 0)]
        sides += [lambda r=ranker, b=brought, k=kind: time_requests(r, k, b) for ranker, brought in rankers.values()]
        times = time_in_turns(sides, ROUNDS).T
        for (name, (_, brought)), own in zip(rankers.items(), times[1:], strict=True):
            ratio, target = float(np.median(own / times[0])), None if brought else AT_MOST
            what = f"{kind}, {name}, {ITEMS:,} x {D}"
            rows.append(
                print_row(Row(what, float(np.median(own)), float(np.median(times[0])), "us", ratio, target, "max"))
            )
    write_speed_rows(rows, RESULTS)


if __name__ == "__main__":
    main()
