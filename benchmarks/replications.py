"""Published closed loops, simulated anew: `python benchmarks/replications.py`.

Each row is a statement of a paper as a number with a 95 % interval, and whether it is reproduced, contradicted or
undecided. `--populations` is how many are drawn for each of the 900 settings of the grid of Aridor et al. 2020 (the
paper has 100). Written to results/replications.csv; what does not reproduce is written as all else.
"""

import argparse
from pathlib import Path

from result_rows import write_rows

from recsys.simulation.replications.ring_findings import judge_ring, run_ring
from recsys.support.progress import show_progress

RESULTS = Path(__file__).parent / "results" / "replications.csv"


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=1)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    with show_progress(quiet=False):
        found = judge_ring(run_ring(populations=given.populations, users=given.users))
    rows = []
    for one in found:
        print(f"{one.verdict:12} {one.value:8.4f} [{one.low:.4f}, {one.high:.4f}] {one.statement}", flush=True)
        rows.append({
            "source": one.source, "statement": one.statement, "value": one.value, "low": one.low, "high": one.high,
            "expected": one.describe_expected(), "verdict": one.verdict,
        })  # fmt: skip
    write_rows(given.out, rows)


if __name__ == "__main__":
    main()
