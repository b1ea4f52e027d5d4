"""`IALS` beside `implicit`'s ALS, both tuned with the same budget: `python benchmarks/ials_tuned.py [--data DATA ...]`.

On the made-up log of `benchmarks/ials.py` and on DATA: names of datasets ("ml-1m" by default, left out where it cannot
be had), or tables of user_id,item_id. Ratings below 4 are no positives. A tenth of each user's positives, drawn at
random, is validation, and another is held out and never looked at. With each number of factors each model gets the
same number of points of a Sobol sequence over its ranges in `benchmarks/tune.py`; `implicit`'s ALS has 15 iterations
of its default solver, iALS its default 16. `results/ials-tuned-trials.csv` has every trial, `ials-tuned.csv` the best
with each number of factors, held against one another user by user. Those users also chose the settings.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import tune
from ials import draw_likes, fit_implicit
from tune import (
    COLUMNS,
    RESULTS,
    SPACES,
    Settings,
    Space,
    TuningTrial,
    compare_with_model,
    format_settings,
    search_models,
    write_table,
)

import recsys
from recsys import data
from recsys.models.factor_model import FittedFactors
from recsys.types import Dataset, Factors, RecsysError, Scorer, Split


def build_search_spaces(factors: int) -> dict[str, Space]:
    return {kind: {**SPACES[kind], "factors": ("one", (factors,))} for kind in ("als", "ials")}


def build_synthetic_dataset() -> Dataset:
    users, items = draw_likes().nonzero()
    return data.read_frame({"user_id": users.astype(str), "item_id": items.astype(str)})


def load_dataset(name: str) -> Dataset:
    return data.read_dataset(name) if Path(name).exists() else data.load_dataset(name)


def validation_view(dataset: Dataset) -> Split:
    """Return the split on which choices are made."""
    rated = len(np.unique(dataset.interactions.weight)) > 1
    positive = "rating >= 4" if rated else None
    return recsys.splits.random(dataset, positive=positive, validation=0.1, test=0.1).validation_view()


def fit_model(kind: str, settings: Settings, split: Split) -> Scorer:
    if kind == "ials":
        return tune.fit_model(kind, settings, split)
    d, regularization, alpha = (settings[name] for name in ("factors", "regularization", "alpha"))
    model = fit_implicit(split.train, d, regularization, alpha)
    typical = model.user_factors.mean(axis=0)
    return FittedFactors(
        Factors(model.user_factors, model.item_factors, typical, 1.0, alpha - 1.0, alpha, 0.0, regularization, 0.0)
    )


def compare_tuned(name: str, split: Split, trials: list[TuningTrial]) -> pd.DataFrame:
    """Return how the best iALS differs from the best ALS."""
    best = {trial.model: trial.settings for trial in trials if trial.rank == 1}
    row = compare_with_model(best, "als", split, fit_model)
    row.insert(0, "dataset", name)
    row["settings"], row["its settings"] = format_settings(best["ials"]), format_settings(best["als"])
    return row


def main() -> None:
    """Search and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=["ml-1m"])
    parser.add_argument("--factors", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    rows, tables = [], []
    for name in ("made up", *settings.data):
        try:
            dataset = build_synthetic_dataset() if name == "made up" else load_dataset(name)
        except RecsysError as error:
            print(f"{name} is left out: {error}")
            continue
        split = validation_view(dataset)
        about = f"{Path(name).stem}: {split.shape[0]} users, {split.shape[1]} items, {split.train.nnz} positives"
        for factors in settings.factors:
            trials = search_models(about, split, build_search_spaces(factors), settings.trials, fit_model)
            rows += [[about, *trial.format_row()] for trial in trials]
            tables.append(compare_tuned(about, split, trials))
    told = pd.concat(tables).round(6)
    write_table(settings.out / "ials-tuned-trials.csv", COLUMNS, rows)
    write_table(settings.out / "ials-tuned.csv", list(told), told.values.tolist())


if __name__ == "__main__":
    main()
