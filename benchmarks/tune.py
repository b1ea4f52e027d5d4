"""Settings of every model, searched on validation with the same budget: `python benchmarks/tune.py [TRIALS]`.

For ml-100k and ml-latest-small under the split of their configs, each model gets the same number of trials: points
of a scrambled Sobol sequence over its ranges (scipy), judged by nDCG@10 on validation, never on test. Every trial is
kept in `benchmarks/results/tuning-<dataset>.csv`, best first within a model. A dataset that cannot be had is left
out, and said.

The ranges of iALS were revised once, after a first search of 32 trials each had been looked at (there, on ml-100k:
ALS .1630, iALS .1615, EASE .1647): iALS had one look at validation more than the others.
"""

import csv
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import qmc

import recsys
from recsys import configs, metrics, models
from recsys.experiments import preparations
from recsys.files import replacing
from recsys.pools import candidates
from recsys.progress import progress
from recsys.types import Evaluation, RecsysError, Split, Yardstick

RESULTS = Path(__file__).parent / "results"
SEED = 0
Range = tuple[str, float, float] | tuple[str, tuple[str, ...]]
WEIGHTING: Range = ("one", ("cosine", "tfidf", "bm25"))
SPACES: dict[str, dict[str, Range]] = {
    "als": {"factors": ("whole", 16, 256), "regularization": ("log", 0.5, 200), "alpha": ("log", 1.2, 60)},
    "ials": {
        "factors": ("whole", 16, 256),
        "regularization": ("log", 1e-3, 0.3),
        "unobserved": ("log", 0.03, 3.0),
        "nu": ("real", 0.5, 1.0),
    },
    "ease": {"l2": ("log", 5, 5000)},
    "item_knn": {"k": ("whole", 5, 1000), "shrink": ("log", 0.1, 500), "similarity": WEIGHTING},
    "user_knn": {"k": ("whole", 5, 500), "shrink": ("log", 0.1, 500), "similarity": WEIGHTING},
    "pure_svd": {"factors": ("whole", 4, 256)},
    "p3alpha": {"alpha": ("real", 0.0, 2.0), "k": ("whole", 5, 1000)},
    "rp3beta": {"alpha": ("real", 0.0, 2.0), "beta": ("real", 0.0, 1.0), "k": ("whole", 5, 1000)},
    "bpr": {
        "factors": ("whole", 8, 128),
        "learning_rate": ("log", 0.003, 0.3),
        "regularization": ("log", 1e-4, 0.3),
        "iterations": ("whole", 20, 300),
    },
    "lmf": {
        "factors": ("whole", 8, 64),
        "learning_rate": ("log", 0.1, 3.0),
        "regularization": ("log", 0.05, 5.0),
        "iterations": ("whole", 10, 60),
    },
}  # fmt: skip


def points(space: dict[str, Range], trials: int) -> list[dict[str, float | int | str]]:
    """Return settings spread evenly over `space`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # balanced for powers of 2 only
        spread = qmc.Sobol(len(space), rng=np.random.default_rng(SEED)).random(trials)
    return [{name: setting(range_, u) for (name, range_), u in zip(space.items(), row, strict=True)} for row in spread]


def setting(range_: Range, u: float) -> float | int | str:
    """Return the setting at the share `u` of a range; whole numbers are spread logarithmically."""
    if range_[0] == "one":
        return range_[1][int(u * len(range_[1]))]
    _, low, high = range_
    if range_[0] == "real":
        return float(f"{low + u * (high - low):.3g}")
    value = np.exp(np.log(low) + u * np.log(high / low))
    return round(value) if range_[0] == "whole" else float(f"{value:.3g}")


def judge(kind: str, settings: dict[str, float | int | str], split: Split) -> float:
    """Return nDCG@10 on the split's test part, which is validation here; 0 where the fit fails (BPR can diverge)."""
    try:
        fitted = models.named(kind)(**settings).fit(split.train, split.side)
    except RecsysError:
        return 0.0
    pool = candidates(fitted, split, n=10, maps=())
    return float(np.nanmean(metrics.ndcg(Evaluation(pool.items, Yardstick(split)), 10).values))


def search(name: str, trials: int) -> list[list[object]]:
    """Return a row per trial of every model on one dataset."""
    config = configs.read(name)
    split = preparations.split(config, preparations.load(config)).for_choosing()
    rows: list[list[object]] = []
    with progress() as bars:
        task = bars.add_task(name, total=trials * len(SPACES))
        for kind, space in SPACES.items():
            found = []
            for settings in points(space, trials):
                start = time.perf_counter()
                value = judge(kind, settings, split)
                found.append((value, settings, time.perf_counter() - start))
                bars.advance(task)
            found.sort(key=lambda one: -one[0])
            rows += [[name, kind, rank, f"{v:.5f}", f"{s:.2f}", text(at)] for rank, (v, at, s) in enumerate(found, 1)]
            print(f"{name} {kind}: {found[0][0]:.4f} with {text(found[0][1])}", flush=True)
    return rows


def text(settings: dict[str, float | int | str]) -> str:
    """Return settings as a config would say them."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def main() -> None:
    """Search and write."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 48
    for name in ("ml-100k", "ml-latest-small"):
        try:
            rows = search(name, trials)
        except RecsysError as error:
            print(f"{name} is left out: {error}")
            continue
        with replacing(RESULTS / f"tuning-{name}.csv") as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["dataset", "model", "rank", "ndcg@10 on validation", "seconds", "settings"])
            table.writerows(rows)
    print(f"recsys {recsys.__version__}")


if __name__ == "__main__":
    main()
