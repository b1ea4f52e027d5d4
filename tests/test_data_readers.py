"""Cards and readers of somebody's own: from Python, from configs and from the command line."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from synthetic import SHOP_CARD, SHOP_LOG

import recsys as rs
from recsys import data
from recsys.cli import main
from recsys.configs import parse_config, read_config
from recsys.data.readers import check_dataset, list_path_settings
from recsys.experiments.pipeline import load_dataset
from recsys.types import RecsysError

MODULE = '''
import csv

def read_shop(path, *, only: str = "", first: int = 3):
    """Return the rows of a shop's log."""
    with open(path) as file:
        rows = [(row["client"], row["article"]) for row in csv.DictReader(file)]
    return [row for row in rows if not only or row[0] == only][:first]
'''
PATHS_MODULE = """
from pathlib import Path

def read_both(first: Path, second: "Path | None" = None, *, note: str = ""):
    return [tuple(line.split(",")) for file in (first, second) if file is not None for line in file.read_text().split()]
"""
ROWS = [("a", "x"), ("a", "y"), ("b", "x")]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with a log, its card, and a module with its reader."""
    (tmp_path / "own-shop.toml").write_text(SHOP_CARD, encoding="utf-8")
    (tmp_path / "shop.csv").write_text(SHOP_LOG, encoding="utf-8")
    (tmp_path / "own_shop.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    yield tmp_path
    sys.modules.pop("own_shop", None)


def ids_of(dataset):
    log = dataset.interactions
    return sorted(zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), strict=True))


def test_a_card_by_its_path_or_itself(shop):
    card = data.read_card(shop / "own-shop.toml")
    found = [rs.load_dataset(given) for given in (shop / "own-shop.toml", str(shop / "own-shop.toml"), card)]
    assert all(ids_of(one) == ROWS and one.name == "own-shop" for one in found)
    assert found[0].card["licence"] == "MIT"
    with pytest.raises(RecsysError, match="found settings only, which a card does not take: expected a reader"):
        rs.load_dataset(card, only="a")
    (shop / "ml-100k.toml").write_text(SHOP_CARD.replace("own-shop", "ml-100k"))
    with pytest.raises(RecsysError, match=r"ml-100k.toml: the package has a card ml-100k, expected another name"):
        rs.load_dataset(shop / "ml-100k.toml")
    with pytest.raises(RecsysError, match=r"nowhere.toml: No such file or directory"):
        rs.load_dataset(shop / "nowhere.toml")


def test_a_reader_itself_takes_its_settings(tmp_path):
    def rows(*, first: int = 3):
        return ROWS[:first]

    assert ids_of(rs.load_dataset(rows)) == ROWS and rs.load_dataset(rows).name == "rows"
    assert ids_of(rs.load_dataset(rows, first=2)) == ROWS[:2]
    for settings, line in (
        ({"frist": 2}, "rows: unknown key 'frist': did you mean 'first'"),
        ({"first": 1.5}, "rows: first is 1.5, expected a whole number"),
    ):
        with pytest.raises(RecsysError, match=line):
            rs.load_dataset(rows, **settings)


def test_a_reader_may_return_a_dataset_which_is_checked():
    made = rs.read_dataset(ROWS)
    stale = replace(made, fingerprint="what was written by hand")
    assert rs.load_dataset(lambda: stale).fingerprint == made.fingerprint
    log = made.interactions
    wrong = [
        (
            replace(made, interactions=replace(log, user=log.user + 5)),
            "interactions: user holds 5 to 6, expected whole",
        ),
        (replace(made, interactions=replace(log, weight=log.weight * np.nan)), "weight holds NaN or infinity"),
        (replace(made, interactions=replace(log, item=log.item[:-1])), "interactions: item has shape"),
        (replace(made, interactions=replace(log, user_ids=np.array(["a", "a"]))), "user_ids holds an id twice"),
        (replace(made, items=replace(made.items, ids=made.items.ids[::-1])), "ids are not those of the interactions"),
        (replace(made, items=replace(made.items, features=sparse.csr_array((2, 3)))), "features has shape"),
        (replace(made, interactions=replace(log, datetime=np.zeros(2, np.int64))), "datetime has shape"),
    ]
    for dataset, line in wrong:
        with pytest.raises(RecsysError, match=f"^mine: .*{line}") as caught:
            check_dataset("mine", dataset)
        assert "\n" not in str(caught.value)


def test_a_config_names_a_reader_with_its_settings(shop):
    text = '[data]\nreader = "own_shop:read_shop"\npath = "shop.csv"\nfirst = 2\n'
    (shop / "my.toml").write_text(text, encoding="utf-8")
    config = read_config(shop / "my.toml")
    assert ids_of(load_dataset(config)) == ROWS[:2]
    assert config.list_own_code() == ["own_shop:read_shop"]
    told = config.dump_settings()["data"]
    assert told["path"] == str(shop / "shop.csv") and told["first"] == 2
    assert ids_of(load_dataset(parse_config({"data": told}))) == ROWS[:2]
    for change, line in (
        (("first", "frist"), r"\[data\] reader: unknown key 'frist': did you mean 'first'\?"),
        (("first = 2", "first = 2.5"), r"\[data\] reader: first is 2.5, expected a whole number"),
        (('path = "shop.csv"\n', ""), r"\[data\] reader has no path, expected one"),
        (("read_shop", "read_shops"), r"unknown reader 'read_shops': did you mean 'read_shop'\?"),
        (('reader = "own_shop:read_shop"\n', ""), r"\[data\]:? unknown key 'first'"),
    ):
        (shop / "my.toml").write_text(text.replace(*change), encoding="utf-8")
        with pytest.raises(RecsysError, match=line):
            read_config(shop / "my.toml")


def test_settings_of_a_reader_that_are_paths_start_from_the_folder_of_the_config(shop, monkeypatch):
    (shop / "own_paths.py").write_text(PATHS_MODULE, encoding="utf-8")
    (shop / "one.txt").write_text("a,x a,y")
    (shop / "two.txt").write_text("b,x")
    text = '[data]\nreader = "own_paths:read_both"\nfirst = "one.txt"\nsecond = "two.txt"\nnote = "one.txt"\n'
    (shop / "my.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir("/")
    config = read_config(shop / "my.toml")
    assert ids_of(load_dataset(config)) == ROWS
    told = config.dump_settings()["data"]
    assert told["first"] == str(shop / "one.txt") and told["note"] == "one.txt"
    (shop / "my.toml").write_text(text.replace('"two.txt"', "2"), encoding="utf-8")
    with pytest.raises(RecsysError, match=r"\[data\] reader: second is 2, expected a path"):
        read_config(shop / "my.toml")


@pytest.mark.parametrize(
    ("declared", "is_path"),
    [(Path, True), (Path | None, True), ("Path", True), ("pathlib.Path | None", True), (str, False), ("str | None", False)],
)  # fmt: skip
def test_a_setting_is_a_path_if_it_is_declared_one(declared, is_path):
    def read(given):
        return given

    read.__annotations__["given"] = declared
    assert list_path_settings(read, "[data] reader") == (["given"] if is_path else [])


def test_a_config_names_a_card_of_its_folder(shop, monkeypatch):
    (shop / "my.toml").write_text('[data]\nname = "own-shop.toml"\n', encoding="utf-8")
    monkeypatch.chdir("/")
    assert ids_of(load_dataset(read_config(shop / "my.toml"))) == ROWS


def test_a_config_in_python_takes_a_reader_itself():
    config = parse_config({"data": {"reader": three_rows}})
    assert config.data.reader == f"{__name__}:three_rows" and ids_of(load_dataset(config)) == ROWS


def three_rows():
    return ROWS


@pytest.mark.parametrize("name", ["own-shop.toml", "own_shop:read_fixed"])
def test_the_commands_take_both(shop, monkeypatch, capsys, name):
    (shop / "own_shop.py").write_text(f"def read_fixed(): return {ROWS}\n", encoding="utf-8")
    monkeypatch.chdir(shop)
    main(["data", "describe", name])
    shown = capsys.readouterr().out
    assert "interactions" in shown and "3" in shown
    if name.endswith(".toml"):
        main(["data", "fetch", name, "--quiet"])
        assert Path(capsys.readouterr().out.strip()) == shop / "own-shop"
        main(["data", "cite", name])
        assert "@misc{shop}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "line"),
    [("own_shop:red", "unknown reader 'red': did you mean 'read_shop'"), ("nowhere.toml", "did you mean 'own-shop.toml'?"),
     ("own_nowhere:read", "no module 'own_nowhere' in")],
)  # fmt: skip
def test_what_is_not_there_is_one_line_and_exit_code_2(shop, monkeypatch, capsys, name, line):
    monkeypatch.chdir(shop)
    with pytest.raises(SystemExit) as caught:
        main(["data", "describe", name])
    said = capsys.readouterr().err
    assert caught.value.code == 2 and line in said and said.count("\n") == 1


def test_a_reader_takes_its_settings_from_the_command_line(shop, monkeypatch, capsys):
    monkeypatch.chdir(shop)
    main(["data", "describe", "own_shop:read_shop", "--setting", "path=shop.csv", "--setting", "first=2"])
    assert re.search(r"interactions\W+2\b", capsys.readouterr().out)
    for arguments, line in (
        (
            ["own_shop:read_shop", "--setting", "path=shop.csv", "--setting", "frist=2"],
            "unknown key 'frist': did you mean",
        ),
        (["own_shop:read_shop", "--setting", "path"], "'path', expected NAME=VALUE"),
        (["own_shop:read_shop"], "has no path, expected one"),
        (["shop.csv", "--setting", "first=2"], "--setting 'first=2' is for a reader"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["data", "describe", *arguments])
        assert caught.value.code == 2 and line in capsys.readouterr().err
