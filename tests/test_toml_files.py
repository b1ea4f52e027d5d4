"""Files that a user names: found by path or by name, and every mistake in them is one line."""

import shutil

import pytest

from recsys import configs
from recsys.reproductions.published_settings import read_reproduction
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import find_toml, read_toml
from recsys.sweeps.plans import read_sweep
from recsys.types import RecsysError

READERS = {
    "config": (configs.read_config, "", "ml-100k", "config"),
    "sweep": (read_sweep, "sweeps", None, "sweep"),
    "reproduction": (read_reproduction, "reproductions", "ml-1m-ncf", "reproduction"),
}


def first_shipped(under):
    return sorted((find_shipped_folder("configs") / under).glob("*.toml"))[0]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_file_is_one_line_with_the_nearest_file_or_name(kind, tmp_path):
    read, under, _, noun = READERS[kind]
    name = first_shipped(under).stem
    with pytest.raises(RecsysError) as error:
        read(name[:-1] + "q")
    assert str(error.value) == f"{noun} {name[:-1]}q: No such file or directory, did you mean '{name}'?"
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(RecsysError) as error:
        read("mime.toml")
    assert str(error.value) == f"{noun} mime.toml: No such file or directory, did you mean 'mine.toml'?"
    with pytest.raises(RecsysError) as error:
        read("\0" + "x" * 5000)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_goes_before_the_shipped_one_and_a_folder_does_not(kind, tmp_path):
    read, under, _, noun = READERS[kind]
    shipped = first_shipped(under)
    (tmp_path / shipped.stem).mkdir()
    assert find_toml(shipped.stem, shipped.parent) == shipped
    (tmp_path / shipped.stem).rmdir()
    (tmp_path / shipped.stem).write_text("= broken")
    with pytest.raises(RecsysError, match=f"^{noun} {shipped.stem}: not TOML: "):
        read(shipped.stem)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 5000, b"\x00", b"a = 1\na = 2"], ids=range(4))
def test_what_is_no_toml_is_one_line(content, tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(RecsysError, match=r"^x: not TOML: ") as error:
        read_toml(path, "x")
    assert "\n" not in str(error.value)


def test_a_file_that_may_not_be_read_is_not_suggested(tmp_path):
    (tmp_path / "x.toml").mkdir()
    with pytest.raises(RecsysError, match=r"^x: Is a directory$"):
        read_toml(tmp_path / "x.toml", "x")


def test_an_unknown_key_goes_before_the_one_that_is_missing(tmp_path):
    (tmp_path / "x.toml").write_text('[data]\npath = "x.csv"\n[model]\nknd = "als"\n[splitt]\n')
    with pytest.raises(RecsysError, match=r"^x.toml: unknown key 'splitt': did you mean 'split'"):
        configs.read_config("x.toml")
    shutil.copy(first_shipped("reproductions"), tmp_path / "r.toml")
    text = (tmp_path / "r.toml").read_text().replace("title =", "titel =", 1)
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecsysError, match=r"^r.toml: unknown key 'titel': did you mean 'title'"):
        read_reproduction("r.toml")
