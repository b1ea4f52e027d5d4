"""What results say they were made with: nothing of it is private, and changed code of one's own is another name."""

import getpass
import importlib
import json
import platform
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_maps, make_split

from recsys import configs
from recsys.rankers import Ranker
from recsys.support import provenance
from recsys.support.cache import describe_environment
from recsys.support.provenance import get_command_line, hash_own_modules, mask_private_text
from recsys.sweeps import plans
from recsys.types import RecsysError

OBJECTIVE = """
import numpy as np
from recsys.types import Modular

def gains(pool, k):
    return Modular(np.zeros(pool.items.shape, np.float32))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of modules of one's own; a function writes one of them and forgets what was imported of it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        for module in [m for m in sys.modules if m.startswith("mine")]:
            del sys.modules[module]
        importlib.invalidate_caches()
        return tmp_path

    yield write
    for module in [m for m in sys.modules if m.startswith("mine")]:
        del sys.modules[module]


def test_the_environment_says_what_was_installed_and_how_it_ran(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["/home/somebody/bin/recsys", "bench", "mine.toml", "--quiet"])
    around = describe_environment(7, "abc")
    assert around["packages"]["numpy"] == np.__version__ and len(around["packages"]) > 30
    assert {"numba", "scipy", "pytest", "recsys-negspace"} <= set(around["packages"])
    assert any(one["user_api"] == "blas" and one["num_threads"] >= 1 for one in around["blas"])
    assert around["threads"]["OMP_NUM_THREADS"] == "1" and around["threads"]["cores"] >= 1
    assert around["command_line"] == ["recsys", "bench", "mine.toml", "--quiet"]
    assert around["git_dirty"] in (True, False, None)
    assert (around["git_commit"] is None) == (around["git_dirty"] is None)
    text = json.dumps(around)
    assert f"/{platform.node()}/" not in text and f"@{platform.node()}" not in text and str(Path.home()) not in text
    assert "filepath" not in text


def test_a_process_without_user_home_and_whole_packages_is_told_too(monkeypatch):
    import os

    def nobody():
        raise KeyError("getpwuid(): uid not found: 12345")

    class Broken:
        metadata = None

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(provenance, "distributions", lambda: [Broken()])
    provenance._list_private_names.cache_clear()
    assert describe_environment(0, "")["packages"] == {} and mask_private_text("~/x") == "~/x"
    provenance._list_private_names.cache_clear()


def test_a_changed_checkout_is_dirty(tmp_path, monkeypatch):
    import subprocess

    def git(*command):
        told = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *told, *command], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "recsys").mkdir()
    (tmp_path / "recsys" / "a.py").write_text("1")
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", tmp_path / "recsys")
    provenance.describe_git_state.cache_clear()
    assert provenance.describe_git_state() == {"git_commit": None, "git_dirty": None}
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "a")
    provenance.describe_git_state.cache_clear()
    assert (
        provenance.describe_git_state()["git_dirty"] is False
        and len(provenance.describe_git_state()["git_commit"]) == 40
    )
    (tmp_path / "recsys" / "a.py").write_text("2")
    provenance.describe_git_state.cache_clear()
    assert provenance.describe_git_state()["git_dirty"] is True
    provenance.describe_git_state.cache_clear()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://me:p%40ss@db/studies", "postgresql://***@db/studies"),
        ("mysql+pymysql://me:a@b:c@db:3306/x?y=1", "mysql+pymysql://***@db:3306/x?y=1"),
        ("https://token@example.org/x", "https://***@example.org/x"),
        ("see redis://:secret@h:1 and ftp://u:p@i", "see redis://***@h:1 and ftp://***@i"),
        ("sqlite:///studies.db", "sqlite:///studies.db"),
        ("HOME/data/log.csv", "~/data/log.csv"),
        ("--out=HOME/runs", "--out=~/runs"),
        ("HOMEwork/x", "HOMEwork/x"),
        ("/data/USER/log.csv", "/data/***/log.csv"),
        ("USER@NODE:/data", "***@***:/data"),
        ("//NODE/share", "//***/share"),
        ("als", "als"),
        ("USER", "USER"),
    ],
)
def test_private_names_are_masked(monkeypatch, said, shown):
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setattr(getpass, "getuser", lambda: "als")  # a user may be called as a model is
    monkeypatch.setattr(platform, "node", lambda: "box.example")
    provenance._list_private_names.cache_clear()
    for name, value in (("HOME", "/home/anna"), ("USER", "als"), ("NODE", "box.example")):
        said, shown = said.replace(name, value), shown.replace(name, value)
    assert mask_private_text(said) == shown
    assert mask_private_text({"a": [said, 3, None, 0.5], "b": {"c": (said,)}}) == {
        "a": [shown, 3, None, 0.5],
        "b": {"c": [shown]},
    }
    provenance._list_private_names.cache_clear()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--password", "hunter2", "x"], ["--password", "***", "x"]),
        (["--db-password=hunter2"], ["--db-password=***"]),
        (["API_KEY=hunter2"], ["API_KEY=***"]),
        (["--api-key=hunter2", "--k", "3"], ["--api-key=***", "--k", "3"]),
        (["https://h/?token=hunter2"], ["https://h/?token=***"]),
        (["--storage", "postgresql://me:hunter2@h/db"], ["--storage", "postgresql://***@h/db"]),
        (["--users", "1,2"], ["--users", "1,2"]),
    ],
)
def test_secrets_of_the_command_line_are_masked(monkeypatch, given, shown):
    monkeypatch.setattr(sys, "argv", ["recsys", *given])
    assert get_command_line() == ["recsys", *shown]


def test_own_code_is_hashed_with_what_it_imports_of_its_own(own):
    seen = []

    def now():
        seen.append(hash_own_modules(["mine.a:gains", "mine.a:other", "novelty"])["mine.a"])
        return seen[-1]

    own("mine/__init__.py", "")
    own("mine/b.py", "def helper(): return 1")
    own("mine/c.py", "X = 1")
    own("mine/d.py", "X = 1")
    own("mine_too.py", "from mine import d")
    own("mine/a.py", "import mine_too, numpy\nfrom . import b\ndef gains():\n    from mine.c import X")
    assert now() == now()
    for name in ("mine/a.py", "mine/b.py", "mine/c.py", "mine/d.py", "mine_too.py", "mine/__init__.py"):
        folder = own("mine/unrelated.py", f"# {name}")
        own(name, (folder / name).read_text() + "\n# changed")
        assert now() not in seen[:-1], name
    own("mine/unrelated.py", "X = 3")
    assert now() == seen[-2]


def test_own_code_of_strange_modules():
    assert hash_own_modules(["novelty", "recsys.objectives:novelty"]) == {}
    assert hash_own_modules(["__main__:gains", "sys:exit"])["sys"] == "unknown"
    assert len(hash_own_modules(["json:dumps"])["json"]) == 64
    with pytest.raises(RecsysError, match=r"'nowhere.at' cannot be imported .*expected package.module:function"):
        hash_own_modules(["nowhere.at:all"])


SMALL = {"data": {"name": "ml-100k"}, "blends": {"b": {"relevance": 1.0, "mine:gains": 0.5}}}
GUARD = "from recsys.reranking.guards import exclude\ndef rule(): return exclude(['1'])\n"
METRIC = "def many(evaluation, k): return 1.0\n"


@pytest.mark.parametrize(
    ("text", "tables"),
    [(OBJECTIVE, {"blends": {"b": {"relevance": 1.0, "mine:gains": 0.5}}}), (GUARD, {"guards": {"mine:rule": {}}}),
     (METRIC, {"evaluation": {"metrics": ["ndcg", "mine:many"]}})],
)  # fmt: skip
def test_changed_own_code_is_another_run_folder(own, text, tables):
    own("mine.py", text)
    content = {"data": {"name": "ml-100k"}, **tables}
    before = configs.parse_config(content).compute_digest()
    assert configs.parse_config(content).compute_digest() == before
    own("mine.py", text + "\nX = 1\n")
    assert configs.parse_config(content).compute_digest() != before
    own("mine.py", text)
    assert configs.parse_config(content).compute_digest() == before


def test_changed_own_code_is_another_sweep(own):
    folder = own("mine.py", OBJECTIVE)
    (folder / "base.toml").write_text('[data]\nname = "ml-100k"\n')
    (folder / "sweep.toml").write_text(
        'extends = "base.toml"\n[sweep]\nmaximize = ["ndcg@10", "discovery@10"]\n'
        '[blends.b]\nrelevance = 1.0\n"mine:gains" = { float = [0.1, 1.0] }\n'
    )
    before = plans.read_sweep(folder / "sweep.toml").digest()
    own("mine.py", OBJECTIVE + "\nX = 1\n")
    assert plans.read_sweep(folder / "sweep.toml").digest() != before


def test_a_ranker_says_where_it_comes_from_and_that_its_own_code_changed(own, tmp_path):
    own("mine.py", OBJECTIVE)
    split, blend = make_split(), {"relevance": 1.0, "mine:gains": 0.5}
    ranker = Ranker.fit(None, split, blend, maps=make_maps(split), scale=None, k=3)
    folder = ranker.save(tmp_path / "r", about={"config": {"seed": 3}})
    told = json.loads((folder / "manifest.json").read_text())
    assert told["about"]["split_fingerprint"] == split.fingerprint and told["about"]["config"] == {"seed": 3}
    assert told["about"]["own_modules"] == hash_own_modules(["mine:gains"])
    assert told["created"].endswith("Z") and {"git_commit", "git_dirty"} <= set(told)
    back = Ranker.load(folder, allow_imports=["mine:gains"])
    assert (back.about["config"], back.name) == ({"seed": 3}, ranker.name)
    again = json.loads((back.save(tmp_path / "again") / "manifest.json").read_text())
    assert again["about"] == told["about"] and again["digest"] == told["digest"]
    own("mine.py", OBJECTIVE + "\nX = 1\n")
    with pytest.warns(UserWarning, match="the source of mine is not that with which it was saved: slates may differ"):
        Ranker.load(folder, allow_imports=["mine:gains"])
