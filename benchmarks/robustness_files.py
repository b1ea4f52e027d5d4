"""Hostile files: texts of configs and cards, tables of interactions, and folders and archives of stored arrays."""

import csv
import gzip
import io
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from robustness_worlds import Difference, Generator, draw_hostile_value, mutate_bytes, pick_one, write_world

import recsys as rs
from recsys import configs
from recsys.data import card_files
from recsys.data import stores as datasets
from recsys.data.identifiers import normalize_id
from recsys.experiments.comparisons import read_run_folder
from recsys.models import stores as models
from recsys.support import resources
from recsys.support.cache import Cache, CacheEntry
from recsys.support.serialization import flatten_record
from recsys.sweeps import plans
from recsys.types import RecsysError


class MutatedTexts:
    """configs, sweep files and dataset cards: bytes mutated, keys misspelt, values replaced"""

    share = 1.0

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mutated.toml"
        found = {
            "config": sorted(resources.find_shipped_folder("configs").glob("*.toml")),
            "sweep": sorted(resources.find_shipped_folder("configs").glob("sweeps/*.toml")),
            "card": sorted(resources.find_shipped_folder("datasets").glob("*.toml")),
        }
        self.texts = [(kind, path.read_bytes()) for kind, paths in found.items() for path in paths]
        self.texts = [(kind, text) for kind, text in self.texts if kind != "config" or b"[data]" in text]

    def run(self, rng: Generator) -> None:
        kind, text = pick_one(rng, self.texts)
        if rng.random() < 0.4:
            self.path.write_bytes(mutate_bytes(text, rng))
        else:
            self.path.write_text(
                tomli_w.dumps(self._mutate_tables(tomllib.loads(text.decode()), rng)), encoding="utf-8"
            )
        if kind == "card":
            try:
                content = tomllib.loads(self.path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                raise RecsysError("not TOML") from None
            card_files.parse_card(content, place="mutated.toml")
        elif kind == "sweep":
            plans.read_sweep(self.path)
        else:
            read = configs.read_config(self.path)
            again = configs.parse_config(tomllib.loads(tomli_w.dumps(read.dump_settings())), home=self.path.parent)
            if again.compute_digest() != read.compute_digest():
                raise Difference("the resolved config, written and read again, has another digest")

    def _mutate_tables(self, tables: dict[str, Any], rng: Generator) -> dict[str, Any]:
        """Return the tables with one value replaced, or one key misspelt, by what TOML can say."""
        inside, key = tables, pick_one(rng, list(tables))
        while isinstance(inside[key], dict) and inside[key] and rng.random() < 0.9:
            inside = inside[key]
            key = pick_one(rng, list(inside))
        value = inside.pop(key)
        if rng.random() < 0.2:
            inside[key[:-1] + key[-1] * 2] = value
            return tables
        for _ in range(20):
            inside[key] = draw_hostile_value(rng)
            try:
                text = tomli_w.dumps(tables)
            except (TypeError, ValueError, AttributeError, OverflowError):
                continue
            if tomllib.loads(text) is not None:
                return tables
        inside[key] = ""
        return tables


class MutatedTables:
    """tables of interactions in many forms, some with mutated bytes: every row is read, or a note says which is not"""

    share = 1.5
    NAMES = ("user_id", "item_id", "rating", "timestamp")
    IDS = (
        lambda n: str(n), lambda n: f"{n:05d}", lambda n: f"A{n}XYZ", lambda n: f"Toy Story ({1900 + n})",
        lambda n: f'The "{n}" Heroes', lambda n: f"d'Artagnan {n}", lambda n: f"é{n}", lambda n: f"a, b {n}",
        lambda n: f'"{n}', lambda n: f"x|y{n}", lambda n: f"-{n}", lambda n: f"{n}#",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, rng: Generator) -> None:
        rows = self._draw_rows(rng)
        text, header = self._format_table(rows, rng)
        path = self.folder / f"table{pick_one(rng, ('.csv', '.tsv', '.txt', '.dat'))}"
        content = text.encode(pick_one(rng, ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))
        mutated = rng.random() < 0.3
        content = mutate_bytes(content, rng) if mutated else content
        packed = rng.random() < 0.1
        path = path.with_name(path.name + ".gz") if packed else path
        path.write_bytes(gzip.compress(content) if packed else content)
        named = {name: str(place) for place, name in enumerate(self.NAMES)}
        try:
            data = rs.read_dataset(path) if header else rs.read_dataset(path, columns=named)
        finally:
            path.unlink()
        if data.notes:
            return
        log = data.interactions
        if mutated:
            if len(log) != (there := self._count_lines(content) - header):
                raise Difference(f"{len(log)} of {there} rows were read, without a note: {content[:300]!r}")
            return
        found = sorted(
            zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), log.weight.tolist(), strict=True)
        )
        wanted = sorted((normalize_id(user), normalize_id(item), weight) for user, item, weight, _ in rows)
        order = [time for _, _, _, time in rows]
        if found != wanted:
            raise Difference(f"rows differ without a note: {found[:3]} for {wanted[:3]} in {text[:300]!r}")
        if log.datetime is None or log.datetime.tolist() != order:
            raise Difference(f"times differ without a note: {log.datetime} for {order[:3]} in {text[:300]!r}")

    def _count_lines(self, content: bytes) -> int:
        """Return how many lines of a text hold anything."""
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return sum(bool(line.strip()) for line in re.split(r"\r\n?|\n", content.decode(encoding, errors="replace")))

    def _draw_rows(self, rng: Generator) -> list[tuple[str, str, float, int]]:
        user, item = pick_one(rng, self.IDS), pick_one(rng, self.IDS)
        count = int(rng.integers(2, 40))
        pairs = rng.choice(400, size=count, replace=False)
        step, first = int(rng.integers(1, 10**5)), int(rng.integers(8 * 10**8, 1_700_000_000))
        return [
            (user(int(pair) // 20), item(int(pair) % 20), int(rng.integers(2, 11)) / 2, first + step * n)
            for n, pair in enumerate(pairs)
        ]

    def _format_table(self, rows: list[tuple[str, str, float, int]], rng: Generator) -> tuple[str, bool]:
        """Return the text of a table, and whether it has a header."""
        delimiter = pick_one(rng, (",", "\t", ";", "|", "::"))
        comma, header = delimiter == ";" and rng.random() < 0.5, bool(rng.random() < 0.7)
        scale, end = pick_one(rng, (1, 1, 1000)), pick_one(rng, ("\n", "\n", "\r\n"))
        cells = [
            [user, item, f"{weight:.1f}".replace(".", "," if comma else "."), str(time * scale)]
            for user, item, weight, time in rows
        ]
        cells = [list(self.NAMES), *cells] if header else cells
        if delimiter == "::":
            return end.join(delimiter.join(row) for row in cells) + end, header
        plain = delimiter == "\t" and rng.random() < 0.5 and not any("\t" in cell for row in cells for cell in row)
        if plain:
            return end.join(delimiter.join(row) for row in cells) + end, header
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(cells)
        return out.getvalue(), header


class MutatedStores:
    """flipped and cut bytes of models, rankers, datasets, cached cells and scores: as before, or refused"""

    share = 2.0

    def __init__(self, folder: Path) -> None:
        self.home, self.copy = folder / "kept", folder / "copy"
        self.home.mkdir()
        data = rs.read_dataset(write_world(folder), items=folder / "items.csv")
        split = rs.splits.per_user_time(data, positive="rating >= 4", test=0.2)
        model = rs.models.ALS(factors=4, iterations=3).fit(split.train)
        blend = {"relevance": 1.0, "negative_space": 0.2, "mmr": 0.1, "unexplored": 0.1}
        ranker = rs.Ranker.fit(model, split, blend, n=20, k=5)
        models.save_model(model, self.home / "model")
        ranker.save(self.home / "ranker")
        datasets.save_dataset(data, self.home / "dataset.npz")
        self._read_cached_cell(self.home)
        config = {
            "data": {"path": str(folder / "ratings.csv")}, "model": {"kind": "als", "factors": 4}, "pool": {"n": 20},
            "slate": {"k": [5]}, "evaluation": {"metrics": ["ndcg", "coverage"], "n_bootstrap": 100},
        }  # fmt: skip
        judged = rs.bench(config, out=folder / "runs", quiet=True).folder
        shutil.copytree(judged, self.home / "run")
        self.kinds: dict[str, Callable[[Path], object]] = {
            "model": lambda home: _encode_arrays(models.load_model(home / "model")),
            "ranker": lambda home: _encode_answers(rs.Ranker.load(home / "ranker")),
            "dataset.npz": lambda home: _encode_dataset(datasets.restore_dataset(home / "dataset.npz", {})),
            "cells": self._read_cached_cell,
            "run": lambda home: _encode_scores(read_run_folder(str(home / "run"))),
        }
        self.right = {name: read(self.home) for name, read in self.kinds.items()}

    def run(self, rng: Generator) -> None:
        name = pick_one(rng, list(self.kinds))
        shutil.rmtree(self.copy, ignore_errors=True)
        self.copy.mkdir()
        source, target = self.home / name, self.copy / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        read_back = {"run": ("scores.npz", "config.toml", "environment.json")}
        files = [path for path in sorted(target.rglob("*")) if path.is_file()] if target.is_dir() else [target]
        files = [path for path in files if path.name in read_back.get(name, (path.name,))]
        path = pick_one(rng, files)
        path.write_bytes(mutate_bytes(path.read_bytes(), rng))
        found = self.kinds[name](self.copy)
        if found is not None and found != self.right[name] and path.name != "environment.json":
            raise Difference(f"{name}: {path.name} was changed, and something else was read without a word")

    def _read_cached_cell(self, home: Path) -> object:
        """Return what the cache gives for one key: a cell that cannot be read is made again."""
        cell = Cache(home / "cells").get_or_make(
            "pools", "key", lambda: CacheEntry({"items": np.arange(100), "scores": np.ones(7)}, 1.0)
        )
        return {name: array.tobytes() for name, array in cell.arrays.items()}


def _encode_arrays(record: object) -> dict[str, bytes]:
    return {
        name: array.dtype.str.encode() + np.asarray(array).tobytes() for name, array in flatten_record(record).items()
    }


def _encode_dataset(data: rs.Dataset | None) -> object:
    if data is None:
        return None
    log, items = data.interactions, data.items
    arrays = [log.user, log.item, log.weight, log.datetime, log.user_ids, log.item_ids, items.titles, items.years]
    return [np.asarray(one).tobytes() for one in [*arrays, items.features.indices, items.features.indptr]], data.notes


def _encode_answers(ranker: rs.Ranker) -> object:
    asked = [{"user": "u1"}, {"user": "u30"}, {"history": ["i1", "i25"]}, {"history": []}]
    answers = [ranker.rank(k=5, **one) for one in asked]
    return ranker.name, [(answer.items, answer.scores.tobytes(), answer.explanations()) for answer in answers]


def _encode_scores(judged: Any) -> object:
    cells = judged.scores.cells
    return [(one.run, one.metric, one.k, one.value, tuple(one.limits), one.draws.tobytes()) for one in cells]
