"""What questions about regions are worth, beside questions about items: answers after 3, 5 and 10 questions.

Users, targets and models are those of `ask.py`; the starts are nobody known ("new"), one like ("one") and five likes
("known"). Whoever is asked about a region answers by the likes that item questions are answered by, never by targets:
a like where the region's share of them is above everybody's, a dislike where it is below half of that, else "unknown"
(`recsys.maths.region_answers.answer_by_shares`). `regions w` gives answers the weight w.

After some questions NDCG@10 of the targets is read, and `rest`: the same of slates from which all that the user could
answer about is left out. An answer about an item takes it out of the slate, where it could be no hit; `rest` is what
the answers say of everything else. `discovery` is that of whole slates, in regions without an earlier like.
`answered` is the share of questions with an answer. The weight with the largest mean of both over logs and numbers of
questions on validation is `chosen`, one for people without likes and one for those with: the defaults of
`recsys.maths.region_answers`. Intervals are of 1,000 draws of users, differences are paired. Writes
results/ask-regions.csv, and of it what test says as results/ask-regions-test.csv; `--test` writes that alone, with
the defaults.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ask import AFTER, DRAWS, LOGS, RESULTS, K, People, World, build_world, draw_people, order_items_once
from result_rows import write_rows

from recsys.maps.families import audit_maps
from recsys.maths import region_answers
from recsys.maths.region_answers import answer_by_shares
from recsys.metrics import discovery, ndcg
from recsys.objectives.derived_tables import get_region_names, get_region_shares
from recsys.reranking import guards
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Split
from recsys.types.arrays import make_empty_matrix

STARTS = ("new", "one", "known")
WEIGHTS = {"new": (3.0, 10.0, 30.0, 100.0), "one": (0.1, 0.3, 1.0, 3.0), "known": (0.1, 0.3, 1.0, 3.0)}
ITEM_RULES = ("popular", "random", "ask 0.0")
METRICS = ("ndcg", "rest", "discovery", "answered")
NOT_TOLD = dict.fromkeys(
    ("value", *(f"to_{other}{end}" for other in ("none", "popular") for end in ("", "_low", "_high"))), ""
)  # discovery of who has no history


def answer_about_regions(world: World, people: People, user: int) -> dict[str, str]:
    """Return what a user answers about each region, by name."""
    shares, train = get_region_shares(world.ranker.context).toarray(), world.train.train
    usual = np.bincount(train.indices, minlength=train.shape[1]) @ shares / train.nnz
    own = people.likes[[user]].toarray()[0] @ shares / people.likes[[user]].nnz
    told = answer_by_shares(own, usual).tolist()
    names = get_region_names(world.ranker.context)[0]
    return {name: {1: "like", -1: "dislike", 0: "unknown"}[one] for name, one in zip(names, told, strict=True)}


def interview(world: World, people: People, user: int, rule: str) -> Iterator[tuple[int, list[Any], float]]:
    """Yield two slates after each number of questions, all and the rest, and the share that was answered."""
    ids, codes = world.train.item_ids, world.ranker.known_items
    likes, dislikes = set(people.likes[[user]].indices.tolist()), set(people.dislikes[[user]].indices.tolist())
    told: dict[str, list[int]] = {"history": people.start[[user]].indices.tolist(), "dislikes": [], "unknown": []}
    every = answer_about_regions(world, people, user) if rule.startswith("regions") else {}
    static = iter(order_items_once(world, rule).tolist()) if rule in ("popular", "random") else iter(())
    closed = guards.exclude(items=ids[sorted(likes | dislikes)].tolist())
    answers: dict[str, str] = {}
    asked = 0
    for after in AFTER:
        while asked < after:
            given: dict[str, Any] = {name: ids[c] for name, c in told.items()}
            if every:
                of = {"history": given["history"], "region_answers": answers}
                name = world.ranker.ask(1, regions=True, **of).regions[0]
                answers[name] = every[name]
            else:
                by_rule = rule.startswith("ask")
                item = (
                    codes[world.ranker.ask(1, **given).items[0]]
                    if by_rule
                    else next(i for i in static if i not in told["history"])
                )
                told["history" if item in likes else "dislikes" if item in dislikes else "unknown"].append(item)
            asked += 1
        who: dict[str, Any] = {"history": ids[told["history"]], "dislikes": ids[told["dislikes"]]}
        who |= {"region_answers": answers} if answers else {}
        slates = [world.ranker.rank(**who, guards=some).items for some in ((), (closed,))]
        silent = sum(one == "unknown" for one in answers.values()) + len(told["unknown"])
        yield (
            after,
            [np.array([codes[name] for name in slate], np.int32) for slate in slates],
            1 - silent / max(after, 1),
        )


def measure_rule(world: World, people: People, rule: str, maps: Any = ()) -> dict[int, dict[str, np.ndarray]]:
    """Return each metric of each user, after each number of questions."""
    users, items = people.likes.shape
    made = np.full((len(AFTER), 2, users, K), -1, np.int32)
    answered = np.zeros((len(AFTER), users))
    for user in range(users):
        for place, (_, slates, share) in enumerate(interview(world, people, user, rule)):
            for which, slate in enumerate(slates):
                made[place, which, user, : len(slate)] = slate
            answered[place, user] = share
    none = make_empty_matrix((users, items))
    rows = (people.start, none, people.targets, none, none)
    truth = GroundTruth(Split("ask", 0, np.arange(users).astype(str), world.train.items, *rows), audit_maps=maps)
    found = {}
    for place, after in enumerate(AFTER):
        judged = [Evaluation(made[place, which], truth) for which in (0, 1)]
        values = [ndcg(one, K).values for one in judged]
        found[after] = {"ndcg": values[0], "rest": values[1], "answered": answered[place]}
        if maps and people.start.nnz:
            of_maps = discovery(judged[0], K).values
            told = np.where(np.isnan(of_maps).all(axis=0), 0.0, of_maps)
            found[after]["discovery"] = np.nanmean(told, axis=0)
    return found


def measure_weight(
    world: World, people: People, weight: float | None, rule: str, maps: Any = ()
) -> dict[int, dict[str, np.ndarray]]:
    """Return what a rule gives, with answers about regions at a weight."""
    names = ("REGION_WEIGHT", "REGION_WEIGHT_WITHOUT_LIKES")
    before = [getattr(region_answers, name) for name in names]
    for name in names if weight is not None else ():
        setattr(region_answers, name, weight)
    try:
        return measure_rule(world, people, rule, maps)
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(region_answers, name, value)


def summarize(log: str, part: str, start: str, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each rule, number of questions and metric, with differences to none and to popular questions."""
    for rule, by_count in found.items():
        for after, by_name in by_count.items():
            for name in (one for one in METRICS if one in by_name):
                values = by_name[name]
                draws = make_generator(0, "draws").integers(0, len(values), (DRAWS, len(values)))
                row: dict[str, Any] = {"log": log, "part": part, "start": start, "rule": rule, "questions": after}
                row |= {"metric": name, "value": f"{values.mean():.5f}"}
                others = {"to_none": by_count[0][name], "to_popular": found.get("popular", by_count)[after][name]}
                for what, other in others.items():
                    apart = values - other
                    low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
                    row |= {what: f"{apart.mean():.5f}", f"{what}_low": f"{low:.5f}", f"{what}_high": f"{high:.5f}"}
                yield row | {"users": len(values)}


def choose_weights(rows: Sequence[Mapping[str, Any]]) -> dict[bool, float]:
    """Return the weight with the largest mean of NDCG and its rest on validation, with likes (True) and without."""
    chosen = {}
    for has_likes in (False, True):
        means: dict[float, list[float]] = {}
        for row in rows:
            of_these = row["part"] == "validation" and (row["start"] != "new") == has_likes and row["questions"] > 0
            if of_these and row["rule"].startswith("regions") and row["metric"] != "answered":
                means.setdefault(float(row["rule"].split()[1]), []).append(float(row["value"]))
        chosen[has_likes] = max(means, key=lambda weight: float(np.mean(means[weight])))
    return chosen


def tabulate_test(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each log, start and rule on test."""
    cells = {(r["log"], r["start"], r["rule"], r["metric"], r["questions"]): r for r in rows if r["part"] == "test"}
    made = []
    for log, start, rule in dict.fromkeys(key[:3] for key in cells):
        row: dict[str, Any] = {"log": log, "start": start, "rule": rule}
        for metric in METRICS:
            for after in AFTER:
                cell = cells.get((log, start, rule, metric, after), NOT_TOLD)
                row |= {f"{metric}_{after}_{name}": cell[name] for name in cell if name == "value" or name[:3] == "to_"}
        made.append(row | {"users": cells[log, start, rule, "ndcg", 0]["users"]})
    return made


def main() -> None:
    """Measure validation, choose the weights, and measure test with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", nargs="*", default=LOGS, choices=LOGS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--test", action="store_true", help="judge the defaults on test, without the choice of weights")
    wanted, rows = parser.parse_args(), list[dict[str, Any]]()
    worlds = {log: build_world(log) for log in wanted.logs}
    for log, world in () if wanted.test else worlds.items():
        for start in STARTS:
            people = draw_people(world, "validation", start)
            found = {f"regions {w:g}": measure_weight(world, people, w, "regions") for w in WEIGHTS[start]}
            rows += summarize(log, "validation", start, found)
            print(log, start, {rule: f"{of[10]['rest'].mean():.4f}" for rule, of in found.items()}, flush=True)
    defaults = {True: region_answers.REGION_WEIGHT, False: region_answers.REGION_WEIGHT_WITHOUT_LIKES}
    chosen = defaults if wanted.test else choose_weights(rows)
    print("chosen:", chosen, flush=True)
    for log, world in worlds.items():
        maps = audit_maps(world.train.train, half=None)
        for start in STARTS:
            people, weight = draw_people(world, "test", start), chosen[start != "new"]
            found = {rule: measure_rule(world, people, rule, maps) for rule in ITEM_RULES}
            found["regions"] = measure_weight(world, people, weight, "regions", maps)
            rows += summarize(log, "test", start, found)
            print(log, start, {rule: f"{of[10]['rest'].mean():.4f}" for rule, of in found.items()}, flush=True)
    weights = {f"regions {value:g}": has_likes for has_likes, value in chosen.items()}
    for row in rows:
        row["chosen"] = int(weights.get(row["rule"]) == (row["start"] != "new"))
    if not wanted.test:
        write_rows(wanted.out / "ask-regions.csv", rows)
    write_rows(wanted.out / "ask-regions-test.csv", tabulate_test(rows))


if __name__ == "__main__":
    main()
