"""Archives that are not trusted."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from recsys.data import archives
from recsys.data.archives import extract_members, list_archive_members
from recsys.types import RecsysError


def make(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_land_flat_and_whole(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", {"top/a.csv": b"1,2\n", "top/b.csv": b"3\n", "top/c.csv": b"4\n"})
    out = tmp_path / "out"
    out.mkdir()
    assert extract_members(path, ["top/b.csv", "top/a.csv"], out) == [out / "b.csv", out / "a.csv"]
    assert (out / "a.csv").read_bytes() == b"1,2\n"
    assert sorted(one.name for one in out.iterdir()) == ["a.csv", "b.csv"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil", "C:evil"])
def test_members_that_climb_out_are_refused(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(RecsysError, match="points outside the archive") as error:
        extract_members(path, ["good"], tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "good").exists()
    assert not (tmp_path.parent / "evil").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(RecsysError, match="'link' points outside"):
        list_archive_members(tmp_path / "a.zip")


def test_declared_sizes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MIN_UNPACK_LIMIT", 1000)
    path = make(tmp_path / "a.zip", {"bomb": bytes(1_000_000)})
    with pytest.raises(RecsysError, match=r"unpacks to more than [0-9,]+ bytes: refused"):
        list_archive_members(path)
    monkeypatch.setattr(archives, "MIN_UNPACK_LIMIT", 2_000_000)
    assert list_archive_members(path) == ["bomb"]
    monkeypatch.setattr(archives, "MAX_UNPACK_LIMIT", 999_999)
    with pytest.raises(RecsysError, match="more than 999,999 bytes"):
        list_archive_members(path)


def test_actual_sizes_are_limited_whatever_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MIN_UNPACK_LIMIT", 3_000_000)
    path = make(tmp_path / "a.zip", {"one": bytes(1 << 21), "two": bytes(1 << 21)}, zipfile.ZIP_STORED)
    monkeypatch.setattr(archives, "MAX_UNPACK_RATIO", 0)
    monkeypatch.setattr(archives, "list_archive_members", lambda path: ["one", "two"])  # as if it had declared less
    with pytest.raises(RecsysError, match="unpacks to more than 3,000,000 bytes"):
        extract_members(path, ["one", "two"], tmp_path)


def test_a_lie_about_the_size_is_damage(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", {"bomb": bytes(500_000)})
    content = path.read_bytes().replace(struct.pack("<I", 500_000), struct.pack("<I", 10))
    path.write_bytes(content)
    assert list_archive_members(path) == ["bomb"]
    with pytest.raises(RecsysError, match="bomb is damaged"):
        extract_members(path, ["bomb"], tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 30, 200, 2000])
def test_truncated_archives(tmp_path: Path, keep: int) -> None:
    path = make(tmp_path / "a.zip", {"a": bytes(range(256)) * 20}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecsysError, match=r"a\.zip: not a zip archive, or a damaged one"):
        extract_members(path, ["a"], tmp_path)


def test_damaged_contents(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", {"a": bytes(range(256)) * 20})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(bytes(content))
    with pytest.raises(RecsysError, match=r"a\.zip: a is damaged"):
        extract_members(path, ["a"], tmp_path)
