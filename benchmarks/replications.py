"""Published closed loops, simulated anew: `python benchmarks/replications.py [--paper NAME ...]`.

Each row is a statement of a paper as a number with a 95 % interval, and whether it is reproduced, contradicted or
undecided. Written to results/replications.csv: rows of the papers that are run anew take the place of the old ones, and
what does not reproduce is written as all else.

aridor: `--populations` (1) is how many are drawn for each of the 900 settings of the grid of the paper, which has 100.
chaney: `--populations` (20) of 100 users and 1,000 items, over 100 rounds, in both regimes.
jiang: one population of 30 users, each alone with 100 items, over 1,000 rounds; with it noise and resets of interests.
mansoury: MovieLens 100K as `recsys fetch ml-100k` leaves it, `--populations` (3) repeats of 12 rounds, with acceptance
of each item by itself and of one item of a slate. Women are the minority, by the table of users: `--users FILE`, u.user
or the ml-100k.user of the package that the dataset's card names, which is downloaded where no file is given.
ie: `--populations` (20) of 100 users over 200 rounds, with the published affinities and with a niche topic.
"""

import argparse
import csv
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import amplification_findings
import confounding_findings
import degeneracy_findings
import exploration_findings
import ring_findings
from findings import Finding
from result_rows import write_rows

import recsys as rs
from recsys.data.card_files import read_card
from recsys.data.cards import Package
from recsys.data.downloads import download_wheel
from recsys.simulation.worlds.accepted_ratings import build_rating_world
from recsys.support.progress import show_progress

RESULTS = Path(__file__).parent / "results" / "replications.csv"
MINORITY = "women"
GENDERS = {"F": MINORITY, "M": "men"}


def run_aridor(populations: int | None, users: Path | None) -> Iterator[Finding]:
    """Run the ring of beliefs."""
    yield from ring_findings.judge_ring(ring_findings.run_ring(populations=populations or 1))


def run_chaney(populations: int | None, users: Path | None) -> Iterator[Finding]:
    """Run partly known utilities."""
    yield from confounding_findings.judge_confounding(
        confounding_findings.run_confounding(populations=populations or 20)
    )


def run_jiang(populations: int | None, users: Path | None) -> Iterator[Finding]:
    """Run reinforced interests."""
    yield from degeneracy_findings.judge_degeneracy(degeneracy_findings.run_degeneracy())


def run_mansoury(populations: int | None, users: Path | None) -> Iterator[Finding]:
    """Run accepted ratings on MovieLens 100K."""
    dataset, genders = rs.load_dataset("ml-100k"), read_genders(users)
    for label, one_item in (("each item by itself", False), ("one item of a slate", True)):
        world = build_rating_world(dataset, genders, one_item=one_item)
        runs = amplification_findings.run_amplification(world, MINORITY, repeats=populations or 3)
        yield from amplification_findings.judge_amplification(runs, MINORITY, label)


def run_ie(populations: int | None, users: Path | None) -> Iterator[Finding]:
    """Run hidden types."""
    for label, world in exploration_findings.WORLDS.items():
        runs = exploration_findings.run_exploration(world, populations=populations or 20)
        yield from exploration_findings.judge_exploration(runs, label)


PAPERS: Mapping[str, tuple[Callable[[int | None, Path | None], Iterator[Finding]], tuple[str, ...]]] = {
    "aridor": (run_aridor, (ring_findings.SOURCE,)),
    "chaney": (run_chaney, (confounding_findings.SOURCE,)),
    "jiang": (run_jiang, (degeneracy_findings.SOURCE, degeneracy_findings.NOISE_SOURCE)),
    "mansoury": (run_mansoury, (amplification_findings.SOURCE,)),
    "ie": (run_ie, (exploration_findings.SOURCE,)),
}


def read_genders(file: Path | None) -> dict[str, str]:
    """Return the gender of each user of MovieLens 100K, by id, from its table of users."""
    if file is not None:
        text = file.read_text(encoding="utf-8")
    else:
        (package,) = (one for one in read_card("ml-100k").sources if isinstance(one, Package))
        with tempfile.TemporaryDirectory() as folder:
            wheel = download_wheel(package, Path(folder))
            with zipfile.ZipFile(wheel) as archive:
                text = archive.read("recbole/dataset_example/ml-100k/ml-100k.user").decode("utf-8")
    delimiter = "\t" if "\t" in text else "|"
    rows = [line.split(delimiter) for line in text.splitlines()]
    return {row[0]: GENDERS[row[2]] for row in rows if row[2] in GENDERS}


def keep_other_rows(path: Path, sources: set[str]) -> list[dict[str, Any]]:
    """Return the rows of a result that are of no such source, as they are written."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file) if row["source"] not in sources]


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", choices=PAPERS, action="append", help="may be given several times; all by default")
    parser.add_argument("--populations", type=int)
    parser.add_argument("--users", type=Path, help="the table of users of MovieLens 100K")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    for name in given.paper or PAPERS:
        run, sources = PAPERS[name]
        rows = []
        with show_progress(quiet=False):
            for one in run(given.populations, given.users):
                print(f"{one.verdict:12} {one.value:8.4f} [{one.low:.4f}, {one.high:.4f}] {one.statement}", flush=True)
                rows.append({
                    "source": one.source, "statement": one.statement, "value": one.value, "low": one.low,
                    "high": one.high, "expected": one.describe_expected(), "verdict": one.verdict,
                })  # fmt: skip
        write_rows(given.out, [*keep_other_rows(given.out, set(sources)), *rows])


if __name__ == "__main__":
    main()
