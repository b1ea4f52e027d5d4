"""Whether history features of a likelihood earn anything where positives count by their age: on validation alone.

A log is split at two points in time, as in `half_life.py`, and ages by the half-life that validation chose there for
its model (results/half_life.csv). The model is fitted to train, and a likelihood to validation likes among its 200
best candidates, out of fold over users: once with the features of the package, which count a history alike, and once
with `history_max`, `history_top3`, `history_mean` and `region_lift` weighted by age in their place: cosines times
their weights, a weighted mean, and regions counted by weight. nDCG@10 on validation of both orders, out of fold, and
of their difference a 95 % percentile interval of 1,000 draws of users. Test is not looked at. Written to
results/aged_likelihood.csv. `python benchmarks/aged_likelihood.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from half_life import split_log

import recsys as rs
from recsys.likelihoods import features as functions
from recsys.likelihoods.applying import order_pool
from recsys.likelihoods.features import PRIOR, UserCandidates
from recsys.likelihoods.records import list_feature_names
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Evaluation, GroundTruth

RESULTS = Path(__file__).parent / "results"
LOGS, K, N, DRAWS = ("ml-100k", "ml-latest-small"), 10, 200, 1000
MODELS = {"als": rs.models.ALS(factors=32), "ease": rs.models.EASE()}
REPLACED = ("history_max", "history_top3", "history_mean", "region_lift")  # each by aged_NAME
WEIGHTS: dict[bytes, Any] = {}  # of the positives of each history, (h,), by its codes


def register_histories(split: rs.Split) -> None:
    """Keep the weights of the histories of a split for the features below."""
    rows = split.time_weights.weights
    WEIGHTS.clear()
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        order = np.argsort(rows.indices[start:stop])
        WEIGHTS[rows.indices[start:stop][order].astype(np.int32).tobytes()] = rows.data[start:stop][order]


def find_weights(user: UserCandidates) -> Any:
    """Return how much each positive of a history counts by its age, (h,)."""
    if not len(user.history):
        return np.zeros(0)
    return WEIGHTS[np.asarray(user.history, dtype=np.int32).tobytes()].astype(np.float64)


def compute_weighted_cosines(user: UserCandidates) -> Any:
    """Return the cosines of candidates and history times the weights, (N, h)."""
    vectors = user.shared.vectors.astype(np.float64)
    return vectors[user.items] @ vectors[user.history].T * find_weights(user)


def aged_history_max(user: UserCandidates) -> Any:
    """Return the largest weighted cosine to the history."""
    return compute_weighted_cosines(user).max(axis=1, initial=0.0 if not len(user.history) else -1.0)


def aged_history_top3(user: UserCandidates) -> Any:
    """Return the mean of the three largest weighted cosines to the history."""
    if not len(user.history):
        return np.zeros(len(user.items))
    return np.sort(compute_weighted_cosines(user), axis=1)[:, -3:].mean(axis=1)


def aged_history_mean(user: UserCandidates) -> Any:
    """Return the weighted mean of the cosines to the history."""
    return compute_weighted_cosines(user).sum(axis=1) / max(find_weights(user).sum(), 1e-30)


def aged_region_lift(user: UserCandidates) -> Any:
    """Return `region_lift` of the weighted history."""
    shares, weights = np.append(user.shared.region_shares, 1.0), find_weights(user)
    regions = user.shared.regions[user.history]
    repeated = np.repeat(weights, regions.shape[1])
    counts = np.bincount(regions.ravel(), repeated, len(shares))
    lift = np.log((counts + PRIOR * shares) / (shares * (weights.sum() + PRIOR)))
    lift[-1] = 0.0
    return lift[user.shared.regions[user.items]].mean(axis=1)


AGED: tuple[Callable[[UserCandidates], Any], ...] = (
    aged_history_max, aged_history_top3, aged_history_mean, aged_region_lift,
)  # fmt: skip


def compute_user_values(split: rs.Split, pool: rs.Pool, names: list[str]) -> Any:
    """Return nDCG of each user, (U,), of the likelihood's order out of fold; NaN without validation likes."""
    made = rs.fit_likelihood(pool, split, features=names)
    ranked = order_pool(pool, made, out_of_fold=True)
    slates = np.full((split.shape[0], K), -1, np.int32)
    slates[ranked.users] = ranked.items[:, :K]
    view = split.validation_view()
    return rs.metrics.ndcg(Evaluation(slates, GroundTruth(view)), K).values


def measure(log: str, name: str, half_life: float) -> dict[str, Any]:
    """Return the row of a log and a model."""
    split = split_log(log).with_half_life(half_life)
    view = split.validation_view()
    register_histories(view)
    fitted = MODELS[name].fit(view.train, view.side_information)
    pool = rs.candidates(fitted, view, n=N, maps=rs.maps.objective_maps(view.weighted_train))
    before = [one for one in list_feature_names() if not one.startswith("aged_")]
    after = [f"aged_{one}" if one in REPLACED else one for one in before]
    found = [compute_user_values(split, pool, names) for names in (before, after)]
    base = np.full((split.shape[0], K), -1, np.int32)
    base[pool.users] = pool.items[:, :K]
    plain = rs.metrics.ndcg(Evaluation(base, GroundTruth(view)), K).values
    judged = np.flatnonzero(~np.isnan(found[0]))
    apart = (found[1] - found[0])[judged]
    draws = make_generator(0, "aged likelihood", log).integers(0, len(judged), (DRAWS, len(judged)))
    low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
    values = [float(np.mean(one[judged])) for one in (plain, *found)]
    told = dict(zip(("base", "alike", "by_age"), values, strict=True))
    about = {"log": log, "model": name, "half_life": half_life, "users": len(judged)}
    return {**about, **told, "difference": apart.mean(), "low": low, "high": high}


def main() -> None:
    """Measure each model on each log, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "aged_likelihood.csv")
    out, rows = parser.parse_args().out, list[dict[str, Any]]()
    for function in AGED:  # a function of this module is a feature by its name
        setattr(functions, function.__name__, function)
        functions.__all__.append(function.__name__)
    chosen = pd.read_csv(RESULTS / "half_life.csv").query("choice == 1").set_index(["log", "model"]).half_life
    with limit_to_one_blas_thread():
        for name in MODELS:
            for log in LOGS:
                if chosen[log, name] == "none":
                    continue
                rows.append(measure(log, name, float(chosen[log, name])))
                print(rows[-1], flush=True)
                with replace_file(out) as temporary:
                    pd.DataFrame(rows).round(5).to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
