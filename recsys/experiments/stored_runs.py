"""Run folders as they lie on a disk: found, described by what differs among them, put into a table, and removed."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import Config, read_config
from recsys.escaping import unescape_csv_cells
from recsys.experiments.comparisons import DEFAULT_METRICS, RUN_FILES, RUN_MARKS, flatten_settings
from recsys.support.atomic_files import exists_at
from recsys.support.stored_arrays import read_json
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.paths import suggest_beside

if TYPE_CHECKING:
    import pandas as pd

_UNLIKE_ANYWAY = ("name",)  # settings that say nothing of what was done
_JUDGED = "judged"  # the run folder inside of the folder of a sweep


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run folder: its settings, its data, and its tables, which are read when they are asked for."""

    folder: Path
    config: Config
    fingerprint: str  # of the data

    @property
    def date(self) -> str:
        """When it was finished, as its log says it; else when its config was written."""
        try:
            last = (self.folder / "log.txt").read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2][:16]
            time.strptime(last, "%Y-%m-%d %H:%M")
        except (OSError, ValueError):
            last = time.strftime("%Y-%m-%d %H:%M", time.localtime((self.folder / "config.toml").stat().st_mtime))
        return last

    @property
    def data(self) -> str:
        """The name of its data, and the first characters of their fingerprint."""
        section = self.config.data
        named = section.name or section.path or section.in_memory or section.reader or "data"
        return f"{Path(named).stem} {self.fingerprint[:8]}"

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """Its summary.csv: run, metric, k, value, ci_low, ci_high."""
        return self._read_table("summary.csv")

    @cached_property
    def differences(self) -> "pd.DataFrame":
        """Its differences.csv."""
        return self._read_table("differences.csv")

    @property
    def run_names(self) -> list[str]:
        """The names of its runs, in their order."""
        return [*dict.fromkeys(self.summary.run)]

    def find_values(self, run: str, metric: str, k: int) -> tuple[float, float, float]:
        """Return a value and the ends of its interval; NaN where there is none."""
        table = self.summary
        rows = table[(table.run == run) & (table.metric == metric) & (table.k == k)]
        return tuple(rows[["value", "ci_low", "ci_high"]].iloc[0]) if len(rows) else (np.nan, np.nan, np.nan)

    def _read_table(self, name: str) -> "pd.DataFrame":
        import pandas as pd

        try:
            table = pd.read_csv(self.folder / name)
            return table.assign(run=unescape_csv_cells(table["run"].to_numpy(np.str_)))
        except (OSError, ValueError, KeyError) as error:
            said = str(error).partition("\n")[0]
            raise RecsysError(f"{self.folder / name}: {said}, expected the table of a run") from None


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder has what every run folder has; a link to one is none."""
    return not folder.is_symlink() and all(exists_at(folder / name, Path.is_file) for name in RUN_MARKS)


def read_stored_run(folder: Path) -> StoredRun:
    """Return a run folder.

    Raises:
        RecsysError: if it is none, or its settings cannot be read.
    """
    if exists_at(folder / "trajectories.csv") and not is_run_folder(folder):
        raise RecsysError(f"{folder}: is a simulation, which `recsys runs list` and `show` know, expected a run folder")
    if not is_run_folder(folder):
        near = suggest_beside(folder, is_run_folder)
        raise RecsysError(
            f"{folder}: is no run folder, expected one that `recsys bench` or `recsys evaluate` wrote{near}"
        )
    told = read_json(folder / "environment.json")
    fingerprint = str(told.get("data_fingerprint", "")) if isinstance(told, Mapping) else ""
    return StoredRun(folder, read_config(folder / "config.toml", check=False), fingerprint)


def find_stored_runs(places: Sequence[str | Path]) -> list[StoredRun]:
    """Return the run folders among `places` and in them, those of sweeps too, the oldest first.

    Raises:
        RecsysError: for a place that is no folder, or a run that cannot be read.
    """
    return _sort_runs(map(read_stored_run, find_run_folders(places)))


def find_readable_runs(places: Sequence[str | Path]) -> tuple[list[StoredRun], list[RecsysError]]:
    """Return what `find_stored_runs` returns without the runs that cannot be read, and what is wrong with these.

    Raises:
        RecsysError: for a place that is no folder.
    """
    found, wrong = [], []
    for folder in find_run_folders(places):
        try:
            one = read_stored_run(folder)
            _ = one.summary
        except RecsysError as error:
            wrong.append(error)
        else:
            found.append(one)
    return _sort_runs(found), wrong


def find_run_folders(places: Sequence[str | Path]) -> list[Path]:
    """Return the run folders among `places` and in them, each once.

    Raises:
        RecsysError: for a place that is no folder.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if not exists_at(place, Path.is_dir):
            near = suggest_beside(place, Path.is_dir)
            raise RecsysError(f"{place}: is no folder, expected a run folder, or one that holds some{near}")
        inside = [place] if is_run_folder(place) else sorted(one for one in place.iterdir() if one.is_dir())
        found += [one for folder in inside for one in (folder, folder / _JUDGED) if is_run_folder(one)]
    return [*dict.fromkeys(found)]


def _sort_runs(runs: Iterable[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda one: (one.date, str(one.folder)))


def list_differing_settings(runs: Sequence[StoredRun]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs, by name: a value of each run, None where it has none."""
    each = [flatten_settings(one.config.dump_settings()) for one in runs]
    names = dict.fromkeys(name for settings in each for name in settings if name not in _UNLIKE_ANYWAY)
    values = {name: [settings.get(name) for settings in each] for name in names}
    return {name: found for name, found in values.items() if any(one != found[0] for one in found)}


def describe_differences(runs: Sequence[StoredRun]) -> list[str]:
    """Return, for each run, its settings that are not those of most runs; of equally many, not those of the oldest."""
    said: list[list[str]] = [[] for _ in runs]
    for name, values in list_differing_settings(runs).items():
        texts = [format_setting(value) for value in values]
        usual = Counter(texts).most_common(1)[0][0]
        for lines, text in zip(said, texts, strict=True):
            lines += [f"{name}={text}"] if text != usual else []
    return [" ".join(lines) for lines in said]


def format_setting(value: Any) -> str:
    """Return a setting as it is typed after `--set KEY=`; "-" where there is none.

    >>> format_setting(0.5), format_setting("als"), format_setting([1, 2]), format_setting(None)
    ('0.5', 'als', '[1, 2]', '-')
    """
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def choose_metrics(runs: Sequence[StoredRun], asked: Sequence[str] | None) -> list[str]:
    """Return metrics by name: those asked for, else those of `DEFAULT_METRICS` that a run has, else its first one.

    Raises:
        RecsysError: for a metric that no run has, or has at no such k, with the nearest one.
    """
    there = [*dict.fromkeys(str(name) for one in runs for name in one.summary.metric)]
    at_k = {f"{name}@{k:g}" for one in runs for name, k in zip(one.summary.metric, one.summary.k, strict=True)}
    for name in asked or ():
        if name not in there and name not in at_k:
            known = at_k if name.partition("@")[0] in there else there
            raise make_unknown_name_error("metric", name, known)
    return [*asked] if asked else [name for name in DEFAULT_METRICS if name in there] or there[:1]


def parse_metric(name: str, run: StoredRun) -> tuple[str, int]:
    """Return a metric and its k: that of "ndcg@5", else the headline's of the run."""
    bare, at, k = name.partition("@")
    return bare, int(k) if at and k.isdecimal() else run.config.headline_k


def tabulate_stored_runs(
    runs: Sequence[StoredRun], metrics: Sequence[str] | None = None, names: Iterable[str] | None = None
) -> "pd.DataFrame":
    """Return a row for each run of each folder: folder, date, data, settings, run, and each metric with its interval.

    `names` are those of the runs that have a row; all where it is None.

    Raises:
        RecsysError: for a metric or a run that no folder has.
    """
    import pandas as pd

    asked, wanted = choose_metrics(runs, metrics), None if names is None else [*names]
    there = [*dict.fromkeys(name for one in runs for name in one.run_names)]
    for name in wanted or ():
        if name not in there:
            raise make_unknown_name_error("run", name, there)
    rows = []
    for one, differs in zip(runs, describe_differences(runs), strict=True):
        about = {"folder": str(one.folder), "name": one.config.name, "date": one.date, "data": one.data}
        for run in one.run_names:
            if wanted is None or run in wanted:
                found = {name: one.find_values(run, *parse_metric(name, one)) for name in asked}
                cells = {
                    f"{name}{end}": value
                    for name, values in found.items()
                    for end, value in zip(("", " low", " high"), values, strict=True)
                }
                rows.append({**about, "settings": differs, "run": run, **cells})
    return pd.DataFrame(rows)


def remove_run_folders(folders: Sequence[Path]) -> None:
    """Remove run folders, all or none: nothing is removed where one of them is none, or holds what no run wrote.

    Raises:
        RecsysError: for a folder that is no run folder or holds other files, or one that cannot be removed.
    """
    for folder in folders:
        check_removable(folder)
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RecsysError(f"{folder}: {error.strerror or error}, and is removed in part at most") from None


def check_removable(folder: Path) -> None:
    """Refuse to remove what is no run folder, or one that holds files that no run wrote.

    Raises:
        RecsysError: where that is so.
    """
    read_stored_run(folder)
    others = sorted(one.name for one in folder.iterdir() if one.name not in RUN_FILES)
    if others:
        raise RecsysError(f"{folder}: holds {others[0]}, which no run wrote, expected a run folder as it was written")
