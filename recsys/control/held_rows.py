"""Where rows that a forget list names still lie on this machine: saved rankers, tables in folders, and the cache."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsys.data.columns import LOG_FIELDS, normalize_name
from recsys.data.identifiers import normalize_id
from recsys.support.cache import Cache, get_default_cache_folder
from recsys.support.forget_lists import ForgetLine, ForgetList
from recsys.types import RecsysError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
_RANKER_ARRAYS = ("train", "dislikes")


class HeldRows(NamedTuple):
    """A file or folder that holds rows which may no longer be used."""

    path: Path
    kind: str  # ranker, table or cell
    lines: tuple[int, ...]  # of the forget list, whose rows it holds; () for a cell, which says of nobody


def find_held_rows(forget_list: ForgetList, folders: Sequence[Path]) -> tuple[HeldRows, ...]:
    """Return where rows lie that lines name which hold: in rankers and tables of some folders, and in the cache.

    A ranker and a table are looked through. Cells of the cache hold arrays without ids, so that each of them may hold
    such rows.

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
    return (*named, *cells)


def remove_held_cells(held: Iterable[HeldRows]) -> int:
    """Remove the cells among what was found, and return their number: they are made again when they are asked for.

    Raises:
        RecsysError: if one cannot be removed.
    """
    count = 0
    for one in held:
        if one.kind == "cell":
            try:
                one.path.unlink(missing_ok=True)
            except OSError as error:
                raise RecsysError(f"cannot remove {one.path}: {error.strerror or error}") from None
            count += 1
    return count


def _find_in_folder(forget_list: ForgetList, lines: Sequence[ForgetLine], folder: Path) -> Iterator[HeldRows]:
    for path in sorted(folder.rglob("*")):
        if path.name == "user_ids.npy" and (path.parent / "manifest.json").is_file():
            found, where, kind = _match_ranker(forget_list, lines, path.parent), path.parent, "ranker"
        elif path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
            found, where, kind = _match_table(forget_list, lines, path), path, "table"
        else:
            continue
        if found:
            yield HeldRows(where, kind, found)


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
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str)
    except (OSError, ValueError):  # no table: whatever it holds, no column names users
        return ()
    columns = {normalize_name(str(name)): name for name in frame.columns}
    at = {
        field: next((columns[alias] for alias in map(normalize_name, LOG_FIELDS[field]) if alias in columns), None)
        for field in ("user_id", "item_id")
    }
    if at["user_id"] is None:
        return ()
    users = [forget_list.hash_user(normalize_id(cell)) for cell in frame[at["user_id"]]]
    items = [""] * len(users) if at["item_id"] is None else [
        forget_list.hash_item(normalize_id(cell)) for cell in frame[at["item_id"]]
    ]  # fmt: skip
    people, things, pairs = set(users), set(items), set(zip(users, items, strict=True))
    return tuple(
        line.number
        for line in lines
        if (
            line.user in people
            if line.kind == "person"
            else line.item in things
            if line.kind == "item"
            else (line.user, line.item) in pairs
        )
    )
