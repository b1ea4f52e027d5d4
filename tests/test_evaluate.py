"""Recommendations made elsewhere: whatever form they come in, the same lists get the same values."""

import gzip

import numpy as np
import pandas as pd
import pytest
from synthetic import write_tables

from recsys.cli import main
from recsys.experiments import evaluate_files, recommend
from recsys.types import RecsysError

CONFIG = """
baselines = []

[data]
path = "ratings.csv"

[filter]
positive = "rating >= 3"

[split]
validation = 0.1
test = 0.3

[model]
kind = "als"
factors = 4
iterations = 1

[pool]
n = 10

[slate]
k = [5]

[evaluation]
metrics = ["ndcg", "coverage"]
n_bootstrap = 100
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with a log, a config, and lists of three random items of each user, best first."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write_tables(folder)
    (folder / "mine.toml").write_text(CONFIG, encoding="utf-8")
    log = pd.read_csv(folder / "ratings.csv", dtype=str)
    users, items = sorted(log.iloc[:, 0].unique()), sorted(log.iloc[:, 1].unique())
    rng = np.random.default_rng(0)
    lists = {user: rng.permutation(items)[:3].tolist() for user in users}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        frame = long(lists)
        frame.to_csv(folder / "plain.csv", index=False)
        done = evaluate_files(folder / "plain.csv", folder / "mine.toml", out=folder / "runs", quiet=True)
    return folder, lists, values(done, "plain")


@pytest.fixture
def home(template, monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_CACHE", str(template[0] / "cells"))
    monkeypatch.chdir(template[0])
    return tmp_path


def long(lists):
    rows = [(user, item, rank) for user, items in lists.items() for rank, item in enumerate(items, 1)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])


def values(done, name):
    table = done.summary.set_index(["run", "metric", "k"]).value
    return {metric: table[name, metric, 5] for metric in ("ndcg", "coverage")}


def lines_of(lists, join):
    return "\n".join(f"{user}{join}{join.join(items)}" for user, items in lists.items()) + "\n"


def forms(lists):
    """Return name -> text and settings of the same lists in every form."""
    frame = long(lists)
    rows = list(frame.itertuples(index=False))
    wide = pd.DataFrame([[user, *items] for user, items in lists.items()], columns=["user", "item1", "item2", "item3"])
    scores = frame.assign(score=-frame["rank"]).drop(columns="rank")
    return {
        "reviewer.csv": (frame.set_axis(["reviewerID", "asin", "position"], axis=1).to_csv(index=False), {}),
        "other.csv": (
            frame.set_axis(["client", "thing", "place"], axis=1).to_csv(index=False),
            {"columns": {"user_id": "client", "item_id": "thing", "rank": "place"}},
        ),
        "headless.tsv": (
            frame.to_csv(index=False, header=False, sep="\t"),
            {"columns": {"user_id": 0, "item_id": 1, "rank": 2}},
        ),
        "scores.csv": (scores.sample(frac=1, random_state=0).to_csv(index=False), {}),
        "comma.csv": (scores.to_csv(index=False, sep=";", float_format="%.1f").replace(".", ","), {}),
        "run.trec": ("".join(f"{u} Q0 {i} 0 {10 - rank}.5 mine\n" for u, i, rank in rows), {}),
        "tabs.txt": ("".join(f"{u}\tQ0\t{i}\t{rank}\t{10 - rank}\tmine\n" for u, i, rank in rows), {}),
        "wide.csv": (wide.to_csv(index=False), {}),
        "lists.txt": (lines_of(lists, ","), {"lists": True}),
        "spaces.txt": (lines_of(lists, " "), {"lists": True}),
        "packed.csv.gz": (gzip.compress(frame.to_csv(index=False).encode()), {}),
        "lines.jsonl": (frame.to_json(orient="records", lines=True), {}),
    }


@pytest.mark.parametrize("name", sorted(forms({})))
def test_every_form_of_the_same_lists_is_worth_the_same(home, template, name):
    content, how = forms(template[1])[name]
    (home / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = evaluate_files(home / name, "mine.toml", out=home / "runs", quiet=True, **how)
    assert values(done, name.split(".")[0]) == template[2]
    if name == "run.trec":
        assert "run.trec: read as a TREC run, ordered by score" in done.notes


def test_several_files_are_several_runs(home, template, capsys):
    frame = long(template[1])
    frame.set_axis(["a", "b", "c"], axis=1).to_csv(home / "one.csv", index=False)
    frame.assign(c=4 - frame["rank"]).drop(columns="rank").set_axis(["a", "b", "c"], axis=1).to_csv(
        home / "two.csv", index=False
    )
    columns = ["--column", "user_id=a", "--column", "item_id=b", "--column", "rank=c"]
    files = [str(home / "one.csv"), str(home / "two.csv")]
    main(["evaluate", *files, "--config", "mine.toml", "--out", str(home / "runs"), "--quiet", *columns])
    out = capsys.readouterr().out
    assert "one" in out
    assert "two" in out
    folder = next((home / "runs").glob("mine-one-two-*"))
    table = pd.read_csv(folder / "summary.csv").set_index(["run", "metric", "k"]).value
    assert table["one", "ndcg", 5] == pytest.approx(template[2]["ndcg"])
    assert table["two", "coverage", 5] == pytest.approx(template[2]["coverage"])
    assert table["two", "ndcg", 5] != table["one", "ndcg", 5]


def test_ties_are_drawn_by_the_seed_and_counted(home, template):
    frame = long(template[1]).assign(rank=1)
    frame.to_csv(home / "tied.csv", index=False)
    one, other = (
        evaluate_files(home / "tied.csv", "mine.toml", out=home / "runs", quiet=True).slates[5]["tied"]
        for _ in range(2)
    )
    assert (one.items == other.items).all()
    (home / "seeded.toml").write_text(f"seed = 7\n{CONFIG}".replace("ratings.csv", str(template[0] / "ratings.csv")))
    done = evaluate_files(home / "tied.csv", home / "seeded.toml", out=home / "runs", quiet=True)
    assert (done.slates[5]["tied"].items != one.items).any()
    assert any("tied.csv: " in note and "tie with the one before: drawn by the seed" in note for note in done.notes)
    reversed_ids = frame.sort_values("item_id", ascending=False)
    reversed_ids.to_csv(home / "tied.csv", index=False)
    again = evaluate_files(home / "tied.csv", "mine.toml", out=home / "runs", quiet=True).slates[5]["tied"]
    assert (again.items == one.items).all()


@pytest.mark.parametrize(
    ("text", "arguments", "line"),
    [
        ("a,b,c\nu1,1,1\n", (), "no column for user_id: name it, for instance --column user_id=a (columns: a, b, c)"),
        ("u1,1,1\nu2,1,1\n", (), "--column user_id=0 (no header line, columns are counted from 0)"),
        ("ann,pen\nbob,book\n", (), "('ann, pen'): --header or --no-header decides"),
        ("user,item,score\nu1,1,\"2,500\"\n", (), "--decimal . or --decimal , decides"),
        ("user_id,item_id\nu1,1\n", (), "no column for rank or score, expected one of them: name it, for instance --column rank="),
        ("user,item,rank\nu1,1,1\n", ("--column", "rank"), "'rank', expected FIELD=COLUMN"),
        ("user,item,rank\nu1,1,1\n", ("--column", "rnk=rank"), "columns: unknown field 'rnk': did you mean 'rank'?"),
        ("user,item,rank\nu1,1,1\n", ("--time-unit", "sec"), "unknown time_unit 'sec'"),
    ],
)  # fmt: skip
def test_advice_is_in_the_words_of_the_command_line(home, capsys, text, arguments, line):
    (home / "theirs.csv").write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(home / "theirs.csv"), "--config", "mine.toml", "--quiet", *arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert line in error
    assert error.count("\n") == 1


def test_advice_is_in_the_words_of_a_config(home, capsys):
    (home / "own.toml").write_text('[data]\npath = "log.csv"\nitems = "items.csv"\n')
    (home / "log.csv").write_text("client,item,date\n1,2,03/04/2011\n")
    (home / "items.csv").write_text("id,title\n2,x\n")

    def error():
        with pytest.raises(SystemExit):
            main(["bench", str(home / "own.toml"), "--out", str(home / "runs"), "--quiet"])
        return capsys.readouterr().err

    assert 'no column for user_id: name it, for instance [data.columns] user_id = "client"' in error()
    with (home / "own.toml").open("a") as file:
        file.write('columns = { user_id = "client", item_id = 1 }\n')
    assert '[data] time_format = "%d/%m/%Y" or [data] time_format = "%m/%d/%Y" reads it' in error()
    (home / "items.csv").write_text("thing,title\n2,x\n")
    assert '[data.item_columns] item_id = "thing"' in error()


def test_files_of_one_name_are_refused(home):
    with pytest.raises(RecsysError, match=r"has the same name, expected files of different names"):
        evaluate_files(["a.csv", "b/a.tsv"], "mine.toml", quiet=True)
    with pytest.raises(RecsysError, match="no file is given"):
        evaluate_files([], "mine.toml", quiet=True)


def test_short_lists_and_slates_are_counted(home, template):
    frame = long(template[1])
    frame[frame["rank"] <= 2].to_csv(home / "two.csv", index=False)
    done = evaluate_files(home / "two.csv", "mine.toml", out=home / "runs", quiet=True)
    assert "two.csv: 60 of 60 slates have fewer than 5 picks, 2 at least" in done.notes
    (home / "whole.toml").write_text(
        CONFIG.replace("ratings.csv", str(template[0] / "ratings.csv")).replace("n = 10", "n = 40"), encoding="utf-8"
    )
    assert not any("slates" in note for note in recommend(home / "whole.toml", home / "five.csv", quiet=True).notes)
    written = recommend(home / "whole.toml", home / "all.csv", k=40, users=["u0", "u7"], quiet=True)
    lengths = pd.read_csv(home / "all.csv").groupby("user_id").size()
    assert f"2 of 2 slates have fewer than 40 picks, {lengths.min()} at least" in written.notes
