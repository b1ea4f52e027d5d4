"""Trials per second of a sweep whose trials change a blend only, and its memory: `python benchmarks/sweeps.py`.

1,000 trials of one blend over MovieLens 100K (configs/ml-100k.toml), goals nDCG@10 and discovery@10, with the default
sampler and storage. The clock starts after the first trial, which loads or computes what all of them share. Writes
`benchmarks/results/sweeps.csv`.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from speeds import write_figures

from recsys.experiments.pipeline import prepare_benchmark
from recsys.support.threads import limit_to_one_blas_thread
from recsys.sweeps import plans, studies
from recsys.sweeps.trial_evaluator import build_trial_evaluator
from recsys.sweeps.trial_search import build_trial_function

RESULTS = Path(__file__).parent / "results" / "sweeps.csv"
BLENDS = {
    "unexplored and novelty": "unexplored = { float = [0.01, 1.0], log = true }\nnovelty = { float = [-0.3, 0.3] }",
    "mmr": "diversity = { float = [0.01, 1.0], log = true }",
    "negative space, its dial too": (
        "negative_space = { weight = { float = [0.01, 1.0], log = true }, tau = { float = [0.0, 1.0] } }"
    ),
}
SWEEP = 'extends = "ml-100k"\n[sweep]\ntrials = {trials}\n[blends.wider]\nrelevance = 1.0\n{blend}\n'


def measure_sweep(blend: str, trials: int, folder: Path) -> tuple[float, int, int]:
    """Return the seconds of all trials but the first, and the peak memory (bytes) after a tenth and at the end."""
    file = folder / "sweep.toml"
    file.write_text(SWEEP.format(trials=trials, blend=blend), encoding="utf-8")
    peaks: list[int] = []
    with limit_to_one_blas_thread():
        first = plans.read_sweep(file, trials=1)
        (method,) = first.methods
        shop = build_trial_evaluator(
            prepare_benchmark(first.base_config(), quiet=True, log_line=lambda line: None), first.metrics
        )
        judge, base = build_trial_function(method, shop), shop.evaluate_config(first.base_config())
        with studies.open_studies(str(folder / "study.journal"), first, "benchmark") as opened:
            (study,) = opened.values()
            studies.run_trials(study, first, method, judge, base, lambda completed: None)
            start = time.perf_counter()
            for total in (trials // 10, trials):
                plan = plans.read_sweep(file, trials=total)
                studies.run_trials(study, plan, method, judge, base, lambda completed: None)
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
            seconds = time.perf_counter() - start
    return seconds, peaks[0], peaks[1]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--blends", nargs="*", default=list(BLENDS), choices=list(BLENDS))
    settings = parser.parse_args()
    rows: list[list[object]] = []
    for name in settings.blends:
        with tempfile.TemporaryDirectory() as folder:
            seconds, early, late = measure_sweep(BLENDS[name], settings.trials, Path(folder))
        rate = (settings.trials - 1) / seconds
        rows.append([f"{name}: trials per second", f"{rate:.2f}", "1/s", 5, "min"])
        rows.append(
            [f"{name}: peak memory at the end over that after a tenth", f"{late / early:.3f}", "ratio", 1.2, "max"]
        )
        print(*rows[-2:], sep="\n", flush=True)
    write_figures(rows, RESULTS)


if __name__ == "__main__":
    main()
