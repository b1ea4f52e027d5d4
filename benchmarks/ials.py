"""How long `IALS` takes to the training loss that `implicit`'s ALS ends at: `python benchmarks/ials.py`.

A made-up log of the size of MovieLens 1M's positives; both with two threads, the same objective (nu = 0; ours is
theirs but for the scale), 15 iterations of theirs with its default solver. Ours is the whole of `fit`, its exact
last half step included, with the smallest number of epochs whose loss is no higher. Rounds alternate; medians.
Processor time is that of all threads, and suffers less from other work on the machine. Writes
`benchmarks/results/ials.csv`.
"""

import argparse
import csv
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.models import IALS
from recsys.models.factor_model import compute_loss
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment
from recsys.support.rng import make_generator
from recsys.types import Factors
from recsys.types.arrays import Csr

RESULTS = Path(__file__).parent / "results" / "ials.csv"
USERS, ITEMS, LIKES, TASTES = 6040, 3706, 575_000, 24
ALPHA0, THREADS, ITERATIONS = 0.3, 2, 15
ALPHA = 1 + 1 / ALPHA0  # their confidence of a like; their regularization is ours times ALPHA
REGULARIZATIONS = (50.0, 5.0)  # theirs; 50 is about the best on MovieLens 1M with 64 factors


def draw_likes() -> Csr:
    """Return likes drawn without replacement by popularity (Zipf-Mandelbrot) and taste (of rank 24)."""
    rng = make_generator(0, "benchmark", "ials")
    popularity = rng.permutation(-0.9 * np.log(np.arange(ITEMS) + 15.0))
    spread = 1 / np.sqrt(1 + np.arange(TASTES))
    taste = 1.43 * rng.standard_normal((USERS, TASTES)) * spread / np.linalg.norm(spread)
    kind = rng.standard_normal((ITEMS, TASTES))
    activity = np.exp(0.9 * rng.standard_normal(USERS))
    counts = np.clip(activity / activity.mean() * LIKES / USERS, 10, ITEMS // 3)
    counts = np.maximum(10, counts * LIKES / counts.sum()).astype(np.int64)
    rows = []
    for user in range(USERS):
        utility = popularity + kind @ taste[user] + rng.gumbel(size=ITEMS)
        rows.append(np.sort(np.argpartition(-utility, counts[user])[: counts[user]]))
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return Csr((np.ones(pointers[-1], np.float32), np.concatenate(rows).astype(np.int32), pointers), (USERS, ITEMS))


def fit_implicit(train: Csr, d: int, regularization: float, alpha: float = ALPHA) -> AlternatingLeastSquares:
    settings = {"alpha": alpha, "num_threads": THREADS, "iterations": ITERATIONS, "random_state": 0}
    with threadpool_limits(1, user_api="blas"):  # as the library asks for
        model = AlternatingLeastSquares(factors=d, regularization=regularization, use_gpu=False, **settings)
        model.fit(sparse.csr_matrix(train), show_progress=False)
    return model


def rescale_factors(model: AlternatingLeastSquares, regularization: float) -> Factors:
    scale = np.float32(np.sqrt(1 + ALPHA0))
    users, items = model.user_factors / scale, model.item_factors / scale
    return Factors(users, items, users.mean(axis=0), ALPHA0, 1.0, 1.0, 0.0, regularization / ALPHA, 0.0)


def find_enough_epochs(model: IALS, train: Csr, target: float) -> IALS:
    """Return the model with the smallest number of epochs whose loss is at most `target`."""
    losses = np.asarray(replace(model, iterations=2 * ITERATIONS).fit(train).losses).sum(axis=1)
    epochs = int(np.argmax(losses <= target)) + 1 if (losses <= target).any() else len(losses)
    while epochs > 1 and compute_training_loss(replace(model, iterations=epochs - 1), train) <= target:
        epochs -= 1
    found = replace(model, iterations=epochs)
    if compute_training_loss(found, train) > target:
        raise SystemExit(f"{found} does not reach the loss {target}")
    return found


def compute_training_loss(model: IALS, train: Csr) -> float:
    return compute_loss(model.fit(train, n_threads=THREADS).factors, train).total


def time_run(run: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    start = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def compare_times(train: Csr, d: int, regularization: float, rounds: int) -> list[tuple[object, ...]]:
    target = compute_loss(rescale_factors(fit_implicit(train, d, regularization), regularization), train).total
    base = IALS(factors=d, unobserved=ALPHA0, regularization=regularization / ALPHA, nu=0.0)
    model = find_enough_epochs(base, train, target)
    seconds = np.array(
        [
            (
                time_run(lambda: model.fit(train, n_threads=THREADS)),
                time_run(lambda: fit_implicit(train, d, regularization)),
            )
            for _ in range(rounds)
        ]
    )
    (wall, processor), (their_wall, their_processor) = np.median(seconds, axis=0)
    name = f"d = {d}, regularization {regularization:g}: "
    return [
        (name + "wall time to their final loss", *_format_row(wall, their_wall, "s", 1.0)),
        (name + "processor time to their final loss", *_format_row(processor, their_processor, "s", None)),
        (name + "training loss", *_format_row(compute_training_loss(model, train), target, "loss", 1.0)),
        (name + "epochs", *_format_row(model.iterations, ITERATIONS, "epochs", None)),
    ]


def _format_row(ours: float, their: float, unit: str, target: float | None) -> tuple[object, ...]:
    return f"{ours:.6g}", f"{their:.6g}", unit, f"{ours / their:.6f}", "" if target is None else target, "max"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    train = draw_likes()
    IALS(factors=8, iterations=1).fit(train)  # the kernel is compiled once per installation: not counted
    rows = []
    for d in settings.factors:
        for regularization in REGULARIZATIONS:
            for row in compare_times(train, d, regularization, settings.rounds):
                print(*row, sep="\t", flush=True)
                rows.append(row)
    packages = ("implicit", "numba", "numpy", "recsys-negspace", "scipy")
    versions = " ".join(f"{name} {version(name)}" for name in packages)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    commit = describe_environment(0, "")["git_commit"]
    with replace_file(settings.out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["what", "ours", "theirs", "unit", "ratio", "target", "direction", "machine", "versions", "commit"]
        )
        table.writerows((*row, machine, versions, commit) for row in rows)


if __name__ == "__main__":
    main()
