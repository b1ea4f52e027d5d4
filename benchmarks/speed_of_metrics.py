"""How fast metrics are, beside RecTools: `python benchmarks/speed_of_metrics.py`.

RecTools is installed from its package into an environment that is removed at the end, and gets the same slates as data
frames that are there already; its time is that of `calc_metrics`, ours that of `recsys.scores.compute_metrics`, checks
of the slates included. Values have to agree to 1e-9 in the same run, else there is no ratio and the exit code is 1.
Metrics are those of the default benchmark that both define alike (k = 10), and the mean number of features in which
items of a slate differ (k = 50, fewer users: every pair of items is a row of a data frame there). Writes
`benchmarks/results/speed_of_metrics.csv`.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import speeds
from agreement import VERSIONS, create_environment
from speeds import Row, print_row, time_side_by_side, time_work

from recsys.metrics import presets
from recsys.scores import compute_metrics
from recsys.types import Evaluation, GroundTruth, Split
from recsys.types.arrays import Ints

RESULTS = Path(__file__).parent / "results" / "speed_of_metrics.csv"
PEER_SIDE = Path(__file__).parent / "peers" / "speed_of_rectools.py"
USERS, FEW, ITEMS = 100_000, 2_000, 5_000
TOLERANCE = 1e-9
SHARED_METRICS = {
    "hit_rate": "HitRate",
    "mrr": "MRR",
    "ndcg": "NDCG(divide_by_achievable=True)",
    "precision": "Precision",
    "recall": "Recall",
    "coverage": "CatalogCoverage(normalize=True)",
}
Ours = Callable[[], dict[str, float]]


@contextmanager
def run_rectools(python: Path, split: Split, slates: Ints) -> Iterator[Callable[[str], tuple[float, dict[str, float]]]]:
    """Yield a function that asks RecTools for a set of metrics: seconds and values."""
    users, k = slates.shape
    ranked = [np.repeat(np.arange(users), k), slates.ravel(), np.tile(np.arange(1, k + 1), users)]
    held = split.test.tocoo()
    with tempfile.TemporaryDirectory() as name:
        told, features = Path(name) / "given.npz", split.items.features.toarray().astype(int)
        np.savez(told, slates=ranked, test=[held.row, held.col], features=features, k=k)
        command = [python, "-I", PEER_SIDE, told]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

            def ask(which: str) -> tuple[float, dict[str, float]]:
                print(which, file=process.stdin, flush=True)
                answer = json.loads(process.stdout.readline())
                return answer["seconds"], answer["values"]

            yield ask
            process.stdin.close()


def compare_speed(
    python: Path, which: str, what: str, split: Split, k: int, ours: Ours, target: float, rounds: int, floor: str
) -> Row:
    """Return a row, or end where values differ."""
    with run_rectools(python, split, speeds.draw_slates(split, k)) as ask:
        mine, their = ours(), ask(which)[1]
        for name, value in mine.items():
            if not abs(value - their[name]) <= TOLERANCE:
                raise SystemExit(f"{name}: ours is {value!r}, theirs {their[name]!r}")
        one, other, ratio = time_side_by_side(lambda: time_work(ours), lambda: ask(which)[0], rounds)
    return Row(what, one, other, "s", ratio, target, "min", floor)


def compare_accuracy(python: Path, rounds: int) -> Row:
    split = speeds.draw_split(USERS, ITEMS)
    slates = speeds.draw_slates(split, 10)

    def ours() -> dict[str, float]:
        found = compute_metrics(slates, GroundTruth(split), list(SHARED_METRICS), [10])
        return {SHARED_METRICS[name.partition("@")[0]]: value for name, value in found.items()}

    what = f"{', '.join(SHARED_METRICS)}; {USERS:,} users, k = 10; theirs is RecTools"
    floor = f"{slates.nbytes + split.test.indices.nbytes:,} B of slates and positives"
    return compare_speed(python, "accuracy", what, split, 10, ours, 20.0, rounds, floor)


def compare_diversity(python: Path, rounds: int) -> Row:
    split = speeds.draw_split(FEW, ITEMS)
    slates = speeds.draw_slates(split, 50)

    def ours() -> dict[str, float]:
        found = presets.rectools["IntraListDiversity"](Evaluation(slates, GroundTruth(split)), 50)
        return {"IntraListDiversity": float(found.values.mean())}

    n = split.items.features.shape[1]
    what = f"intra-list distance by differing features; {FEW:,} users, k = 50; theirs is RecTools"
    floor = f"{slates.nbytes:,} B of slates, {FEW * n * 51:,} multiply-adds"
    return compare_speed(python, "diversity", what, split, 50, ours, 100.0, rounds, floor)


def main() -> None:
    """Measure, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    with create_environment(f"rectools=={VERSIONS['rectools']}") as python:
        found = [print_row(side(python, settings.rounds)) for side in (compare_accuracy, compare_diversity)]
    speeds.write_speed_rows(found, settings.out, f"rectools {VERSIONS['rectools']}")


if __name__ == "__main__":
    main()
