"""What questions are worth: simulated answers of users whom no model has seen, after 3, 5 and 10 questions.

Users of a log are dealt into 60 % that everything is fitted to, 20 % of validation and 20 % of test. A user of the last
two has a half of the likes, drawn at random, as targets; the other likes and all lower ratings are what the user can
answer: liked, disliked, and of everything else "unknown". Questions come one at a time, each made of the answers so
far. After some of them NDCG@10 and recall of the targets are read, and discovery: the recall of targets in regions that
the history before the first question does not touch, by audit maps of the users who are fitted to. "new" starts
without a history, "known" with five random likes.

`ask` is `Ranker.ask` with each deficit weight; others ask for the most popular items, random ones, the largest
entropy0, or the largest log(popularity) x entropy. `choice` marks the deficit weight with the largest NDCG@10 on
validation, mean over 3, 5 and 10 questions and both starts. Intervals are of 1,000 draws of users, differences are
paired. The model is ALS with 32 factors. Writes results/ask.csv, and
of it what test says as results/ask-test.csv; with `--speed` results/ask-speed.csv alone: the median
time of a request at 20,000 items and 128 factors.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys import configs
from recsys.maps.families import audit_maps
from recsys.maths.elicitation import compute_entropy0, compute_log_popularity_entropy
from recsys.metrics import discovery, ndcg, recall
from recsys.rankers import Ranker
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Split
from recsys.types.arrays import Csr, make_empty_matrix

RESULTS = Path(__file__).parent / "results"
LOGS, K, DRAWS, AFTER = ("ml-100k", "ml-latest-small"), 10, 1000, (0, 3, 5, 10)
STARTS, LIKES_AT_START, LEAST_TARGETS = ("new", "known"), {"new": 0, "one": 1, "known": 5}, 2
DEFICIT_WEIGHTS = (0.0, 1.0, 4.0)
MODEL = rs.models.ALS(factors=32)
ORDERS = ("popular", "random", "entropy0", "log_popularity_entropy")


class People(NamedTuple):
    """Users who are asked: rows of likes and dislikes that they can answer, and targets."""

    likes: Csr  # (U, I)
    dislikes: Csr  # (U, I)
    targets: Csr  # (U, I)
    start: Csr  # (U, I) likes that are known before the first question


class World(NamedTuple):
    """A log whose users are dealt, and the ranker of those who are fitted to."""

    ranker: Ranker
    train: Split
    others: dict[str, tuple[Csr, Csr]]  # likes and dislikes of the users of validation and test


def build_world(name: str) -> World:
    """Return the users of a log, dealt, and a ranker by relevance alone."""
    config = configs.read_config(name)
    whole = rs.splits.no_holdout(rs.load_dataset(name, quiet=True), **config.filter.model_dump())
    order = make_generator(0, "ask", name).permutation(len(whole.user_ids))
    fitted, validation, test = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
    train = take_users(whole, np.sort(fitted))
    model = MODEL.fit(train.train, train.side_information)
    ranker = Ranker.fit(model, train, {"relevance": 1.0}, k=K, n=50)
    parts = {"validation": validation, "test": test}
    return World(ranker, train, {p: (Csr(whole.train[u]), Csr(whole.train_negatives[u])) for p, u in parts.items()})


def take_users(split: Split, users: np.ndarray) -> Split:
    """Return the split of some users."""
    names = ("train", "validation", "test", "train_negatives", "validation_negatives")
    taken = {name: Csr(getattr(split, name)[users]) for name in names}
    none = {"validation_cold_positives": None, "train_times": None, "validation_times": None}
    return replace(split, user_ids=split.user_ids[users], **taken, **none)


def draw_people(world: World, part: str, start: str) -> People:
    """Return the users of a part who have enough likes: the same targets for every way to ask."""
    likes, dislikes = world.others[part]
    rng = make_generator(0, "answers", part)
    rows: dict[str, list[np.ndarray]] = {"likes": [], "dislikes": [], "targets": [], "start": []}
    for user in range(likes.shape[0]):
        liked = rng.permutation(likes[[user]].indices)
        targets, known = np.split(liked, [len(liked) // 2])
        if len(targets) < LEAST_TARGETS or len(known) <= max(LIKES_AT_START.values()):
            continue
        begin = LIKES_AT_START[start]
        told = {"likes": known, "dislikes": dislikes[[user]].indices, "targets": targets, "start": known[:begin]}
        for name, columns in told.items():
            rows[name].append(columns)
    return People(*(stack_rows(rows[name], likes.shape[1]) for name in People._fields))


def stack_rows(rows: Sequence[np.ndarray], width: int) -> Csr:
    """Return a matrix of ones in these columns."""
    made = np.zeros((len(rows), width), np.float32)
    for row, columns in enumerate(rows):
        made[row, columns] = 1.0
    return Csr(made)


def order_items(world: World, by: str) -> np.ndarray:
    """Return all items in the order in which a rule that does not look at answers asks for them."""
    likes, dislikes = (
        np.bincount(m.indices, minlength=m.shape[1]) for m in (world.train.train, world.train.train_negatives)
    )
    rng = make_generator(0, "random questions")
    gains = {
        "popular": lambda: likes + dislikes,
        "random": lambda: rng.random(len(likes)),
        "entropy0": lambda: compute_entropy0(likes, dislikes, len(world.train.user_ids)),
        "log_popularity_entropy": lambda: compute_log_popularity_entropy(likes, dislikes),
    }[by]()
    return np.argsort(-gains, kind="stable")


def interview(world: World, people: People, user: int, rule: str) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield the slate of a user after each number of questions, and the share of them that were answered."""
    ids, codes = world.train.item_ids, world.ranker.known_items
    likes, dislikes = set(people.likes[[user]].indices.tolist()), set(people.dislikes[[user]].indices.tolist())
    told: dict[str, list[int]] = {"history": people.start[[user]].indices.tolist(), "dislikes": [], "unknown": []}
    static = iter(()) if rule.startswith("ask") else iter(order_items_once(world, rule).tolist())
    asked = 0
    for after in AFTER:
        while asked < after:
            if rule.startswith("ask"):
                given: dict[str, Any] = {name: ids[c] for name, c in told.items()}
                item = codes[world.ranker.ask(1, **given, deficit_weight=float(rule.split()[1])).items[0]]
            else:
                item = next(i for i in static if i not in told["history"])
            told["history" if item in likes else "dislikes" if item in dislikes else "unknown"].append(item)
            asked += 1
        answer = world.ranker.rank(history=ids[told["history"]], dislikes=ids[told["dislikes"]])
        slate = np.array([codes[name] for name in answer.items], np.int32)
        yield after, slate, 1.0 - len(told["unknown"]) / max(after, 1)


_ORDERS: dict[tuple[int, str], np.ndarray] = {}


def order_items_once(world: World, by: str) -> np.ndarray:
    """Return `order_items`, kept."""
    if (id(world.ranker), by) not in _ORDERS:
        _ORDERS[id(world.ranker), by] = order_items(world, by)
    return _ORDERS[id(world.ranker), by]


def measure_rule(world: World, people: People, rule: str, maps: Any) -> dict[int, dict[str, np.ndarray]]:
    """Return each metric of each user, after each number of questions."""
    users = people.likes.shape[0]
    slates = {after: np.full((users, K), -1, np.int32) for after in AFTER}
    answered = {after: np.zeros(users) for after in AFTER}
    for user in range(users):
        for after, slate, share in interview(world, people, user, rule):
            slates[after][user, : len(slate)] = slate
            answered[after][user] = share
    none = make_empty_matrix(people.likes.shape)
    truth = GroundTruth(
        Split(
            "ask", 0, np.arange(users).astype(str), world.train.items, people.start, none, people.targets, none, none
        ),
        audit_maps=maps,
    )
    found = {}
    for after in AFTER:
        judged = Evaluation(slates[after], truth)
        found[after] = {"ndcg": ndcg(judged, K).values, "recall": recall(judged, K).values, "answered": answered[after]}
        if people.start.nnz:
            values = discovery(judged, K).values
            with np.errstate(invalid="ignore"):
                found[after]["discovery"] = np.nanmean(np.where(np.isnan(values).all(axis=0), 0.0, values), axis=0)
    return found


def summarize(log: str, part: str, start: str, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each rule, number of questions and metric; differences are to popular questions."""
    for rule, by_count in found.items():
        for after, metrics in by_count.items():
            for name, values in metrics.items():
                other = found["popular"][after][name]
                draws = make_generator(0, "draws").integers(0, len(values), (DRAWS, len(values)))
                low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
                apart = values - other
                least, most = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
                yield {
                    "log": log, "part": part, "start": start, "rule": rule, "questions": after, "metric": name,
                    "value": f"{values.mean():.5f}", "low": f"{low:.5f}", "high": f"{high:.5f}",
                    "to_popular": f"{apart.mean():.5f}", "to_popular_low": f"{least:.5f}",
                    "to_popular_high": f"{most:.5f}", "users": len(values),
                }  # fmt: skip


def measure_rules(world: World, part: str, start: str, rules: Sequence[str], maps: Any) -> dict[str, Any]:
    """Return what each rule gives the users of a part."""
    people = draw_people(world, part, start)
    return {rule: measure_rule(world, people, rule, maps) for rule in rules}


def choose_weight(found: Sequence[dict[str, Any]]) -> str:
    """Return the deficit weight with the largest NDCG of all starts and numbers of questions on validation."""

    def read(rule: str) -> float:
        return float(np.mean([of[rule][after]["ndcg"].mean() for of in found for after in AFTER[1:]]))

    return max((f"ask {weight}" for weight in DEFICIT_WEIGHTS), key=read)


def measure_log(log: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a log: validation for each deficit weight, test for the choice, no weight and the others."""
    world = build_world(log)
    maps = audit_maps(world.train.train, half=None)
    asks = [f"ask {weight}" for weight in DEFICIT_WEIGHTS]
    known = [measure_rules(world, "validation", start, ("popular", *asks), maps) for start in STARTS]
    choice = choose_weight(known)
    for start, found in zip(STARTS, known, strict=True):
        yield from (row | {"choice": int(row["rule"] == choice)} for row in summarize(log, "validation", start, found))
    for start in STARTS:
        found = measure_rules(world, "test", start, (*ORDERS, *dict.fromkeys((choice, asks[0]))), maps)
        yield from (row | {"choice": int(row["rule"] == choice)} for row in summarize(log, "test", start, found))


def measure_speed() -> list[tuple[str, str, str, float, str]]:
    """Return the median processor time of a request for five questions, by users of 100 likes and by nobody known."""
    from serving import SMALL, D, build_synthetic_ranker

    ranker = build_synthetic_ranker(SMALL, 1000, D)
    asks: dict[str, dict[str, Any]] = {
        "known user": {"deficit_weight": 0.0},
        "known user, deficit weight 1": {"deficit_weight": 1.0},
        "nobody known": {"deficit_weight": 0.0, "user": None},
        "known user, about regions": {"regions": True},
        "nobody known, about regions": {"regions": True, "user": None},
    }
    rows = []
    for what, settings in asks.items():
        times = []
        for user in range(60):
            begin = time.thread_time()
            ranker.ask(5, **{"user": str(user), **settings})
            times.append(1000 * (time.thread_time() - begin))
        said = f"five questions, {what}, {SMALL:,} items x {D}"
        rows.append((said, f"{np.median(times[5:]):.3g}", "ms of one core", 20.0, "max"))
    return rows


def tabulate_test(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each log, start and rule on test: differences to popular questions, and shares answered."""
    cells = {
        (row["log"], row["start"], row["rule"], row["metric"], int(row["questions"])): row
        for row in rows
        if row["part"] == "test"
    }
    made = []
    for log, start, rule in dict.fromkeys(key[:3] for key in cells):
        row: dict[str, Any] = {"log": log, "start": start, "rule": rule}
        for metric in ("ndcg", "discovery"):
            for after in AFTER:
                found = cells.get((log, start, rule, metric, after))
                for name in ("value", "to_popular", "to_popular_low", "to_popular_high"):
                    row[f"{metric}_{after}_{name}"] = "" if found is None else found[name]
        for after in AFTER[1:]:
            row[f"answered_{after}"] = cells[log, start, rule, "answered", after]["value"]
        made.append(row | {"users": cells[log, start, rule, "ndcg", 0]["users"]})
    return made


def main() -> None:
    """Measure every log, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", nargs="*", default=LOGS, choices=LOGS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--speed", action="store_true", help="measure the time of a request alone")
    wanted, rows = parser.parse_args(), list[dict[str, Any]]()
    if wanted.speed:
        from speeds import write_figures

        write_figures(measure_speed(), wanted.out / "ask-speed.csv")
        return
    for log in wanted.logs:
        for row in measure_log(log):
            rows.append(row)
            if row["metric"] == "ndcg" and row["questions"] in (0, 10):
                print(*row.values(), flush=True)
        write_rows(wanted.out / "ask.csv", rows)
        write_rows(wanted.out / "ask-test.csv", tabulate_test(rows))


if __name__ == "__main__":
    main()
