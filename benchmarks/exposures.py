"""Thirty rounds of the library's own slates on ML-100K, with rules for what was shown before and without.

Each day every user gets a slate of 10; it is logged as exposures, and the next day's slate reads the log. The model
(ALS) and its 500 candidates stay as they are, so all that changes from day to day is what was shown. Nobody is
simulated: a user dismisses a shown item if the data holds a later rating of at most 2 for it, and no rule but the
cool-down reads that; a held-out like that was shown may be shown again. Metrics are those of each day's slates; `found`
is the share of a user's held-out likes that were shown on that day or before, `dismissed_share` that of dismissed items
among those shown. Written to results/exposures.csv (means over the days, of `found` the last day; differences to no
rule) and results/exposures-rounds.csv (by day), with 95 % percentile intervals of 1,000 draws of users.
`python benchmarks/exposures.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys import maps, metrics
from recsys.retrieval.exposures import build_exposure_histories
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Pool, Split
from recsys.types.exposures import DAY, make_empty_histories

RESULTS = Path(__file__).parent / "results"
ROUNDS, K, N, DRAWS, MOST_STARS_DISMISSED = 30, 10, 500, 1000, 2
KEPT_ROUNDS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30)
BASE = {"relevance": {"weight": 1.0, "score_transform": "range"}}
CAP, REST = rs.guards.frequency_cap(3, window_days=7), rs.guards.cool_down(14)
NO_RULE = "no rule"


@dataclass(frozen=True)
class Setup:
    """A rule: the blend of its slates, and their guards."""

    blend: dict[str, Any] = field(default_factory=lambda: BASE)
    guards: tuple[rs.Guard, ...] = ()


RULES = {
    NO_RULE: Setup(),
    "cap: 3 in 7 days": Setup(guards=(CAP,)),
    "cap: 1 in 30 days": Setup(guards=(rs.guards.frequency_cap(1, window_days=30),)),
    "cool-down: 14 days": Setup(guards=(REST,)),
    "cap: 3 in 7 days, and cool-down": Setup(guards=(CAP, REST)),
    "fatigue: exponent 0.5": Setup({**BASE, "fatigue": {"weight": 1.0, "exponent": 0.5}}),
    "fatigue: exponent 1": Setup({**BASE, "fatigue": {"weight": 1.0, "exponent": 1.0}}),
}


def list_dismissed_pairs(data: rs.Dataset, split: Split) -> set[tuple[int, int]]:
    """Return the pairs, codes of the split, with a rating of at most 2 that the training data does not have."""
    log = data.interactions
    users = {name: code for code, name in enumerate(split.user_ids.tolist())}
    items = {name: code for code, name in enumerate(split.item_ids.tolist())}
    low = np.flatnonzero(log.weight <= MOST_STARS_DISMISSED)
    pairs = zip(log.user_ids[log.user[low]].tolist(), log.item_ids[log.item[low]].tolist(), strict=True)
    known = {(users[u], items[i]) for u, i in pairs if u in users and i in items}
    seen = split.seen.tocoo()
    return known - set(zip(seen.row.tolist(), seen.col.tolist(), strict=True))


def run_rounds(
    pool: Pool, split: Split, dismissed: set[tuple[int, int]], setup: Setup
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the slates (U, K) of each day, and what was shown before it."""
    log: list[tuple[np.ndarray, ...]] = []
    for day in range(ROUNDS):
        now = day * DAY
        histories = make_empty_histories(len(split.user_ids), now)
        if log:
            user, item, when, refused = (np.concatenate(column) for column in zip(*log, strict=True))
            shown = rs.Exposures(user, item, when, split.user_ids, split.item_ids, dismissed=refused)
            histories, _ = build_exposure_histories(shown, split.user_ids, split.item_ids, now=now)
        today = Pool(pool.users, pool.items, pool.scores, replace(pool.context, exposures=histories))
        slates = rs.rerank(today, setup.blend, K, scale=None, guards=setup.guards, n_threads=1).items
        yield slates, histories
        rows, places = np.nonzero(slates >= 0)
        item, user = slates[rows, places], pool.users[rows]
        refused = np.array([pair in dismissed for pair in zip(user.tolist(), item.tolist(), strict=True)], bool)
        log.append((user, item, np.full(len(item), now, np.int64), refused))


def measure_rule(
    pool: Pool, truth: GroundTruth, dismissed: set[tuple[int, int]], setup: Setup
) -> dict[str, list[np.ndarray]]:
    """Return the values of each metric on each day, (maps, users) each: one map where a metric has none."""
    found: dict[str, list[np.ndarray]] = {}
    test = truth.split.test.toarray() > 0
    met = np.zeros(test.shape, bool)
    for slates, histories in run_rounds(pool, truth.split, dismissed, setup):
        evaluation = Evaluation(slates, replace(truth, exposures=histories))
        for name in ("ndcg", "discovery", "repeat_share"):
            values = getattr(metrics, name)(evaluation, K).values
            found.setdefault(name, []).append(np.atleast_2d(values))
        rows, places = np.nonzero(slates >= 0)
        met[rows, slates[rows, places]] = True
        with np.errstate(invalid="ignore"):
            found.setdefault("found", []).append(((met & test).sum(axis=1) / test.sum(axis=1))[None])
        refused = np.array(
            [[pair in dismissed for pair in zip([u] * K, row, strict=True)] for u, row in enumerate(slates.tolist())]
        )
        found.setdefault("dismissed_share", []).append(refused.mean(axis=1)[None])
    return found


def average_users(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean over maps of the mean over users that have a value, (B,), of each draw's counts (B, U)."""
    there = ~np.isnan(values)
    sums, sizes = counts @ np.where(there, values, 0.0).T, counts @ there.T.astype(np.float64)
    used = sizes.min(axis=0) > 0
    return (sums[:, used] / sizes[:, used]).mean(axis=1)


def describe(values: np.ndarray, base: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Return the mean of a rule's values, its difference to no rule, and intervals of both."""
    drawn, against = average_users(values, counts), average_users(base, counts)
    change = drawn - against
    told = {"value": drawn[0], "difference": change[0]}
    for name, of in (("value", drawn), ("difference", change)):
        low, high = np.percentile(of[1:], [2.5, 97.5])
        told |= {f"{name}_low": low, f"{name}_high": high}
    return {name: round(float(number), 5) for name, number in told.items()}


def main(print_line: Callable[[str], None] = print) -> None:
    """Measure and write."""
    data = rs.load_dataset("ml-100k", quiet=True)
    split = rs.splits.per_user_time(
        data, positive="rating >= 4", min_user_interactions=10, min_item_interactions=5, test=0.2
    )
    split = split.test_view()
    model = rs.models.ALS(factors=220, regularization=18.7, alpha=2.39).fit(split.train)
    pool = rs.candidates(model, split, n=N)
    truth = GroundTruth(split, audit_maps=maps.audit_maps(split.train))
    dismissed = list_dismissed_pairs(data, split)
    users = len(split.user_ids)
    draws = make_generator(0, "benchmark", "exposures").multinomial(users, np.full(users, 1 / users), DRAWS)
    counts = np.concatenate([np.ones((1, users)), draws]).astype(np.float64)
    measured, wide, long = {}, [], []
    for rule, setup in RULES.items():
        measured[rule] = measure_rule(pool, truth, dismissed, setup)
        row: dict[str, Any] = {"rule": rule, "users": users}
        for name, days in measured[rule].items():
            base = measured[NO_RULE][name]
            of_all = (days[-1], base[-1]) if name == "found" else (np.mean(days, axis=0), np.mean(base, axis=0))
            row |= {f"{name}_{part}": value for part, value in describe(*of_all, counts).items()}
            for day in KEPT_ROUNDS:
                told = describe(days[day - 1], base[day - 1], counts)
                long.append({"rule": rule, "metric": name, "round": day, **told})
        wide.append(row)
        print_line(f"{rule}: " + ", ".join(f"{name} {row[f'{name}_value']:.4f}" for name in measured[rule]))
    write_rows(RESULTS / "exposures.csv", wide)
    write_rows(RESULTS / "exposures-rounds.csv", long)


if __name__ == "__main__":
    main()
