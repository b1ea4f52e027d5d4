"""Layers of a config: what a file extends, the file, and keys of the command line; and where a mistake came from."""

import pytest

from recsys.configs import read_config
from recsys.support.config_layers import parse_override
from recsys.sweeps.plans import read_sweep
from recsys.types import RecsysError

BASE = """
name = "of the base"
[data]
path = "log.csv"
[model]
kind = "als"
factors = 16
regularization = 3.0
[pool]
n = 50
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "base.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "mine.toml").write_text('extends = "bases/base.toml"\n[model]\nfactors = 8\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*texts):
    return read_config("mine.toml", overrides=[parse_override(text) for text in texts])


def test_a_file_stands_above_what_it_extends_and_the_command_above_both(folder):
    config = read("pool.n=40", 'models."my own".kind=ease')
    assert config.model.model_extra == {"factors": 8, "regularization": 3.0}
    assert (config.name, config.pool.n, config.models["my own"].kind) == ("mine", 40, "ease")
    assert config.data.path == str(folder / "bases" / "log.csv")  # from the folder of the file that says it


def test_paths_of_the_command_line_start_from_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder / "bases")
    config = read_config("../mine.toml", overrides=[parse_override("data.path=other.csv")])
    assert config.data.path == str(folder / "bases" / "other.csv")


def test_a_model_of_another_kind_and_data_of_another_source_replace_the_ones_before(folder):
    (folder / "mine.toml").write_text('extends = "bases/base.toml"', encoding="utf-8")
    config = read("model.l2=7.0", "model.kind=ease", "data.name=ml-100k")
    assert config.model.model_extra == {"l2": 7.0}
    assert (config.data.name, config.data.path) == ("ml-100k", None)


def test_the_equal_file_without_layers_has_the_same_digest(folder):
    whole = BASE.replace('path = "log.csv"', 'path = "bases/log.csv"').replace("factors = 16", "factors = 9")
    (folder / "whole.toml").write_text(whole, encoding="utf-8")
    assert read("model.factors=9").compute_digest() == read_config("whole.toml").compute_digest()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("pool.m=3", "--set pool.m=3: [pool]: unknown key 'm': (known: exclude_seen, exploration_share, n)"),
        ("model.factros=3", "--set model.factros=3: [model]"),
        ("pool.n=3", "--set pool.n=3: [slate] k is 20, expected at most [pool] n = 3"),
        ("slate.k=ten", "--set slate.k=ten: [slate] k is 'ten'"),
        ("pool.n", "--set: found 'pool.n', expected KEY=VALUE"),
        ("a b=1", "--set: found the key 'a b'"),
    ],
)
def test_a_mistake_of_the_command_line_is_said_to_be_its_own(folder, text, line):
    with pytest.raises(RecsysError) as found:
        read("seed=3", text)
    assert str(found.value).startswith(line)


def test_a_mistake_of_what_is_extended_names_that_file(folder):
    (folder / "bases" / "base.toml").write_text(BASE.replace("n = 50", "m = 50"), encoding="utf-8")
    with pytest.raises(RecsysError, match=r"base\.toml \(extended by mine\.toml\): \[pool\]: unknown key 'm'"):
        read("seed=3")


def test_files_that_extend_each_other_are_one_line(folder):
    (folder / "bases" / "base.toml").write_text('extends = "../mine.toml"', encoding="utf-8")
    with pytest.raises(RecsysError, match=r"extends goes in a circle: mine\.toml -> base\.toml -> mine\.toml"):
        read()


@pytest.mark.parametrize(
    ("name", "line"),
    [('"bases/bsae.toml"', "did you mean '.*base.toml'"), ("3", "extends is 3, expected the path"), ('"ml-100k"', "")],
)
def test_what_is_extended_is_a_file_or_a_shipped_config(folder, name, line):
    (folder / "mine.toml").write_text(f"extends = {name}", encoding="utf-8")
    if not line:
        assert read().data.name == "ml-100k"
        return
    with pytest.raises(RecsysError, match=line):
        read()


def test_a_sweep_takes_keys_of_its_own_and_of_what_it_extends(folder):
    text = 'extends = "mine.toml"\n[sweep]\ntrials = 3\n[blends.wider]\nrelevance = 1.0\nmmr = { float = [0.1, 0.5] }\n'
    (folder / "search.toml").write_text(text, encoding="utf-8")
    given = [parse_override(one) for one in ("sweep.trials=5", "model.factors=4", "name=night")]
    plan = read_sweep("search.toml", overrides=given)
    assert (plan.name, plan.settings.trials, plan.base_config().model.model_extra["factors"]) == ("night", 5, 4)
    with pytest.raises(RecsysError, match=r"^--set sweep\.trails=5: .*did you mean 'trials'"):
        read_sweep("search.toml", overrides=[parse_override("sweep.trails=5")])
