"""Folders of simulations as they lie on a disk: found, and read."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.support.atomic_files import exists_at
from recsys.types import RecsysError

if TYPE_CHECKING:
    import pandas as pd

_MARKS = ("config.toml", "environment.json", "trajectories.csv", "differences.csv")  # of every folder of a simulation
_NAMES = ("policy", "measure", "group")
_NUMBERS = ("mean", "seeds", "difference", "diff_low", "diff_high", "diff_seeds")
_JUDGED = "judged"  # the folder inside of that of a sweep


@dataclass(frozen=True, eq=False)
class StoredSimulation:
    """A folder that `recsys simulate` wrote."""

    folder: Path
    settings: dict[str, Any]  # of its config

    @property
    def policies(self) -> list[str]:
        """The names of its policies, in their order."""
        return [*self.settings["policies"]]

    @property
    def base(self) -> str:
        """The policy that the others are held against."""
        return str(self.settings.get("base") or self.policies[0])

    @property
    def world(self) -> str:
        """The kind of its world and, where it is fitted, the data."""
        data = self.settings.get("data", {})
        named = data.get("name") or data.get("path") or data.get("reader") or ""
        return " ".join(filter(None, (str(self.settings["world"]["kind"]), Path(str(named)).stem)))

    @property
    def rounds(self) -> int:
        """How many rounds it has."""
        return int(self.settings["rounds"])

    @property
    def seeds(self) -> int:
        """How many populations there are."""
        return int(self.settings["seeds"])

    @cached_property
    def differences(self) -> "pd.DataFrame":
        """Its differences.csv: policy, measure, group, mean, its distance from the base, and their seeds."""
        import pandas as pd

        path = self.folder / "differences.csv"
        try:
            return pd.read_csv(path)[[*_NAMES, *_NUMBERS]].astype(dict.fromkeys(_NUMBERS, float))
        except (OSError, ValueError, KeyError) as error:
            said = str(error).partition("\n")[0]
            raise RecsysError(f"{path}: {said}, expected the table of a simulation") from None


def is_simulation_folder(folder: Path) -> bool:
    """Return whether a folder has what every folder of a simulation has; a link to one is none."""
    return not folder.is_symlink() and all(exists_at(folder / name, Path.is_file) for name in _MARKS)


def read_stored_simulation(folder: Path) -> StoredSimulation:
    """Return the simulation in a folder.

    Raises:
        RecsysError: if its settings cannot be read.
    """
    path = folder / "config.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        one = StoredSimulation(folder, tables)
        _ = one.base, one.world, one.seeds, one.rounds
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RecsysError(f"{path}: {str(error) or type(error).__name__}, expected the file of a simulation") from None
    return one


def find_readable_simulations(places: Sequence[Path]) -> tuple[list[StoredSimulation], list[RecsysError]]:
    """Return the simulations among `places` and in them, those of sweeps too, by name.

    Those that cannot be read are left out, and what is wrong with each is the second list.
    """
    found: list[Path] = []
    for place in places:
        inside = [place] if is_simulation_folder(place) else sorted(one for one in place.iterdir() if one.is_dir())
        found += [one for folder in inside for one in (folder, folder / _JUDGED) if is_simulation_folder(one)]
    readable, wrong = [], []
    for folder in dict.fromkeys(found):
        try:
            one = read_stored_simulation(folder)
            _ = one.differences
        except RecsysError as error:
            wrong.append(error)
        else:
            readable.append(one)
    return readable, wrong
