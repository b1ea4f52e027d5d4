"""EASE in both precisions: `python benchmarks/ease.py`; writes `benchmarks/results/ease.csv`.

Each fit is a process of its own: `peak_mb` is the peak of its resident set less what it was before the fit, `need_mb`
what `EASE.need` says. MovieLens 100K stands beside made-up logs of more items. `score_difference` is the largest
difference to float64 between scores of 100 users, over their standard deviation. Linux only.
"""

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from recsys import data
from recsys.models import EASE
from recsys.reproductions.protocols import build_setup
from recsys.reproductions.published_settings import Protocol
from recsys.reproductions.run import evaluate_model
from recsys.support.atomic_files import replace_file
from recsys.types import Dataset

DATA = ("ml-100k", "made-up-2000", "made-up-5000")
COLUMNS = ("data", "items", "dtype", "need_mb", "peak_mb", "seconds", "ndcg@20", "score_difference")


def draw_topic_log(items: int, users: int = 6_000, each: int = 40) -> Dataset:
    """Return a log of 40 topics: users like those of three, and popular items first."""
    rng = np.random.default_rng(items)
    topic, popularity = rng.integers(40, size=items), 1.0 / np.arange(1, items + 1) ** 0.7
    chances = popularity * np.where((topic == rng.integers(40, size=(users, 3, 1))).any(axis=1), 1.0, 0.02)
    picks = np.argsort(np.log(rng.random((users, items))) / chances, axis=1)[:, -each:]
    return data.read_frame({"user_id": np.repeat(np.arange(users), each), "item_id": picks.ravel()}, name="made up")


def read_memory(what: str) -> int:
    """Return a line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def measure_fit(name: str, dtype: str, scores: Path) -> None:
    """Fit once and print a row but for its last column."""
    dataset = data.load_dataset(name, quiet=True) if name == "ml-100k" else draw_topic_log(int(name.rpartition("-")[2]))
    trial = build_setup(dataset, Protocol(kind="random_pairs", test=0.2), seed=0)
    model = EASE(dtype=dtype)
    model.fit(trial.fit_positives[:, :20])  # imports are not counted
    before, start = read_memory("VmRSS"), time.process_time()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
    fitted = model.fit(trial.fit_positives)
    seconds, peak = time.process_time() - start, read_memory("VmHWM") - before
    np.save(scores, fitted.score(np.arange(100, dtype=np.int32)))
    ndcg, _ = evaluate_model(fitted, trial, ["ndcg@20"], seed=0)["ndcg@20"]
    need = model.estimate_memory(trial.fit_positives).peak
    print(
        name,
        trial.fit_positives.shape[1],
        dtype,
        f"{need / 1e6:.0f}",
        f"{peak / 1e6:.0f}",
        f"{seconds:.1f}",
        f"{ndcg:.4f}",
        sep=",",
    )


def main() -> None:
    """Run each in a process of its own and write."""
    rows = [COLUMNS]
    with tempfile.TemporaryDirectory() as folder:
        for name in DATA:
            made = {}
            for dtype in ("float64", "float32"):
                made[dtype] = Path(folder) / f"{name}-{dtype}.npy"
                row = subprocess.check_output([sys.executable, __file__, name, dtype, str(made[dtype])], text=True)
                one, other = np.load(made["float64"]), np.load(made[dtype])
                rows.append((*row.strip().split(","), f"{np.abs(one - other).max() / one.std():.1e}"))
                print(*rows[-1])
    path = Path(__file__).parent / "results" / "ease.csv"
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    measure_fit(sys.argv[1], sys.argv[2], Path(sys.argv[3])) if sys.argv[1:] else main()
