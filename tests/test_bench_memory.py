"""Datasets in memory where a config would name a file: benchmarks, sweeps, slates, rankers, lists made elsewhere."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_tables

import recsys
from recsys import data, experiments
from recsys.cli import main
from recsys.configs import parse_config
from recsys.sweeps import sweep
from recsys.types import RecsysError

SETTINGS = {
    "name": "small",
    "filter": {"positive": "rating >= 3"},
    "split": {"validation": 0.3, "test": 0.3},
    "model": {"kind": "ease"},
    "pool": {"n": 15},
    "slate": {"k": [5]},
    "evaluation": {"metrics": ["ndcg", "coverage"], "n_bootstrap": 100},
    "blends": {"new": {"relevance": 1.0, "novelty": 0.2}},
}  # fmt: skip
TOML = """
[filter]
positive = "rating >= 3"
[split]
validation = 0.3
test = 0.3
[model]
kind = "ease"
[pool]
n = 15
[slate]
k = [5]
[evaluation]
metrics = ["ndcg", "coverage"]
n_bootstrap = 100
"""
SWEEP = """
extends = "small.toml"
[sweep]
maximize = ["ndcg", "coverage"]
trials = 3
[blends.new]
relevance = 1.0
novelty = { float = [0.01, 0.5] }
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture
def home(tmp_path, monkeypatch, cells):
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(cells))
    Path("small.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


@pytest.fixture
def log(home):
    return recsys.read_dataset(pd.read_csv("ratings.csv"), items=pd.read_csv("items.csv"), name="mine")


def numbers(done):
    return done.summary[["run", "metric", "k", "value", "ci_low", "ci_high"]]


def test_a_benchmark_of_data_in_memory_is_that_of_the_file(home, log):
    done = experiments.bench(SETTINGS, data=log, quiet=True)
    read = experiments.bench({**SETTINGS, "data": {"path": "ratings.csv", "items": "items.csv"}}, quiet=True)
    pd.testing.assert_frame_equal(numbers(done), numbers(read), check_exact=True)
    told = tomllib.loads((done.folder / "config.toml").read_text(encoding="utf-8"))["data"]
    assert {name: value for name, value in told.items() if value} == {
        "in_memory": "mine",
        "fingerprint": log.fingerprint,
    }
    assert done.folder != read.folder
    assert not list(home.glob("**/.part-*"))
    assert experiments.bench(SETTINGS, data=log, quiet=True).folder == done.folder
    other = recsys.read_dataset(pd.read_csv("ratings.csv")[:-1], items=pd.read_csv("items.csv"), name="mine")
    assert experiments.bench(SETTINGS, data=other, quiet=True).folder != done.folder
    compared = experiments.compare_folders([done.folder, read.folder])
    assert compared.against == "ease"


@pytest.mark.parametrize("form", [str, Path, lambda file: parse_config({**SETTINGS, "data": {"in_memory": "mine"}})])
def test_configs_of_every_form_take_data(home, log, form):
    done = experiments.bench(form("small.toml"), data=log, quiet=True)
    assert done.preparation.dataset is log


def test_the_config_of_a_run_takes_its_data_again_and_no_other(home, log, capsys):
    done = experiments.bench(SETTINGS, data=log, quiet=True)
    file = done.folder / "config.toml"
    assert experiments.bench(file, data=log, quiet=True).folder == done.folder
    with pytest.raises(RecsysError, match=r"^small: \[data\] 'mine' was in memory, expected it again: data=$"):
        experiments.bench(file, quiet=True)
    other = recsys.read_dataset(pd.read_csv("ratings.csv"), name="mine")
    with pytest.raises(RecsysError) as error:
        experiments.bench(file, data=other, quiet=True)
    found, expected = other.fingerprint[:12], log.fingerprint[:12]
    assert str(error.value) == f"small: mine has the fingerprint {found}, expected that of [data], {expected}"
    with pytest.raises(SystemExit) as stop:
        main(["bench", str(file)])
    assert stop.value.code == 2
    assert "was in memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "ml-100k"}, "small: [data] is ml-100k and data= is another dataset, mine, expected one of them: leave [data] out"),
        ({"path": "ratings.csv"}, "small: [data] is "),
        ({"path": "ratings.csv", "fingerprint": "0" * 64}, "small: [data] is "),
        ({"path": "nothing.csv"}, "{home}/nothing.csv: no such file"),
        ({"in_memory": "mine", "path": "ratings.csv"}, "config: data has path and in_memory, expected one of name, path, reader and in_memory"),
        ({"in_memory": "mine", "items": "items.csv"}, "config: data has items beside in_memory"),
        ({"in_memory": "mine", "fingerprint": "0" * 64}, "small: mine has the fingerprint "),
    ],
)  # fmt: skip
def test_data_that_a_config_contradicts_is_refused(home, log, section, message):
    with pytest.raises(RecsysError) as error:
        experiments.bench({**SETTINGS, "data": section}, data=log, quiet=True)
    assert str(error.value).startswith(message.format(home=home))
    assert "\n" not in str(error.value)
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_data_that_the_config_names_too_is_no_contradiction(home, log):
    section = {"path": home / "ratings.csv", "items": "items.csv"}
    done = experiments.bench({**SETTINGS, "data": section}, data=log, quiet=True)
    assert "in_memory" not in (done.folder / "config.toml").read_text(encoding="utf-8")


def test_a_fingerprint_holds_for_files_too(home, log):
    section = {"path": "ratings.csv", "items": "items.csv"}
    assert experiments.bench({**SETTINGS, "data": {**section, "fingerprint": log.fingerprint}}, quiet=True)
    with pytest.raises(RecsysError, match=r"ratings has the fingerprint .*, expected that of"):
        experiments.bench({**SETTINGS, "data": {"path": "ratings.csv", "fingerprint": log.fingerprint}}, quiet=True)


@pytest.mark.parametrize("given", [5, {"user": [1]}, "ratings.csv", pd.DataFrame({"user": [1]})])
def test_data_that_is_no_dataset_is_one_line(home, given):
    with pytest.raises(RecsysError, match=r"^data: found a \w+, expected a Dataset: recsys.read_dataset makes one$"):
        experiments.bench(SETTINGS, data=given, quiet=True)


@pytest.mark.parametrize("config", [None, 5, pd.DataFrame(), ["ml-100k"], b"small.toml"])
def test_configs_of_no_form_are_one_line(home, config):
    with pytest.raises(RecsysError, match=r"^config: found a \w+, expected a path, the name of a shipped config"):
        experiments.bench(config, quiet=True)


def test_without_any_data(home):
    with pytest.raises(RecsysError, match=r"^config: data is missing$"):
        experiments.bench(SETTINGS, quiet=True)


def test_slates_rankers_and_lists_of_data_in_memory(home, log):
    section = {"path": "ratings.csv", "items": "items.csv"}
    for name, config, given in (("memory", SETTINGS, log), ("file", {**SETTINGS, "data": section}, None)):
        experiments.recommend(config, f"{name}.csv", blend="new", quiet=True, data=given)
        made = experiments.export(config, f"{name}-ranker", quiet=True, data=given)
        judged = experiments.evaluate_files(f"{name}.csv", config, quiet=True, data=given)
        Path(f"{name}.txt").write_text(f"{made.policy}\n{numbers(judged).replace(name, '').to_csv()}", encoding="utf-8")
    for kind in ("csv", "txt"):
        assert Path(f"memory.{kind}").read_bytes() == Path(f"file.{kind}").read_bytes()


@pytest.mark.parametrize(
    ("change", "run"),
    [
        ({}, "new"),
        ({"blends": {}}, "ease"),
        ({"slate": {"k": [5], "order": "relevance"}}, "new"),
        ({"guards": {"exclude": {"items": ["3", "7"]}}}, "new"),
        ({"pool": {"n": 200, "exploration_share": 0.3}}, "new"),
    ],
)
def test_what_is_recommended_is_what_is_served(home, log, change, run):
    written = experiments.recommend({**SETTINGS, **change}, "slates.csv", quiet=True, data=log)
    made = experiments.export({**SETTINGS, **change}, "served", quiet=True, data=log)
    assert (written.run, made.run) == (run, run)
    ranker = recsys.Ranker.load("served")
    frame = pd.read_csv("slates.csv", dtype={"item_id": str})
    lists = {user: tuple(part.sort_values("rank")["item_id"]) for user, part in frame.groupby("user_id")}
    assert len(lists) == 60
    assert {user: ranker.rank(user=user).items for user in lists} == lists
    if run == "new":
        base = experiments.recommend({**SETTINGS, **change}, "base.csv", blend="ease", quiet=True, data=log)
        assert base.run == "ease"
        assert Path("base.csv").read_bytes() != Path("slates.csv").read_bytes()


@pytest.mark.parametrize("users", ["u12", ["u12"], np.array(["u12"]), pd.Series(["u12"])])
def test_one_user_is_one_user(home, log, users):
    written = experiments.recommend(SETTINGS, "slates.csv", users=users, quiet=True, data=log)
    assert (written.users, set(pd.read_csv("slates.csv").user_id)) == (1, {"u12"})


def test_users_by_number(home):
    numbers = recsys.read_dataset(
        pd.read_csv("ratings.csv").assign(user_id=lambda frame: frame.user_id.str[1:].astype(int))
    )
    for users in (12, [12], [np.int64(12)], [12.0], "12"):
        assert experiments.recommend(SETTINGS, "slates.csv", users=users, quiet=True, data=numbers).users == 1
    with pytest.raises(RecsysError, match="user '99' is not among the 60 users"):
        experiments.recommend(SETTINGS, "slates.csv", users=[99], quiet=True, data=numbers)


def test_a_sweep_of_data_in_memory(home, log):
    Path("search.toml").write_text(SWEEP, encoding="utf-8")
    done = sweep("search.toml", data=log, quiet=True)
    assert done.winner.data.fingerprint == log.fingerprint
    written = experiments.recommend(done.folder / "winner.toml", "slates.csv", quiet=True, data=log)
    assert written.users == 60
    with pytest.raises(RecsysError, match=r"^search.toml: small.toml: data is missing$"):
        sweep("search.toml", quiet=True)
    with pytest.raises(RecsysError, match="data: found a str, expected a Dataset"):
        sweep("search.toml", data="ratings.csv", quiet=True)
    Path("search.toml").write_text(SWEEP.replace('"small.toml"', '"ml-100k"'), encoding="utf-8")
    with pytest.raises(
        RecsysError, match=r"\[data\] is ml-100k and data= is another dataset, mine, expected one of them"
    ):
        sweep("search.toml", data=log, quiet=True)


EVENTS = """
[data]
path = "events.csv"
events = { buy = 4, view = 1 }
[filter]
positive = "weight >= 1"
"""


def test_events_of_a_config(home):
    frame = pd.read_csv("ratings.csv").drop(columns="rating")
    frame["event"] = ["view", "buy", "seen"] * (len(frame) // 3) + ["view"] * (len(frame) % 3)
    frame.to_csv("events.csv", index=False)
    Path("events.toml").write_text(EVENTS + TOML.replace('[filter]\npositive = "rating >= 3"\n', ""), encoding="utf-8")
    done = experiments.bench("events.toml", quiet=True)
    assert set(done.preparation.dataset.interactions.weight.tolist()) == {1.0, 4.0}
    assert any(
        note.endswith(f"rows of other events (seen {(frame.event == 'seen').sum()}): dropped") for note in done.notes
    )
    assert "events" in tomllib.loads((done.folder / "config.toml").read_text(encoding="utf-8"))["data"]
    Path("events.toml").write_text(EVENTS.replace("view", "veiw"), encoding="utf-8")
    with pytest.raises(RecsysError, match="events: unknown event 'veiw': did you mean 'view'"):
        experiments.bench("events.toml", quiet=True)


def test_a_dataset_is_not_read_twice(log):
    with pytest.raises(RecsysError, match="table: found a Dataset, expected a path"):
        data.read_dataset(log)
    assert replace(log, name="x").fingerprint == log.fingerprint
