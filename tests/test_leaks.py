"""The leak test over all ways of reading a log, and leaks that it finds."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys import testing
from recsys.experiments import pipeline
from recsys.models import MostPopular
from recsys.models.most_popular import FittedPopularity
from recsys.splits import pairs, permissions
from recsys.testing.leaks import find_difference
from recsys.types import RecsysError

FILTER = {"sources": ["search", "list"], "purposes": ["recommendation"]}


def make_table(seed: int = 0) -> pd.DataFrame:
    """A log whose rows that may not be used change whatever looks at them: ids, times, titles, tastes."""
    rng = np.random.default_rng(seed)
    n = 500
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(1, 30, n).astype(str),
            "item_id": np.where(rng.random(n) < 0.5, rng.integers(1, 25, n), rng.integers(1, 9, n)).astype(str),
            "stars": rng.integers(1, 6, n),
            "timestamp": 1_300_000_000 + rng.integers(0, 900_000, n),
            "source": rng.choice(["search", "list", "partner"], n, p=[0.45, 0.45, 0.1]),
            "consent": (rng.random(n) < 0.9).astype(int),
            "purposes": rng.choice(["recommendation", "ads|recommendation", "ads", ""], n, p=[0.5, 0.35, 0.1, 0.05]),
        }
    )
    bad = (frame["source"] == "partner") | (frame["consent"] == 0) | ~frame["purposes"].str.contains("recomm")
    number = frame["item_id"].astype(int)
    frame["title"] = np.where(bad, "Secret (1901)", "Film " + frame["item_id"])
    frame["genres"] = np.where(bad, "Hidden", np.where(number % 3 == 0, "Drama|War", "Comedy"))
    frame.loc[bad, "timestamp"] += rng.integers(-90_000, 90_000, int(bad.sum()))
    frame.loc[bad & (rng.random(n) < 0.3), "user_id"] = "ghost"
    frame.loc[bad & (rng.random(n) < 0.4), "item_id"] = "x9"
    return frame


SUFFIXES = ("tsv", "parquet", "jsonl")
CONFIG = {
    "filter": {"positive": "stars >= 2", "min_user_interactions": 2, **FILTER},
    "split": {"kind": "per_user_time", "test": 0.3, "validation": 0.2},
    "model": {"kind": "ease"},
    "pool": {"n": 12},
    "slate": {"k": [5]},
    "blends": {"wider": {"relevance": 1.0, "negative_space": 0.3, "novelty": 0.2}},
    "evaluation": {"metrics": ["ndcg", "coverage", "discovery"], "n_bootstrap": 100},
}


def read_log(path: Path):
    """Return the log in a file, as a reader of one's own."""
    return pd.read_csv(path, dtype={"user_id": str, "item_id": str, "purposes": str})


def read_leaky_log(path: Path):
    """Return the log with a feature of items that is counted over all of its rows."""
    frame = read_log(path)
    rows = frame.groupby("item_id")["item_id"].transform("size")
    return frame.assign(genres=np.where(rows > rows.median(), "Popular", "Rare"))


@dataclass(frozen=True)
class PopularInFile:
    """A model that counts the rows of items in a file, whoever agreed to them."""

    path: str = ""

    def fit(self, train, side=None):
        counts = read_log(Path(self.path))["item_id"].value_counts().to_numpy(np.float32)
        return FittedPopularity(np.resize(counts, train.shape[1]))


def with_path(path: Path, **more) -> dict:
    return {**CONFIG, **more, "data": {"path": str(path)}}


@pytest.mark.parametrize("suffix", ["csv", *(pytest.param(one, marks=pytest.mark.slow) for one in SUFFIXES)])
def test_files_do_not_leak(tmp_path, suffix):
    frame, path = make_table(), tmp_path / f"log.{suffix}"
    if suffix == "parquet":
        frame.assign(purposes=frame["purposes"].str.split("|")).to_parquet(path)
    elif suffix == "jsonl":
        path.write_text("\n".join(map(json.dumps, frame.to_dict("records"))), encoding="utf-8")
    else:
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    testing.check_no_leak(with_path(path))
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda frame: frame, marks=pytest.mark.slow),
        pytest.param(lambda frame: frame.to_dict("list"), marks=pytest.mark.slow),
        pytest.param(lambda frame: frame.to_dict("records"), marks=pytest.mark.slow),
        lambda frame: recsys.read_dataset(frame),
        pytest.param(
            lambda frame: recsys.read_dataset(
                frame.drop(columns=["title", "genres"]),
                items=frame.drop_duplicates("item_id")[["item_id", "title", "genres"]],
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["pandas", "columns", "rows", "a dataset", "a dataset with a table of items"],
)
def test_tables_in_memory_do_not_leak(convert):
    testing.check_no_leak(CONFIG, data=convert(make_table()))


@pytest.mark.slow
def test_datasets_do_not_leak_without_a_config():
    testing.check_no_leak(data=recsys.read_dataset(make_table()), **FILTER)
    testing.check_no_leak(data=make_table().drop(columns=["source", "purposes"]))


@pytest.mark.slow
def test_config_files_and_readers_do_not_leak(tmp_path):
    make_table().to_csv(tmp_path / "log.csv", index=False)
    text = """
[data]
reader = "test_leaks:read_log"
path = "log.csv"
[filter]
positive = "stars >= 2"
purposes = ["recommendation"]
[split]
kind = "random"
[model]
kind = "most_popular"
[pool]
n = 10
[slate]
k = [5]
[evaluation]
metrics = ["ndcg"]
n_bootstrap = 100
"""
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    testing.check_no_leak(tmp_path / "own.toml")
    (tmp_path / "leaky.toml").write_text(text.replace("read_log", "read_leaky_log"), encoding="utf-8")
    with pytest.raises(testing.ContractError, match=r"^leak test: split: items: features: indices differs when the"):
        testing.check_no_leak(tmp_path / "leaky.toml")


def test_a_model_that_reads_the_file_leaks(tmp_path):
    make_table().to_csv(tmp_path / "log.csv", index=False)
    config = with_path(tmp_path / "log.csv", blends={})
    honest = {**config, "model": {"kind": "most_popular"}}
    testing.check_no_leak(honest)
    leaky = {**config, "model": {"kind": "test_leaks:PopularInFile", "path": str(tmp_path / "log.csv")}}
    with pytest.raises(testing.ContractError, match=r"^leak test: (candidates|scores of candidates) differs when the"):
        testing.check_no_leak(leaky)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["consent", "source", "purposes", "descriptions"])
def test_a_filter_that_leaves_rows_in_leaks(monkeypatch, what):
    select = permissions.select_permitted_rows

    def leak(dataset, sources, purposes=None, forget_list=None, policy=None):
        log = dataset.interactions
        if what == "consent":
            dataset = replace(dataset, interactions=replace(log, consent=None))
        left, counts = select(dataset, None if what == "source" else sources, None if what == "purposes" else purposes)
        if what == "descriptions":
            place = {name: row for row, name in enumerate(dataset.items.ids.tolist())}
            rows = np.array([place[name] for name in left.items.ids.tolist()])
            left = replace(left, items=permissions._take_items(dataset.items, rows))
        return left, counts

    monkeypatch.setattr(pairs, "select_permitted_rows", leak)
    with pytest.raises(testing.ContractError, match=r"^leak test: split: "):
        testing.check_no_leak(CONFIG, data=make_table())


def test_a_log_whose_rows_may_all_be_used_tests_nothing():
    frame = make_table().drop(columns=["source", "purposes", "consent"])
    with pytest.raises(testing.ContractError) as error:
        testing.check_no_leak(data=frame)
    assert str(error.value) == (
        "leak test: all rows may be used, expected some that may not: consent, source, purposes, topics, forget_list"
    )


def test_a_reader_without_a_file_is_one_line():
    config = {**CONFIG, "data": {"reader": "recsys.testing:make_dataset"}}
    with pytest.raises((testing.ContractError, RecsysError), match="expected one, or data="):
        testing.check_no_leak(config)


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ([1.0, float("nan")], [1.0, float("nan")], None),
        (np.array([0.0]), np.array([-0.0]), "x differs"),
        (np.array([1.0]), np.array([1], dtype=np.int64), "x differs"),
        ({"a": 1}, {"b": 1}, "x has other names"),
        ({"a": [1, 2]}, {"a": [1]}, "x: a has another length"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "x: a differs"),
        (1, 1.0, "x is another kind of thing"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), pd.DataFrame({"a": [1], "b": ["y"]}), "x: b differs"),
        (MostPopular(), MostPopular(), None),
    ],
)
def test_differences_are_found_to_the_last_bit(one, other, found):
    assert find_difference(one, other, "x") == found


def write_exposures(path: Path, frame: pd.DataFrame, seed: int = 1) -> Path:
    """Write a log of what was shown, whose rows that may not be used are the latest, and hide what users like most."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "user_id": rng.choice(frame["user_id"], 300),
            "item_id": rng.choice(frame["item_id"], 300),
            "datetime": 1_300_000_000 + rng.integers(0, 80_000, 300),
            "dismissed": (rng.random(300) < 0.3).astype(int),
            "consent": (rng.random(300) < 0.9).astype(int),
            "purposes": rng.choice(["recommendation", "ads|recommendation", "ads", ""], 300, p=[0.4, 0.3, 0.2, 0.1]),
        }
    )
    rows.loc[(rows["consent"] == 0) | ~rows["purposes"].str.contains("recomm"), "datetime"] += 900_000
    rows.to_csv(path, index=False)
    return path


def with_exposures(folder: Path) -> dict:
    frame = make_table()
    frame.to_csv(folder / "log.csv", index=False)
    blends = {"capped": {"relevance": 1.0, "fatigue": 0.3, "guards": {"frequency_cap": {"m": 1, "window_days": 7}}}}
    shown = {"path": str(write_exposures(folder / "shown.csv", frame))}
    return with_path(folder / "log.csv", shown=shown, blends=blends)


@pytest.mark.filterwarnings("ignore::recsys.RecsysWarning")
def test_exposures_do_not_leak(tmp_path):
    testing.check_no_leak(with_exposures(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::recsys.RecsysWarning")
@pytest.mark.parametrize("what", ["purposes", "every purpose"])
def test_exposures_that_are_left_in_leak(tmp_path, monkeypatch, what):
    def leak(shown, purposes=None, place="shown"):
        if what == "every purpose":
            return permissions.select_permitted_exposures(shown, None, place)
        return replace(shown, purposes=None, purpose_names=()), 0

    monkeypatch.setattr(pipeline, "select_permitted_exposures", leak)
    with pytest.raises(testing.ContractError, match=r"^leak test: exposures"):
        testing.check_no_leak(with_exposures(tmp_path))
