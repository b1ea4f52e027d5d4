"""How near every model's defaults come to tuned settings: `python benchmarks/defaults.py [--data NAME ...]`.

Data are made-up logs of 1,000, 5,000, 20,000 and 50,000 items, one of 500 users with 20 positives each among 20,000
items, and the data sets of the shipped configs under their splits (left out, and said, where they cannot be had). On
each, a model gets at most 20 trials: its defaults and 19 points of a scrambled Sobol sequence over its ranges, judged
by nDCG@10 on validation. The best of them and the defaults are then fitted to train and validation, and judged on test
by the same users, with 95 % intervals. A cell of data and model draws no further point after `--seconds`; a model that
does not fit into 8 GiB, or whose first fit takes longer than that, is left out of this data, and said.

Every trial is kept in `results/defaults-trials.csv` as soon as it is done, so a run that was stopped goes on from
there; changed defaults are tried anew, the points are not. `results/defaults.csv` has a row per cell.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tune
from tune import RESULTS, SPACES, Settings, Space, format_settings, select_best_items, spread_settings, write_table

import recsys
from recsys import configs, models
from recsys.experiments import pipeline
from recsys.support.rng import make_generator
from recsys.types import Items, RecsysError, Split
from recsys.types.arrays import Csr, make_empty_matrix

TRIALS, MEMORY = 20, 8 * 2**30
TASTES, STRENGTH, HEAD = 24, 1.43, 15.0
MADE_UP = {  # items, users, mean positives of a user
    "made up, 1,000 items": (1_000, 2_000, 40),
    "made up, 5,000 items": (5_000, 2_500, 40),
    "made up, 20,000 items": (20_000, 3_000, 50),
    "made up, 50,000 items": (50_000, 3_000, 50),
    "made up, 20,000 items, 500 users": (20_000, 500, 20),
}
REAL_DATA = ("ml-100k", "ml-latest-small", "online-retail-ii")
RELATIVE_RANGES = {  # of what the defaults are on the data
    "als": {"factors": ("whole", 16, 256), "regularization": ("log", 0.1, 4), "alpha": ("log", 0.2, 5)},
    "ials": {
        "factors": ("whole", 16, 256),
        "regularization": ("log", 0.1, 4),
        "unobserved": ("log", 0.2, 5),
        "nu": ("real", 0.0, 1.0),
    },
}  # fmt: skip
RELATIVE_SETTINGS = ("regularization", "alpha", "unobserved")
KINDS = ("als", "ials", "ease", "item_knn", "user_knn", "pure_svd", "p3alpha", "rp3beta", "bpr", "lmf")
KEY = ["data", "model", "settings"]
COLUMNS = [
    "data", "users", "items", "positives", "model", "trials", "defaults on validation", "tuned on validation",
    "ratio on validation", "defaults on test", "low", "high", "tuned on test", "ratio on test", "ratio low",
    "ratio high", "tuned settings",
]  # fmt: skip


def draw_synthetic_split(name: str) -> Split:
    """Return likes drawn by popularity (Zipf-Mandelbrot), taste (of rank 24) and chance, a tenth of them each to judge.

    Users' activity is lognormal. Items that nobody has are part of the catalogue.
    """
    n_items, n_users, mean = MADE_UP[name]
    rng = make_generator(0, "benchmark", "defaults", n_items, n_users)
    popularity = rng.permutation(-0.9 * np.log(np.arange(n_items) + HEAD))
    spread = 1 / np.sqrt(1 + np.arange(TASTES))
    taste = STRENGTH * rng.standard_normal((n_users, TASTES)) * spread / np.linalg.norm(spread)
    kind = rng.standard_normal((n_items, TASTES))
    activity = np.exp(0.8 * rng.standard_normal(n_users))
    counts = np.clip(activity / activity.mean() * mean, 10, n_items // 4).astype(np.int64)
    items = []
    for user, count in enumerate(counts):
        utility = popularity + kind @ taste[user] + rng.gumbel(size=n_items)
        items.append(np.argpartition(-utility, count)[:count])
    users, item, draw = np.repeat(np.arange(n_users), counts), np.concatenate(items), rng.random(counts.sum())

    def part(low: float, high: float) -> Csr:
        kept = (draw >= low) & (draw < high)
        return Csr((np.ones(kept.sum(), np.float32), (users[kept], item[kept])), shape=(n_users, n_items))

    ids, none = np.arange(n_items).astype(str), make_empty_matrix((n_users, n_items))
    catalogue = Items(ids, ids, make_empty_matrix((n_items, 0)), (), np.zeros(n_items, np.int32))
    return Split(
        kind="random", seed=0, user_ids=np.arange(n_users).astype(str), items=catalogue, train=part(0.0, 0.8),
        validation=part(0.8, 0.9), test=part(0.9, 1.0), train_negatives=none,
        validation_negatives=none, fingerprint=name,
    )  # fmt: skip


def load_split(name: str) -> Split:
    config = configs.read_config(name)
    return pipeline.split_dataset(config, pipeline.load_dataset(config))


def get_filled_defaults(kind: str, train: Csr) -> Settings:
    """Return the defaults of a model as numbers, without its seed."""
    model = models.registry.find_model(kind)()
    model = model.fill_defaults(train) if hasattr(model, "fill_defaults") else model
    return {name: value for name, value in asdict(model).items() if name != "seed"}


def get_search_space(kind: str) -> Space:
    return RELATIVE_RANGES.get(kind) or SPACES[kind]


def draw_settings(kind: str, defaults: Settings) -> list[Settings]:
    """Return the points of a model's ranges, those of `RELATIVE_RANGES` as numbers for this data."""
    found = spread_settings(get_search_space(kind), TRIALS - 1)
    if kind in RELATIVE_RANGES:
        for point in found:
            for name in set(RELATIVE_SETTINGS) & set(point):
                low = 1.0 if name == "alpha" else 0.0  # a positive weighs alpha, the others 1
                point[name] = float(f"{low + float(point[name]) * (float(defaults[name]) - low):.3g}")
    return found


def read_rows(path: Path, columns: list[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the rows of a table by some of its columns."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {tuple(row[name] for name in columns): row for row in csv.DictReader(file)}


class CachedRows:
    """Rows that stand in a file as soon as they are known."""

    def __init__(self, path: Path, key: list[str], columns: list[str]) -> None:
        self.path, self.key, self.columns = path, key, columns
        self.rows = read_rows(path, key)

    def get_or_make_row(self, key: tuple[str, ...], make: Callable[[], dict[str, Any]]) -> dict[str, str]:
        if key not in self.rows:
            made = {**dict(zip(self.key, key, strict=True)), **make()}
            self.rows[key] = {name: str(made[name]) for name in self.columns}
            self.write_rows()
        return self.rows[key]

    def write_rows(self) -> None:
        write_table(self.path, self.columns, [[row[name] for name in self.columns] for row in self.rows.values()])


def try_settings(kept: CachedRows, data: str, kind: str, settings: Settings, split: Split) -> tuple[float, float]:
    """Return nDCG@10 on validation and the processor seconds that it took."""

    def trial() -> dict[str, Any]:
        start = time.process_time()
        value = tune.evaluate_settings(kind, settings, split)
        return {"ndcg@10 on validation": f"{value:.5f}", "seconds": f"{time.process_time() - start:.2f}"}

    row = kept.get_or_make_row((data, kind, format_settings(settings)), trial)
    return float(row["ndcg@10 on validation"]), float(row["seconds"])


def compare_model(trials: CachedRows, data: str, kind: str, split: Split, seconds: float) -> dict[str, Any] | str:
    """Return what the trials of a model on one data set say, or why it is left out."""
    choosing = split.validation_view()
    model = models.registry.find_model(kind)()
    if model.estimate_memory(split.test_view().train).peak > MEMORY:
        return "needs more than 8 GiB"
    defaults = get_filled_defaults(kind, choosing.train)
    value, spent = try_settings(trials, data, kind, defaults, choosing)
    if spent > seconds:
        return f"one fit takes {spent:.0f} s"
    found = [(value, defaults)]
    for settings in draw_settings(kind, defaults):
        if spent > seconds:
            break
        result, took = try_settings(trials, data, kind, settings, choosing)
        found.append((result, settings))
        spent += took
    best = max(found, key=lambda one: one[0])
    return {
        "users": split.shape[0],
        "items": split.shape[1],
        "positives": choosing.train.nnz,
        "trials": len(found),
        "defaults on validation": f"{value:.4f}",
        "tuned on validation": f"{best[0]:.4f}",
        "ratio on validation": f"{value / best[0]:.3f}",
        "tuned settings": "defaults" if best[1] is defaults else format_settings(best[1]),
        **compare_on_test(kind, defaults, best[1], choosing, split.test_view()),
    }


def compare_on_test(kind: str, defaults: Settings, best: Settings, choosing: Split, judging: Split) -> dict[str, str]:
    """Return how defaults and tuned settings do on test; what follows from the data does so from all of it."""
    again = get_filled_defaults(kind, judging.train)
    if kind in RELATIVE_RANGES:
        best = {n: _rescale_setting(n, v, defaults, again) if n in RELATIVE_SETTINGS else v for n, v in best.items()}
    runs = {"defaults": select_best_items(tune.fit_model(kind, again, judging), judging)}
    runs["tuned"] = (
        runs["defaults"] if best == again else select_best_items(tune.fit_model(kind, best, judging), judging)
    )
    compared = recsys.compare(runs, judging, ["ndcg@10"], against="tuned")
    values = compared.summary.set_index("run")
    ours, theirs = values.loc["defaults"], float(values.loc["tuned", "value"])
    change = compared.differences.iloc[0]
    ratios = [1.0 + float(change[name]) for name in ("relative", "relative_low", "relative_high")]
    names = ("ratio on test", "ratio low", "ratio high")
    return {
        "defaults on test": f"{ours['value']:.4f}",
        "low": f"{ours['ci_low']:.4f}",
        "high": f"{ours['ci_high']:.4f}",
        "tuned on test": f"{theirs:.4f}",
        **{
            name: "1.000" if runs["defaults"] is runs["tuned"] else f"{r:.3f}"
            for name, r in zip(names, ratios, strict=True)
        },
    }


def _rescale_setting(name: str, value: Any, defaults: Settings, again: Settings) -> Any:
    """Return a setting at the same multiple of the default of other data."""
    low = 1.0 if name == "alpha" else 0.0
    return low + (value - low) / (float(defaults[name]) - low) * (float(again[name]) - low)


def main() -> None:
    """Try, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[*REAL_DATA, *MADE_UP], choices=[*REAL_DATA, *MADE_UP])
    parser.add_argument("--models", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of processor time after which a cell draws no further point"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    trials = CachedRows(wanted.out / "defaults-trials.csv", KEY, [*KEY, "ndcg@10 on validation", "seconds"])
    table = CachedRows(wanted.out / "defaults.csv", ["data", "model"], COLUMNS)
    for name in wanted.data:
        try:
            split = draw_synthetic_split(name) if name in MADE_UP else load_split(name)
        except RecsysError as error:
            print(f"{name} is left out: {error}")
            continue
        for kind in wanted.models:
            found = compare_model(trials, name, kind, split, wanted.seconds)
            table.rows.pop((name, kind), None)
            if isinstance(found, str):
                print(f"{name} {kind} is left out: {found}", flush=True)
                table.write_rows()
                continue
            row = table.get_or_make_row((name, kind), lambda found=found: found)
            print(name, kind, *(row[column] for column in COLUMNS[5:]), flush=True)
    print(f"recsys {recsys.__version__}")


if __name__ == "__main__":
    main()
