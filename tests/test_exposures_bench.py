"""Benchmarks, exports and recommendations of a config that says what was shown before."""

import numpy as np
import pandas as pd
import pytest
from synthetic import write_tables

import recsys as rs
from recsys.experiments.exports import export
from recsys.experiments.recommendations import recommend
from recsys.types import RecsysError

CONFIG = """
[data]
path = "ratings.csv"
items = "items.csv"

[shown]
path = "shown.csv"
now = "2026-01-10"

[filter]
positive = "rating >= 3"

[split]
kind = "per_user_time"
test = 0.3

[model]
kind = "als"
factors = 4
iterations = 2

[pool]
n = 20

[slate]
k = [5]

[evaluation]
n_bootstrap = 100
halvings = 1
metrics = ["ndcg", "discovery", "repeat_share"]

[blends.capped]
relevance = 1.0
guards = { frequency_cap = { m = 2, window_days = 7 } }

[blends.rested]
relevance = 1.0
guards = { cool_down = { days = 5 } }

[blends.tired]
relevance = [1.0, 8.0]
fatigue = 1.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a log of 60 users, a config, and 1,200 exposures on nine days: every third was dismissed."""
    folder = tmp_path_factory.mktemp("shown")
    write_tables(folder)
    rng = np.random.default_rng(1)
    shown = pd.DataFrame({"user": [f"u{u}" for u in rng.integers(0, 61, 1200)], "item": rng.integers(0, 40, 1200)})
    shown["date"] = [f"2026-01-0{day}" for day in rng.integers(1, 10, 1200)]
    shown["dismissed"] = rng.random(1200) < 0.3
    shown.to_csv(folder / "shown.csv", index=False)
    (folder / "mine.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        return rs.bench(folder / "mine.toml", out=folder / "runs", quiet=True)


def list_forbidden(folder):
    """The pairs that each guard excludes, by a look at the table."""
    shown = pd.read_csv(folder / "shown.csv", dtype={"item": str})
    age = pd.Timestamp("2026-01-10") - pd.to_datetime(shown.date)
    counts = shown[age < pd.Timedelta(7, "D")].groupby(["user", "item"]).size()
    rests = shown[shown.dismissed & (age < pd.Timedelta(5, "D"))]
    return {"capped": set(counts[counts >= 2].index), "rested": set(zip(rests.user, rests.item, strict=True))}


def list_picks(slates):
    frame = slates.to_frame()
    return set(zip(frame.user_id, frame.item_id, strict=True))


def test_each_rule_is_a_run_beside_the_base_without_it(folder, done):
    runs = list(dict.fromkeys(done.summary.run))
    assert runs[-4:] == ["capped", "rested", "tired-1", "tired-8"]
    forbidden = list_forbidden(folder)
    for name, pairs in forbidden.items():
        assert not pairs & list_picks(done.slates[5][name])
        assert pairs & list_picks(done.slates[5]["als"])  # the base shows some of them
    value = done.summary.set_index(["metric", "run"]).value["repeat_share"]
    assert value["tired-1"] < value["tired-8"] < value["als"]
    assert value["capped"] < value["als"]
    line = "[shown]: 1,"
    assert any(note.startswith(line) and "slates are made at 2026-01-10 00:00:00 UTC" in note for note in done.notes)
    assert any("exposures of unknown users or items: left out" in note for note in done.notes)  # u60 is nobody


def test_another_log_is_another_run(folder, done, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(folder / "cells"))
    table = pd.read_csv(folder / "shown.csv")
    other = rs.read_exposures(table[table.date < "2026-01-03"])
    settings = {**done.preparation.config.dump_settings(), "name": "mine"}
    del settings["shown"]
    again = rs.bench(settings, out=folder / "runs", quiet=True, shown=other)
    assert again.folder != done.folder
    assert list_picks(again.slates[5]["als"]) == list_picks(done.slates[5]["als"])
    assert list_picks(again.slates[5]["capped"]) != list_picks(done.slates[5]["capped"])
    resolved = again.folder / "config.toml"
    with pytest.raises(RecsysError, match=r"\[shown\] .* was in memory and it is not given, expected it again: shown="):
        rs.bench(resolved, out=folder / "runs", quiet=True)
    assert rs.bench(resolved, out=folder / "runs", quiet=True, shown=other).folder == again.folder
    with pytest.raises(RecsysError, match="shown= is another log, expected one of them"):
        rs.bench(folder / "mine.toml", out=folder / "runs", quiet=True, shown=other)
    with pytest.raises(RecsysError, match="shown: found a list, expected an Exposures"):
        rs.bench(folder / "mine.toml", out=folder / "runs", quiet=True, shown=[])


@pytest.mark.filterwarnings("ignore::recsys.RecsysWarning")
def test_exports_and_recommendations_obey_the_rules(folder):
    forbidden = list_forbidden(folder)["capped"]
    made = recommend(folder / "mine.toml", folder / "out.csv", blend="capped", quiet=True)
    table = pd.read_csv(folder / "out.csv", dtype=str)
    assert made.rows == len(table) and not forbidden & set(zip(table.user_id, table.item_id, strict=True))
    export(folder / "mine.toml", folder / "ranker", blend="capped", quiet=True)
    ranker = rs.Ranker.load(folder / "ranker")
    answers = {(u, i) for u in table.user_id.unique() for i in ranker.rank(user=u, now="2026-01-10").items}
    assert answers and not forbidden & answers
    with pytest.raises(RecsysError, match="is the data of mine itself"):
        recommend(folder / "mine.toml", folder / "shown.csv", blend="capped", quiet=True)


def test_a_log_that_goes_on_after_now_is_one_line(folder):
    (folder / "early.toml").write_text(CONFIG.replace("2026-01-10", "2026-01-05"), encoding="utf-8")
    with pytest.raises(RecsysError, match=r"\[shown\]: now is 2026-01-05 00:00:00, and an exposure is of 2026-01-09"):
        rs.bench(folder / "early.toml", out=folder / "runs", quiet=True)
