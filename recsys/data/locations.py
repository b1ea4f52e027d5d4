"""The place of a dataset's files in a user's path: a folder, a folder further down, or a zip archive."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from recsys.data.archives import extract_members, list_archive_members
from recsys.types import RecsysError
from recsys.types.paths import check_path

MAX_DEPTH = 3  # how many folders down is looked


def locate_folder(place: Path, name: str, wanted: Sequence[str], workplace: Path, *, named: bool = False) -> Path:
    """Return the folder that holds the files `wanted` of dataset `name`: bare names, or paths as they are published.

    `place` is a folder or a zip archive. Its files stand together: at the paths given, in a folder called `name`,
    in `place` itself, or somewhere else if there is one file of each name. A folder without them can have them in a zip
    archive, `name`.zip or the only one, there or in a folder called `name`. Those of an archive are unpacked into
    `workplace`, and those that were published in several folders are copied there. With `named`, for a place of many
    datasets, a folder or archive of another name does not do.

    Raises:
        RecsysError: if the files are not there, or more than once, or if an archive is damaged; without `place`.
    """
    if not place.exists():
        raise RecsysError("no such folder or archive")
    if not place.is_dir():
        return _unpack_archive(place, name, wanted, workplace)
    found = _choose_paths(_find_files_by_name(place, wanted), name, wanted, "files", named)
    parents = {place / path.parent for path in found}
    if len(parents) == 1:
        return parents.pop()
    if found and _stand_as_published(found, wanted):
        for path in found:
            shutil.copyfile(place / path, workplace / path.name)
        return workplace
    archives = sorted(path for folder in (place, place / name) for path in folder.glob("*.[zZ][iI][pP]"))
    best = [path for path in archives if path.stem.casefold() == name.casefold()] or ([] if named else archives)
    if not found and len(best) == 1:
        return _unpack_archive(best[0], name, wanted, workplace)
    files = ", ".join(PurePosixPath(one).name for one in wanted)
    raise RecsysError(f"not all of {files} in it, in one folder of it, or in {name}.zip")


def list_relative_paths(wanted: Sequence[str]) -> list[PurePosixPath]:
    """Return the paths of a dataset's files below the innermost folder that holds them all.

    >>> [str(one) for one in list_relative_paths(["coat/train.ascii", "coat/features/items.ascii"])]
    ['train.ascii', 'features/items.ascii']
    """
    paths = [PurePosixPath(one) for one in wanted]
    shared = os.path.commonpath([one.parent.as_posix() for one in paths])
    return [one.relative_to(shared or ".") for one in paths]


def _stand_as_published(found: Sequence[PurePosixPath], wanted: Sequence[str]) -> bool:
    """Return whether the paths found stand to each other as those published, in folders below one folder."""
    inner = list_relative_paths(wanted)
    roots = {path.parents[len(below.parts) - 1] for path, below in zip(found, inner, strict=True)}
    return len(roots) == 1 and all(path == next(iter(roots)) / below for path, below in zip(found, inner, strict=True))


def _unpack_archive(path: Path, name: str, wanted: Sequence[str], workplace: Path) -> Path:
    inside = [PurePosixPath(one) for one in list_archive_members(path)]
    found = _choose_paths(inside, name, wanted, "members")
    if not found:
        missing = next(one for one in map(PurePosixPath, wanted) if not _select_by_name(one.name, inside))
        raise RecsysError(f"no members called {missing.name} in it, expected one")
    extract_members(path, [str(one) for one in found], workplace)
    return workplace


def _choose_paths(
    inside: Sequence[PurePosixPath], name: str, wanted: Sequence[str], what: str, named: bool = False
) -> list[PurePosixPath]:
    """Return which of the paths `inside` are the files wanted; none of them where one is not there."""
    files = [PurePosixPath(one).name for one in wanted]
    places = {file: _select_by_name(file, inside) for file in files}
    whole = set.intersection(*({path.parent for path in paths} for paths in places.values()))
    published = {
        one for one in whole if one.parts and all(str(one / PurePosixPath(file).name) == file for file in wanted)
    }
    called = {one for one in whole if one.name.casefold() == name.casefold()}
    top = whole & {PurePosixPath()}
    for group in (published, called, top):
        if len(group) > 1:
            raise RecsysError(f"{len(group)} folders called {name} with {', '.join(files)} in it, expected one")
        if group:
            return [one / file for one in group for file in files]
    if named or not all(places.values()):
        return []
    twice = [(file, len(paths)) for file, paths in places.items() if len(paths) > 1]
    if twice:
        raise RecsysError(f"{twice[0][1]} {what} called {twice[0][0]} in it, expected one, or a folder called {name}")
    return [paths[0] for paths in places.values()]


def _select_by_name(name: str, inside: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    return [path for path in inside if path.name == name]


def _find_files_by_name(place: Path, wanted: Sequence[str]) -> list[PurePosixPath]:
    """Return the paths below `place` of files with a name that is wanted."""
    names = {PurePosixPath(one).name for one in wanted}
    return [folder / name for folder, files in _walk_folders(place) for name in sorted(names & set(files))]


def _walk_folders(place: Path) -> Iterator[tuple[PurePosixPath, list[str]]]:
    for root, folders, files in os.walk(place, followlinks=True):
        below = PurePosixPath(Path(root).relative_to(place).as_posix())
        folders[:] = [one for one in folders if not one.startswith(".") and len(below.parts) < MAX_DEPTH]
        yield below, files


def resolve_data_folder(data_dir: str | Path | None = None) -> Path:
    """Return `data_dir`, else the folder that `RECSYS_DATA` names, else the user's cache folder for data."""
    chosen = data_dir or os.environ.get("RECSYS_DATA")
    if chosen:
        return check_path("data_dir", chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("recsys") / "data"
