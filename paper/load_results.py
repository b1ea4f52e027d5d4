"""The result files that the paper is made of. What is missing is an empty table: sentences say so."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from formatting import is_finite

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PROTOCOL = ROOT / "benchmarks" / "discovery.toml"
GAIN, CONTENT, OWN, NOVELTY = "discovery@10", "discovery_content@10", "discovery_own@10", "self_information@10"
ROLES = ("ours", "other", "control")
CUT = 2.5  # of the axis of the figure of all runs: intervals of small data go further
COLUMNS = {
    "discovery": "run role method metric loss gain ci_low ci_high reached points gain_on_validation fixed_loss "
    "fixed_loss_low fixed_loss_high fixed_gain fixed_gain_low fixed_gain_high behind behind_low behind_high",
    "discovery-data": "run base users items fitted_on judged_on ndcg discovery users_per_map held_out_per_map "
    "hits_per_map content_maps content_held_out_per_map content_hits_per_map detectable",
    "discovery-strata": "run stratum items method held_out hits discovery change ci_low ci_high",
    "discovery-judges": "run judge maps method loss gain gain_low gain_high held_out hits",
    "discovery-controls": "run control metric value change",
    "discovery-splits": "run splits method metric change change_low change_high",
    "own-maps": "data family loss gain ci_low ci_high",
    "shared-users-bias": "run metric relative own_half audit_maps_from commit",
    "errors": "world test kind samples errors as_it_must_be",
    "agreement": "peer version what definition agrees",
}
Row = Any  # a named tuple of a row


@dataclass(frozen=True)
class Results:
    """The tables by the names of their files, and the protocol."""

    tables: dict[str, pd.DataFrame]
    protocol: dict[str, Any]

    @property
    def runs(self) -> list[str]:
        return [run["name"] for run in self.protocol["runs"]]

    @property
    def losses(self) -> list[float]:
        return sorted(self.protocol["losses"])

    def has_run(self, run: str) -> bool:
        return bool((self.tables["discovery"].run == run).any()) and self.get_run_data(run) is not None

    def select_rows(self, run: str, loss: float, metric: str = GAIN) -> list[Row]:
        """Return a row per method, the one that gains most on validation first."""
        table = self.tables["discovery"]
        found = table[(table.run == run) & (table.metric == metric) & ((table.loss - loss).abs() < 1e-9)]
        return list(found.sort_values("gain_on_validation", ascending=False, kind="stable").itertuples(index=False))

    def get_run_data(self, run: str) -> Row | None:
        table = self.tables["discovery-data"]
        return next(table[table.run == run].itertuples(index=False), None)

    def select_strata(self, run: str) -> pd.DataFrame:
        table = self.tables["discovery-strata"]
        return table[table.run == run]


def read_result_tables(folder: Path = RESULTS) -> Results:
    tables = {}
    for name, columns in COLUMNS.items():
        file = folder / f"{name}.csv"
        tables[name] = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=columns.split())
        missing = sorted(set(columns.split()) - set(tables[name]))
        if missing:
            raise SystemExit(f"paper: {file.name} lacks {', '.join(missing)}")
    for file in folder.glob("bases-*.csv"):
        tables[file.stem] = pd.read_csv(file)
    return Results(tables, tomllib.loads(PROTOCOL.read_text(encoding="utf-8")))


def pick_validation_best(rows: list[Row], role: str | None = None) -> Row:
    """Return the method that gains most on validation, of a role or of all: what a user would have chosen."""
    told = [row for row in rows if role is None or row.role == role]
    return max(told, key=lambda row: row.gain_on_validation if is_finite(row.gain_on_validation) else float("-inf"))


def find_nearest_rival(rows: list[Row], role: str, chosen: Row) -> Row:
    """Return the method of a role that comes nearest to the chosen one on test."""
    return max((row for row in rows if row.role == role and row.method != chosen.method), key=lambda row: row.gain)
