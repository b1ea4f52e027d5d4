"""What a half-life of evidence is worth: chosen on validation under a global time split, read on test, beside none.

Three logs, the filter of their configs, split at two points in time (10 % of the positives validation, 20 % test). Each
model is fitted under every half-life to train and judged on validation, then to train and validation and judged on
test: NDCG@10, a mean over the users who have held-out positives, of the exact ranking of all items that are new to a
user. `choice` marks the half-life that validation chooses (`recsys.choose_half_life`), `choice_of_all` what it chooses
of half-lives and of pairs of a long and a short one. The differences of each to no half-life, and to that of `choice`,
on test have 95 % percentile intervals of 1,000 draws of users. Models have their default settings (als 32 factors), the
same under every half-life. Written to results/half_life.csv after each model, in the order below.
`python benchmarks/half_life.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys import configs
from recsys.experiments.half_lives import HALF_LIVES, compute_user_ndcg
from recsys.support.rng import make_generator
from recsys.types.time_weights import SHORT_SHARE

RESULTS = Path(__file__).parent / "results"
SPEEDS = ((365.0, 7.0), (365.0, 30.0), (90.0, 7.0))  # a long half-life and a short one, half of a weight each
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
    model, singles = MODELS[name], (None, *sorted(HALF_LIVES, reverse=True))
    lives = (*((h, None) for h in singles), *SPEEDS)

    def judge(view: rs.Split, life: tuple[float | None, float | None]) -> np.ndarray:
        return compute_user_ndcg(model, view, life[0], K, None, life[1])

    on_validation = [np.nanmean(judge(split.validation_view(), life)) for life in lives]
    on_test = [judge(split.test_view(), life) for life in lives]
    judged = np.flatnonzero(~np.isnan(on_test[0]))
    draws = make_generator(0, "half_life", log).integers(0, len(judged), (DRAWS, len(judged)))
    chosen = int(np.argmax(on_validation[: len(singles)]))
    for life, known, found in zip(lives, on_validation, on_test, strict=True):
        told = {}
        for what, other in (("to_none", 0), ("to_choice", chosen)):
            apart = (found - on_test[other])[judged]
            low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
            told |= {what: f"{apart.mean():.5f}", f"{what}_low": f"{low:.5f}", f"{what}_high": f"{high:.5f}"}
        yield {
            "log": log,
            "model": name,
            "half_life": name_life(*life),
            "choice": int(life == lives[chosen]),
            "choice_of_all": int(life == lives[int(np.argmax(on_validation))]),
            "ndcg_validation": f"{known:.5f}",
            "ndcg_test": f"{np.mean(found[judged]):.5f}",
            **told,
            "users": len(judged),
        }


def name_life(half_life: float | None, short: float | None) -> str:
    """Return the name of a half-life, or of two speeds."""
    if half_life is None:
        return "none"
    return f"{half_life:g}" if short is None else f"{half_life:g} and {short:g}, {SHORT_SHARE:.0%}"


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
            print(*(f"{row['log']} {name} {row['half_life']}: {row['ndcg_test']}" for row in rows[-8:]), sep="\n")


if __name__ == "__main__":
    main()
