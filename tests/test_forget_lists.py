"""Forget lists: what holds when, files that were cut or changed, and several writers at once."""

import fcntl
import multiprocessing
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import interrupt_at_each_line

from recsys.support import forget_lists as store
from recsys.support.checked_lines import format_line
from recsys.support.forget_lists import append_forget_line, append_undo, read_forget_list
from recsys.types import RecsysError


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch):
    """Do not wait for the disk: a test here writes a thousand lines."""
    monkeypatch.setattr("os.fsync", lambda number: None)


WHAT = [
    ("interaction", {"user": "ada", "item": "7"}),
    ("interaction", {"user": "bob", "item": "7"}),
    ("item", {"item": "7"}),
    ("person", {"user": "ada"}),
    ("topic", {"user": "ada", "topic": "Baby"}),
]
STEP = st.tuples(st.integers(0, 3), st.sampled_from(WHAT), st.none() | st.integers(1, 6))


def name_lines(found, lines):
    """Return what lines say, by the names behind their hashes."""
    names = {"": ""} | {found.hash_user(name): name for name in ("ada", "bob")} | {found.hash_item("7"): "7"}
    return sorted((line.kind, names[line.user], names[line.item], line.topic) for line in lines)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEP | st.integers(0, 3), max_size=8), later=st.integers(0, 12))
def test_a_line_holds_until_its_end_or_its_undo(tmp_path_factory, steps, later):
    """Against a replay of every step: an undo takes out what holds, an end passes, the same said twice holds once."""
    path, now, done = tmp_path_factory.mktemp("lists") / "forget.jsonl", 0, {}
    found = None
    for step in steps:
        if isinstance(step, int):
            holding = [] if found is None else found.list_holding(now)
            if step < len(holding):
                line = holding[step]
                found = append_undo(path, [line.number], now=now)
                done[line.number] = (*done[line.number][:2], now)
            continue
        waited, (kind, ids), lasts = step
        now += waited
        until = None if lasts is None else now + lasts
        before = 0 if found is None else found.end.lines
        found = append_forget_line(path, kind, **ids, until=until, now=now)
        if found.end.lines > before:
            done[found.end.lines] = ((kind, ids), until, None)
        else:
            assert any(
                one == (kind, ids) and undone is None and (end is None or (until is not None and end >= until))
                for one, end, undone in done.values()
            )
    if found is None:
        return
    again = read_forget_list(path)
    assert (again.lines, again.undone, again.end) == (found.lines, found.undone, found.end)
    for moment in (now, now + later):
        expected = sorted(
            (kind, ids.get("user", ""), ids.get("item", ""), ids.get("topic", ""))
            for (kind, ids), end, undone in done.values()
            if undone is None and (end is None or end > moment)
        )
        assert name_lines(again, again.list_holding(moment)) == expected


def make_list(path):
    append_forget_line(path, "person", user="ada", now=10)
    append_forget_line(path, "interaction", user="bob", item="7", until=50, now=20)
    return append_undo(path, [1], now=30)


def test_ids_are_not_in_the_file_and_hashes_of_two_files_differ(tmp_path):
    # No hexadecimal digits, which salts and hashes are made of.
    one = append_forget_line(tmp_path / "one", "interaction", user="young", item="with", now=1)
    other = append_forget_line(tmp_path / "other", "interaction", user="young", item="with", now=1)
    assert not any(name in (tmp_path / "one").read_text() for name in ("young", "with"))
    assert one.lines[0].user == one.hash_user("young") != other.hash_user("young") == other.lines[0].user
    assert one.hash_item("young") != one.hash_user("young")
    assert one.hash_ids("user", ["x", "young"])[one.lines[0].user] == 1


def test_a_list_that_was_cut_at_any_byte_is_that_before_its_last_line(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "cut"
    make_list(whole)
    content = whole.read_bytes()
    starts = [0, *(place + 1 for place, byte in enumerate(content) if byte == ord("\n"))]
    for first, end in pairwise(starts):
        for size in range(first, end):
            path.write_bytes(content[:size])
            found = read_forget_list(path)
            assert found.end.bytes == first
            number = max(found.end.lines + 1, 1)
            later = append_forget_line(path, "item", item="9", now=40)
            assert [line.kind for line in later.lines if line.number == number] == ["item"]
            assert read_forget_list(path).lines == later.lines
            assert first == 0 or path.read_bytes().startswith(content[:first])


def test_a_changed_byte_is_one_line(tmp_path):
    path = tmp_path / "list"
    make_list(path)
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        for ask in (read_forget_list, lambda one: append_undo(one, [2], now=40)):
            with pytest.raises(RecsysError, match=r"^forget list ") as error:
                ask(path)
            assert "\n" not in str(error.value)
        assert path.read_bytes() == bytes(changed)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_line_is_noticed(tmp_path, lost):
    path = tmp_path / "list"
    make_list(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    with pytest.raises(RecsysError, match="was changed, or a line before it"):
        read_forget_list(path)


def test_only_new_lines_are_read(tmp_path, monkeypatch):
    path = tmp_path / "list"
    earlier = make_list(path)
    append_forget_line(path, "item", item="7", now=40)
    later = read_forget_list(path, earlier)
    assert later.lines == read_forget_list(path).lines and len(later.lines) == 3
    path.write_bytes(path.read_bytes()[: earlier.end.bytes - 1])
    with pytest.raises(RecsysError, match="is shorter than it was"):
        read_forget_list(path, later)


def write_many(path, user):
    """Write lines, with time for others between reading the list and adding to it."""
    check = store._check_clock
    store._check_clock = lambda found, now: time.sleep(0.01) or check(found, now)
    for item in range(8):
        append_forget_line(path, "interaction", user=user, item=str(item))


def test_two_writers_at_once_lose_no_line(tmp_path):
    path = tmp_path / "list"
    around = multiprocessing.get_context("fork")
    writers = [around.Process(target=write_many, args=(path, user)) for user in ("ada", "bob")]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.exitcode for one in writers] == [0, 0]
    found = read_forget_list(path)
    expected = {(found.hash_user(user), found.hash_item(str(item))) for user in ("ada", "bob") for item in range(8)}
    assert {(line.user, line.item) for line in found.lines} == expected and found.end.lines == 16


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_an_interrupt_at_any_line_leaves_whole_lines_and_no_lock(tmp_path):
    path = tmp_path / "list"
    append_forget_line(path, "item", item="1")
    before = path.read_bytes()
    for _ in interrupt_at_each_line(lambda: append_forget_line(path, "item", item="2"), store):
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert len(read_forget_list(path).lines) in (1, 2)
        path.write_bytes(before)
    assert len(read_forget_list(path).lines) == 2


def test_a_line_that_cannot_be_written_is_not_begun(tmp_path, monkeypatch):
    path = tmp_path / "list"
    make_list(path)
    before = path.read_bytes()

    def fail(number):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(RecsysError, match="Input/output error"):
            append_forget_line(path, "item", item="9", now=40)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda path: append_forget_line(path, "item", item="9", now=29),
            "now is 1970-01-01T00:00:29Z, before its last line was written (1970-01-01T00:00:30Z), expected a clock that",
        ),
        (
            lambda path: append_forget_line(path, "item", item="9", until=40, now=40),
            "until is 1970-01-01T00:00:40Z, which is over now (1970-01-01T00:00:40Z), expected a later time",
        ),
        (lambda path: append_undo(path, [1], now=40), "line 1 does not hold, expected one of those that hold: 2"),
        (lambda path: append_undo(path, [2], now=50), "line 2 does not hold, expected one of those that hold: none"),
        (lambda path: append_undo(path, [], now=40), "no line to undo, expected one of those that hold: 2"),
        (lambda path: append_undo(path.parent / "none", [1]), "No such file or directory"),
        (lambda path: read_forget_list(path.parent / "none"), "No such file or directory"),
        (lambda path: read_forget_list(path.parent), "Is a directory"),
        (lambda path: read_forget_list(5), "forget list is 5, expected the path of a file"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(tmp_path, ask, message):
    path = tmp_path / "list"
    make_list(path)
    before = path.read_bytes()
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        ask(path)
    assert "\n" not in str(error.value) and path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["list"]


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "family", "at": 5},
        {"kind": "person", "user": "ada", "at": 5},
        {"kind": "person", "user": "0" * 32, "at": 5, "why": "x"},
        {"kind": "topic", "user": "0" * 32, "topic": "", "at": 5},
        {"kind": "item", "item": "0" * 32, "at": True},
        {"kind": "undo", "lines": [9], "at": 5},
        {"kind": "undo", "lines": [1]},
    ],
)
def test_lines_of_another_kind_are_refused(tmp_path, told):
    path = tmp_path / "list"
    before = append_forget_line(path, "item", item="7", now=1).end.crc
    path.write_bytes(path.read_bytes() + format_line(told, before)[0])
    with pytest.raises(RecsysError, match="line 2 after the header says what this recsys does not know"):
        read_forget_list(path)
