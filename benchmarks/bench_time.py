"""How long the main job takes and how much memory it needs: `python benchmarks/bench_time.py`.

Runs `recsys bench` in fresh processes with caches of their own: the first time ever (compilation and download
included), then with warm data and everything else cold, then with everything kept;
and `import recsys` with `rerank` and `Pool`.
Writes `benchmarks/results/bench_time.csv`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speeds import write_figures

RESULTS = Path(__file__).parent / "results" / "bench_time.csv"
COMMAND = [sys.executable, "-m", "recsys", "bench", "--quiet"]


def time_process(command: list[str], settings: dict[str, str], folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return seconds, usage.ru_maxrss / 1024


def time_import(runs: int = 7) -> float:
    """Return the median seconds, in a fresh process, of `import recsys` with what re-ranking needs of it."""
    what = "import recsys; recsys.rerank, recsys.Pool"
    code = f"import time; t = time.perf_counter(); {what}; print(time.perf_counter() - t)"
    found = sorted(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(runs)
    )
    return found[runs // 2]


def main() -> None:
    """Measure, print and write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = {part: str(folder / part) for part in ("RECSYS_DATA", "RECSYS_CACHE", "NUMBA_CACHE_DIR")}
        for what, target, gone in (
            ("first run ever, compilation and download included", 180, ()),
            ("warm data and compiled kernel, nothing else kept", 90, ("RECSYS_CACHE",)),
            ("everything kept", 90, ()),
        ):
            for part in gone:
                shutil.rmtree(own[part])
            seconds, memory = time_process(COMMAND, own, folder)
            rows.append((f"recsys bench: {what}", round(seconds, 1), "s", target))
            rows.append((f"recsys bench: {what}, peak memory", round(memory), "MiB", 1024))
    rows.append(("import recsys; recsys.rerank, recsys.Pool, median of 7", round(time_import(), 3), "s", 0.35))
    write_figures([(*row, "max") for row in rows], RESULTS)
    for what, value, unit, target in rows:
        print(f"{value:10} {unit:4} (target: at most {target}) {what}")


if __name__ == "__main__":
    main()
