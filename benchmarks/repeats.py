"""What is bought again and what is new: hiding what was met, keeping it, personal frequency, TIFU-kNN, slots apart.

Online Retail II, the filter of its config, split at two points in time (10 % of the first purchases validation, 20 %
test), held-out parts with repeats (`recsys.splits.hold_out_repeats`). Each run is fitted to train and judged on
validation, then to train and validation and judged on test, in slates of 10: purchases per slot (precision) and their
two parts, recall of repeats and of what is new, NDCG, and the share of slots with owned durables that are not due, by
hazards of repurchase fitted to what was known at the cut. Settings of a family are the best on validation by purchases
per slot (`chosen`). Limits are 95 % percentile intervals of 1,000 draws of users, `versus_` those of the difference to
the chosen top_frequency over the same draws. `slots` with a share of "own" are those of each user's shrunk share of
repeats. Written to results/repeats.csv. `python benchmarks/repeats.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import recsys as rs
from recsys import configs, evidence, metrics
from recsys.reranking.guards import repeat
from recsys.retrieval.repeat_candidates import add_repeats
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.types.repeats import RepeatHistories

RESULTS = Path(__file__).parent / "results"
LOG, K, DRAWS, DAY = "online-retail-ii", 10, 1000, 86_400
METRICS = ("precision", "repeat_precision", "explore_precision", "repeat_recall", "explore_recall", "ndcg",
           "over_advertising")  # fmt: skip
HALF_LIVES = (None, 60.0, 240.0)
TIFU = ({}, {"own_share": 0.5}, {"k": 100})  # the first is that published for TaFeng
SHARES = (None, 0.3, 0.5, 0.7, 1.0)


def split_log() -> rs.Split:
    config = configs.read_config(LOG)
    dataset = rs.load_dataset(LOG, quiet=True)
    filtering = {name: getattr(config.filter, name) for name in ("min_user_interactions", "min_item_interactions")}
    return rs.splits.hold_out_repeats(rs.splits.global_time(dataset, test=0.2, validation=0.1, **filtering), dataset)


def judge_slates(items: np.ndarray, truth: rs.GroundTruth) -> dict[str, np.ndarray]:
    """Return each metric of each user."""
    slates = rs.Evaluation(np.asarray(items[:, :K], dtype=np.int32), truth)
    return {name: getattr(metrics, name)(slates, K).values for name in METRICS}


def build_every_repeats(view: rs.Split) -> dict[str, RepeatHistories]:
    """Return what users may buy again by each score, and with durables held back, which all runs are judged by."""
    bought = view.train_purchases
    start, end = view.cuts[-2:]
    window = (end - start) / DAY
    model = evidence.fit_repurchases(bought, evidence.categorize_items(view.items))
    chances = evidence.predict_repurchases(model, bought, start, window)
    gaps = {"median_gaps": evidence.measure_median_gaps(model), "window_days": window}
    made = {"frequency": evidence.build_repeats(bought)}
    made["frequency, durables held back"] = evidence.build_repeats(bought, **gaps)
    made["half-life of 120 days"] = evidence.build_repeats(bought, half_life=120.0)
    made["hazard"] = evidence.build_repeats(bought, probabilities=chances)
    made["hazard, durables held back"] = evidence.build_repeats(bought, probabilities=chances, **gaps)
    return made


def iter_runs(view: rs.Split) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """Yield the family and the settings of each run, and its metrics."""
    side = view.side_information
    repeats = build_every_repeats(view)
    truth = rs.GroundTruth(view, repeats=repeats["hazard, durables held back"])
    base_settings = configs.read_config(LOG).model
    base = base_settings.build_model("[model]").fit(view.train, side)
    pool = rs.candidates(base, view, n=200)
    yield "hide_met", "", judge_slates(pool.items, truth)
    yield "keep_met", "", judge_slates(rs.candidates(base, view, n=K, exclude_seen=False).items, truth)
    for half_life in HALF_LIVES:
        model = rs.models.TopFrequency(half_life=half_life).fit(view.train, side)
        items = rs.candidates(model, view, n=K, exclude_seen=False).items
        yield "top_frequency", f"half_life {half_life or 'none'}", judge_slates(items, truth)
    for settings in TIFU:
        model = rs.models.TifuKNN(**settings).fit(view.train, side)
        items = rs.candidates(model, view, n=K, exclude_seen=False).items
        said = ", ".join(f"{name} {value}" for name, value in settings.items()) or "of TaFeng"
        yield "tifu_knn", said, judge_slates(items, truth)
    for score, histories in repeats.items():
        joined = add_repeats(pool, base, histories)
        for share in SHARES:
            slates = rs.rerank(joined, {"relevance": 1}, K, scale=None, guards=[repeat(share)])
            family = "slots of own share" if share is None else f"slots of share {share:g}"
            yield family, score, judge_slates(slates.items, truth)


def compute_limits(values: np.ndarray, other: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """Return the 95 % limits of the mean over users of a metric, or of its difference to another run's."""
    there = ~np.isnan(values) & ~np.isnan(other)
    weights = draws[:, there]
    means = (weights @ (values[there] - other[there])) / weights.sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def find_chosen(found: Mapping[tuple[str, str], Mapping[str, np.ndarray]]) -> set[tuple[str, str]]:
    """Return the run of each family with the most purchases per slot on validation."""
    best: dict[str, tuple[str, str]] = {}
    for run, values in found.items():
        now = best.get(run[0])
        if now is None or np.nanmean(values["precision"]) > np.nanmean(found[now]["precision"]):
            best[run[0]] = run
    return set(best.values())


def measure_rows(split: rs.Split) -> Iterator[dict[str, Any]]:
    chosen: set[tuple[str, str]] = set()
    for part in ("validation", "test"):
        view = split.validation_view() if part == "validation" else split.test_view()
        found = {(family, settings): values for family, settings, values in iter_runs(view)}
        chosen = chosen or find_chosen(found)
        draws = make_generator(0, "repeats").multinomial(
            len(view.user_ids), np.full(len(view.user_ids), 1 / len(view.user_ids)), DRAWS
        )
        against = found[next(run for run in chosen if run[0] == "top_frequency")]
        for run, values in found.items():
            row: dict[str, Any] = {"part": part, "run": run[0], "settings": run[1], "chosen": int(run in chosen)}
            row["users"] = int((~np.isnan(values["precision"])).sum())
            for name, of_users in values.items():
                low, high = compute_limits(of_users, np.zeros(len(of_users)), draws)
                row |= {name: np.nanmean(of_users), f"{name}_low": low, f"{name}_high": high}
            low, high = compute_limits(values["precision"], against["precision"], draws)
            difference = np.nanmean(values["precision"] - against["precision"])
            yield row | {"versus_precision": difference, "versus_low": low, "versus_high": high}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{v:.6f}" if isinstance(v, float) else v for name, v in row.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "repeats.csv", help="the file to write")
    rows: list[dict[str, Any]] = []
    for row in measure_rows(split_log()):
        rows.append(row)
        write_rows(parser.parse_args().out, rows)
        said = ", ".join(f"{name} {row[name]:.4f}" for name in METRICS)
        print(f"{row['part']} {row['run']} {row['settings']}: {said}", flush=True)


if __name__ == "__main__":
    main()
