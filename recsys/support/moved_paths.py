"""Paths of a run that was moved together with its data: where they lie from its folder, kept beside its settings."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from recsys.support.atomic_files import exists_at
from recsys.support.stored_arrays import StoreError, read_json

PATHS = "paths_from_here"  # the key of environment.json


def describe_paths(settings: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Return, by section and key, where the files that settings name by absolute paths lie from `folder`."""
    found: dict[str, dict[str, str]] = {}
    for section, table in settings.items():
        for key, value in table.items() if isinstance(table, Mapping) else ():
            if isinstance(value, str) and Path(value).is_absolute() and exists_at(Path(value)):
                with suppress(ValueError):  # on another drive
                    found.setdefault(section, {})[key] = os.path.relpath(Path(value).resolve(), folder.resolve())
    return found


def find_moved_paths(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings in which each path that is gone is where it was from the run folder, if a file is there."""
    try:
        kept = read_json(folder / "environment.json")
    except (StoreError, OSError):
        return dict(settings)
    kept = kept.get(PATHS) if isinstance(kept, Mapping) else None
    made = dict(settings)
    for section, paths in kept.items() if isinstance(kept, Mapping) else ():
        table = made.get(section)
        for key, path in paths.items() if isinstance(paths, Mapping) and isinstance(table, Mapping) else ():
            before = None if table is None else table.get(key)
            gone = isinstance(before, str) and Path(before).is_absolute() and not exists_at(Path(before))
            if gone and isinstance(path, str) and exists_at(folder / path):
                made[section] = {**made[section], key: str((folder / path).resolve())}
    return made
