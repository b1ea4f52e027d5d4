"""The memory at hand, read from a file system that a test lays out."""

from types import SimpleNamespace

import psutil
import pytest

from recsys import models
from recsys.models.checks import MemoryNeed, check_memory
from recsys.support.memory import read_available_memory
from recsys.types import RecsysError

MACHINE = 64_000
V1 = "sys/fs/cgroup/memory"
V2 = "sys/fs/cgroup"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))


def lay_out(root, groups, **files):
    """Write /proc/self/cgroup, and files of control groups by their path with __ for /."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_control_groups_it_is_that_of_the_machine(tmp_path):
    assert read_available_memory(tmp_path) == MACHINE
    assert read_available_memory(lay_out(tmp_path, "0::/app\n")) == MACHINE


@pytest.mark.parametrize(
    ("limit", "current", "stat", "expected"),
    [
        ("10000", "4000", "anon 3000\ninactive_file 500\n", 6500),
        ("10000", "4000", "", 6000),
        ("10000", "12000", "", 0),
        ("10000", "400", "inactive_file 900\n", 10_000),
        ("max", "4000", "", MACHINE),
        ("90000", "1000", "", MACHINE),
        ("", "1000", "", MACHINE),
        ("10000", "", "", MACHINE),
        ("10000", "4000", "inactive_file x\n", 6000),
    ],
)
def test_version_2(tmp_path, limit, current, stat, expected):
    files = {"memory.max": limit, "memory.current": current, "memory.stat": stat}
    lay_out(tmp_path, "0::/app\n", **{f"{V2}/app/{name}": f"{text}\n" for name, text in files.items()})
    assert read_available_memory(tmp_path) == expected


@pytest.mark.parametrize(("limit", "expected"), [("10000", 6500), ("9223372036854771712", MACHINE)])
def test_version_1(tmp_path, limit, expected):
    files = {
        "memory.limit_in_bytes": limit, "memory.usage_in_bytes": "4000",
        "memory.stat": "inactive_file 9\ntotal_inactive_file 500\n",
    }  # fmt: skip
    groups = "5:cpu,cpuacct:/else\n4:memory:/app/one\n1:name=systemd:/\n0::/\n"
    lay_out(tmp_path, groups, **{f"{V1}/app/one/{name}": f"{text}\n" for name, text in files.items()})
    assert read_available_memory(tmp_path) == expected


def test_the_tightest_group_above_decides(tmp_path):
    files = {f"{V2}/a/b/memory.max": "max", f"{V2}/a/memory.max": "5000", f"{V2}/memory.max": "7000"}
    used = {name.replace("max", "current"): "1000" for name in files}
    assert read_available_memory(lay_out(tmp_path, "0::/a/b\n", **files, **used)) == 4000


def test_a_container_sees_its_own_group_at_the_root(tmp_path):
    """Docker with version 1 names the group of the host, which is not there: its files are at the mount."""
    files = {f"{V1}/memory.limit_in_bytes": "9000", f"{V1}/memory.usage_in_bytes": "2000"}
    assert read_available_memory(lay_out(tmp_path, "4:memory:/docker/0123\n", **files)) == 7000


@pytest.mark.parametrize("groups", ["", "nonsense\n", "0::relative\n", "0::/../..\n", "a:b\n:::\n"])
def test_what_is_no_list_of_groups_says_nothing(tmp_path, groups):
    assert read_available_memory(lay_out(tmp_path, groups)) == MACHINE


def test_where_nothing_is_said_there_is_no_limit(tmp_path, monkeypatch):
    def fail():
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    assert read_available_memory(tmp_path) is None
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: read_available_memory(tmp_path))
    check_memory("ease", MemoryNeed(10**18, 0, "40 items", "use als"))


def test_a_fit_is_refused_by_the_groups_limit(tmp_path, monkeypatch):
    lay_out(tmp_path, "0::/\n", **{f"{V2}/memory.max": "3000", f"{V2}/memory.current": "1000"})
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: read_available_memory(tmp_path))
    with pytest.raises(RecsysError, match=r"^ease: 40 items need 2,001 bytes of memory, and 2,000 are available: use"):
        check_memory("ease", MemoryNeed(2001, 0, "40 items", "use als"))
    check_memory("ease", MemoryNeed(2000, 0, "40 items", "use als"))


def test_this_machine_says_how_much(monkeypatch):
    monkeypatch.undo()
    assert 0 < read_available_memory() <= psutil.virtual_memory().total
