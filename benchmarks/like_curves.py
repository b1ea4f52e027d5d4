"""How likely picks are liked: the calibration error of probabilities, before and after a curve is fitted to validation.

Two logs, by the filter and the kind of split of their configs, with 15 % of the likes of each user in validation and as
many in test. The model is ALS with 32 factors. A curve and a logistic likelihood are fitted to validation likes and the
candidates of a model of train; picks are the ten best candidates of a model of train and validation, judged on test.
`range` is what a score says without a curve (0 to 1 within the candidates of a user), `curve` the like curve of the
score, `likelihood` the probability of the likelihood of kind "logistic", which orders the picks too. The expected
calibration error has 10 bins of equally many picks; intervals are of 1,000 draws of users, differences to `range` are
paired.

`widen` lets slates of ten grow up to twenty where less than one like is expected, and stands beside slates of ten, and
beside slates that are all as long as its mean, rounded up: the share of users with a like among the picks. Writes
results/like-curves.csv and results/like-curves-bins.csv (the reliability curves).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys import configs
from recsys.evidence import fit_like_curve
from recsys.evidence.like_curves import choose_slate_length, estimate_like_probabilities
from recsys.experiments.pipeline import prepare_benchmark
from recsys.maths.held_out import mark_held_out
from recsys.maths.reliability import measure_reliability
from recsys.metrics import expected_calibration_error
from recsys.objectives._score_transforms import transform_scores
from recsys.retrieval.candidates import candidates
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Pool, Split

RESULTS, HERE = Path(__file__).parent / "results", Path(__file__).parent
LOGS, K, WIDEST, DRAWS, N = ("ml-100k", "gowalla-10k"), 10, 20, 1000, 100
MODEL = rs.models.ALS(factors=32)
SHARE = 0.15  # of the likes, in validation and in test


def split_log(name: str) -> Split:
    """Return the split of a log by its config, with other shares."""
    path = HERE / "logs" / f"{name}.toml"
    config = configs.read_config(path if path.is_file() else name)
    section = config.split.model_copy(update={"validation": SHARE, "test": SHARE})
    changed = config.model_copy(update={"split": section})
    prepared = prepare_benchmark(changed, data_dir=None, quiet=True, log_line=lambda line: None)
    assert prepared.whole is not None
    return prepared.whole


def make_pool(split: Split) -> Pool:
    """Return the candidates of a model of the split's training data."""
    return candidates(MODEL.fit(split.train, split.side_information), split, n=N)


def compute_probabilities(split: Split) -> dict[str, tuple[Pool, np.ndarray, Pool, np.ndarray]]:
    """Return by name: the pool and the probabilities of validation, and those of test."""
    before, after = make_pool(split.validation_view()), make_pool(split.test_view())
    curve = fit_like_curve(before, split)
    likelihood = rs.fit_likelihood(before, split, kind="logistic", space="cooccurrence")
    settings: dict[str, Any] = {"even_if_worse": True}
    ranked = [rs.apply_likelihood(pool, likelihood, out_of_fold=pool is before, **settings) for pool in (before, after)]
    made: dict[str, Any] = {}
    for name, pools in {"range": (before, after), "curve": (before, after), "likelihood": ranked}.items():
        used = curve if name == "curve" else None
        parts: list[Any] = []
        for pool in pools:
            found = estimate_like_probabilities(used, pool.likelihood_kind, pool.scores)
            parts += [pool, transform_scores(pool, "range", 0.0, 0.0, "range") if found is None else found]
        made[name] = tuple(parts)
    return made


def measure_log(log: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rows of either table: of calibration, of bins, of widened slates."""
    split = split_log(log)
    made = compute_probabilities(split)
    for part, held_out, place in (("validation", split.validation, 0), ("test", split.test, 2)):
        truth = GroundTruth(replace(split, test=held_out))
        values = {}
        for name, of in made.items():
            pool, likely = of[place], of[place + 1]
            picks = np.full((len(split.user_ids), K), -1, np.int32)
            given = np.zeros(picks.shape)
            picks[pool.users], given[pool.users] = pool.items[:, :K], likely[:, :K]
            values[name] = expected_calibration_error(Evaluation(picks, truth, given), K).values
            liked = mark_held_out(pool.users, pool.items[:, :K], held_out)
            there = (pool.items[:, :K] >= 0) & (np.diff(held_out.indptr)[pool.users] > 0)[:, None]
            found = measure_reliability(likely[:, :K][there], liked[there])
            about = {"log": log, "part": part, "way": name}
            said = f"{found.mean_probability @ found.counts / found.counts.sum():.5f}"
            means = {"mean_probability": said, "share_liked": f"{liked[there].mean():.5f}"}
            yield "errors", about | summarize(values[name], values["range"]) | means
            for b, row in enumerate(zip(*found, strict=True)):
                rest = {"probability": f"{row[0]:.5f}", "liked": f"{row[1]:.5f}", "picks": row[2]}
                yield "bins", about | {"bin": b + 1} | rest
    yield "errors", from_widening(log, split, *made["curve"][2:], "widen")
    yield "errors", from_widening(log, split, *made["curve"][2:], "as long")


def from_widening(log: str, split: Split, pool: Pool, likely: np.ndarray, way: str) -> dict[str, Any]:
    """Return the share of users with a like in the slate, against slates of ten."""
    lengths = np.array([choose_slate_length(row, K, WIDEST) for row in likely])
    if way == "as long":
        lengths[:] = int(np.ceil(lengths.mean()))
    told = np.diff(split.test.indptr)[pool.users] > 0
    liked = mark_held_out(pool.users, pool.items[:, :WIDEST], split.test)[told]
    hit = (liked & (np.arange(WIDEST) < lengths[told, None])).any(axis=1).astype(float)
    ten = liked[:, :K].any(axis=1).astype(float)
    row = {"log": log, "part": "test", "way": f"{way}: hit rate, mean length {lengths.mean():.2f}"}
    return row | summarize(hit, ten) | {"mean_probability": "", "share_liked": ""}


def summarize(values: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Return the mean over users, and the difference to the base, with limits."""
    there = ~np.isnan(values)
    values, apart = values[there], values[there] - base[there]
    draws = make_generator(0, "like curves").integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    least, most = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
    return {
        "value": f"{values.mean():.5f}", "low": f"{low:.5f}", "high": f"{high:.5f}",
        "to_base": f"{apart.mean():.5f}", "to_base_low": f"{least:.5f}", "to_base_high": f"{most:.5f}",
        "users": len(values),
    }  # fmt: skip


def main() -> None:
    """Measure every log, and write both tables after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", nargs="*", default=LOGS, choices=LOGS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {"errors": [], "bins": []}
    for log in wanted.logs:
        for table, row in measure_log(log):
            rows[table].append(row)
            if table == "errors":
                print(*row.values(), flush=True)
        write_rows(wanted.out / "like-curves.csv", rows["errors"])
        write_rows(wanted.out / "like-curves-bins.csv", rows["bins"])


if __name__ == "__main__":
    main()
