"""How a sweep ends: a limit of its time, a summary, and a command that is told of it."""

import json
import sys
import time

import pytest
from searches import CONFIG, SWEEP
from synthetic import write_tables

from recsys.cli import main
from recsys.sweeps import sweep, trial_search
from recsys.sweeps.summaries import notify, parse_duration
from recsys.types import RecsysError, RecsysWarning

TWO = "[blends.other]\nrelevance = 1.0\nmmr = { float = [0.0, 0.5] }\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends")
    write_tables(folder)
    (folder / "small.toml").write_text(CONFIG + "halvings = 0\n", encoding="utf-8")
    (folder / "search.toml").write_text(SWEEP + TWO, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        done = sweep(folder / "search.toml", trials=2, out=folder / "whole", quiet=True)
    return folder, done


def keep_summary(name):
    """Return a command that writes what it is given to a file."""
    return f"\"{sys.executable}\" -c \"import sys; open('{name}', 'w').write(sys.stdin.read())\""


class Clock:
    """A clock of which each trial takes an hour."""

    def __init__(self, monkeypatch):
        self.now, self.real = time.monotonic(), trial_search.iter_trials
        monkeypatch.setattr(trial_search, "iter_trials", self.iter_trials)
        monkeypatch.setattr(trial_search.time, "monotonic", lambda: self.now)

    def iter_trials(self, *arguments, **settings):
        for done in self.real(*arguments, **settings):
            yield done
            self.now += 3600


def test_a_timeout_leaves_equally_many_trials_of_each_method_and_the_search_goes_on(home, monkeypatch, template):
    with monkeypatch.context() as patch:
        Clock(patch)
        short = sweep("search.toml", trials=2, timeout="1h 30m", quiet=True)
    assert short.summary["trials"] == {name: {"done": 1, "failed": 0} for name in ("novel", "other")}
    assert any("the timeout ended the search after 1 of 2 trials" in note for note in short.notes)
    later = sweep("search.toml", trials=2, quiet=True)
    columns = [name for name in later.trials.columns if name != "seconds"]
    assert later.trials[columns].equals(template[1].trials[columns])


def test_a_timeout_without_a_trial_is_one_line(home, monkeypatch):
    Clock(monkeypatch)
    with pytest.raises(RecsysError, match="no trial ended within the timeout"):
        sweep("search.toml", trials=2, timeout="1s", out="none", quiet=True)


def test_the_command_is_told_of_the_end_and_its_own_failure_is_a_note(home, capsys):
    main(["sweep", "search.toml", "--trials", "2", "--out", "whole", "--quiet", "--notify", keep_summary("told.json")])
    told = json.loads((home / "told.json").read_text())
    assert (told["status"], told["wanted"], told["trials"]["other"]["done"]) == ("done", 2, 2)
    assert "search: trials of 2 each: novel 2, other 2; this start took 0:00:" in capsys.readouterr().out
    assert (home / told["winner"]).is_file()
    assert notify("echo no route >&2; exit 3", told) == "the command of --notify ended with code 3: no route"


def test_a_sweep_that_fails_is_told_too(home):
    (home / "small.toml").write_text(CONFIG.replace("ratings.csv", "absent.csv"))
    with pytest.raises(RecsysError, match=r"absent\.csv"), pytest.warns(RecsysWarning, match="code 3"):
        sweep("search.toml", quiet=True, notify="cat > told.json; exit 3")
    told = json.loads((home / "told.json").read_text())
    assert (told["sweep"], told["status"]) == ("search", "failed")
    assert "absent.csv" in told["reason"]


@pytest.mark.parametrize("text", ["", "8", "8 hours", "-1h", "0s", 0, True, "1h x"])
def test_what_is_no_time_is_one_line(text):
    with pytest.raises(RecsysError, match=r"^timeout is"):
        parse_duration("timeout", text)
