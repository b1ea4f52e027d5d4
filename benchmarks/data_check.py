"""How long `recsys data check` takes on 10 million rows, and how much memory: `python benchmarks/data_check.py`.

Writes a made-up log of 500,000 users and 50,000 items with skewed popularity, sessions, sources, consent and purposes
into a temporary folder, as Parquet and as CSV, and checks each in fresh processes under a policy that limits every
figure. Seconds are those of the fastest of three, because other work may share the machine; processor time stands
beside them, and memory is the largest.
Writes `benchmarks/results/data_check.csv`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from speeds import write_figures

from recsys.data.check_policies import CheckLimits

RESULTS = Path(__file__).parent / "results" / "data_check.csv"
ROWS, USERS, ITEMS, DAYS = 10_000_000, 500_000, 50_000, 700
MAX_SECONDS, MAX_MIB = 60, 4096
POLICY = """\
stale_after = 365
as_of = 2022-09-01
own_sources = ["search", "list", "mail"]
purposes = ["recommendation"]

[limits]
"""


class Measured(NamedTuple):
    """What one process took."""

    seconds: float
    processor_seconds: float
    mib: float


def make_log(rows: int) -> pd.DataFrame:
    """Return a made-up log: lognormal users in sessions of ten rows, items by a power of a uniform number."""
    rng = np.random.default_rng(0)
    weight = rng.lognormal(0, 1, USERS)
    user = np.repeat(rng.choice(USERS, rows // 10 + 1, p=weight / weight.sum()), 10)[:rows]
    start = np.repeat(rng.integers(0, DAYS * 86_400, rows // 10 + 1), 10)[:rows]
    return pd.DataFrame(
        {
            "user_id": user,
            "item_id": (ITEMS * rng.random(rows) ** 3).astype(np.int64),
            "rating": rng.integers(1, 6, rows),
            "timestamp": 1_600_000_000 + start + rng.integers(0, 1800, rows),
            "source": rng.choice(np.array(["search", "list", "mail", "partner"], dtype=object), rows),
            "consent": (rng.random(rows) < 0.95).astype(np.int8),
            "purposes": rng.choice(
                np.array(["recommendation", "ads|recommendation", "", "analytics"], dtype=object), rows
            ),
        }
    )


def measure_check(path: Path, policy: Path) -> Measured:
    """Return what `recsys data check` of a file takes in a fresh process; exit code 1 says that limits are exceeded."""
    command = [sys.executable, "-m", "recsys", "data", "check", str(path), "--policy", str(policy), "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="Rows of the log (default: 10 million).")
    parser.add_argument("--runs", type=int, default=3, help="Processes for each file (default: 3).")
    asked = parser.parse_args()
    rows: list[tuple[str, float, str, int | str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = folder / "policy.toml"
        policy.write_text(POLICY + "".join(f"{key} = 0.5\n" for key in CheckLimits.__dataclass_fields__))
        log = make_log(asked.rows)
        log.to_parquet(folder / "log.parquet")
        log.to_csv(folder / "log.csv", index=False)
        del log
        for kind in ("parquet", "csv"):
            runs = [measure_check(folder / f"log.{kind}", policy) for _ in range(asked.runs)]
            found = min(runs)._replace(mib=max(one.mib for one in runs))
            what = f"recsys data check of {asked.rows:,} rows, {kind}"
            rows.append((what, round(found.seconds, 1), "s", MAX_SECONDS))
            rows.append((f"{what}, processor time", round(found.processor_seconds, 1), "s", ""))
            rows.append((f"{what}, peak memory", round(found.mib), "MiB", MAX_MIB))
    write_figures([(*row, "max") for row in rows], RESULTS)
    for what, value, unit, target in rows:
        print(f"{value:10} {unit:4} {f'(target: at most {target})' if target else '':24} {what}")


if __name__ == "__main__":
    main()
