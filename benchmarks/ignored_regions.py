"""How often are segments named that ignore nothing, how often those that do, and which do by the library's own slates?

`python benchmarks/ignored_regions.py` writes two tables. `results/ignored-worlds.csv`: generated logs with known rates,
in which nobody ignores a region more than another, or a share of users takes three of twelve regions by a factor less:
how many segments are judged, how many are named with reason and without, and the share of logs with a wrong name.
`results/ignored-regions.csv`: ML-100K, ALS. Each user gets ten new items on each of thirty days (a cap of one in
thirty days), and takes what the held-out data says that the user likes; nobody is simulated beyond that. Segments are
those of the coarsest of the library's own maps.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import recsys as rs
from recsys.evidence import find_ignored_regions
from recsys.evidence.ignored_regions import MIN_EXPECTED, MIN_USERS, SIGNIFICANCE
from recsys.maths.response_segments import compute_lower_tails, count_segments
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator

RESULTS = Path(__file__).parent / "results"
LOGS, USERS, REGIONS, IGNORED = 200, 1_000, 12, 3
DAYS, K = 30, 10
WORLDS = {
    "nobody ignores: 60 shown, 10 % taken": {},
    "nobody ignores: 60 shown, 3 % taken": {"rate": 0.03},
    "nobody ignores: 300 shown, 3 % taken": {"rate": 0.03, "shown": 300},
    "nobody ignores: 60 shown, 30 % taken, alike pace": {"rate": 0.3, "strength": 20.0},
    "one in ten, a fifth as often: 60 shown": {"factor": 0.2},
    "one in ten, a fifth as often: 300 shown": {"factor": 0.2, "shown": 300},
    "one in ten, half as often: 300 shown": {"factor": 0.5, "shown": 300},
    "one in three, a fifth as often: 300 shown": {"factor": 0.2, "share": 1 / 3, "shown": 300},
}


def draw_log(
    draw: np.random.Generator, shown: int, rate: float, strength: float, factor: float, share: float
) -> tuple[Any, ...]:
    """Return user, region, and whether it is taken, of each pair of a generated log."""
    pace = draw.gamma(strength, 1 / strength, USERS)
    rates, offered = rate * draw.uniform(0.5, 1.5, REGIONS), draw.dirichlet(np.full(REGIONS, 3.0))
    tastes = np.ones((USERS, REGIONS))
    tastes[:, :IGNORED] = np.where(draw.random((USERS, IGNORED)) < share, factor, 1.0)
    user = np.repeat(np.arange(USERS), shown)
    region = draw.choice(REGIONS, len(user), p=offered)
    chance = np.minimum(rates[region] * pace[user] * tastes[user, region], 1.0)
    return user, region, draw.random(len(user)) < chance


def measure_world(name: str, settings: dict[str, float]) -> dict[str, Any]:
    """Return how often segments are named in logs of a world."""
    told = {"shown": 60, "rate": 0.1, "strength": 1.0, "factor": 1.0, "share": 0.1} | settings
    judged = right = wrong = logs_wrong = 0
    for number in range(LOGS):
        draw = make_generator(number, "benchmark", "ignored regions", name)
        user, region, taken = draw_log(draw, **told)  # type: ignore[arg-type]
        counts = count_segments(user, region, taken, draw.random(len(user)) < 0.5, (USERS, REGIONS))
        enough = np.flatnonzero((counts.users >= MIN_USERS) & (counts.expected >= MIN_EXPECTED))
        judged += len(enough)
        if not len(enough):
            continue
        tails = compute_lower_tails(counts.taken[enough], counts.expected[enough], counts.variance[enough])
        named = enough[stats.false_discovery_control(tails) < SIGNIFICANCE]
        reason = (named < IGNORED) & (told["factor"] < 1)
        right, wrong, logs_wrong = right + reason.sum(), wrong + (~reason).sum(), logs_wrong + (~reason).any()
    low, high = stats.binomtest(int(logs_wrong), LOGS).proportion_ci(method="wilson")
    return {
        "world": name, "logs": LOGS, "judged": judged / LOGS, "named_with_reason": right / LOGS,
        "named_without": wrong / LOGS, "logs_with_a_wrong_name": logs_wrong / LOGS,
        "logs_low": round(float(low), 4), "logs_high": round(float(high), 4),
    }  # fmt: skip


def show_days(split: rs.Split) -> rs.Exposures:
    """Return thirty days of slates of ALS, each item once, and whether the held-out data says that it is liked."""
    model = rs.models.ALS(factors=220, regularization=18.7, alpha=2.39).fit(split.train)
    pool = rs.candidates(model, split, n=DAYS * K)
    slates = rs.rerank(pool, {"relevance": 1.0}, DAYS * K).items
    rows, places = np.nonzero(slates >= 0)
    user, item = pool.users[rows], slates[rows, places]
    clicked = np.asarray(split.test[user, item]).ravel() > 0
    day = (places // K).astype(np.int64) * 86_400
    return rs.Exposures(user, item, day, split.user_ids, split.item_ids, clicked=clicked)


def main() -> None:
    """Measure, print and write."""
    worlds = pd.DataFrame([measure_world(name, settings) for name, settings in WORLDS.items()])
    print(worlds.to_string(index=False))
    split = rs.splits.per_user_time(
        rs.load_dataset("ml-100k", quiet=True),
        positive="rating >= 4", min_user_interactions=10, min_item_interactions=5, test=0.2,
    ).test_view()  # fmt: skip
    own = min(rs.maps.objective_maps(split.train), key=lambda one: one.assignment.shape[1])
    found = find_ignored_regions(show_days(split), own, split.user_ids, split.items)
    rows = [{"map": own.name, **row, "items": "; ".join(row["items"])} for row in found.to_dict()["regions"]]
    regions = pd.DataFrame(rows).drop(columns="region").round(4)
    print(
        regions.to_string(index=False), f"\n{found.pairs:,} pairs, {found.taken_share:.4f} taken, {found.n_small} small"
    )
    for name, table in (("ignored-worlds", worlds), ("ignored-regions", regions)):
        with replace_file(RESULTS / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
