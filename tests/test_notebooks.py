"""What records look like in a notebook, and slates as a table."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import RandomFactorModel, make_split
from test_escaping import Parsed

import recsys as rs
from recsys.escaping import HIDDEN_CHARACTERS
from recsys.experiments.run_folder import tabulate_slates
from recsys.types import Dataset, Interactions

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e" + "x" * 300


@pytest.fixture(scope="module")
def world():
    split = make_split()
    titles = split.items.titles.astype(object)
    titles[:20] = HOSTILE
    split = replace(split, items=replace(split.items, titles=titles.astype(str)), notes=(HOSTILE,))
    pool = rs.candidates(RandomFactorModel(split), split, n=12)
    return split, pool, rs.rerank(pool, {"relevance": 1.0, "novelty": 0.3}, k=4)


def make_dataset(split):
    log = Interactions(
        np.array([0, 1], np.int32), np.array([0, 39], np.int32), np.array([5, 0.5], np.float32), np.array([0, 86_400]),
        split.user_ids, split.item_ids,
    )  # fmt: skip
    return Dataset(HOSTILE, log, split.items, "f" * 64, notes=(HOSTILE,))


def test_each_record_says_what_it_is(world) -> None:
    split, pool, slates = world
    said = {
        make_dataset(split): ["30 users", "40 items", "2 interactions", "1970-01-01 to 1970-01-02", "Item 39", "0.5"],
        split: [
            "30 users",
            f"train {split.train.nnz} positives",
            f"test {split.test.nnz} positives",
            "Split random, seed 0",
        ],
        pool: ["30 users", "up to 12 candidates each", "of 40 items", "u4"],
        slates: ["30 users", "4 picks each", "novelty + relevance", "u0"],
    }
    for record, expected in said.items():
        page = record._repr_html_()
        found = Parsed(page)
        assert all(text in found.text for text in expected), found.text
        assert "script" not in found.tags and not HIDDEN_CHARACTERS.search(page) and len(page) < 6000
        assert found.tags.count("tr") <= 6


def test_a_dataset_prints_its_name_and_counts(world) -> None:
    made = replace(make_dataset(world[0]), name="shop")
    counts = "30 users, 40 items, 2 interactions, 1970-01-01 to 1970-01-02"
    assert repr(made) == f"<Dataset shop: {counts}, fingerprint ffffffffffff>"


def test_ids_stand_for_items_without_titles(world) -> None:
    bare = rs.Pool.from_frame(["a", "a", "b"], ["x", "y", "x"], [3.0, 2.0, 1.0])
    slates = rs.rerank(bare, {"relevance": 1}, k=2)
    rows = "<tr><td>a</td><td>x</td><td>y</td></tr><tr><td>b</td><td>x</td></tr>"
    assert rows in slates._repr_html_()
    assert "<td>a</td><td>2</td><td>x</td><td>y</td>" in bare._repr_html_()
    assert list(slates.to_frame().columns) == ["user_id", "rank", "item_id", "score", "contribution_relevance"]


def test_a_frame_has_a_row_for_each_pick(world) -> None:
    split, pool, _ = world
    drawn = rs.rerank(pool, {"relevance": 1.0, "novelty": 0.3}, k=4, temperature=0.5)
    cut = replace(drawn, items=np.where(np.arange(4) < 3, drawn.items, -1))
    frame = cut.to_frame()
    assert len(frame) == 3 * 30 and frame["rank"].tolist() == [1, 2, 3] * 30
    for at in (0, 7, 89):
        u, r = divmod(at, 3)
        row = frame.iloc[at]
        assert (row.user_id, row.item_id) == (f"u{u}", f"i{cut.items[u, r]}")
        assert row.title == split.items.titles[cut.items[u, r]]
        assert row.score == cut.scores[u, r] == np.float32(row.contribution_novelty + row.contribution_relevance)
        assert row.log_propensity == cut.log_propensity[u, r]
    whole = tabulate_slates({4: {"a": cut, "b": cut}})
    assert whole.columns[:2].tolist() == ["run", "k"] and "title" not in whole and len(whole) == 180
    pd.testing.assert_frame_equal(
        whole[whole.run == "b"].drop(columns=["run", "k"]).reset_index(drop=True),
        frame.drop(columns="title").astype({"user_id": "category", "item_id": "category"}),
    )


def test_a_frame_of_nothing(world) -> None:
    _, _, slates = world
    empty = replace(slates, items=np.full_like(slates.items, -1))
    assert len(empty.to_frame()) == 0 and "score" in empty.to_frame()
    assert "u0" in empty._repr_html_()


def test_without_pandas() -> None:
    """The HTML is there, and the frame says what to install."""
    script = """
import sys
sys.modules["pandas"] = None
import recsys as rs
pool = rs.Pool.from_frame(["a"], ["x"], [1.0])
slates = rs.rerank(pool, {"relevance": 1}, k=1)
print(pool._repr_html_(), slates._repr_html_())
try:
    slates.to_frame()
except rs.RecsysError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'recsys.Slates.to_frame needs pandas: pip install "recsys-negspace[bench]"' in done.stdout
