"""A saved ranker on its way to executors: one archive, unpacked once on each, mapped by all of its workers."""

import hashlib
import tarfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys.rankers import Ranker
from recsys.support.stored_arrays import read_json
from recsys.types import RecsysError
from recsys.types.paths import check_path

if TYPE_CHECKING:
    from pyspark import SparkContext

_FOLDER, _LIST = "ranker", "forget_list"  # of the archive


@dataclass(frozen=True)
class ShippedRanker:
    """A ranker that every worker can load."""

    name: str  # of the unpacked archive among the files of the application
    policy: str  # of the ranker under its forget list
    forgets_as_of: int | None  # the moment whose lines of the forget list hold, None where it obeys none
    allow_imports: tuple[str, ...] = ()


class Shipment(NamedTuple):
    """A ranker here, and the same one for workers."""

    ranker: Ranker
    shipped: ShippedRanker


def ship_ranker(
    context: "SparkContext",
    ranker: str | Path | Ranker,
    forget_list: str | Path | None = None,
    allow_imports: Collection[str] = (),
) -> Shipment:
    """Return a ranker, and what workers load it by; one in memory is saved for that.

    Raises:
        RecsysError: as `Ranker.load`, `Ranker.save` and `follow_forget_list` do.
    """
    if isinstance(ranker, Ranker):
        made = ranker if forget_list is None else ranker.follow_forget_list(forget_list)
        folder = made.save(_find_folder() / "saved")
    else:
        folder = check_path("ranker", ranker)
        made = Ranker.load(folder, allow_imports=allow_imports, forget_list=forget_list)
    return Shipment(made, ship_folder(context, folder, made, allow_imports))


def ship_folder(
    context: "SparkContext", folder: Path, loaded: Ranker, allow_imports: Collection[str] = ()
) -> ShippedRanker:
    """Add a saved ranker, and the forget list that it obeys, to the files of an application: each content once.

    All workers obey the list as it is now, whenever they start.

    Raises:
        RecsysError: for a full disk.
    """
    state = loaded.forget_state
    obeyed = None if state is None else state.forget_list.path
    name = f"ranker-{_hash_content(folder, obeyed)}"
    if not any(str(one).endswith(f"#{name}") for one in context.listArchives):
        context.addArchive(f"{_pack(_find_folder() / f'{name}.tar', folder, obeyed)}#{name}")
    as_of = None if obeyed is None else int(time.time())
    return ShippedRanker(name, loaded.name, as_of, tuple(allow_imports))


def _find_folder() -> Path:
    """Return a folder that Spark removes when the application ends."""
    from pyspark import SparkFiles

    return Path(SparkFiles.getRootDirectory()) / "recsys"


def _hash_content(folder: Path, forget_list: Path | None) -> str:
    """Return a digest of a saved ranker, whose manifest has the checksums of its files, and of a forget list."""
    told = hashlib.sha256(str(read_json(folder / "manifest.json")["digest"]).encode())
    told.update(b"" if forget_list is None else forget_list.read_bytes())
    return told.hexdigest()[:32]


def _pack(target: Path, folder: Path, forget_list: Path | None) -> Path:
    target.parent.mkdir(exist_ok=True)
    try:
        with tarfile.open(target, "w") as archive:
            archive.add(folder, _FOLDER)
            if forget_list is not None:
                archive.add(forget_list.resolve(), _LIST)
    except OSError as error:
        raise RecsysError(f"cannot write {target}: {error.strerror or error}") from None
    return target


@lru_cache(maxsize=1)
def load_shipped(shipped: ShippedRanker) -> Ranker:
    """Return the ranker in a worker, which keeps it for its later tasks; its arrays are mapped from the files.

    Raises:
        RecsysError: if it is not the policy that was shipped, such as where its forget list was written to meanwhile.
    """
    from pyspark import SparkFiles

    place = Path(SparkFiles.get(shipped.name))
    loading: dict[str, Any] = {"allow_imports": shipped.allow_imports}
    if shipped.forgets_as_of is None:
        made = Ranker.load(place / _FOLDER, **loading)
    else:
        made = Ranker.load(place / _FOLDER, forget_list=place / _LIST, **loading).refresh(now=shipped.forgets_as_of)
    if made.name != shipped.policy:
        said = f"is the policy {made.name}, expected {shipped.policy}"
        raise RecsysError(f"{place}: {said}: its forget list was changed while it was read, run it again")
    return made
