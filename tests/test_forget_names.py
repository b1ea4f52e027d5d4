"""Small promises of forget lists: names after save and load, relative paths, dials, moments, questions."""

import io
import json
import re

import click
import pytest
from synthetic import reseal_manifest
from test_forget_rankers import list_history, list_topic, make_list, make_ranker
from test_rankers import run_cli

import recsys.cli
from recsys.control import forget_lists
from recsys.control.receipt_logs import ReceiptLog
from recsys.rankers import Ranker
from recsys.reranking import guards
from recsys.types import RecsysError

NOW = 1001 * 86_400


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("os.fsync", lambda number: None)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))


def say_all(ranker):
    """Return a ranker that forgot a person, an interaction and an item, and whose user stopped a topic."""
    ranker = ranker.forget(user="u2").forget(user="u1", item=list_history(ranker, "u1")[0])
    return ranker.stop("u4", "f0").forget(item="i3")


def test_a_ranker_saved_after_a_forget_keeps_its_name(tmp_path):
    """Receipts from before it was saved hold for what was loaded, also after later lines, saves and undos."""
    path = make_list(tmp_path)
    before = say_all(make_ranker().follow_forget_list(path))
    answer = before.rank(user="u1", now=NOW)
    loaded = Ranker.load(before.save(tmp_path / "one"))
    assert loaded.name == before.name != make_ranker().name
    assert loaded.replay(answer.receipt(inputs=True)).verdict == "equal"
    again = Ranker.load(loaded.save(tmp_path / "two"))
    assert again.name == before.name
    later, apart = before.forget(user="u9"), again.refresh()
    assert apart.refresh().name == later.name == Ranker.load(tmp_path / "one").name != before.name
    undone = later.undo(user="u9")
    assert apart.refresh().name == undone.name == before.name


def test_a_loaded_ranker_whose_rows_cannot_come_back_is_a_policy_of_its_own(tmp_path):
    path = make_list(tmp_path)
    before = make_ranker().follow_forget_list(path).forget(user="u2")
    loaded = Ranker.load(before.save(tmp_path / "one"))
    whole, apart = before.undo(user="u2"), loaded.refresh()
    assert whole.name == make_ranker().name
    assert apart.name not in (whole.name, before.name)
    kept = Ranker.load(apart.save(tmp_path / "two"))
    assert kept.name == apart.name
    other = apart.forget(user="u7")
    assert Ranker.load(other.save(tmp_path / "three")).name == other.name != apart.name


def test_lines_of_another_list_are_not_those_that_were_taken_out(tmp_path):
    folder = make_ranker().follow_forget_list(make_list(tmp_path)).forget(user="u2").save(tmp_path / "one")
    (tmp_path / "else").mkdir()
    other = make_list(tmp_path / "else", ("forget", {"user": "u2"}))
    assert Ranker.load(folder, forget_list=other).name != Ranker.load(folder).name


def test_what_a_manifest_says_of_forgotten_rows_is_verified(tmp_path):
    folder = make_ranker().follow_forget_list(make_list(tmp_path)).forget(user="u2").save(tmp_path / "one")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(make_ranker().name, "0" * 16))
    with pytest.raises(RecsysError, match=r"manifest\.json is damaged"):
        Ranker.load(folder)
    (folder / "manifest.json").write_text(text)
    for wrong in ({}, {"policy": "a", "digest": "b", "lines": []}, {"policy": 1, "digest": "b", "lines": [1]}):
        reseal_manifest(folder, settings={**json.loads(text)["settings"], "forgotten": wrong})
        with pytest.raises(RecsysError, match=r"forgotten (says of no policy|names no lines)"):
            Ranker.load(folder)


def test_paths_that_are_relative_hold_wherever_the_process_works(tmp_path, monkeypatch):
    make_list(tmp_path)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    ranker, log = make_ranker().follow_forget_list("forget.jsonl"), ReceiptLog("receipts.jsonl")
    monkeypatch.chdir(tmp_path / "else")
    ranker = ranker.forget(user="u2").refresh()
    log.append(ranker.rank(user="u1").receipt(inputs=True))
    assert not list((tmp_path / "else").iterdir()) and (tmp_path / "receipts.jsonl").is_file()
    assert len(forget_lists.read_forget_list(tmp_path / "forget.jsonl").lines) == 2


def test_dials_that_were_set_later_come_back_with_their_person(tmp_path):
    ranker = make_ranker().follow_forget_list(make_list(tmp_path))
    ranker = ranker.set_user_dials({"u1": {"mmr": 2.0}, "u2": {"mmr": 3.0}}, now=5)
    gone = ranker.forget(user="u1").forget(user="u2")
    assert gone.user_dials is None
    one = gone.undo(user="u1")
    assert one.rank(user="u1").dials == {"mmr": 2.0} and one.user_dials.user_ids.tolist() == ["u1"]
    assert one.undo(user="u2").rank(user="u2").dials == {"mmr": 3.0}
    assert ranker.clear_user_dials(["u1"]).forget(user="u1").undo(user="u1").rank(user="u1").dials == {}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda one, path: one.forget(user="u1", until=86_400), "until is 1970-01-02T00:00:00Z, which is over now (2"),
        (lambda one, path: one.forget(user="u1", now=86_400), "now is 1970-01-02T00:00:00Z, before its last line was"),
        (lambda one, path: forget_lists.forget(path, user="u1", until="1999-01-01"), "until is 1999-01-01T00:00:00Z, "),
        (lambda one, path: one.set_user_dials({"u1": {"mmr": 2}}, until=86_400), "until is 1970-01-02T00:00:00Z, whi"),
        (
            lambda one, path: one.set_user_dials({"u1": {"mmr": 2}}, now=9).set_user_dials({"u1": {"mmr": 2}}, now=5),
            "now is 1970-01-01T00:00:05Z, before dials were set (1970-01-01T00:00:09Z)",
        ),
    ],
)
def test_errors_tell_moments_as_people_write_them(tmp_path, ask, said):
    path = make_list(tmp_path)
    with pytest.raises(RecsysError, match=re.escape(said)):
        ask(make_ranker().follow_forget_list(path), path)


def test_a_question_that_is_not_answered_removes_nothing(tmp_path, capsys, monkeypatch):
    path, cells = make_list(tmp_path), tmp_path / "cells"
    cells.mkdir()
    (cells / f"model-{'0' * 20}.npz").touch()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run_cli("forget", "where", path, "--purge") == 2
    told = capsys.readouterr().err
    assert "the question was not answered and nothing is removed, expected yes or no, or --yes" in told
    assert "bench" not in told and len(list(cells.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rank", "x"], "recsys: stopped\n"),
        (["bench"], "recsys: stopped; bench goes on from there when it is started again\n"),
        (["forget", "run", "x"], "recsys: stopped; forget goes on from there when it is started again\n"),
        (["forget", "show", "x"], "recsys: stopped\n"),
    ],
)
def test_a_command_that_is_stopped_says_what_it_keeps(capsys, monkeypatch, arguments, said):
    def stop(**given):
        raise click.exceptions.Abort

    monkeypatch.setattr(recsys.cli.cli, "main", stop)
    with pytest.raises(SystemExit) as code:
        recsys.cli.main(arguments)
    assert code.value.code == 130 and capsys.readouterr().err == said


def test_why_and_why_not_take_what_rank_takes(tmp_path, capsys):
    """--more and --shown, as the Python calls have them."""
    ranker = make_ranker()
    capped = Ranker.load(ranker.save(tmp_path / "plain"))
    table = tmp_path / "shown.csv"
    first = capped.rank(user="u1", more=["i5"], now=NOW).items[0]
    table.write_text(f"user_id,item_id,datetime\nu1,{first},{NOW - 9}\n")
    capped = Ranker(
        *(getattr(capped, name) for name in ("model", "context", "blend", "scales", "policy", "available")),
        guards=(guards.frequency_cap(1, window_days=30),),
    )
    folder = capped.save(tmp_path / "capped")
    asked = {"user": "u1", "more": ["i5"], "shown": [(first, NOW - 9)], "now": NOW}
    slate = capped.rank(**asked).items
    assert first not in slate
    given = ("--user", "u1", "--more", "i5", "--shown", table, "--now", NOW)
    assert run_cli("why-not", folder, "--item", first, *given) == 0
    assert capped.why_not(first, **asked).sentences[0] in capsys.readouterr().out
    assert run_cli("why", folder, "--item", slate[0], *given) == 0
    assert capsys.readouterr().out.splitlines()[1:] == list(capped.rank(**asked).why(slate[0]).sentences)
    assert run_cli("why", folder, "--item", first, *given) == 2
    assert list_topic(capped, "f0")
