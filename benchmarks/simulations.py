"""Rows of simulated worlds, printed as they come and written as a table, whole or not at all."""

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from recsys.support.atomic_files import replace_file

Simulate = Callable[[str, int], Iterator[Mapping[str, object]]]


def run_simulations(
    description: str, count: str, samples: int, worlds: Iterable[str], out: Path, simulate: Simulate
) -> None:
    """Simulate the worlds that the command line asks for, all of them by default, and write their rows."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{count}", dest="samples", type=int, default=samples)
    parser.add_argument("--worlds", nargs="*", default=list(worlds), choices=list(worlds))
    parser.add_argument("--out", type=Path, default=out)
    settings = parser.parse_args()
    rows = []
    for world in settings.worlds:
        for row in simulate(world, settings.samples):
            print(*row.values(), sep="\t", flush=True)
            rows.append(row)
    with replace_file(settings.out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
