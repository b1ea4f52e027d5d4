"""Published numbers beside ours: `python benchmarks/reproductions.py [NAME]`, ml-100k-dmf by default.

Writes `benchmarks/results/reproduction-<NAME>.csv`, which the docs show.
"""

import csv
import sys
from pathlib import Path

from recsys.experiments.reproductions import reproduce
from recsys.files import replacing


def main() -> None:
    """Run and write."""
    name = sys.argv[1] if len(sys.argv) > 1 else "ml-100k-dmf"
    done = reproduce(name)
    path = Path(__file__).parent / "results" / f"reproduction-{name}.csv"
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["model", "metric", "published", "ours", "difference", "tolerance", "passed"])
        for one in done.checks:
            numbers = (f"{one.published:.4f}", f"{one.ours:.4f}", f"{one.difference:+.4f}", one.tolerance)
            table.writerow([one.model, one.metric, *numbers, one.passed])
    print(f"{sum(one.passed for one in done.checks)} of {len(done.checks)} values within tolerance: {path}")


if __name__ == "__main__":
    main()
