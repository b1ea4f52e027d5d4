"""Parts of a ranker that are finished, kept in a folder beside it until all of them are.

A job that was killed goes on with the parts that it finished. They lie under a digest of all that decides what they
are, so that those of another job are never taken for them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.models import stores
from recsys.models.manifests import collect_versions
from recsys.rankers.records import list_storable_classes
from recsys.support.atomic_files import clear_folder, hold_folder
from recsys.support.serialization import flatten_record
from recsys.types import RecsysError

KIND = "FinishedPart"
SUFFIX = ".unfinished"  # of the folder beside that of the ranker

Made = tuple[tuple[Any, ...], Any]  # records, and what is told of them as JSON can say it


@dataclass(frozen=True, eq=False)
class FinishedPart:
    """A part of a ranker: records that a ranker's folder may hold."""

    members: tuple[Any, ...]


@dataclass(frozen=True)
class PartStore:
    """The finished parts of one job."""

    folder: Path

    def make(self, name: str, make: Callable[[], Made], is_kept: bool = True) -> Made:
        """Return a part: the one that was finished before, or what `make` returns, which is kept from then on."""
        target = self.folder / name
        if is_kept and target.is_dir():
            try:
                stored = stores.read_store(target, [KIND], "part", verify=True, mode="c")
                found = stores.restore_content(stored, FinishedPart, list_storable_classes())
                return found.members, stored.settings
            except RecsysError:
                pass  # damaged, or of another version: it is made anew
        members, told = make()
        if is_kept:
            stores.write_store(target, KIND, told, flatten_record(FinishedPart(members)), "part")
        return members, told


@contextmanager
def hold_parts(target: Path) -> Iterator[Callable[[Any], PartStore]]:
    """Yield a function that returns the store of a job, by what decides its parts, as JSON can say it.

    While the block runs no other process makes parts of the ranker at `target`. When it ends well, parts are removed:
    all of them are in the ranker by then. When it fails, they stay.

    Raises:
        RecsysError: if another process makes parts of this ranker, or they cannot be written.
    """
    folder = target.with_name(target.name + SUFFIX)
    with hold_folder(folder):
        yield lambda told: PartStore(folder / _digest(told))
        clear_folder(folder)


def _digest(told: Any) -> str:
    plain = json.dumps([told, dict(collect_versions())], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
