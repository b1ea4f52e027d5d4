"""Several benchmarks of one command: configs, seeds, names, and one that fails among them."""

import re

import numpy as np
import pytest
from command_line import run_cli
from interrupted import interrupt_and_fail
from searches import CONFIG
from synthetic import write_tables

from recsys.cli.bench import parse_seeds
from recsys.experiments import compare_folders
from recsys.experiments.comparisons import read_run_folder
from recsys.types import RecsysError

QUICK = CONFIG + "halvings = 0\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    write_tables(folder)
    (folder / "small.toml").write_text(QUICK, encoding="utf-8")
    (folder / "wrong.toml").write_text('extends = "small.toml"\n[pool]\nm = 3\n', encoding="utf-8")
    (folder / "late.toml").write_text('extends = "small.toml"\n[data]\npath = "absent.csv"\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        patch.chdir(folder)
        assert run_cli("bench", "small.toml", "--seed", "0..1", "--name", "night", "--quiet") == 0
    return folder, None


def test_seeds_make_the_folders_that_replicates_are_compared_by(home):
    folders = sorted((home / "runs").iterdir())
    assert [re.sub("-[0-9a-f]{10}$", "", one.name) for one in folders] == ["night"] * 2
    assert {read_run_folder(str(one)).config.seed for one in folders} == {0, 1}
    found = compare_folders(folders, replicates=True)
    assert len(found.sources) == 2
    report = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert "<h1>recsys: night (ratings)</h1>" in report


def test_one_that_fails_does_not_lose_the_others(home, capsys):
    code = run_cli("bench", "wrong.toml", "late.toml", "small.toml", "--out", "others", "--quiet")
    said = capsys.readouterr()
    assert code == 2
    assert [re.sub("-[0-9a-f]{10}$", "", one.name) for one in (home / "others").iterdir()] == ["small"]
    assert "recsys: wrong.toml: wrong.toml: [pool]: unknown key 'm'" in said.err
    assert re.search(r"recsys: late\.toml: .*absent\.csv", said.err)
    assert said.out.splitlines()[-1] == "1 of 3 benchmarks done; failed: wrong.toml; late.toml"
    assert said.err.index("wrong.toml") < said.err.index("late.toml")


def test_what_fails_by_itself_is_no_mistake(home, monkeypatch):
    def fail(*given, **settings):
        raise MemoryError

    monkeypatch.setattr("recsys.experiments.bench", fail)
    assert run_cli("bench", "small.toml", "--seed", "0..1", "--quiet") == 1


def test_an_interrupt_that_a_benchmark_turns_into_an_error_ends_all(home, monkeypatch, capsys):
    monkeypatch.setattr("recsys.experiments.bench", interrupt_and_fail)
    assert run_cli("bench", "small.toml", "--seed", "0..1", "--quiet") == 130
    assert "stopped" in capsys.readouterr().err


def test_a_mistake_of_all_is_one_line(home, capsys):
    assert run_cli("bench", "small.toml", "late.toml", "--set", "modl.l2=3", "--quiet") == 2
    assert capsys.readouterr().err.splitlines() == [
        "recsys: --set modl.l2=3: unknown key 'modl': did you mean 'model'? (known nearest to it, of 18: model, "
        "models, pool, control, likelihood)"
    ]


def test_a_set_key_is_that_of_the_file(home):
    assert run_cli("bench", "small.toml", "--set", "name=night", "--seed", "1", "--out", "again", "--quiet") == 0
    (made,) = (home / "again").iterdir()
    (before,) = (one for folder in (home / "runs").iterdir() if (one := read_run_folder(str(folder))).config.seed == 1)
    for cell, other in zip(read_run_folder(str(made)).scores.cells, before.scores.cells, strict=True):
        assert np.array_equal(cell.per_user, other.per_user, equal_nan=True)


@pytest.mark.parametrize("text", ["", "4..0", "a", "0..", "1,1", "0..5000", "-1", "1.5"])
def test_what_is_no_list_of_seeds_is_one_line(text):
    with pytest.raises(RecsysError, match=r"^--seed: found"):
        parse_seeds(text)
