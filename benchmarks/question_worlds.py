"""The worlds of `benchmarks/questions.toml`: fitted, checked, and cut down to fewer users or shorter histories."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.simulation import FittedTastes, World
from recsys.simulation.plans import parse_simulation
from recsys.simulation.records import build_pairs
from recsys.simulation.runs import open_world
from recsys.simulation.worlds.enlarging import select_users
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.types.arrays import make_empty_matrix

Row = dict[str, Any]


def describe_world(registration: Mapping[str, Any], name: str, behaviour: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a simulation's file with the world of that name."""
    world = dict(registration["worlds"][name])
    data = world.pop("data", None)
    content = {"name": re.sub(r"\W+", "-", name), "world": world, "policies": {"none": {"kind": "none"}}}
    if data is None:
        return content
    log = dict(registration["data"][data])
    world["behaviour"] = dict(behaviour)
    return content | {"data": {"name": log.pop("name")}, "filter": log}


@dataclass(frozen=True)
class Worlds:
    """Worlds by name, each fitted once; those of fitted tastes choose by `behaviour`."""

    registration: Mapping[str, Any]
    behaviour: Mapping[str, Any]

    @cached_property
    def kept(self) -> dict[str, World]:
        """Those that were made."""
        return {}

    def get(self, name: str) -> World:
        """Return a world.

        Raises:
            RecsysError: where its logs are not like the one that it was fitted to.
        """
        if name not in self.kept:
            plan = parse_simulation(describe_world(self.registration, name, self.behaviour))
            self.kept[name] = open_world(plan, None, True).world
        return self.kept[name]


def cut_down(world: World, users: int, history: float, seed: int) -> World:
    """Return a world of so many of the users (0: all), drawn by the seed, whose logs have a share of their items."""
    if not isinstance(world, FittedTastes):
        return world
    if 0 < users < len(world.groups):
        world = select_users(world, np.sort(make_generator(seed, "users").permutation(len(world.groups))[:users]))
    return world if history == 1 else shorten_histories(world, history)


def shorten_histories(world: FittedTastes, share: float) -> FittedTastes:
    """Return the world whose logs have a share of each user's items, rounded up: what is met first."""
    seen = world.split.seen
    lengths = np.diff(seen.indptr)
    rank = np.arange(seen.nnz) - np.repeat(seen.indptr[:-1], lengths)
    kept = rank < np.repeat(np.ceil(share * lengths), lengths)
    user, item = seen.nonzero()
    met = build_pairs(user[kept], item[kept], world.split.shape)  # of which only the number for each user is read
    return replace(world, split=replace(world.split, train=met, train_negatives=make_empty_matrix(met.shape)))


def keep_rows(folder: Path, key: Any, make: Callable[[], list[Row]], only_kept: bool) -> list[Row]:
    """Return the rows of a cell, those that were kept in `folder` or new ones: a run that was stopped goes on.

    With `only_kept`, () where there are none.
    """
    path = folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]}.json"
    if path.exists():
        rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
        return rows
    if only_kept:
        return []
    rows = make()
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(rows), encoding="utf-8")
    return rows


def write_tables(tables: Mapping[str, Sequence[Row]], prefix: str, out: Path) -> None:
    """Write each table that has rows to `out`, in the place of an older one; 0 users are all of them."""
    for name, rows in tables.items():
        if rows:
            named = [row | ({"users": row["users"] or "all"} if "users" in row else {}) for row in rows]
            with replace_file(out / f"{prefix}-{name}.csv") as temporary:
                pd.DataFrame(named).to_csv(temporary, index=False, float_format="%.5g", lineterminator="\n")
