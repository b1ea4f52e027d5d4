"""RecTools' metrics and pyversity's strategies beside ours, on the same inputs: `python benchmarks/agreement.py`.

Both are installed from their packages, each in an environment of its own that is removed at the end, and run there on
plain files: a made-up world full of corner cases, and MovieLens 100K where it can be had. What both sides define
alike has to agree, else the exit code is 1: every user's value to 1e-9 at k = 1, 5, 10 and 20, and every slate pick by
pick, but for candidates whose gains are less than 1e-6 apart (pyversity computes in single precision). What is
defined differently is shown with both values and the reason. `ours` and `theirs` are values on the last world, of the
metric at k = 10 or of the mean intra-list distance of the slates over settings of the knob; the rest is about both.
Of RecTools, F1Beta, Accuracy, MCC, PartialAUC, PAP, SufficientReco, UnrepeatedReco and CoveredUsers have no counterpart
here. Writes `benchmarks/results/agreement.csv`.
"""

import argparse
import csv
import os
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import agreement_metrics
import agreement_slates
from agreement_worlds import Row, World, build_worlds

from recsys.support.atomic_files import replace_file

RESULTS = Path(__file__).parent / "results" / "agreement.csv"
VERSIONS = {"rectools": "0.19.0", "pyversity": "0.2.0"}  # whose source the notes are about
PEERS = {"rectools": agreement_metrics.compare_metrics, "pyversity": agreement_slates.compare_strategies}


@contextmanager
def create_environment(*packages: str) -> Iterator[Path]:
    """Yield a Python that has the packages, and remove it all afterwards."""
    with tempfile.TemporaryDirectory() as name:
        venv.create(name, with_pip=True)
        python = Path(name) / ("Scripts" if os.name == "nt" else "bin") / "python"
        install = [python, "-I", "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", *packages]
        if subprocess.run(install, check=False).returncode:
            raise SystemExit(f"{' '.join(packages)} cannot be installed")
        yield python


def read_version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def compare_peer(peer: str, package: str, given: list[World]) -> Iterator[Row]:
    """Yield the rows of one peer."""
    with create_environment(package) as python:
        yield from PEERS[peer](python, read_version(python, peer), given)


def format_cells(row: Row) -> list[object]:
    return ["" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row]


def main() -> None:
    """Compare, print and write; say what should agree and does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--newest", action="store_true", help="install the newest versions: the notes may not hold")
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    given, rows = list(build_worlds()), []
    for peer in settings.peers:
        package = peer if settings.newest else f"{peer}=={VERSIONS[peer]}"
        for row in compare_peer(peer, package, given):
            print(*format_cells(row), sep="\t", flush=True)
            rows.append(row)
    with replace_file(settings.out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(Row._fields)
        table.writerows(map(format_cells, rows))
    apart = [f"{row.peer}: {row.what}" for row in rows if row.agrees == "no"]
    if apart:
        raise SystemExit("\n".join(["defined alike, and not the same:", *apart]))


if __name__ == "__main__":
    main()
