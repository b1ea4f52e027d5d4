"""Files and folders are there whole or not at all, whenever a process is killed; what killed ones leave is removed."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from interrupted import interrupt_at_each_line

from recsys.support import atomic_files
from recsys.support.atomic_files import (
    clear_folder,
    hold_folder,
    make_temporary_folder,
    recover_folder,
    remove_leftovers,
    replace_file,
    replace_folder,
    write_text,
)
from recsys.types import RecsysError

EXCHANGES = atomic_files._find_exchange_call()[0] is not None


@pytest.fixture(params=["exchanged", "renamed twice"])
def way(request, monkeypatch):
    """Both ways to replace a folder: in one step, and where the system cannot."""
    if request.param == "renamed twice":
        monkeypatch.setattr(atomic_files, "_find_exchange_call", lambda: (None, 0))
    return request.param


def fill(folder, content):
    with replace_folder(folder) as made:
        for name in ("a", "b"):
            (made / name).write_text(content)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_keeps_what_is_not_written_anew(tmp_path):
    target = tmp_path / "run"
    (target / "charts").mkdir(parents=True)
    (target / "mine" / "deep").mkdir(parents=True)
    for name in ("table.csv", "charts/old.svg", "notes.md", "mine/deep/letter"):
        (target / name).write_text("old")
    (target / "link").symlink_to("gone")
    with replace_folder(target, own=("table.csv", "charts")) as made:
        (made / "table.csv").write_text("new")
    kept = {str(one.relative_to(target)) for one in target.rglob("*") if not one.is_dir()}
    assert kept == {"table.csv", "notes.md", "mine/deep/letter", "link"} and (target / "link").is_symlink()
    assert (target / "table.csv").read_text() == "new" and (target / "notes.md").read_text() == "old"


def test_a_folder_is_replaced_whole(way, tmp_path):
    target = tmp_path / "deep" / "r"
    for text in ("1", "2", "3"):
        fill(target, text)
        assert content(target) == {"a": text, "b": text}
        assert [path.name for path in target.parent.iterdir()] == ["r"]
    with pytest.raises(KeyError), replace_folder(target) as made:
        (made / "a").write_text("half")
        raise KeyError
    assert content(target) == {"a": "3", "b": "3"}
    assert [path.name for path in target.parent.iterdir()] == ["r"]


@pytest.mark.parametrize("there", ["file", "empty folder", "link to a folder", "dangling link"])
def test_whatever_has_the_name_is_replaced(way, tmp_path, there):
    target, other = tmp_path / "r", tmp_path / "other"
    if there == "file":
        target.write_text("mine")
    elif there == "empty folder":
        target.mkdir()
    else:
        if there == "link to a folder":
            other.mkdir()
            (other / "kept").write_text("kept")
        target.symlink_to(other)
    fill(target, "1")
    assert content(target) == {"a": "1", "b": "1"} and not target.is_symlink()
    assert not hidden(tmp_path)
    assert not other.exists() or content(other) == {"kept": "kept"}


def test_a_long_name_is_one_line_or_works(way, tmp_path):
    fill(tmp_path / ("n" * 255), "1")
    fill(tmp_path / ("n" * 255), "2")
    with pytest.raises(RecsysError, match=r"cannot write .*name too long"):
        fill(tmp_path / ("n" * 300), "1")


@pytest.mark.skipif(sys.platform != "linux", reason="the flag is that of Linux")
def test_folders_are_exchanged_in_one_step_here(tmp_path):
    assert EXCHANGES
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    assert atomic_files._exchange_paths(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "b" and (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        atomic_files._exchange_paths(tmp_path / "a", tmp_path / "nowhere")


@pytest.mark.parametrize("number", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM"])
def test_a_file_system_that_cannot_exchange_is_one_that_renames_twice(tmp_path, monkeypatch, number):
    import errno

    def call(*_):
        ctypes.set_errno(getattr(errno, number))
        return -1

    monkeypatch.setattr(atomic_files, "_find_exchange_call", lambda: (call, 2))
    fill(tmp_path / "r", "1")
    fill(tmp_path / "r", "2")
    assert content(tmp_path / "r") == {"a": "2", "b": "2"} and not hidden(tmp_path)


def test_a_folder_between_two_names_is_brought_back(tmp_path):
    target = tmp_path / "r"
    fill(target, "1")
    target.rename(atomic_files._get_replaced_path(target))  # killed between the two renames
    recover_folder(target)
    assert content(target) == {"a": "1", "b": "1"} and not hidden(tmp_path)
    fill(target, "2")
    target.rename(atomic_files._get_replaced_path(target))
    fill(target, "3")
    assert content(target) == {"a": "3", "b": "3"} and not hidden(tmp_path)
    fill(tmp_path / "old", "1")
    (tmp_path / "old").rename(atomic_files._get_replaced_path(target))  # killed after both
    recover_folder(target)
    assert content(target) == {"a": "3", "b": "3"} and not hidden(tmp_path)
    recover_folder(tmp_path / "nowhere" / "r")


HOLD = """
import signal, sys
from pathlib import Path
from recsys.support.atomic_files import make_temporary_folder, replace_file, replace_folder
folder = Path(sys.argv[1])
with replace_file(folder / "one.npz") as one, replace_folder(folder / "two") as two, make_temporary_folder(folder) as three:
    one.write_text("half"); (two / "half").write_text("half"); (three / "half").write_text("half")
    print("there", flush=True)
    signal.pause()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that is writing a file, a folder, and to a temporary folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_living_process_writes_stays_and_what_a_killed_one_wrote_goes(tmp_path, holder):
    assert len(hidden(tmp_path)) == 3
    write_text(tmp_path / "mine", "1")
    fill(tmp_path / "folder", "1")
    assert len(hidden(tmp_path)) == 3
    os.kill(holder.pid, signal.SIGSTOP)  # a process that is stopped is a living one
    write_text(tmp_path / "mine", "2")
    assert len(hidden(tmp_path)) == 3
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    write_text(tmp_path / "mine", "3")
    assert not hidden(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "mine"]


def test_leftovers_of_other_machines_go_after_a_day(tmp_path):
    here = atomic_files._get_part_prefix()
    for name, age in [(".part-0000aaaa-1.npz", 0), (".part-0000aaaa-2.npz", 2), (".part-old", 2), (f"{here}x.csv", 2)]:
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age * 86_400,) * 2)
    for name, age in [(".part-0000aaaa-3", 0), (".part-0000aaaa-4", 2), (f"{here}y", 0), (f"{here}z", 2)]:
        (tmp_path / name / "new").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age * 86_400,) * 2)
    for name in (".parting", "part-1", ".part", ".replaced-0000"):
        (tmp_path / name).write_text("mine")
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        ".part-0000aaaa-1.npz",
        ".part-0000aaaa-3",
        f"{here}y",
        ".parting",
        "part-1",
        ".part",
        ".replaced-0000",
    }


def test_without_locks_leftovers_go_after_a_day(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic_files.fcntl, "flock", none)
    fill(tmp_path / "r", "1")
    write_text(tmp_path / "x", "1")
    assert not hidden(tmp_path)
    for name, age in (("new", 0), ("old", 2)):
        path = tmp_path / f"{atomic_files._get_part_prefix()}{name}"
        path.mkdir()
        (path / "lock").write_text("")
        os.utime(path, (time.time() - age * 86_400,) * 2)
    write_text(tmp_path / "x", "2")
    assert hidden(tmp_path) == [f"{atomic_files._get_part_prefix()}new"]


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, removed = atomic_files._lock_file, []

    def late(number):
        if len(removed) < 2:
            removed.append(1)
            remove_leftovers(tmp_path)
        return lock(number)

    monkeypatch.setattr(atomic_files, "_lock_file", late)
    with replace_file(tmp_path / "x") as temporary:
        temporary.write_text("1")
    assert (tmp_path / "x").read_text() == "1" and not hidden(tmp_path)
    removed.clear()
    with make_temporary_folder(tmp_path) as folder:
        assert (folder / "lock").exists()
    assert not hidden(tmp_path)


def test_what_a_block_puts_in_the_place_of_its_file_stays(tmp_path):
    with replace_file(tmp_path / "x.csv") as temporary:
        (tmp_path / "other").write_text("1")
        (tmp_path / "other").replace(temporary)
        write_text(tmp_path / "y", "2")  # removes leftovers
    assert (tmp_path / "x.csv").read_text() == "1" and not hidden(tmp_path)


def test_two_processes_that_replace_one_folder_leave_it_whole(tmp_path):
    script = SAVE + "\nfor _ in range(50): save()\n"
    fill(tmp_path / "r", "1")
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), way]) for way in ("exchange", "rename") * 2
    ]
    try:
        while any(process.poll() is None for process in processes):
            assert_whole(tmp_path)
    finally:
        for process in processes:
            process.wait()
    assert [process.wait() for process in processes] == [0] * 4
    assert_whole(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def assert_whole(folder):
    for _ in range(1000):
        recover_folder(folder / "r")
        try:
            return [(folder / "r" / name).read_text() for name in ("a", "b")]
        except FileNotFoundError:  # replaced meanwhile
            continue
    raise AssertionError("never whole")


SAVE = """
import os, sys, time
from pathlib import Path
from recsys.support import atomic_files
from recsys.support.atomic_files import recover_folder, replace_file, replace_folder
folder = Path(sys.argv[1])
if sys.argv[2] == "rename":
    atomic_files._find_exchange_call = lambda: (None, 0)

def save():
    text = str(time.monotonic_ns())
    with replace_folder(folder / "r") as made:
        for name in "ab":
            (made / name).write_text(text)
"""
KILLED = (
    SAVE
    + """
sys.path.insert(0, sys.argv[3])
from itertools import count
from interrupted import do_until_line, kill

def save_both():
    save()
    with replace_file(folder / "table.csv") as temporary:
        temporary.write_text("x")

save_both()
for line in count(1):
    child = os.fork()
    if not child:
        do_until_line(save_both, (atomic_files,), line, kill)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break  # it came to its end
    left = sum(path.name.startswith(".") for path in folder.iterdir())
    recover_folder(folder / "r")
    print(left, len({(folder / "r" / name).read_text() for name in "ab"}), len((folder / "table.csv").read_text()) > 0)
    if line % 2:
        save()
save()
"""
)


@pytest.mark.parametrize("way", ["exchange", "rename"])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_kill_at_any_line_loses_nothing_and_leaves_nothing(tmp_path, way):
    script = [sys.executable, "-c", KILLED, str(tmp_path), way, str(Path(__file__).parent)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    left, *checked = zip(*map(str.split, done.stdout.splitlines()), strict=True)
    assert {*zip(*checked, strict=True)} == {("1", "True")} and done.stderr == ""
    assert {"0", "1"} <= {*left}  # there was something to remove
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "table.csv"]


# What interrupted work had opened is closed when nothing refers to it.
INTERRUPTED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@INTERRUPTED
def test_an_interrupt_at_any_line_leaves_a_whole_file_and_no_lock(tmp_path):
    write_text(tmp_path / "x", "old")
    for _ in interrupt_at_each_line(lambda: write_text(tmp_path / "x", "new"), atomic_files):
        assert (tmp_path / "x").read_text() in ("old", "new")
        write_text(tmp_path / "x", "old")
        assert not hidden(tmp_path)
    assert (tmp_path / "x").read_text() == "new"


@INTERRUPTED
def test_an_interrupt_at_any_line_leaves_a_whole_folder_and_no_lock(tmp_path, way):
    fill(tmp_path / "r", "old")
    for _ in interrupt_at_each_line(lambda: fill(tmp_path / "r", "new"), atomic_files):
        recover_folder(tmp_path / "r")
        assert content(tmp_path / "r") in ({"a": "old", "b": "old"}, {"a": "new", "b": "new"})
        fill(tmp_path / "r", "old")
        assert not hidden(tmp_path)
    assert content(tmp_path / "r") == {"a": "new", "b": "new"}


@INTERRUPTED
def test_an_interrupt_at_any_line_of_a_held_folder_leaves_it_to_the_next(tmp_path):
    def hold():
        with hold_folder(tmp_path / "parts"):
            (tmp_path / "parts" / "part").write_text("1")
            clear_folder(tmp_path / "parts")

    for _ in interrupt_at_each_line(hold, atomic_files):
        hold()
        assert not [*tmp_path.iterdir()]


def test_an_interrupt_within_an_archive_that_cannot_be_closed_then_arrives(tmp_path):
    with pytest.raises(KeyboardInterrupt) as stop, replace_file(tmp_path / "x.npz") as temporary:
        archive = zipfile.ZipFile(temporary, "w")
        member = archive.open("a", "w")
        try:
            raise KeyboardInterrupt
        finally:
            archive.close()
    assert isinstance(stop.value.__cause__, ValueError) and not [*tmp_path.iterdir()]
    member.close()
