"""How far an update is from a refit: `python benchmarks/update.py`.

Likes of MovieLens-100K (ratings of 4 and more) stand by time. Of the first 80 % a ranker is fitted; the next 10 % are
the rows that came since (`Ranker.update`, with the settings of links), and a refit is one of both. All are judged by
the last 10 %: users who have likes there and before. `none` has no update; who is new to it has the slate of somebody
of whom nothing is known. nDCG@10 is over users; `same` is the share of the ten items that the refit's slate has too.
Intervals are of 95 %, percentiles of 1,000 draws of users. `seconds` are of the processor: the update, and the refit
with its ranker. Slates are by relevance alone; factors are 32, other settings the defaults. Written to
results/update.csv.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys.rankers import Ranker
from recsys.support.rng import make_generator
from recsys.types import Model
from recsys.types.arrays import Doubles

RESULTS = Path(__file__).parent / "results" / "update.csv"
K, DRAWS = 10, 1000
MODELS: dict[str, Model] = {
    "als": rs.models.ALS(factors=32), "ials": rs.models.IALS(factors=32), "ease": rs.models.EASE(),
    "item_knn": rs.models.ItemKNN(), "user_knn": rs.models.UserKNN(), "rp3beta": rs.models.RP3beta(),
    "most_popular": rs.models.MostPopular(),
}  # fmt: skip


def read_parts() -> list[list[tuple[str, str, float, int]]]:
    """Return the likes of the log by time: those that are fitted to, those that come later, and those that judge."""
    log = rs.load_dataset("ml-100k", quiet=True).interactions
    assert log.datetime is not None
    order = np.lexsort((log.item, log.user, log.datetime))
    order = order[log.weight[order] >= 4]
    rows = [
        (str(log.user_ids[log.user[n]]), str(log.item_ids[log.item[n]]), 1.0, int(log.datetime[n]))
        for n in order.tolist()
    ]
    first, second = len(rows) * 8 // 10, len(rows) * 9 // 10
    return [rows[:first], rows[first:second], rows[second:]]


def fit_ranker(model: Model, rows: list[tuple[str, str, float, int]]) -> Ranker:
    """Return a ranker of likes, by relevance alone."""
    split = rs.splits.no_holdout(rs.read_dataset(rows))
    fitted = model.fit(split.train, split.side_information)
    return Ranker.fit(fitted, split, {"relevance": 1.0}, maps=[], k=K, n=100)


def list_slates(ranker: Ranker, users: list[str]) -> list[tuple[str, ...]]:
    """Return the slate of each user; of one who is not known that of nobody known."""
    return [(ranker.rank(user=one) if one in ranker.known_users else ranker.rank(history=[])).items for one in users]


def measure_ndcg(slates: list[tuple[str, ...]], liked: list[set[str]]) -> Doubles:
    """Return nDCG@10 of each user, (U,)."""
    worth = 1.0 / np.log2(np.arange(2, K + 2))
    found = [sum(worth[n] for n, item in enumerate(one) if item in own) for one, own in zip(slates, liked, strict=True)]
    return np.array([gain / worth[: min(K, len(own))].sum() for gain, own in zip(found, liked, strict=True)])


def describe(values: Doubles) -> str:
    """Return the mean over users with its interval."""
    draws = make_generator(0, "update").integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


def measure_model(name: str, model: Model, parts: list[Any]) -> dict[str, Any]:
    """Return the row of a model."""
    old, new, later = parts
    before = {user for user, *_ in (*old, *new)}
    liked: dict[str, set[str]] = {}
    for user, item, *_ in later:
        if user in before:
            liked.setdefault(user, set()).add(item)
    users = sorted(liked)
    ranker = fit_ranker(model, old)
    start = time.process_time()
    updated = ranker.update(new, settings=model)
    middle = time.process_time()
    refit = fit_ranker(model, [*old, *new])
    end = time.process_time()
    slates = [list_slates(one, users) for one in (ranker, updated, refit)]
    none, ours, theirs = (measure_ndcg(one, [liked[user] for user in users]) for one in slates)
    same = np.array([len(set(one) & set(two)) / K for one, two in zip(slates[1], slates[2], strict=True)])
    report = updated.last_update
    assert report is not None
    states = ", ".join(f"{part.name} {part.state}" for part in report.parts)
    return {
        "model": name, "parts": states, "users": len(users), "new_users": report.new_users, "likes": report.likes,
        "left_out": report.left_out, "ndcg_none": f"{none.mean():.4f}", "ndcg_updated": f"{ours.mean():.4f}",
        "ndcg_refit": f"{theirs.mean():.4f}", "updated_minus_none": describe(ours - none),
        "updated_minus_refit": describe(ours - theirs), "same": describe(same),
        "seconds_update": f"{middle - start:.2f}", "seconds_refit": f"{end - middle:.2f}",
    }  # fmt: skip


def main() -> None:
    """Measure all models and write the rows."""
    parts, rows = read_parts(), []
    for name, model in MODELS.items():
        rows.append(measure_model(name, model, parts))
        print(rows[-1], flush=True)
    write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
