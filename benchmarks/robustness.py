"""What hostile input does to the package: `python benchmarks/robustness.py` (a quarter of an hour; `--hours` for more).

Configs, tables, stores, rankers, pools, requests and command lines are mutated at random; writers are killed at random
moments, and folders are replaced while they are loaded. Each kind of case runs in a process of its own, so that a crash
or a hang is seen and counted. A case ends in one of these ways:

* right: the result equals what it must equal (the written table, the stored object, the slow reference)
* refused: one line of `RecsysError`, or exit code 2 with one line on the command line
* crash, hang, traceback, difference: the process dies, takes too long, raises anything else, or returns something else
  without a note

A case is drawn from the seed, the kind and its number: `--only KIND --case NUMBER` runs it again. Writes
`benchmarks/results/robustness.csv`, one row per kind, and exits with 1 if any case ended in one of the last four ways.
"""

import argparse
import csv
import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from robustness_cases import KINDS
from speeds import PACKAGES, describe_machine, version

from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "robustness.csv"
BAD_ENDS = ("crash", "hang", "traceback", "difference")
ENDS = ("right", "refused", *BAD_ENDS)
LIMIT, SETUP = 60.0, 300.0  # seconds that one case, and the preparation of a kind with its compilation, may take


@dataclass
class Tally:
    """How the cases of one kind ended."""

    kind: str
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Worker:
    """A process that runs the cases of one kind: a number goes in, a line of JSON comes out."""

    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        command = [sys.executable, str(HERE / "robustness_cases.py"), kind, str(seed), str(folder)]
        self.errors = (folder / "stderr.txt").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1
        )
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.ready = self.read_answer(SETUP)

    def read_answer(self, limit: float) -> dict[str, str]:
        """Return what the process says next: how the case ended, also if the process cannot say so itself."""
        if not self.selector.select(limit):
            self.stop()
            return {"end": "hang", "text": f"no answer in {limit:.0f} s"}
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or [""])[-1]
            return {"end": "crash", "text": f"exit code {self.process.wait()}: {last[:200]}"}
        return json.loads(line)

    def run_case(self, case: int) -> dict[str, str]:
        """Run one case."""
        self.process.stdin.write(f"{case}\n")
        return self.read_answer(LIMIT)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.selector.close()
        self.errors.close()


def run_cases(kind: str, seed: int, cases: Iterator[int], seconds: float) -> Tally:
    """Run cases of one kind until they or the time end; a worker that died is replaced."""
    tally, worker, start = Tally(kind), None, time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for number, case in enumerate(cases):
            if time.monotonic() - start > seconds and number:
                break
            if worker is None:
                folder = Path(name) / str(number)
                folder.mkdir()
                worker = Worker(kind, seed, folder)
                if worker.ready["end"] != "ready":
                    tally.failures.append(f"{kind}: cannot be prepared: {worker.ready['text']}")
                    tally.ends[worker.ready["end"]] += 1
                    break
            found = worker.run_case(case)
            tally.ends[found["end"]] += 1
            if found["end"] in BAD_ENDS:
                tally.failures.append(f"{kind} {case}: {found['end']}: {found['text']}")
                print(tally.failures[-1], flush=True)
            if found["end"] in ("crash", "hang"):
                worker.stop()
                worker = None
        if worker is not None:
            worker.stop()
    tally.seconds = time.monotonic() - start
    return tally


def write_tallies(tallies: list[Tally], seed: int, out: Path) -> None:
    """Write one row per kind."""
    versions = " ".join(f"{name} {version(name)}" for name in PACKAGES)
    end = [seed, describe_machine(), versions, describe_environment(0, "")["git_commit"]]
    with replace_file(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["kind", "what", "tried", *ENDS, "seconds", "first_failure", "seed", "machine", "versions", "commit"]
        )
        for tally in tallies:
            counts = [tally.ends[one] for one in ENDS]
            first = (tally.failures or [""])[0][:300]
            what = KINDS[tally.kind].__doc__.partition("\n")[0]
            table.writerow([tally.kind, what, sum(counts), *counts, round(tally.seconds), first, *end])


def main() -> None:
    """Run every kind for its share of the time, print a row for each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.22, help="for all kinds together (default: 13 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(KINDS), action="append", help="this kind alone; may be repeated")
    parser.add_argument("--case", type=int, help="with --only: run this case alone and write nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    kinds = settings.only or list(KINDS)
    shares = {kind: KINDS[kind].share for kind in kinds}
    tallies = []
    for kind in kinds:
        cases = iter(range(sys.maxsize) if settings.case is None else [settings.case])
        tally = run_cases(kind, settings.seed, cases, 3600.0 * settings.hours * shares[kind] / sum(shares.values()))
        print(kind, *(f"{one} {tally.ends[one]}" for one in ENDS), f"{tally.seconds:.0f} s", sep="\t", flush=True)
        tallies.append(tally)
    if settings.case is None:
        write_tallies(tallies, settings.seed, settings.out)
    if any(tally.ends[one] for tally in tallies for one in BAD_ENDS):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
