"""Why and why not, on 10,000 random requests and items of ML-100K: each answer is verified by asking again.

A request is that of a random user, half of them as somebody new with the user's history. By turns it brings nothing,
guards, what was shown before, dials, nothing of the user (`profile_free`), or 100 random candidates with random scores.
The item is a random one of the catalogue, and every other time of the 60 best for the user by the model. Where it is in
the slate, `why` is asked, and its influences are held against folding in the history without each item. Elsewhere
`why_not` is asked, and its answer holds if

* the slate that it tells is that of the request, without the item,
* each change, made through the public interface (other arguments, or a ranker of other settings), gives the slate that
  it tells, with the item in the slot that it tells,
* a factor exceeds the one that was tried in vain by at most the tolerance, with which the item is out,
* of two items of the history neither alone lets it in.

Written to results/why_not.csv: answers by kind, the share that holds with its exact 95 % interval (Clopper and
Pearson), and milliseconds for each answer, the verification left out. `python benchmarks/why_not.py --work DIR` takes
some ten minutes of one core; `--pairs` asks fewer.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import json
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

import recsys as rs
from recsys.control.whys import Change, Why, WhyNot
from recsys.support.atomic_files import replace_file, write_text
from recsys.support.rng import make_generator
from recsys.types.arrays import Csr

RESULTS = Path(__file__).parent / "results"
PAIRS, PAIRS_OF_PART, K, N, NOW, DAY = 10_000, 250, 10, 200, 893_286_638, 86_400  # now: the last rating
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.3}
CONTROL = {"dials": {"mmr": [0, 8], "negative_space": [0, 8], "relevance": [0.25, 4]}}
SETTINGS = ("plain", "guards", "shown", "weights", "profile_free", "rerank")
NEAR = 1e-4  # of a score
Answers = dict[tuple[str, str], list[tuple[bool, float]]]  # whether each holds, and its seconds, by what is counted
MIN_LIKES = 3  # of who asks: at most two of them are taken out


class World:
    """ML-100K, a ranker of all of it, and rankers of other settings."""

    def __init__(self) -> None:
        """Fit."""
        data = rs.load_dataset("ml-100k", quiet=True)
        settings = {"min_user_interactions": 10, "min_item_interactions": 5}
        self.split = rs.splits.no_holdout(data, positive="rating >= 4", **settings)
        self.model = rs.models.ALS(factors=32, iterations=8).fit(self.split.train)
        guards = [rs.guards.frequency_cap(2, window_days=7), rs.guards.cool_down(30)]
        self.ranker = rs.Ranker.fit(self.model, self.split, BLEND, k=K, n=N, guards=guards, control=CONTROL)
        self.items, self.users = self.split.item_ids.tolist(), self.split.user_ids.tolist()
        self._others: dict[tuple[Any, ...], rs.Ranker] = {}

    def get_items(self, matrix: Csr, user: int) -> list[str]:
        """Return the ids of a user's items."""
        return [self.items[code] for code in matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]].tolist()]

    def list_best(self, user: int, n: int) -> list[str]:
        """Return the ids of the n best items for a user by the model."""
        best = np.argsort(-self.model.score(np.array([user], np.int32))[0], kind="stable")[:n]
        return [self.items[code] for code in best.tolist()]

    def get_ranker(self, without: tuple[int, ...], n: int | None) -> rs.Ranker:
        """Return the ranker without some of its guards, and of another n."""
        kept = tuple(guard for at, guard in enumerate(self.ranker.guards) if at not in without)
        if len(kept) == len(self.ranker.guards) and n is None:
            return self.ranker
        key = (*(guard.name for guard in kept), n)
        if key not in self._others:
            policy = self.ranker.policy if n is None else replace(self.ranker.policy, n=n)
            self._others[key] = replace(self.ranker, guards=kept, policy=policy, name="")
        return self._others[key]

    def take_items_out(self, ranker: rs.Ranker, user: str, out: tuple[str, ...]) -> tuple[rs.Ranker, list[str]]:
        """Return a ranker whose artefact lacks items of a user's history, and one more, for the request to bring."""
        code, train = self.users.index(user), self.split.train
        own = [item for item in self.get_items(train, code) if item not in out]
        gone = [code_of for code_of, item in enumerate(self.items) if item in out or item == own[0]]
        kept = ~((np.repeat(np.arange(train.shape[0]), np.diff(train.indptr)) == code) & np.isin(train.indices, gone))
        rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))[kept]
        pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=train.shape[0]))]).astype(np.int32)
        less = Csr((train.data[kept], train.indices[kept], pointers), shape=train.shape)
        return replace(ranker, context=replace(ranker.context, train=less), name=""), own[:1]


def draw_request(world: World, rng: np.random.Generator, setting: str) -> tuple[dict[str, Any], int]:
    """Return the arguments of a request, `items` and `scores` where it brings candidates, and the code of the user."""
    code = int(rng.choice(np.flatnonzero(np.diff(world.split.train.indptr) > MIN_LIKES)))
    asked: dict[str, Any] = {"now": NOW}
    if rng.random() < 0.5:
        asked["user"] = world.users[code]
    else:
        asked["history"] = world.get_items(world.split.train, code)
    if setting == "guards":
        few = rng.choice(world.items, 300, replace=False).tolist()
        asked["guards"] = [rs.guards.exclude(items=few), rs.guards.at_most(3, features=["Drama", "Comedy"])]
    if setting == "shown":
        some = rng.choice(world.items, 400).tolist()
        when = (NOW - rng.integers(0, 10 * DAY, len(some))).tolist()
        rows = list(zip(some, when, (rng.random(len(some)) < 0.2).tolist(), strict=True))
        asked["shown"] = [*rows, *((item, moment + 1, False) for item, moment, _ in rows[:200])]
    if setting == "weights":
        asked["weights"] = {"mmr": float(rng.choice([0.0, 0.5, 2.0])), "relevance": float(rng.choice([0.5, 2.0]))}
    if setting == "profile_free":
        asked["profile_free"] = True
    if setting == "rerank":
        asked["items"] = rng.choice(world.items, 100, replace=False).tolist()
        asked["scores"] = rng.normal(size=100).tolist()
    return asked, code


def ask(ranker: rs.Ranker, asked: dict[str, Any]) -> rs.Recommendation:
    """Return the answer to a request."""
    if "items" not in asked:
        return ranker.rank(**asked)
    rest = {name: value for name, value in asked.items() if name not in ("items", "scores")}
    return ranker.rerank(asked["items"], asked["scores"], **rest)


def ask_with(world: World, asked: dict[str, Any], change: Change, **other: Any) -> rs.Recommendation:
    """Return the answer to a request with a change, or another one in the place of some of its fields."""
    change = replace(change, **other)
    own = len(world.ranker.guards)
    made, ranker = {**asked}, world.get_ranker(tuple(at for at in change.guard_places if at < own), change.n)
    if change.weights:
        made["weights"] = {**asked.get("weights", {}), **change.weights}
    if "guards" in asked:
        made["guards"] = [guard for at, guard in enumerate(asked["guards"], own) if at not in change.guard_places]
    if change.without_items:
        if "user" not in asked:
            made["history"] = [item for item in asked["history"] if item not in change.without_items]
        else:
            ranker, made["more"] = world.take_items_out(ranker, asked["user"], change.without_items)
    return ask(ranker, made)


def holds_why_not(world: World, asked: dict[str, Any], told: WhyNot) -> bool:
    """Return whether all that is told holds when it is asked again."""
    plain = ask(world.ranker, asked)
    if plain.items != told.slate or told.item in plain.items:
        return False
    for change in told.changes:
        answer = ask_with(world, asked, change)
        if answer.items != change.slate or answer.items.index(told.item) + 1 != change.slot:
            return False
        for objective, tried in change.nearest_tried.items():
            factor = change.weights[objective]
            if factor and tried and max(factor / tried, tried / factor) > 1 + told.tolerance:
                return False
            if told.item in ask_with(world, asked, change, weights={objective: tried}).items:
                return False
        if told.stage != "history" and len(change.without_items) > 1:
            for item in change.without_items:
                if told.item in ask_with(world, asked, change, without_items=(item,)).items:
                    return False
    return True


def holds_why(world: World, asked: dict[str, Any], told: Why, answer: rs.Recommendation) -> bool:
    """Return whether each influence is the score less that of the history without the item."""
    place = answer.items.index(told.item)
    if (told.score, told.slot) != (float(answer.scores[place]), place + 1):
        return False
    if "items" in asked or asked.get("profile_free"):
        return not told.history
    own = asked.get("history") or world.get_items(world.split.train, world.users.index(asked["user"]))
    codes, target = sorted(world.items.index(item) for item in own), world.items.index(told.item)
    influences = {reason.item: reason.influence for reason in told.history}
    for code in codes:
        less = np.array([one for one in codes if one != code], np.int32)
        row = Csr((np.ones(len(less), np.float32), less, np.array([0, len(less)])), shape=(1, len(world.items)))
        expected = float(told.relevance - world.model.fold(row)[0, target])
        if abs(max(expected, 0.0) - influences.get(world.items[code], 0.0)) > NEAR:
            return False
    return True


def name_change(change: Change) -> str:
    """Return the kind of a change."""
    parts = {
        "history": change.without_items,
        "guard": change.without_guards,
        "n": change.n is not None,
        "weight": change.weights,
    }
    return " and ".join(name for name, there in parts.items() if there)


def run_pairs(world: World, pairs: int, seed: int) -> Answers:
    """Return whether each answer holds, and its seconds, by what is counted and its kind."""
    rng = make_generator(0, "benchmark", "why_not", seed)
    found: Answers = defaultdict(list)
    for pair in range(pairs):
        setting = SETTINGS[pair % len(SETTINGS)]
        asked, code = draw_request(world, rng, setting)
        item = str(rng.choice(world.list_best(code, 60) if pair // len(SETTINGS) % 2 else world.items))
        start = time.perf_counter()
        try:
            told: Any = world.ranker.why_not(item, **asked)
            seconds = time.perf_counter() - start
            holds = holds_why_not(world, asked, told)
            kinds = [("stage", told.stage), ("changes", "found" if told.changes else "none found")]
            kinds += [("change", kind) for kind in {name_change(change) for change in told.changes}]
        except rs.RecsysError as error:
            assert "Recommendation.why" in str(error), error
            answer = ask(world.ranker, asked)
            start = time.perf_counter()
            told = answer.why(item)
            seconds = time.perf_counter() - start
            holds = holds_why(world, asked, told, answer)
            kinds = [("stage", "in the slate")]
        if not holds:
            print(pair, item, asked, told)
        for kind in [("answers", "all"), ("request", setting), *kinds]:
            found[kind].append((holds, seconds))
    return found


@cache
def get_world() -> World:
    """Return the world of this process."""
    return World()


def run_part(part: int, pairs: int, work: Path) -> Answers:
    """Return what `run_pairs` does for one part of the pairs, kept in a file of the folder `work`."""
    path = work / f"{part}-{pairs}.json"
    if not path.exists():
        found = run_pairs(get_world(), pairs, part)
        write_text(path, json.dumps([[*kind, rows] for kind, rows in found.items()]))
    return {(counted, kind): rows for counted, kind, rows in json.loads(path.read_text())}


def describe(counted: str, kind: str, rows: list[tuple[bool, float]]) -> dict[str, Any]:
    """Return one row of the results."""
    n, verified = len(rows), sum(holds for holds, _ in rows)
    seconds = np.array([one for _, one in rows]) * 1000
    low = float(beta.ppf(0.025, verified, n - verified + 1)) if verified else 0.0
    high = float(beta.ppf(0.975, verified + 1, n - verified)) if verified < n else 1.0
    draws = np.random.default_rng(0).choice(seconds, (1000, n)) if n < 20_000 else seconds[None]
    ends = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    told = {"counted": counted, "kind": kind, "answers": n, "verified": verified, "share": round(verified / n, 5)}
    told |= {"share_low": round(low, 5), "share_high": round(high, 5)}
    told |= {"ms_median": round(float(np.median(seconds)), 2), "ms_p95": round(float(np.percentile(seconds, 95)), 2)}
    return told | {"ms_median_low": round(float(ends[0]), 2), "ms_median_high": round(float(ends[1]), 2)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--workers", type=int, default=1, help="processes that share the pairs")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is done: a stopped run goes on")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    parts = range(given.pairs // PAIRS_OF_PART)
    found: Answers = defaultdict(list)
    with ProcessPoolExecutor(given.workers) as workers:
        for done in workers.map(partial(run_part, pairs=PAIRS_OF_PART, work=given.work), parts):
            for kind, rows in done.items():
                found[kind] += rows
            print(f"{len(found['answers', 'all']):,} answers", flush=True)
    order = ("answers", "request", "stage", "changes", "change")
    rows = [describe(*kind, found[kind]) for kind in sorted(found, key=lambda kind: (order.index(kind[0]), kind[1]))]
    with replace_file(RESULTS / "why_not.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
