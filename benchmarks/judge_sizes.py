"""Which offline judge tells the truth on a large log: `python benchmarks/judge_sizes.py`.

The registration is the section `judge_sizes` of `benchmarks/questions.toml`. Each cell (a world, a number of users, a
seed) is kept in `--work` as it ends, so that a run that was stopped goes on; `--seeds`, `--worlds` and `--users` choose
among cells. The tables are made from all cells that are there, `--tables` makes them alone. In `results/`:

`judge-sizes-worlds.csv`: which worlds were accepted, and why others were refused.
`judge-sizes-slates.csv`: what every metric of the log and the truth say of the slates of each blend, cell by cell.
`judge-sizes-judges.csv`: how well each metric ranks blends, and what is lost by whoever follows it.
`judge-sizes-rivals.csv`: the default judge beside others by regret, and beside no judge at all.
`judge-sizes-rivals-left-out.csv`: the same without families that were left out after results had been read.
`judge-sizes-causes.csv`: what each part of the default judge costs it.
`judge-sizes-answer.csv`: the verdict by the registered rule.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from judge_size_answers import FOLDED, answer, compare_rivals, read_size_cells, tabulate_causes, tabulate_sizes
from question_judges import (
    ACCURACY,
    BEYOND_CHANCE,
    CROSS_FITTED,
    DIVERSITY,
    JudgedLog,
    TrueWorth,
    draw_log,
    list_blends,
    list_judges,
    read_metrics,
)
from question_worlds import Row, Worlds, cut_down, keep_rows, write_tables

from recsys.reranking.term_cache import TermCache
from recsys.scores.cross_fitting import compute_fold_metrics
from recsys.scores.runs import compute_metrics
from recsys.simulation import FittedTastes
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import GroundTruth, RecsysError, TasteMap
from recsys.types.arrays import Csr, Ints

HERE = Path(__file__).parent
OF_ANSWERS = ("rules", "causes", "seeds", "first_seed", "users", "worlds", "data")  # cells do not depend on them


@dataclass(frozen=True)
class SizeCell:
    """One world, number of users and seed."""

    world: str
    users: int  # 0: all
    seed: int

    @property
    def keys(self) -> Row:
        """What its rows are found by."""
        return {"world": self.world, "users": self.users, "seed": self.seed}


def list_size_cells(settings: Mapping[str, Any]) -> Iterator[SizeCell]:
    """Yield every cell, the first seed of all conditions first."""
    for seed in range(settings["first_seed"], settings["first_seed"] + settings["seeds"]):
        for world in settings["worlds"]:
            for users in settings["users"]:
                yield SizeCell(world, users, seed)


def build_true_map(world: FittedTastes) -> TasteMap:
    """Return the regions of taste of a world as a map: what no judge of a log has."""
    n = len(world.regions)
    shape = n, int(world.regions.max()) + 1
    return TasteMap("true", Csr((np.ones(n, np.float32), world.regions, np.arange(n + 1)), shape=shape), "true")


@limit_to_one_blas_thread()
def judge_size_cell(cell: SizeCell, settings: Mapping[str, Any], worlds: Worlds) -> list[Row]:
    """Return a row for each blend: what every metric and the truth say of its slates.

    Raises:
        RecsysError: for a world that its checks refuse.
    """
    world = cut_down(worlds.get(cell.world), cell.users, 1.0, cell.seed)
    assert isinstance(world, FittedTastes)
    drawn = draw_log(world, settings, cell.seed)
    plain = GroundTruth(drawn.split)
    families = [*list_judges(drawn, None), ("true regions", (build_true_map(world),))]
    truths = {name: replace(plain, audit_maps=family) for name, family in families if family}
    terms, worth = TermCache(drawn.pool), TrueWorth(world, drawn.split, settings["favourites"])
    ks, rows = [settings["k"]], []
    for name, (family, strength, blend) in list_blends(settings).items():
        served = drawn.make_slates(blend, terms, terms)
        row = {**cell.keys, "n_users": len(served), "blend": name, "family": family, "strength": strength}
        row |= read_worth(worth, served)
        row |= read_metrics(compute_metrics(served, plain, [*ACCURACY, *DIVERSITY], ks))
        for judge, truth in truths.items():
            row |= read_metrics(compute_metrics(served, truth, ["discovery"], ks), f" ({judge})")
        rows.append(row | read_folds(drawn, worth, plain, blend))
    return rows


def read_worth(worth: TrueWorth, items: Ints) -> Row:
    """Return every truth of slates, (U, k)."""
    return worth.read(items) | {BEYOND_CHANCE: worth.read_beyond_chance(items)}


def read_folds(drawn: JudgedLog, worth: TrueWorth, plain: GroundTruth, blend: Mapping[str, Any]) -> Row:
    """Return what the cross-fitted judge says of a blend, with all halvings and one, and what its slates are worth."""
    ks = [drawn.settings["k"]]
    folded = [drawn.make_slates(blend, *both) for both in drawn.fold_terms]
    row = read_metrics(compute_fold_metrics(folded, plain, drawn.judges, CROSS_FITTED, ks), " (unseen)")
    once = compute_fold_metrics(folded[:2], plain, drawn.judges[:2], ["discovery"], ks)
    row |= read_metrics(once, " (unseen, one halving)")
    truths = pd.DataFrame([read_worth(worth, items) for items in folded]).mean()
    return row | {FOLDED + name: float(value) for name, value in truths.items()}


class SizeStudy:
    """The cells of the registration, and those that were made."""

    def __init__(self, registration: Mapping[str, Any], work: Path) -> None:
        """Begin without cells."""
        self.settings, self.work = registration["judge_sizes"], work
        self.rules = registration
        self.worlds = Worlds(self.settings, self.settings["behaviour"])
        self.states: dict[str, str] = {}  # of worlds: accepted, or why not
        self.slates: list[Row] = []

    def keep(self, cell: SizeCell, run: bool) -> None:
        """Make or read a cell; nothing is run in a world that was refused."""
        if self.states.get(cell.world, "accepted") != "accepted":
            return
        told = {name: value for name, value in self.settings.items() if name not in OF_ANSWERS}
        world = self.settings["worlds"][cell.world]
        key = ["judge sizes", cell.keys, told, world, self.settings["data"][world["data"]]]
        start = time.perf_counter()
        rows = keep_rows(self.work, key, lambda: self._make(cell), only_kept=not run)
        if rows and "refused" in rows[0]:
            self.states[cell.world] = rows[0]["refused"]
            return
        if rows:
            self.states[cell.world] = "accepted"
            self.slates += rows
        if run and (seconds := time.perf_counter() - start) > 1:
            print(f"{json.dumps(cell.keys)}: {seconds:.0f} s", flush=True)

    def _make(self, cell: SizeCell) -> list[Row]:
        try:
            return judge_size_cell(cell, self.settings, self.worlds)
        except RecsysError as error:
            if "is not like its log" not in str(error):
                raise
            return [{"refused": str(error)}]

    def write_tables(self, out: Path) -> None:
        """Write every table whose rows are there."""
        tables: dict[str, Sequence[Row]] = {
            "worlds": [{"world": world, "state": said} for world, said in self.states.items()],
            "slates": self.slates,
        }
        if self.slates:
            cells = read_size_cells(pd.DataFrame(self.slates), self.settings)
            tables["judges"] = tabulate_sizes(cells, self.rules)
            tables["rivals"] = compare_rivals(cells, self.rules)
            kept = [row for row in self.slates if row["family"] not in self.settings["rules"]["left_out"]]
            tables["rivals-left-out"] = compare_rivals(read_size_cells(pd.DataFrame(kept), self.settings), self.rules)
            tables["causes"] = tabulate_causes(cells, self.rules)
            tables["answer"] = answer(cells, self.rules)
        write_tables(tables, "judge-sizes", out)


def main() -> None:
    """Carry out the cells that are not made, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    parser.add_argument("--worlds", nargs="*", default=[])
    parser.add_argument("--users", nargs="*", type=int, default=[], help="0: all")
    parser.add_argument(
        "--tables", action="store_true", help="run nothing, make the tables of the cells that are there"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/judge-sizes"), help="where cells are kept")
    parser.add_argument("--registration", type=Path, default=HERE / "questions.toml")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    study = SizeStudy(tomllib.loads(given.registration.read_text(encoding="utf-8")), given.work)
    for cell in list_size_cells(study.settings):
        chosen = ((given.seeds, cell.seed), (given.worlds, cell.world), (given.users, cell.users))
        study.keep(cell, not given.tables and all(not of or one in of for of, one in chosen))
    study.write_tables(given.out)


if __name__ == "__main__":
    main()
