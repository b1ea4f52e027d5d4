"""Several processes at one search: the trials of one process, whichever of them is killed or interrupted."""

import multiprocessing
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from forked import fork, wait_for
from interrupted import interrupt_and_fail, kill
from optuna.trial import TrialState
from searches import CONFIG, SWEEP, act_before_trials
from synthetic import write_tables

from recsys.cli import main
from recsys.sweeps import studies, sweep
from recsys.sweeps.plans import read_sweep
from recsys.sweeps.storages import open_storage
from recsys.sweeps.trials import TrialValues, list_failures
from recsys.types import RecsysError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
BASE = TrialValues({"ndcg@5": 0.5, "stratified_recall@5": 0.25, "self_information@5": 2.0})
TRIALS = 8


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    write_tables(folder)
    (folder / "small.toml").write_text(CONFIG + "halvings = 0\n", encoding="utf-8")
    drawn = SWEEP.replace("trials = 6", f'trials = {TRIALS}\nsampler = "random"')
    (folder / "search.toml").write_text(drawn, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        return folder, sweep(folder / "search.toml", out=tmp_path_factory.mktemp("runs"), quiet=True)


def judge(settings):
    """Return made-up values after a while, and refuse a third of the settings."""
    time.sleep(random.random() * 0.01)
    novelty = settings["blends.novel.novelty"]
    if int(novelty * 1e6) % 3 == 0:
        raise RecsysError("made up")
    return TrialValues({"ndcg@5": 1 - novelty, "stratified_recall@5": 0.5 - novelty / 2, "self_information@5": novelty})


def search(where, sampler, wait=True):
    """Search until there are 5 trials; return those, the failed ones, and how many were judged in all."""
    plan = read_sweep("search.toml")
    plan.settings.__dict__.update(sampler=sampler, trials=5)
    with studies.open_studies(where, plan, "data", lambda line: None) as opened:
        (study,), (method,) = opened.values(), plan.methods
        found = studies.run_trials(study, plan, method, judge, BASE, lambda **done: None, wait=wait)
        told = [(one.number, dict(one.settings), dict(one.values)) for one in found]
        return told, [(one.number, dict(one.settings)) for one in list_failures(study)], len(study.trials)


@pytest.mark.parametrize(("sampler", "storage"), [("random", "shared.journal"), ("qmc", "shared.db")])
def test_processes_draw_what_one_draws_and_judge_nothing_twice(home, sampler, storage):
    alone = search("alone.journal", sampler)
    several = [fork(partial(search, storage, sampler, wait=number == 0)) for number in range(2)]
    assert [wait_for(one) for one in several] == [0] * 2
    found, failed, judged = search(storage, sampler)
    assert (found, failed) == alone[:2] and failed
    with open_storage(storage, print) as opened:
        (study,) = opened.get_all_studies()
        drawn = [one for one in opened.get_all_trials(study._study_id) if one.params]
    assert len(drawn) == len(found) + len(failed) <= judged


def assert_same_trials(done, alone):
    columns = [name for name in alone.trials if name != "seconds"]
    assert done.trials[columns].equals(alone.trials[columns])
    assert done.lines[:-1] == alone.lines[:-1]  # the last one names the folder's own looks at test


def count_results(home):
    return sum(path.read_text().count('"feasible"') for path in home.glob("runs/search-*/study.journal"))


LONG = 600.0  # seconds: longer than any machine takes, so that a test that waits for nothing ends


def wait_until(holds):
    deadline = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_job():
    return multiprocessing.parent_process() is not None


def test_a_job_that_is_killed_loses_its_trial_and_another_draws_it(home, template, monkeypatch):
    met = multiprocessing.get_context("fork").Event()

    def meet(number):
        if is_job():
            met.set()
            kill()
        assert met.wait(LONG)

    act_before_trials(monkeypatch, meet)
    done = sweep("search.toml", out="runs", quiet=True, jobs=2)
    assert_same_trials(done, template[1])
    assert "job 2 of 2 ended early: it was ended by signal 9" in done.notes


def start_two_jobs(act):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    act_before_trials(pytest.MonkeyPatch(), act)
    main(["sweep", "search.toml", "--jobs", "2", "--quiet"])


def assert_search_goes_on(home, template):
    done = sweep("search.toml", out="runs", quiet=True)
    assert_same_trials(done, template[1])
    with open_storage(str(done.folder / "study.journal"), print) as opened:
        (study,) = opened.get_all_studies()
        assert len(opened.get_all_trials(study._study_id, states=(TrialState.COMPLETE,))) == TRIALS


def test_a_search_of_two_jobs_that_is_interrupted_goes_on(home, template):
    """Both are in their second trial, where the command is interrupted."""

    def act(number):
        if number == 2 and is_job():
            Path("second").touch()
            while True:
                time.sleep(0.005)  # until the command interrupts its job
        if number == 2:
            wait_until(Path("second").exists)
            os.kill(os.getpid(), signal.SIGINT)

    assert wait_for(fork(partial(start_two_jobs, act))) == 130
    assert count_results(home) == 2
    assert_search_goes_on(home, template)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the end of a process that is no child is looked up in /proc")
def test_a_search_of_two_jobs_whose_command_is_killed_goes_on_in_the_other(home, template):
    def act(number):
        if is_job() and number == 1:
            Path("job.tmp").write_text(str(os.getpid()))
            Path("job.tmp").rename("job")
            wait_until(Path("dying").exists)
        elif number == 2 and not is_job():
            wait_until(Path("job").exists)
            Path("dying").touch()
            kill()

    assert wait_for(fork(partial(start_two_jobs, act))) == -signal.SIGKILL
    line = Path("/proc", Path("job").read_text(), "cmdline")
    wait_until(lambda: not line.exists() or not line.read_bytes())
    assert count_results(home) >= TRIALS - 1
    assert_search_goes_on(home, template)


def test_an_interrupt_that_a_trial_turns_into_an_error_ends_the_search(home):
    """What a trial closes may fail after an interrupt: such a trial has not failed, and its settings are drawn again."""
    plan = read_sweep("search.toml")
    with studies.open_studies("s.journal", plan, "d") as opened:
        (study,), (method,) = opened.values(), plan.methods
        with pytest.raises(KeyboardInterrupt):
            studies.run_trials(study, plan, method, interrupt_and_fail, BASE, lambda **done: None)
        assert not list_failures(study)
        found = studies.run_trials(study, plan, method, lambda drawn: BASE, BASE, lambda **done: None)
        assert [one.number for one in found] == [*range(TRIALS)] and len(study.trials) == TRIALS + 1


def test_two_that_take_one_place_at_once_share_it_no_longer(home, monkeypatch):
    """Between the look for a free place and the note of it, another process takes that place."""
    plan = read_sweep("search.toml")
    with studies.open_studies("s.journal", plan, "d") as ours, studies.open_studies("s.journal", plan, "d") as theirs:
        (one,), (other,), (method,) = ours.values(), theirs.values(), plan.methods
        look, taken = studies._find_free_draw, []

        def look_and_wait(study, plan, but=None):
            draw = look(study, plan, but)
            if but is not None and not taken:
                taken.append(None)
                taken[0] = studies._open_trial(other, plan, method)
            return draw

        monkeypatch.setattr(studies, "_find_free_draw", look_and_wait)
        mine = studies._open_trial(one, plan, method)
    assert [trial.user_attrs["draw"] for trial in (taken[0], mine)] == [0, 1]


def test_a_running_trial_of_a_machine_that_is_gone_is_drawn_again(home, monkeypatch):
    plan = read_sweep("search.toml")
    with studies.open_studies("gone.journal", plan, "d") as opened:
        (study,), (method,) = opened.values(), plan.methods
        lost = studies._open_trial(study, plan, method)
        lost.set_user_attr(studies.WORKER, ["elsewhere", 1, time.time() - 2 * studies.MIN_ABANDONED])
        done = studies.run_trials(study, plan, method, lambda drawn: BASE, BASE, lambda **done: None)
        assert [one.number for one in done] == [*range(TRIALS)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--jobs", "0"], "0 is not in the range x>=1"),
        (["--jobs", "2", "--set", "sweep.storage=sqlite://"], "sqlite:// is in the memory of one process"),
        (["--set", "sweep.storage=nosuch://host/x"], "storage nosuch://host/x: no such kind of database, expected"),
        (["--set", "sweep.storage=mysql+pymysql://host/x"], "the package pymysql is not installed"),
        (["--set", "sweep.storage=redis://127.0.0.1:1/0"], "the package redis is not installed"),
        (["--jobs", "100000"], "jobs is 100000, expected a whole number from 1 to "),
        (["--set", "sweep.storage=study.txt"], "expected a .journal, .log or .db file, or the URL of a database"),
    ],
)
def test_a_mistake_is_one_line(home, capsys, monkeypatch, given, message):
    for package in ("pymysql", "redis"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "search.toml", "--quiet", *given])
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1) and message in error
