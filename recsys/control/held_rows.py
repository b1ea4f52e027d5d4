"""Where rows that a forget list names still lie on this machine: saved rankers, runs, tables, and the cache."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsys.data.columns import LOG_FIELDS, normalize_name
from recsys.data.identifiers import normalize_id
from recsys.support.atomic_files import make_temporary_folder
from recsys.support.cache import Cache, get_default_cache_folder
from recsys.support.forget_lists import ForgetLine, ForgetList
from recsys.support.toml_files import read_toml
from recsys.types import RecsysError
from recsys.types.arrays import Longs

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
RUN_FILES = ("environment.json", "config.toml")  # of the folder of a benchmark or an evaluation
_RANKER_ARRAYS = ("train", "dislikes")


class HeldRows(NamedTuple):
    """A file or folder that holds rows which may no longer be used."""

    path: Path
    kind: str  # ranker, run, table or cell
    lines: tuple[int, ...]  # of the forget list, whose rows it holds; () for a cell, which says of nobody


class TableIds(NamedTuple):
    """The columns of a table that name users and items."""

    users: dict[str, int]  # codes of users by hash
    items: dict[str, int]
    user: Longs  # (R,) the code of each row
    item: Longs  # (R,) -1 where the table has no column of items

    def holds(self, line: ForgetLine) -> bool:
        """Return whether a line names rows of the table."""
        who, what = self.users.get(line.user, -1), self.items.get(line.item, -1)
        if line.kind == "interaction":
            return min(who, what) >= 0 and bool(((self.user == who) & (self.item == what)).any())
        return (who if line.kind == "person" else what) >= 0


def find_held_rows(forget_list: ForgetList, folders: Sequence[Path]) -> tuple[HeldRows, ...]:
    """Return where rows lie that lines name which hold: in rankers, runs and tables of some folders, and in the cache.

    A ranker and a table are looked through. A run is the folder of a benchmark or an evaluation: its tables and report
    name users, and all of its numbers are made of their rows. Cells of the cache hold arrays without ids, so that each
    of them may hold such rows.

    Raises:
        RecsysError: for a folder that is not there.
    """
    lines = [line for line in forget_list.list_holding() if line.kind != "topic"]
    for folder in folders:
        if not folder.is_dir():
            raise RecsysError(f"{folder}: is no folder, expected one to look through")
    if not lines:
        return ()
    named = (one for folder in folders for one in _find_in_folder(forget_list, lines, folder))
    cells = (HeldRows(path, "cell", ()) for path in Cache(get_default_cache_folder()).list_entry_files())
    return (*dict.fromkeys(named), *cells)


def remove_held_rows(held: Iterable[HeldRows]) -> tuple[HeldRows, ...]:
    """Remove the cells and runs among what was found, and return them. A run goes at once, with all that is in it.

    Cells are made again when they are asked for; results of a run come back with another run.

    Raises:
        RecsysError: if one cannot be removed.
    """
    gone = []
    for one in held:
        try:
            if one.kind == "cell":
                one.path.unlink(missing_ok=True)
            elif one.kind == "run":
                _remove_run(one.path)
            else:
                continue
        except OSError as error:
            raise RecsysError(f"cannot remove {one.path}: {error.strerror or error}") from None
        gone.append(one)
    return tuple(gone)


def _remove_run(folder: Path) -> None:
    """Remove a folder: it is there whole, or no longer."""
    whole = folder.resolve()
    with make_temporary_folder(whole.parent) as aside:
        whole.rename(aside / "run")


def _find_in_folder(forget_list: ForgetList, lines: Sequence[ForgetLine], folder: Path) -> Iterator[HeldRows]:
    runs = {path.parent for path in folder.rglob(RUN_FILES[0]) if (path.parent / RUN_FILES[1]).is_file()}
    for path in sorted({folder, *folder.rglob("*")}):
        if path in runs:
            found, where, kind = _match_run(forget_list, lines, path), path, "run"
        elif path.name == "user_ids.npy" and (path.parent / "manifest.json").is_file():
            found, where, kind = _match_ranker(forget_list, lines, path.parent), path.parent, "ranker"
        elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file() and path.parent not in runs:
            found, where, kind = _match_table(forget_list, lines, path), path, "table"
        else:
            continue
        if found:
            yield HeldRows(where, kind, found)


def _match_run(forget_list: ForgetList, lines: Sequence[ForgetLine], folder: Path) -> tuple[int, ...]:
    """Return the lines that name people and items of the tables of a run, and interactions of people in them.

    What a user liked stands in no table of a run, but is in its numbers: it counts unless the run was made by this list
    after the line was written.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    tables = [found for path in paths if (found := _read_table_ids(forget_list, path)) is not None]
    since = _find_moment_of_list(forget_list, folder)
    return tuple(
        line.number
        for line in lines
        if any(one.holds(line) for one in tables)
        or (line.kind == "interaction" and line.at >= since and any(line.user in one.users for one in tables))
    )


def _find_moment_of_list(forget_list: ForgetList, folder: Path) -> float:
    """Return when a run was made by a list, in seconds since 1970; the first moment where it was made by none."""
    told = read_toml(folder / RUN_FILES[1], str(folder / RUN_FILES[1])).get("filter", {})
    named = told.get("forget_list") if isinstance(told, dict) else None
    if not isinstance(named, str) or Path(named).resolve() != forget_list.path.resolve():
        return -math.inf
    return (folder / RUN_FILES[0]).stat().st_mtime


def _match_ranker(forget_list: ForgetList, lines: Sequence[ForgetLine], folder: Path) -> tuple[int, ...]:
    """Return the lines whose person or rows a saved ranker holds."""
    try:
        names = {role: np.load(folder / f"{role}_ids.npy", mmap_mode="r").tolist() for role in ("user", "item")}
        pairs = [_load_pairs(folder, name) for name in _RANKER_ARRAYS if (folder / f"{name}.indptr.npy").is_file()]
    except (OSError, ValueError) as error:
        raise RecsysError(f"{folder}: cannot be looked through: {error}") from None
    users, items = forget_list.hash_ids("user", names["user"]), forget_list.hash_ids("item", names["item"])
    found = []
    for line in lines:
        who, what = users.get(line.user, -1), items.get(line.item, -1)
        if line.kind == "person":
            held = who >= 0
        elif line.kind == "item":
            held = what >= 0 and any((columns == what).any() for _, columns in pairs)
        else:
            held = min(who, what) >= 0 and any((columns[at[who] : at[who + 1]] == what).any() for at, columns in pairs)
        if held:
            found.append(line.number)
    return tuple(found)


def _load_pairs(folder: Path, name: str) -> tuple[Any, Any]:
    return tuple(np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("indptr", "indices"))


def _match_table(forget_list: ForgetList, lines: Sequence[ForgetLine], path: Path) -> tuple[int, ...]:
    """Return the lines that name rows of a table, () for a table that has no column of users."""
    found = _read_table_ids(forget_list, path)
    return () if found is None else tuple(line.number for line in lines if found.holds(line))


def _read_table_ids(forget_list: ForgetList, path: Path) -> TableIds | None:
    """Return the users and items that the rows of a table name, None for a table that has no column of users."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str)
    except (OSError, ValueError):  # no table: whatever it holds, no column names users
        return None
    columns = {normalize_name(str(name)): name for name in frame.columns}
    at = {
        field: next((columns[alias] for alias in map(normalize_name, LOG_FIELDS[field]) if alias in columns), None)
        for field in ("user_id", "item_id")
    }
    if at["user_id"] is None:
        return None
    user, users = _encode_ids(frame[at["user_id"]])
    if at["item_id"] is None:
        return TableIds(forget_list.hash_ids("user", users), {}, user, np.full(len(frame), -1))
    item, items = _encode_ids(frame[at["item_id"]])
    return TableIds(forget_list.hash_ids("user", users), forget_list.hash_ids("item", items), user, item)


def _encode_ids(column: Any) -> tuple[Longs, list[str]]:
    """Return the code of each cell of a column, and the ids, as other tables have them: 1, 1.0 and "1" are one id."""
    import pandas as pd

    cells, distinct = pd.factorize(column, use_na_sentinel=False)
    names = [normalize_id(cell) for cell in distinct]
    places = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], np.int64)[cells], list(places)
