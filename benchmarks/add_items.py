"""How far items that are added by their features are from a refit: `python benchmarks/add_items.py`.

Likes (ratings of 4 and more) of a log; a fifth of each user's, drawn, judges. A tenth of the items are new: the newest
by year, or drawn ones. A ranker is fitted without any row of them, and they are added by the features of the catalogue
(`Ranker.add_items`); `refit` is fitted to all training likes, those of the new items too. Controls: `mean` has no
features, so that all new items are alike; `shuffled` has the features of another item, for known and new items alike;
`popular` orders all items by counts, those of new ones predicted from features (`MostPopular`). Candidates are what
a user has not liked in training. `new` orders the new items alone, and is over users who like one of them in the test;
`all` orders all items, and is over users with a test like; `share` is that of new items among the ten. nDCG@10 and
recall@10; intervals are of 95 %, percentiles of 1,000 draws of users. Factors are 32, other settings the defaults.
Written to results/add_items.csv.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys.rankers import Ranker
from recsys.support.rng import make_generator
from recsys.types import Dataset, Model
from recsys.types.arrays import Bools, Doubles, Floats

RESULTS = Path(__file__).parent / "results" / "add_items.csv"
K, DRAWS, SHARE, NEW = 10, 1000, 0.2, 0.1
LOGS = ("ml-100k", "ml-latest-small")
MODELS: dict[str, Model] = {
    "als": rs.models.ALS(factors=32), "ials": rs.models.IALS(factors=32), "pure_svd": rs.models.PureSVD(factors=32),
}  # fmt: skip
Rows = list[tuple[str, str, float]]


class World(NamedTuple):
    """The likes of a log, among U users and I items, and which items are new."""

    users: list[str]
    items: list[str]
    train: Bools  # (U, I)
    test: Bools  # (U, I)
    new: Bools  # (I,)
    table: dict[str, dict[str, Any]]  # what the catalogue says of each item


def build_world(log: Dataset, choice: str) -> World:
    """Return the likes of a log, split, and its new items: of those that somebody likes in training."""
    rows, rng = log.interactions, make_generator(0, "add_items", log.name)
    liked = np.zeros((len(rows.user_ids), len(rows.item_ids)), bool)
    liked[rows.user[rows.weight >= 4], rows.item[rows.weight >= 4]] = True
    test = liked & (rng.random(liked.shape) < SHARE)
    train = liked & ~test
    there = np.flatnonzero(train.sum(axis=0))
    order = rng.permutation(there)
    if choice == "newest":
        order = order[np.argsort(-log.items.years[order], kind="stable")]
    new = np.zeros(len(liked[0]), bool)
    new[order[: round(NEW * len(there))]] = True
    names, features = log.items.feature_names, log.items.features
    table = {
        str(item): {
            "item_id": str(item),
            "features": "|".join(names[f] for f in features.indices[features.indptr[n] : features.indptr[n + 1]]),
            "year": int(log.items.years[n]) or None,
        }
        for n, item in enumerate(rows.item_ids)
    }
    return World(rows.user_ids.tolist(), rows.item_ids.tolist(), train, test, new, table)


def list_rows(world: World, items: Bools) -> Rows:
    """Return the training likes of some items."""
    return [(world.users[u], world.items[i], 1.0) for u, i in np.argwhere(world.train & items).tolist()]


def fit_ranker(model: Model, rows: Rows, table: Iterable[dict[str, Any]]) -> Ranker:
    """Return a ranker of likes, by relevance alone."""
    split = rs.splits.no_holdout(rs.read_dataset(rows, items=list(table)))
    return Ranker.fit(model.fit(split.train, split.side_information), split, {"relevance": 1.0}, maps=[], k=K, n=100)


def score_all(ranker: Ranker, world: World) -> Floats:
    """Return the scores of all users and items, (U, I); -inf for what the ranker does not know."""
    scores = np.full(world.train.shape, -np.inf, np.float32)
    users, items = ({name: n for n, name in enumerate(names)} for names in (world.users, world.items))
    rows = [users[name] for name in ranker.context.user_ids.tolist()]
    columns = [items[name] for name in ranker.context.item_ids.tolist()]
    assert ranker.model is not None
    scores[np.ix_(rows, columns)] = ranker.model.score(np.arange(len(rows), dtype=np.int32))
    return scores


def judge(scores: Floats, world: World, among: Bools) -> dict[str, Doubles]:
    """Return nDCG@10, recall@10 and the share of new items of each user, (U,); ties are broken as drawn."""
    ties = make_generator(0, "add_items", "ties").permutation(len(among))
    order = ties[np.argsort(-np.where(among & ~world.train, scores, -np.inf)[:, ties], axis=1, kind="stable")[:, :K]]
    hits = np.take_along_axis(world.test & among, order, axis=1)
    liked = (world.test & among).sum(axis=1)
    worth = 1.0 / np.log2(np.arange(2, K + 2))
    ideal = np.concatenate([[1.0], np.cumsum(worth)])[np.minimum(liked, K)]
    ndcg = hits @ worth / ideal
    return {"ndcg": ndcg, "recall": hits.sum(axis=1) / np.maximum(liked, 1), "share": world.new[order].mean(axis=1)}


def describe(values: Doubles) -> str:
    """Return the mean over users with its interval."""
    draws = make_generator(0, "add_items", "draws").integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


def shuffle_features(world: World) -> dict[str, dict[str, Any]]:
    """Return a catalogue in which each item has the features of another."""
    names = list(world.table)
    other = make_generator(0, "add_items", "shuffle").permutation(len(names))
    return {name: {**world.table[names[n]], "item_id": name} for name, n in zip(names, other.tolist(), strict=True)}


def measure_model(log: str, choice: str, name: str, world: World) -> dict[str, Any]:
    """Return the row of a model."""
    model, old = MODELS[name], list_rows(world, ~world.new)
    known, new = ([item for n, item in enumerate(world.items) if world.new[n] == side] for side in (False, True))
    plain = fit_ranker(model, old, [world.table[item] for item in known])
    added = plain.add_items([world.table[item] for item in new])
    odd = shuffle_features(world)
    rankers = {
        "none": plain,
        "mean": plain.add_items([{"item_id": item, "features": "", "year": None} for item in new]),
        "shuffled": fit_ranker(model, old, [odd[item] for item in known]).add_items([odd[item] for item in new]),
        "popular": fit_ranker(rs.models.MostPopular(), old, [world.table[item] for item in known]).add_items(
            [world.table[item] for item in new]
        ),
        "added": added,
        "refit": fit_ranker(model, list_rows(world, np.ones(len(world.new), bool)), world.table.values()),
    }
    scores = {way: score_all(ranker, world) for way, ranker in rankers.items()}
    with_new, anybody = (np.flatnonzero((world.test & part).any(axis=1)) for part in (world.new, True))
    of_new = {way: judge(found, world, world.new) for way, found in scores.items() if way != "none"}
    of_all = {way: judge(found, world, np.ones(len(world.new), bool)) for way, found in scores.items()}
    report = added.added_items
    assert report is not None
    ndcg = {way: found["ndcg"][with_new] for way, found in of_new.items()}
    row: dict[str, Any] = {
        "log": log, "new": choice, "model": name, "new_items": len(new), "users": len(with_new),
        "explained": f"{report.predictions[0].explained:.3f}",
    }  # fmt: skip
    row |= {f"ndcg_{way}": f"{values.mean():.4f}" for way, values in ndcg.items()}
    row |= {f"recall_{way}": f"{of_new[way]['recall'][with_new].mean():.4f}" for way in ("added", "refit")}
    row |= {f"new_to_{way}": describe(ndcg["added"] - ndcg[way]) for way in ("mean", "shuffled", "popular", "refit")}
    row |= {f"all_{way}": f"{of_all[way]['ndcg'][anybody].mean():.4f}" for way in ("none", "added", "refit")}
    for way in ("none", "refit"):
        row[f"all_to_{way}"] = describe((of_all["added"]["ndcg"] - of_all[way]["ndcg"])[anybody])
    return row | {f"share_{way}": f"{of_all[way]['share'][anybody].mean():.3f}" for way in ("added", "refit")}


def main() -> None:
    """Measure all and write the rows."""
    rows = []
    for log in LOGS:
        data = rs.load_dataset(log, quiet=True)
        for choice in ("random", "newest"):
            world = build_world(data, choice)
            for name in MODELS:
                rows.append(measure_model(log, choice, name, world))
                print(rows[-1], flush=True)
    write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
