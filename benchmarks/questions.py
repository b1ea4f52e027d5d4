"""Three questions about closed loops, registered before any run: `python benchmarks/questions.py`.

The registration is `benchmarks/questions.toml`. Each cell (a world, its users and histories, a seed; for loops a policy
too) is kept in `--work` as it ends, so that a run that was stopped goes on; `--parts` and `--seeds` choose among cells.
The tables are made from all cells that are there, `--tables` makes them alone. In `results/`:

`questions-worlds.csv`: which worlds were accepted, and why others were refused.
`questions-slates.csv`: what every metric of the log and the truth say of the slates of each blend, cell by cell.
`questions-judges.csv`: how well each metric ranks blends, in each condition and over all.
`questions-statements.csv`: what was said before, and each metric beside the default judge.
`questions-axes.csv`: true losses of precision where an axis of accuracy has lost the budget.
`questions-blends.csv`: the weights that were fixed, and what `recsys discover` chose.
`questions-loops.csv`: each policy in each world at the rounds that are told, with its difference from the base.
`questions-policies.csv`: those differences side by side, cost now and gain later.
`questions-bubbles.csv`: what was chosen beside each rival, by the primary outcome.
`questions-rounds.csv`: whether the best of round 1 stays best.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from question_answers import (
    compare_chosen,
    judge_statements,
    tabulate_axes,
    tabulate_judges,
    tabulate_loops,
    tabulate_policies,
    tabulate_rounds,
)
from question_judges import judge_cell, list_cells, list_metrics
from question_loops import CHOICES, Place, fix_blends, follow_loop, list_places, list_policies
from question_worlds import Row, Worlds, keep_rows, write_tables

from recsys.types import RecsysError

HERE = Path(__file__).parent
REGISTRATION = HERE / "questions.toml"
OF_ANSWERS = ("statements", "axes", "primary", "seeds", "first_seed")  # cells do not depend on them


@dataclass
class Study:
    """The cells of the registration, and those that were made."""

    registration: Mapping[str, Any]
    work: Path
    refused: dict[str, str] = field(default_factory=dict)  # worlds, and why
    accepted: list[str] = field(default_factory=list)
    slates: list[Row] = field(default_factory=list)
    blends: list[Row] = field(default_factory=list)
    loops: list[Row] = field(default_factory=list)

    def keep(self, part: str, world: str, name: Any, make: Callable[[], list[Row]] | None) -> list[Row]:
        """Return the rows of a cell, () where its world is refused, or it is not there and there is no `make`."""
        if world in self.refused:
            return []
        key = [part, name, self._describe(part, world)]

        def refuse() -> list[Row]:
            try:
                return make() if make else []
            except RecsysError as error:
                if "is not like its log" not in str(error):
                    raise
                return [{"refused": str(error)}]

        start = time.perf_counter()
        rows = keep_rows(self.work / part, key, refuse, only_kept=make is None)
        if rows and "refused" in rows[0]:
            self.refused[world] = rows[0]["refused"]
            return []
        if rows and world not in self.accepted:
            self.accepted.append(world)
        if make and (seconds := time.perf_counter() - start) > 1:
            print(f"{part}: {json.dumps(name)}: {seconds:.0f} s", flush=True)
        return rows

    def _describe(self, part: str, world: str) -> list[Any]:
        """Return all of the registration that a cell depends on."""
        of = self.registration["judges" if part == "judges" else "loops"]
        told = {name: value for name, value in of.items() if name not in (*OF_ANSWERS, "worlds", "conditions")}
        return [told, self.registration["worlds"][world], self.registration["data"]]

    def judge(self, seeds: Sequence[int], run: bool) -> None:
        """Make or read the cells of question 2."""
        settings = self.registration["judges"]
        worlds = Worlds(self.registration, settings["behaviour"])
        for cell in list_cells(settings):
            wanted = run and (not seeds or cell.seed in seeds)
            make = (lambda cell=cell: judge_cell(cell, self.registration, worlds)) if wanted else None
            self.slates += self.keep("judges", cell.world, cell.keys, make)

    def loop(self, seeds: Sequence[int], run: bool) -> None:
        """Make or read the cells of questions 1 and 3: what is fixed beforehand first, then seed by seed."""
        settings = self.registration["loops"]
        worlds = Worlds(self.registration, settings["behaviour"])
        fixed = {place: self._fix(place, worlds, run) for place in list_places(settings)}
        for seed in range(settings["first_seed"], settings["first_seed"] + settings["seeds"]):
            for place, blends in fixed.items():
                if blends:
                    self._follow(place, blends, worlds, seed, run and (not seeds or seed in seeds))

    def _fix(self, place: Place, worlds: Worlds, run: bool) -> dict[str, Any]:
        """Return the blends of a world; on a ring, chosen is that of the first world."""
        make = (lambda: fix_blends(place, self.registration, worlds, self.work)) if run else None
        rows = [{**place.keys, **row} for row in self.keep("blends", place.world, place.keys, make)]
        if rows and rows[-1]["policy"] not in CHOICES:
            rows += [{**place.keys, **row} for row in self._list_first_choices()]
        self.blends += rows
        return {row["policy"]: row["blend"] for row in rows}

    def _list_first_choices(self) -> list[Row]:
        first = [row for row in self.blends if row["policy"] in CHOICES][: len(CHOICES)]
        return [{name: row[name] for name in ("policy", "blend", "family")} for row in first]

    def _follow(self, place: Place, blends: Mapping[str, Any], worlds: Worlds, seed: int, run: bool) -> None:
        settings = self.registration["loops"]
        ring = "data" not in self.registration["worlds"][place.world]
        for name, policy in list_policies(blends, settings, ring).items():

            def make(name: str = name, policy: Any = policy) -> list[Row]:
                return follow_loop(place, name, policy, worlds.get(place.world), settings, seed)

            told = {**place.keys, "policy": name, "blend": blends.get(name), "seed": seed}
            self.loops += self.keep("loops", place.world, told, make if run else None)

    def write_tables(self, out: Path) -> None:
        """Write every table whose rows are there."""
        made = [{"world": world, "state": "accepted"} for world in self.accepted]
        made += [{"world": world, "state": said} for world, said in self.refused.items()]
        tables: dict[str, list[Row]] = {"worlds": made, "slates": self.slates}
        if self.slates:
            slates, metrics = pd.DataFrame(self.slates), list_metrics(self.slates)
            tables["judges"] = tabulate_judges(slates, metrics, self.registration)
            tables["statements"] = judge_statements(slates, metrics, self.registration)
            tables["axes"] = tabulate_axes(slates, self.registration)
        tables["blends"] = [{**row, "blend": json.dumps(row["blend"])} for row in self.blends]
        if self.loops:
            loops = pd.DataFrame(self.loops)
            tables["loops"] = tabulate_loops(loops, self.registration)
            tables["policies"] = tabulate_policies(tables["loops"], self.registration)
            tables["bubbles"] = compare_chosen(loops, self.registration)
            tables["rounds"] = tabulate_rounds(loops, self.registration)
        write_tables(tables, "questions", out)


def main() -> None:
    """Carry out the cells that are not made, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=["judges", "loops"], choices=["judges", "loops"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    parser.add_argument(
        "--tables", action="store_true", help="run nothing, make the tables of the cells that are there"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/questions"), help="where cells are kept")
    parser.add_argument("--registration", type=Path, default=REGISTRATION)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    study = Study(tomllib.loads(given.registration.read_text(encoding="utf-8")), given.work)
    for part, carry_out in (("judges", study.judge), ("loops", study.loop)):
        carry_out(given.seeds, part in given.parts and not given.tables)
    study.write_tables(given.out)


if __name__ == "__main__":
    main()
