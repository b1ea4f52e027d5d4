"""Hostile arrays and requests: what kernels index by, pools made by hand, blends, and what a client may send."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from robustness_worlds import NUMBERS, WORDS, Difference, Generator, draw_hostile_value, pick_one, write_world

import recsys as rs
from recsys import objectives
from recsys.kernels import reference
from recsys.models import stores
from recsys.rankers.records import RankerParts, list_storable_classes, name_policy
from recsys.reranking import blends, guards
from recsys.testing.synthetic import make_exposures

BLEND = {"relevance": 1.0, "negative_space": 0.2, "mmr": 0.1, "unexplored": 0.1, "dpp": 0.1}
LIMITS = [guards.frequency_cap(1, window_days=30), guards.cool_down(30)]
HOSTILE = (2**31 - 1, -1, -(2**31), 0, 1, 10**6, np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40)


def build_small_ranker(folder: Path) -> tuple[rs.Split, rs.Ranker]:
    """Return a split of a small world, and a ranker of it that uses derived tables of several kinds."""
    data = rs.read_dataset(write_world(folder), items=folder / "items.csv")
    split = rs.splits.per_user_time(data, positive="rating >= 4", test=0.2)
    model = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    return split, rs.Ranker.fit(model, split, BLEND, n=20, k=5, guards=LIMITS, shown=make_exposures(split))


def corrupt_array(array: np.ndarray, rng: Generator) -> np.ndarray:
    """Return the array with hostile numbers in it, another length, order, shape or type."""
    made = np.array(array)
    how = int(rng.integers(8))
    if how <= 4 and made.size and made.dtype.kind in "iuf":
        value = pick_one(rng, HOSTILE)
        count = (1, 1, 3, made.size, made.size)[how]
        with np.errstate(all="ignore"):
            made.reshape(-1)[rng.integers(0, made.size, count)] = np.asarray(value, np.float64).astype(made.dtype)
    elif how == 5 and made.ndim:
        made = made[: int(rng.integers(len(made) + 1))]
    elif how == 6 and made.ndim:
        made = np.concatenate([made, made])
    elif made.dtype.kind in "iuf":
        made = made.astype(pick_one(rng, (np.float64, np.int64, np.int8, np.float16, np.bool_)))
    elif made.ndim:
        made = rng.permutation(made)
    return made


class CorruptedRankers:
    """saved rankers with spoilt arrays under checksums and a policy name made anew: refused, or answers are given"""

    share = 1.5

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder / "ranker", folder / "spoilt"
        build_small_ranker(folder)[1].save(self.folder)

    def run(self, rng: Generator) -> None:
        stored = stores.read_store(self.folder, ["Ranker"], "ranker", verify=True)
        arrays = dict(stored.arrays)
        name = pick_one(rng, sorted(arrays))
        with np.errstate(all="ignore"):
            arrays[name] = corrupt_array(arrays[name], rng)
        settings = {key: value for key, value in stored.settings.items() if key != "name"}
        parts = stores.restore_content(replace(stored, arrays=arrays), RankerParts, list_storable_classes())
        settings["name"] = name_policy(parts, settings)
        stores.write_store(self.target, "Ranker", settings, arrays, "ranker")
        ranker = rs.Ranker.load(self.target)
        for asked in ({"user": "u1"}, {"history": ["i1", "i25"]}, {"history": []}):
            answer = ranker.rank(k=5, **asked)
            if not np.isfinite(answer.scores).all() or len(set(answer.items)) < len(answer.items):
                raise Difference(f"{name} was spoilt, and an answer has {answer.items} with {answer.scores}")


class HostilePools:
    """pools and slates made by hand with spoilt arrays, and blends with hostile weights and settings"""

    share = 1.5

    def __init__(self, folder: Path) -> None:
        self.split, ranker = build_small_ranker(folder)
        self.pool = rs.candidates(ranker.model, self.split, n=20)
        rs.rerank(self.pool, BLEND, k=5)

    def run(self, rng: Generator) -> None:
        pool, blend = self.pool, {name: float(rng.random()) for name in rng.permutation(list(BLEND))[:3]}
        if rng.random() < 0.7:
            part = pick_one(rng, ("users", "items", "scores"))
            with np.errstate(all="ignore"):
                parts = {name: getattr(pool, name) for name in ("users", "items", "scores", "context")}
                pool = rs.Pool(**{**parts, part: corrupt_array(parts[part], rng)})
        else:
            name = pick_one(rng, [*blend, "relevance"])
            blend[name] = (
                draw_hostile_value(rng)
                if rng.random() < 0.5
                else {
                    "weight": 0.5,
                    pick_one(rng, ("tau", "ridge", "aspects", "window", "weight")): draw_hostile_value(rng),
                }
            )
        settings: dict[str, Any] = {}
        if rng.random() < 0.3:
            settings[pick_one(rng, ("k", "temperature", "epsilon", "seed", "scale", "order", "n_threads"))] = (
                draw_hostile_value(rng)
            )
        slates = rs.rerank(pool, blend, **{"k": 5, "n_threads": 1, **settings})
        shown = slates.items[slates.items >= 0]
        if len(shown) and shown.max() >= len(self.split.item_ids):
            raise Difference("a slate has an item that the catalogue does not have")
        if not np.isfinite(slates.scores).all() or not np.isfinite(slates.contributions).all():
            raise Difference(f"{blend} and {settings} gave gains that are no numbers")
        for row in slates.items:
            if len(set(row[row >= 0])) < (row >= 0).sum():
                raise Difference("a slate shows an item twice")


class RandomSlates:
    """random blends over random pools: each pick of the kernel is a best one by the slow reference"""

    share = 1.0
    LEFT_OUT = ("relevance", "thompson")  # in blends anyhow; its draws are told apart by the users of a block

    def __init__(self, folder: Path) -> None:
        self.split, ranker = build_small_ranker(folder)
        self.model = ranker.model
        self.shown = make_exposures(self.split)
        self.names = [name for name in objectives.__all__ if name not in self.LEFT_OUT]

    def run(self, rng: Generator) -> None:
        users = rng.choice(len(self.split.user_ids), 4, replace=False).astype(np.int32)
        pool = rs.candidates(self.model, self.split, n=int(rng.integers(5, 25)), users=np.sort(users), shown=self.shown)
        chosen = rng.choice(self.names, int(rng.integers(1, 4)), replace=False)
        blend = {str(name): float(rng.normal()) for name in chosen}
        if "discovery_value" not in blend:  # which takes its place
            blend = {"relevance": 1.0, **blend}
        k = int(rng.integers(1, 6))
        slates = rs.rerank(pool, blend, k=k, scale=None, n_threads=1)
        parts = blends.parse_blend(blend)
        terms = [part.make_term(pool, k) for part in parts]
        for user, picked in enumerate(slates.items):
            n, before = int(pool.lengths[user]), []
            for item in picked[picked >= 0]:
                gain = sum(
                    float(part.weight) * reference.compute_gains(term, user, before, n)
                    for part, term in zip(parts, terms, strict=True)
                )
                place = int(np.flatnonzero(pool.items[user] == item)[0])
                left = np.setdiff1d(np.arange(n), before)
                if gain[place] < gain[left].max() - 1e-3 * (1 + abs(gain[left].max())):
                    raise Difference(
                        f"{blend}: pick {len(before) + 1} gains {gain[place]}, the best {gain[left].max()}"
                    )
                before.append(place)


class HostileRequests:
    """requests that no client should send: ids, scores, lengths, seeds and guards of any type"""

    share = 1.0

    def __init__(self, folder: Path) -> None:
        self.split, self.ranker = build_small_ranker(folder)
        self.right = self._encode_answer(self.ranker.rank(user="u1"))

    def run(self, rng: Generator) -> None:
        ids = [*self.split.item_ids[:8].tolist(), *WORDS[:6], *NUMBERS[:6]]
        asked: dict[str, Any] = {
            pick_one(rng, ("user", "history")): pick_one(
                rng, (draw_hostile_value(rng), ["i1", draw_hostile_value(rng)], "u1")
            )
        }
        if rng.random() < 0.4:
            asked[pick_one(rng, ("k", "seed", "guards", "shown", "now"))] = draw_hostile_value(rng)
        if rng.random() < 0.2:
            made = pick_one(rng, (guards.exclude, guards.require, guards.at_most, guards.at_least, guards.pin))
            asked["guards"] = [
                made(draw_hostile_value(rng), **({} if made is not guards.pin else {"item": draw_hostile_value(rng)}))
            ]
        if rng.random() < 0.5:
            items = [pick_one(rng, ids) for _ in range(int(rng.integers(0, 9)))]
            scores = [float(rng.normal()) if rng.random() < 0.9 else draw_hostile_value(rng) for _ in items]
            answer = self.ranker.rerank(items, scores, **asked)
        else:
            answer = self.ranker.rank(**asked)
        if len(set(answer.items)) < len(answer.items) or not np.isfinite(answer.scores).all():
            raise Difference(f"{asked} gave {answer.items} with {answer.scores}")
        json.dumps([answer.items, answer.explanations(), answer.notes])
        if self._encode_answer(self.ranker.rank(user="u1")) != self.right:
            raise Difference(f"after {asked}, another request has another answer")

    def _encode_answer(self, answer: Any) -> object:
        return answer.items, answer.scores.tobytes()
