"""What a half-life of evidence is worth: chosen on validation under a global time split, read on test, beside none.

Three logs, the filter of their configs, split at two points in time (10 % of the positives validation, 20 % test). Each
model is fitted under every half-life to train and judged on validation, then to train and validation and judged on
test: NDCG@10, a mean over the users who have held-out positives, of the exact ranking of all items that are new to a
user. `choice` marks the half-life that validation chooses (`recsys.choose_half_life`), and the difference of each
half-life to none on test has a 95 % percentile interval of 1,000 draws of users. Models have their default settings
(als 32 factors), the same under every half-life. Written to results/half_life.csv after each model, in the order below.
`python benchmarks/half_life.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import recsys as rs
from recsys import configs
from recsys.experiments.half_lives import HALF_LIVES, compute_user_ndcg
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator

RESULTS = Path(__file__).parent / "results"
LOGS, K, DRAWS = ("ml-100k", "ml-latest-small", "online-retail-ii"), 10, 1000
MODELS = {
    "most_popular": rs.models.MostPopular(),
    "item_knn": rs.models.ItemKNN(),
    "ease": rs.models.EASE(),
    "rp3beta": rs.models.RP3beta(),
    "als": rs.models.ALS(factors=32),
}


def split_log(name: str) -> rs.Split:
    """Return the split of a log at two points in time, by the filter of its config."""
    config = configs.read_config(name)
    return rs.splits.global_time(
        rs.load_dataset(name, quiet=True), **config.filter.model_dump(), test=0.2, validation=0.1
    )


def measure_model(log: str, split: rs.Split, name: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each half-life of a model: what validation says, and what test says beside none."""
    model, lives = MODELS[name], (None, *sorted(HALF_LIVES, reverse=True))
    on_validation = [np.nanmean(compute_user_ndcg(model, split.validation_view(), h, K)) for h in lives]
    on_test = [compute_user_ndcg(model, split.test_view(), h, K) for h in lives]
    judged = np.flatnonzero(~np.isnan(on_test[0]))
    draws = make_generator(0, "half_life", log).integers(0, len(judged), (DRAWS, len(judged)))
    for life, known, found in zip(lives, on_validation, on_test, strict=True):
        apart = (found - on_test[0])[judged]
        low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
        yield {
            "log": log,
            "model": name,
            "half_life": "none" if life is None else f"{life:g}",
            "choice": int(known == max(on_validation) and life == lives[int(np.argmax(on_validation))]),
            "ndcg_validation": f"{known:.5f}",
            "ndcg_test": f"{np.mean(found[judged]):.5f}",
            "to_none": f"{apart.mean():.5f}",
            "to_none_low": f"{low:.5f}",
            "to_none_high": f"{high:.5f}",
            "users": len(judged),
        }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write all rows so far."""
    with replace_file(path) as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measure every model on every log, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", nargs="*", default=LOGS, choices=LOGS)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--out", type=Path, default=RESULTS / "half_life.csv")
    wanted, rows = parser.parse_args(), list[dict[str, Any]]()
    for log in wanted.logs:
        split = split_log(log)
        for name in wanted.models:
            rows += measure_model(log, split, name)
            write_rows(wanted.out, rows)
            print(*(f"{row['log']} {name} {row['half_life']}: {row['ndcg_test']}" for row in rows[-5:]), sep="\n")


if __name__ == "__main__":
    main()
