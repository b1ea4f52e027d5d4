"""What slots for unfinished items are worth, on generated logs whose truth is known.

Public logs that the project reads do not tell a beginning from an end: worlds are made up, in which users begin items
of their taste, finish some at once, and look at the others again and again while an interest lasts, which ends by
chance: then the item is finished, or given up. Everything before one moment is known, and what is finished in the week
after it is to be found. Half of the users choose the half-life, the others are read. `returns` is the share of
interests that end with an item finished: 0 is the price where nobody comes back.

    python benchmarks/unfinished.py
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from result_rows import write_rows

import recsys as rs
from recsys.evidence import build_unfinished
from recsys.support.rng import make_generator
from recsys.types import Dataset, Pool, Split
from recsys.types.arrays import Bools, Csr, Doubles, Ints
from recsys.types.repeats import RepeatHistories

RESULTS = Path(__file__).parent / "results"
DAY, DAYS, WEEK = 86_400, 90, 7
USERS, ITEMS, GROUPS, VISITS = 600, 400, 8, 60
LOOKS, INTEREST = 0.5, 5.0  # looks a day while an interest lasts, and its mean length in days
AT_ONCE, K, SHARE, DRAWS, SEEDS = 0.35, 10, 0.2, 1000, 3
HALF_LIVES = (0.5, 1.0, 3.0, 7.0, 30.0, 365.0)
RETURNS = (0.0, 0.1, 0.3)
NOW = DAYS * DAY


class World(NamedTuple):
    """What is known before the moment, and what is finished in the week after it."""

    data: Dataset
    split: Split  # of what is known
    finished: Csr  # (U, I)
    chances: Csr  # (U, I) the true chance that an unfinished item is finished in the week


def make_world(returns: float, seed: int) -> World:
    """Return a world: each user has two groups of items, begins items of these mostly, and ever finishes some."""
    rng = make_generator(seed, "unfinished", f"{returns:g}")
    group = rng.integers(0, GROUPS, ITEMS)
    popularity = rng.pareto(1.5, ITEMS) + 0.2
    rows: list[tuple[int, int, int, int]] = []
    for user in range(USERS):
        taste = np.where(np.isin(group, rng.choice(GROUPS, 2, replace=False)), 1.0, 0.05) * popularity
        n = min(rng.poisson(VISITS), ITEMS)
        items = rng.choice(ITEMS, n, replace=False, p=taste / taste.sum())
        begun = rng.uniform(0, (DAYS + WEEK) * DAY, n)
        at_once, comes_back = rng.random(n) < AT_ONCE, rng.random(n) < returns
        ends = np.where(at_once, begun + 600, begun + rng.exponential(INTEREST * DAY, n))
        for item, first, end, is_finished in zip(items, begun, ends, at_once | comes_back, strict=True):
            looks = rng.uniform(first, end, rng.poisson(LOOKS * (end - first) / DAY))
            rows.extend((user, int(item), int(at), 1) for at in (first, *looks) if at < (DAYS + WEEK) * DAY)
            if is_finished and end < (DAYS + WEEK) * DAY:
                rows.append((user, int(item), int(end), 4))
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp", "weight"])
    log = log.assign(user="u" + log.user.astype(str), item="i" + log.item.astype(str))
    early, late = log[log.timestamp < NOW], log[(log.timestamp >= NOW) & (log.weight == 4)]
    data = rs.read_dataset(early, name="generated")
    split = rs.splits.no_holdout(data, positive="weight >= 4", min_user_interactions=3, min_item_interactions=2)
    return World(data, split, count_pairs(late, split), find_chances(early, split, returns))


def count_pairs(rows: pd.DataFrame, split: Split, values: Any = None) -> Csr:
    """Return the pairs of some rows in the codes of a split, (U, I)."""
    users = pd.Index(split.user_ids).get_indexer(rows.user)
    items = pd.Index(split.item_ids).get_indexer(rows.item)
    kept = (users >= 0) & (items >= 0)
    data = np.ones(len(rows)) if values is None else np.asarray(values)
    return Csr((data[kept], (users[kept], items[kept])), shape=split.shape)


def find_chances(early: pd.DataFrame, split: Split, returns: float) -> Csr:
    """Return the true chance that each unfinished pair is finished in the week, by the age a of its last look.

    The interest lasts still with the odds e^-(m+l)a to (1 - r) m / (m + l) (1 - e^-(m+l)a), where l is the rate of
    looks, 1/m the mean length of an interest and r `returns`; then it ends in the week with 1 - e^-7m, finished with r.
    """
    open_rows = early.groupby(["user", "item"]).agg(weight=("weight", "max"), at=("timestamp", "max")).reset_index()
    open_rows = open_rows[open_rows.weight < 4]
    ages = (NOW - open_rows["at"].to_numpy()) / DAY
    quiet, ends = np.exp(-(LOOKS + 1.0 / INTEREST) * ages), 1.0 / INTEREST / (LOOKS + 1.0 / INTEREST)
    lasts = quiet / (quiet + (1.0 - returns) * ends * (1.0 - quiet))
    return count_pairs(open_rows, split, lasts * returns * -np.expm1(-WEEK / INTEREST))


def make_slates(pool: Pool, model: Any, slots: RepeatHistories | None) -> Ints:
    """Return slates of K, (U, K), with slots for what is unfinished or without."""
    context = pool if slots is None else rs.add_repeats(pool, model, slots)
    made = rs.rerank(context, {"relevance": 1.0}, K, guards=[] if slots is None else [rs.guards.repeat()])
    items = np.full((pool.context.train.shape[0], K), -1, np.int32)  # type: ignore[union-attr]
    items[made.users] = made.items
    return items


def measure_found(items: Ints, truth: Csr) -> Doubles:
    """Return how many items of each slate are finished in the week, (U,)."""
    rows = np.arange(len(items))[:, None]
    return np.asarray((truth[rows, np.maximum(items, 0)].toarray() > 0) & (items >= 0)).sum(axis=1).astype(np.float64)


def list_ways(world: World, seed: int) -> dict[str, RepeatHistories]:
    """Return each way to order what is unfinished, by name: by half-life, by lot, and by the true chance."""
    by_age = {
        f"{days:g} days": build_unfinished(world.data, world.split, "weight < 4", half_life=days, share=SHARE, now=NOW)
        for days in HALF_LIVES
    }
    one = by_age[f"{HALF_LIVES[0]:g} days"]
    rng = make_generator(seed, "unfinished", "lot")
    lot = Csr(
        (rng.random(one.scores.nnz).astype(np.float32) + 1e-3, one.scores.indices, one.scores.indptr), one.scores.shape
    )
    true = Csr(world.chances + one.scores.astype(bool) * 1e-9).astype(np.float32)
    true.sort_indices()
    of = {"by lot": lot, "true chance": true}
    return by_age | {name: one.__class__(**{**vars(one), "scores": scores}) for name, scores in of.items()}


def measure_world(returns: float) -> Iterator[dict[str, Any]]:
    """Yield rows of a world: finished items per slate of each way, and the difference to slates without slots."""
    found: dict[str, list[Doubles]] = {}
    chosen: list[Bools] = []
    for seed in range(SEEDS):
        world = make_world(returns, seed)
        model = rs.models.EASE().fit(world.split.train)
        pool = rs.candidates(model, world.split, n=100)
        ways: dict[str, RepeatHistories | None] = {"without": None, **list_ways(world, seed)}
        for name, slots in ways.items():
            found.setdefault(name, []).append(measure_found(make_slates(pool, model, slots), world.finished))
        chosen.append(make_generator(seed, "unfinished", "halves").random(world.split.shape[0]) < 0.5)
    values, first = {name: np.concatenate(of) for name, of in found.items()}, np.concatenate(chosen)
    best = max((f"{days:g} days" for days in HALF_LIVES), key=lambda name: float(values[name][first].mean()))
    draws = make_generator(0, "unfinished", "draws").multinomial(
        int((~first).sum()), np.full((~first).sum(), 1 / (~first).sum()), DRAWS
    )
    for name, of in values.items():
        read, change = of[~first], (of - values["without"])[~first]
        spans = [np.percentile(draws @ one / len(one), [2.5, 97.5]) for one in (read, change)]
        yield {
            "returns": f"{returns:g}", "way": name, "chosen": "chosen" if name == best else "",
            "value": f"{read.mean():.5f}", "low": f"{spans[0][0]:.5f}", "high": f"{spans[0][1]:.5f}",
            "difference": f"{change.mean():.5f}", "difference_low": f"{spans[1][0]:.5f}",
            "difference_high": f"{spans[1][1]:.5f}", "users": len(read),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    rows = [row for returns in RETURNS for row in measure_world(returns)]
    write_rows(given.out / "unfinished.csv", rows)


if __name__ == "__main__":
    main()
