"""`recsys forget`: lists that are written and shown, and where rows that they name still lie."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from synthetic import make_maps, make_split

import recsys as rs
from recsys.cli import main
from recsys.control import forget_lists
from recsys.control.held_rows import find_held_rows
from recsys.rankers import Ranker


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("os.fsync", lambda number: None)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))


def run(capsys, *arguments):
    """Return the exit code of a command, and the lines that it printed."""
    code = 0
    try:
        main(["forget", *map(str, arguments)])
    except SystemExit as error:
        code = error.code
    told = capsys.readouterr()
    return code, (told.out + told.err).splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    split = make_split(users=20, seed=4)
    fitted = rs.models.ALS(factors=2, iterations=1).fit(split.train)
    made = Ranker.fit(fitted, split, {"relevance": 1.0}, maps=make_maps(split), n=10, k=3)
    return made.save(tmp_path_factory.mktemp("rankers") / "a" / "ranker")


def test_a_list_is_written_shown_and_undone(tmp_path, capsys):
    path = tmp_path / "list"
    assert run(capsys, "add", path, "--user", "7", "--item", "3")[1][0] == f"{path}: line 1"
    assert run(capsys, "add", path, "--user", "7.0", "--item", "3")[1][0] == f"{path}: says so already"
    assert run(capsys, "add", path, "--user", "8", "--topic", "Baby", "--until", "2090-01-31")[0] == 0
    code, lines = run(capsys, "show", path)
    assert code == 0 and lines[-1] == "2 of 2 hold"
    assert lines[0].startswith("line 1: interaction, ") and lines[1].endswith("Z until 2090-01-31T00:00:00Z")
    assert lines[1].startswith("line 2: topic Baby, ")
    assert run(capsys, "undo", path, "--user", "7", "--item", "3") == (0, [f"{path}: line 3"])
    assert run(capsys, "show", path)[1][0].endswith(" (undone)")
    found = forget_lists.read_forget_list(path)
    assert [line.kind for line in found.list_holding()] == ["topic"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "LIST"), "forget: found neither user nor item, expected one of them, or both"),
        (("add", "LIST", "--topic", "Baby"), "forget: a topic is stopped for a user, expected --user and no --item"),
        (("add", "LIST", "--user", " "), "forget: user is ' ', expected an id"),
        (("add", "LIST", "--user", "1", "--until", "soon"), "until is 'soon', expected seconds since 1970"),
        (("add", "LIST", "--user", "1", "--until", "1999-01-01"), "which is over now"),
        (("add", "LIST", "--user", "u99", "--ranker", "RANKER"), "unknown user 'u99': did you mean 'u9'?"),
        (("add", "LIST", "--item", "i99", "--ranker", "RANKER"), "unknown item 'i99': did you mean"),
        (("add", "LIST", "--user", "u1", "--topic", "F1", "--ranker", "RANKER"), "unknown topic 'F1': did you mean"),
        (("undo", "LIST", "--user", "9"), "holds no forget of user '9', expected one that holds"),
        (("show", "NONE"), "No such file or directory"),
        (("where", "LIST", "NONE"), "is no folder, expected one to look through"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(tmp_path, capsys, folder, arguments, message):
    path = tmp_path / "list"
    forget_lists.forget(path, user="7")
    before = path.read_bytes()
    places = {"LIST": path, "NONE": tmp_path / "none", "RANKER": folder}
    code, lines = run(capsys, *(places.get(one, one) for one in arguments))
    assert code == 2 and len(lines) == 1 and message in lines[0]
    assert path.read_bytes() == before


def test_rankers_tables_and_cells_that_hold_rows_are_found(tmp_path, capsys, folder):
    path, runs = tmp_path / "list", tmp_path / "runs"
    runs.mkdir()
    (runs / "notes.csv").write_text("a,b\n1,2\n")
    pd.DataFrame({"user_id": ["u2", "u3"], "item_id": ["i1", "i2"]}).to_csv(runs / "slates.csv", index=False)
    pd.DataFrame({"user": ["u2"], "item": ["i2"]}).to_parquet(runs / "more.parquet", index=False)
    (tmp_path / "cells").mkdir()
    cell, other = tmp_path / "cells" / f"model-{'0' * 20}.npz", tmp_path / "cells" / "kept.txt"
    np.savez(cell, a=np.zeros(1))
    other.touch()
    ranker = Ranker.load(folder)
    liked = ranker.context.item_ids[ranker.context.train[[5]].indices]
    lacking = np.setdiff1d(ranker.context.item_ids, liked)[0]
    forget_lists.forget(path, user=ranker.context.user_ids[5], item=liked[0])  # 1: the ranker holds it
    forget_lists.forget(path, user=ranker.context.user_ids[5], item=lacking)  # 2: it does not
    forget_lists.forget(path, user="u2", item="i2")  # 3: so does a table
    forget_lists.forget(path, user="u3")  # 4: both
    forget_lists.forget(path, user="nobody")
    found = {one.path: one.lines for one in find_held_rows(forget_lists.read_forget_list(path), [folder.parent, runs])}
    users, train = ranker.context.user_ids.tolist(), ranker.context.train.toarray()
    held = [1, *([3] if train[users.index("u2"), ranker.known_items["i2"]] else []), 4]
    assert found == {folder: tuple(held), runs / "more.parquet": (3,), runs / "slates.csv": (4,), cell: ()}
    code, lines = run(capsys, "where", path, folder.parent, runs)
    assert code == 0 and len(lines) == 4 and cell.exists()
    assert lines[-1] == f"cache {tmp_path / 'cells'}: 1 cells, which may hold rows"
    assert run(capsys, "where", path, "--purge", "--yes")[1][-1] == "removed 1 cells"
    assert not cell.exists() and other.exists() and (runs / "slates.csv").exists()
    assert run(capsys, "where", path) == (0, ["nowhere"])


def test_a_ranker_that_forgot_holds_no_rows(tmp_path, folder):
    path = tmp_path / "list"
    forget_lists.forget(path, user="u3")
    ranker = Ranker.load(folder).follow_forget_list(path)
    item = ranker.context.item_ids[ranker.context.train[[ranker.known_users["u5"]]].indices[0]]
    after = ranker.forget(user="u5", item=item)
    found = forget_lists.read_forget_list(path)
    assert [one.lines for one in find_held_rows(found, [folder.parent])] == [(1, 2)]
    after.save(tmp_path / "again")
    assert find_held_rows(found, [tmp_path / "again"]) == ()


def test_rows_of_stopped_topics_are_said_not_to_be_looked_for(tmp_path, capsys):
    path = tmp_path / "list"
    forget_lists.stop(path, user="u1", topic="War")
    note = "note: rows of stopped topics are not looked for (line 1)"
    assert run(capsys, "where", path, tmp_path) == (0, ["nowhere", note])
    forget_lists.undo(path, user="u1", topic="War")
    assert run(capsys, "where", path, tmp_path) == (0, ["nowhere"])


def write_run(folder, users, items, forget_list=None):
    """Write what the folder of a run has of people: slates by id, and a report."""
    folder.mkdir(parents=True)
    filtering = "" if forget_list is None else f"[filter]\nforget_list = {str(forget_list)!r}\n"
    (folder / "config.toml").write_text(f"name = 'x'\n{filtering}")
    (folder / "environment.json").write_text("{}")
    (folder / "report.html").write_text("<p>u2 liked i1</p>")
    frame = pd.DataFrame({"run": "als", "user_id": users, "item_id": items}).astype("category")
    frame.to_parquet(folder / "slates.parquet", index=False)
    pd.DataFrame({"run": ["als"], "value": [1.0]}).to_csv(folder / "summary.csv", index=False)
    return folder


def test_runs_that_hold_rows_are_told_and_purged_whole(tmp_path, capsys, monkeypatch):
    """A run is made of what its people liked, so that a liked item counts that no table of it names."""
    path, runs = tmp_path / "list", tmp_path / "runs"
    mine, other = write_run(runs / "mine", ["u2", "u3"], ["i8", "9"]), write_run(runs / "other", ["u4"], ["i1"])
    (runs / "slates.csv").write_text("user_id,item_id\nu2,i1\n")
    (runs / "mine" / "notes.txt").write_text("of somebody's own")
    forget_lists.forget(path, user="u2")  # 1: of mine
    forget_lists.forget(path, user="u3", item="i5")  # 2: of mine, in no table
    forget_lists.forget(path, item="9")  # 3: of mine
    forget_lists.forget(path, user="nobody")
    expected = [f"run {mine}: rows of line 1, 2, 3", f"table {runs / 'slates.csv'}: rows of line 1"]
    assert run(capsys, "where", path, runs) == (0, expected)
    assert run(capsys, "where", path, mine)[1] == expected[:1]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, lines = run(capsys, "where", path, runs, "--purge")
    assert code == 0 and any("remove 1 runs with their results?" in line for line in lines) and mine.is_dir()
    assert run(capsys, "where", path, runs, "--purge", "--yes") == (0, [*expected, "removed 1 runs with their results"])
    assert not mine.exists() and other.is_dir() and (runs / "slates.csv").is_file()
    assert sorted(one.name for one in runs.iterdir()) == ["other", "slates.csv"]
    assert run(capsys, "where", path, runs) == (0, expected[1:])


def test_a_run_that_was_made_by_the_list_holds_no_interaction_of_it(tmp_path):
    path = forget_lists.forget(tmp_path / "list", user="u3", item="i5").path
    ours = write_run(tmp_path / "runs" / "ours", ["u3"], ["i1"], path)
    theirs = write_run(tmp_path / "runs" / "theirs", ["u3"], ["i1"], tmp_path / "else")
    earlier = write_run(tmp_path / "runs" / "earlier", ["u3"], ["i1"], path)
    os.utime(earlier / "environment.json", (1, 1))
    os.utime(ours / "environment.json", (4e9, 4e9))
    found = find_held_rows(forget_lists.read_forget_list(path), [tmp_path / "runs"])
    assert [(one.path, one.kind, one.lines) for one in found] == [(earlier, "run", (1,)), (theirs, "run", (1,))]
