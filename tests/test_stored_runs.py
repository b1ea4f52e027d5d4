"""Run folders: listed by what differs, put into a table, moved, and removed only where they are run folders."""

import shutil

import pandas as pd
import pytest
from command_line import run_cli
from searches import CONFIG
from synthetic import write_tables

from recsys.configs import read_config
from recsys.experiments import compare_folders
from recsys.experiments.stored_runs import describe_differences, find_stored_runs, remove_run_folders
from recsys.types import RecsysError


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    write_tables(folder)
    (folder / "small.toml").write_text(CONFIG + "halvings = 0\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        patch.chdir(folder)
        assert run_cli("bench", "small.toml", "--quiet") == 0
        assert run_cli("bench", "small.toml", "--name", "wide", "--set", "pool.n=20", "--quiet") == 0
    return folder, None


def find_pair(home):
    """Return the folders of the plain run and of the one with another pool."""
    (plain,), (wide,) = home.glob("runs/small-*"), home.glob("runs/wide-*")
    return plain, wide


def test_runs_are_described_by_what_is_not_usual(home):
    plain, wide = find_pair(home)
    third = home / "runs" / "third"
    shutil.copytree(plain, third)
    found = find_stored_runs(["runs"])
    said = {one.folder: text for one, text in zip(found, describe_differences(found), strict=True)}
    assert said == {one.relative_to(home): text for one, text in ((plain, ""), (third, ""), (wide, "pool.n=20"))}


def test_list_show_and_diff_say_settings_and_headlines(home, capsys):
    plain, wide = find_pair(home)
    value = pd.read_csv(plain / "summary.csv").query("run == 'ease' and metric == 'ndcg' and k == 5").iloc[0]
    assert run_cli("runs", "list") == 0
    listed = capsys.readouterr().out
    assert f"{value.value:.4f} [{value.ci_low:.4f}, {value.ci_high:.4f}]" in listed
    assert run_cli("runs", "diff", plain, wide) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[-1:]] == [["pool.n", "15", "20"]]
    assert run_cli("runs", "show", wide) == 0
    assert "  pool.n = 20\n" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_hides_no_other_one(home, capsys):
    plain, wide = find_pair(home)
    (wide / "summary.csv").write_text("nothing\n", encoding="utf-8")
    broken = shutil.copytree(plain, home / "runs" / "broken")
    (broken / "config.toml").write_text("[data\n", encoding="utf-8")
    assert run_cli("runs", "list") == 2
    listed = capsys.readouterr()
    assert plain.name in listed.out and wide.name not in listed.out
    assert [name in line for line, name in zip(listed.err.splitlines(), ("broken", wide.name), strict=True)] == [
        True
    ] * 2


def test_the_table_of_all_runs_is_the_summaries(home, capsys):
    assert run_cli("runs", "table", "--metrics", "ndcg,coverage@5", "--out", "all.csv") == 0
    table = pd.read_csv("all.csv")
    for folder in find_pair(home):
        summary = pd.read_csv(folder / "summary.csv").query("metric == 'coverage' and k == 5")
        mine = table[table.folder == str(folder.relative_to(home))]
        assert mine.set_index("run")["coverage@5"].to_dict() == summary.set_index("run")["value"].to_dict()
    for given, line in (
        (("--run", "eese"), "did you mean 'ease'"),
        (("--metrics", "ndcg@7"), "unknown metric 'ndcg@7': did you mean 'ndcg@5'?"),
        (("--metrics", "ndcg@x"), "unknown metric 'ndcg@x': did you mean 'ndcg@5'?"),
        (("run",), "run: is no folder, expected a run folder, or one that holds some: did you mean 'runs'?"),
    ):
        assert run_cli("runs", "table", *given) == 2
        assert line in capsys.readouterr().err


def test_what_is_no_run_folder_stays(home, capsys):
    plain, wide = find_pair(home)
    (wide / "notes.md").write_text("mine")
    for other, line in ((home / "runs", "is no run folder"), (wide, "holds notes.md, which no run wrote")):
        with pytest.raises(RecsysError, match=line):
            remove_run_folders([plain, other])
    assert run_cli("runs", "show", f"{plain}x") == 2
    assert f"did you mean '{plain}'?" in capsys.readouterr().err
    (home / "link").symlink_to(plain)
    assert run_cli("runs", "rm", "link", "--yes") == 2
    assert plain.exists()
    assert wide.exists()
    assert run_cli("runs", "rm", plain, "--yes") == 0
    assert [one.name for one in (home / "runs").iterdir()] == [wide.name]


def test_a_run_that_was_moved_is_compared_listed_and_exported(home, tmp_path_factory, capsys):
    away = tmp_path_factory.mktemp("away")
    plain, wide = (shutil.move(one, away / one.name) for one in find_pair(home))
    assert len(compare_folders([plain, wide]).sources) == 2
    assert run_cli("runs", "list", away) == 0
    project = tmp_path_factory.mktemp("project")
    shutil.move("ratings.csv", project)
    copy = shutil.copytree(plain, project / "runs" / plain.name) / "config.toml"
    path = read_config(copy).data.path
    copy.write_text(copy.read_text().replace(path, "/gone/ratings.csv"))
    moved = read_config(copy)
    assert moved.data.path == str(project / "ratings.csv")  # the data went with it
    shutil.move(project / "ratings.csv", "elsewhere.csv")
    data = ("--set", "data.path=elsewhere.csv")
    assert run_cli("export", plain / "config.toml", "--out", "ranker", "--quiet", *data) == 0
    assert "ranker: ranker" in capsys.readouterr().out
