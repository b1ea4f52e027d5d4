"""Sweeps: files, fronts and choices against slow statements, and whole searches on a small table."""

import html
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from forked import fork, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import kill
from searches import CONFIG, SWEEP, act_before_trials
from synthetic import write_tables

from recsys.cli import main
from recsys.experiments import bench
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.sweeps import selection, studies, sweep, trial_search
from recsys.sweeps.goals import Goal, parse_constraint
from recsys.sweeps.journals import Journal
from recsys.sweeps.pareto import compute_hypervolume, find_pareto_front, find_undominated, thin_front, trace_hypervolume
from recsys.sweeps.plans import SweepSection, read_sweep
from recsys.sweeps.search_space import Range, fill_ranges, find_ranges
from recsys.sweeps.simulation_plans import is_simulation_sweep, read_simulation_sweep
from recsys.sweeps.storages import open_storage
from recsys.sweeps.tradeoff_curves import GainAtLoss, interpolate_curves, tabulate_best_vs_rest
from recsys.sweeps.trials import TrialResult
from recsys.types import RecsysError
from recsys.types.numbers import parse_share


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    write_tables(folder)
    (folder / "small.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "search.toml").write_text(SWEEP, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        return folder, sweep(folder / "search.toml", out=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture
def first(template):
    return template[1]


def test_every_file_is_there_and_agrees(first):
    names = {path.name for path in first.folder.iterdir()}
    assert names >= {
        "trials.parquet", "front.csv", "chosen.csv", "gain_at_loss.csv", "best_vs_rest.csv", "hypervolume.csv", "importance.csv", "winner.toml", "report.html",
        "study.journal", "judged", "charts",
    }  # fmt: skip
    trials = pd.read_parquet(first.folder / "trials.parquet")
    assert len(trials) == 6
    assert trials["blends.novel.novelty"].between(0.01, 1.0).all()
    assert set(trials["blends.novel.mmr.agg"]) <= {"max", "mean"}
    values = trials[["ndcg@5", "self_information@5", "stratified_recall@5"]].to_numpy()
    best = [not any((o >= v).all() and (o > v).any() for o in values) for v in values]
    assert trials["front"].tolist() == best
    assert (pd.read_csv(first.folder / "hypervolume.csv").hypervolume.diff().dropna() >= 0).all()
    page = (first.folder / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.partition("<script")[0]
    assert html.escape(first.lines[0]) in page
    matched = pd.read_csv(first.folder / "gain_at_loss.csv")
    assert matched.loss.tolist() == [0.01, 0.02, 0.6]
    assert ((matched.ci_low <= matched.ci_high) & matched.reached.between(0, 1)).all()
    lost = matched[["loss ndcg@5", "loss stratified_recall@5"]].max(axis=1)
    assert (lost <= matched.loss + 1e-9).all()
    most = matched[["loss ndcg@5 ci_high", "loss stratified_recall@5 ci_high"]].max(axis=1)
    assert most[:2].tolist() == pytest.approx([0.01, 0.02])  # draws are read where the first of both has lost as much
    assert (matched["loss ndcg@5 ci_low"] <= matched["loss ndcg@5 ci_high"]).all()
    assert "loss of stratified_recall@5" in page and "stratified_recall@5" in first.lines[0]


def test_a_trials_value_is_that_of_a_benchmark_on_validation_with_its_settings(home, first):
    row = first.trials.iloc[3]
    blend = {
        "relevance": 1.0,
        "novelty": row["blends.novel.novelty"],
        "mmr": {"weight": row["blends.novel.mmr.weight"], "agg": row["blends.novel.mmr.agg"]},
    }
    text = (home / "small.toml").read_text().replace("[evaluation]", '[evaluation]\nsplit = "validation"')
    (home / "again.toml").write_text(text)
    from recsys import configs

    config = configs.read_config("again.toml").model_copy(update={"blends": {"again": blend}})
    found = bench(config, out="runs", quiet=True).summary.set_index(["run", "metric", "k"]).value
    assert found["again", "ndcg", 5] == pytest.approx(row["ndcg@5"])
    assert found["again", "self_information", 5] == pytest.approx(row["self_information@5"])
    assert found["ease", "ndcg", 5] == pytest.approx(row["base ndcg@5"])


def test_the_winner_is_a_config_that_runs_and_gives_what_was_judged(home, first):
    shutil.copy(first.folder / "winner.toml", home / "winner.toml")
    again = bench("winner.toml", out="runs", quiet=True).summary
    name = f"novel-{first.chosen.trial.iloc[0]}"
    judged = first.test_bench.summary
    columns = ["metric", "k", "value", "ci_low", "ci_high"]
    ours, theirs = (table[table.run == run][columns].reset_index(drop=True) for table, run in (
        (again, "novel"), (judged, name),
    ))  # fmt: skip
    pd.testing.assert_frame_equal(ours, theirs)


def test_a_second_start_goes_on_to_the_total_and_equals_one_that_was_not_stopped(home, first):
    sweep("search.toml", trials=2, out="runs", quiet=True)
    done = sweep("search.toml", out="runs", quiet=True)
    same = [name for name in first.trials if name != "seconds"]
    pd.testing.assert_frame_equal(done.trials[same], first.trials[same])
    assert len(sweep("search.toml", trials=4, out="runs", quiet=True).trials) == 4


def test_a_trial_of_the_dead_that_another_process_closes_first_is_closed(tmp_path, monkeypatch):
    import optuna

    journals = [
        optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal")))
        for _ in range(2)
    ]
    ours, theirs = (optuna.create_study(storage=journal, study_name="one", load_if_exists=True) for journal in journals)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ours.ask().set_user_attr(studies.WORKER, [socket.gethostname(), dead.pid])
    close = journals[0].set_trial_state_values

    def late(*given):
        theirs.tell(0, state=optuna.trial.TrialState.FAIL)
        return close(*given)

    monkeypatch.setattr(ours._storage, "set_trial_state_values", late)
    studies._fail_dead_trials(ours)
    assert [trial.state for trial in ours.trials] == [optuna.trial.TrialState.FAIL]


def test_the_lock_of_a_search_that_was_killed_can_be_seen_to_be_old(tmp_path, monkeypatch):
    seen, link = [], os.symlink

    def looked_at(target, lock):
        link(target, lock)
        seen.append(Path(lock).exists())  # a link that leads nowhere has no age: others would wait for good

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", looked_at)
    (tmp_path / "runs").mkdir()
    with open_storage("runs/study.journal", print) as storage:
        storage._write_log(2, {})
    assert seen
    assert all(seen)


@pytest.mark.parametrize(
    ("call", "late"),
    [("symlink", False), ("symlink", True), ("fsync", False), ("fsync", True), ("rename", True), ("unlink", False), ("unlink", True)],
)  # fmt: skip
def test_ctrl_c_at_any_call_of_a_journal_stays_ctrl_c_and_the_journal_goes_on(tmp_path, monkeypatch, call, late):
    """Optuna's lock tidies up after Ctrl-C, and raises an error of its own where there is nothing left to tidy."""
    journal, plain, raised = Journal(tmp_path / "study.journal"), getattr(os, call), []

    def interrupt(*given):
        if raised:
            return plain(*given)
        raised.append(call)
        if late:
            plain(*given)
        raise KeyboardInterrupt

    journal.append_logs([{"n": 0}])
    monkeypatch.setattr(os, call, interrupt)
    with pytest.raises(KeyboardInterrupt):
        journal.append_logs([{"n": 1}])
    journal.append_logs([{"n": 2}])
    assert [path.name for path in tmp_path.iterdir()] == ["study.journal"]
    found = [record["n"] for record in Journal(tmp_path / "study.journal").read_logs(0)]
    assert found == ([0, 2] if call == "symlink" else [0, 1, 2])


def test_a_lock_that_another_process_has_taken_is_one_line(tmp_path, monkeypatch):
    journal, fsync = Journal(tmp_path / "study.journal"), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (fsync(file), (tmp_path / "study.journal.lock").unlink()))
    with pytest.raises(RecsysError, match=r"storage .*study\.journal: .*did not possess lock"):
        journal.append_logs([{"n": 0}])


def test_an_error_that_ctrl_c_led_to_ends_as_ctrl_c_does(home, monkeypatch, capsys):
    def interrupt(*given, **more):
        try:
            raise KeyboardInterrupt
        finally:
            raise RecsysError("what was tidied up is gone")

    monkeypatch.setattr("recsys.sweeps.sweep", interrupt)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "search.toml", "--quiet"])
    assert (ended.value.code, capsys.readouterr().err.startswith("recsys: stopped")) == (130, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_and_shared_searches_lose_at_most_the_trial_in_flight(home):
    def search(trials):
        main(["sweep", "search.toml", "--trials", str(trials), "--quiet", "--out", "runs"])

    def search_and_die():
        act_before_trials(pytest.MonkeyPatch(), lambda number: number == 5 and kill())
        search(10)

    assert wait_for(fork(search_and_die)) == -signal.SIGKILL
    (journal,) = (home / "runs").glob("search-*/study.journal")
    complete = journal.read_text().count('"feasible"')
    assert complete == 4
    two = [fork(partial(search, complete + 6)) for _ in range(2)]
    assert [wait_for(one) for one in two] == [0, 0]
    trials = pd.read_parquet(journal.parent / "trials.parquet")
    assert len(trials) == complete + 6
    assert trials.trial.is_unique


def test_spending_is_bounded_on_validation(home):
    done = sweep("search.toml", accuracy_budget="40%", out="runs", quiet=True)
    bounded = done.chosen[done.chosen.metric.isin(["ndcg@5", "stratified_recall@5"])]
    assert len(bounded) == 2 and ((bounded.bound > -0.4) & (bounded.bound <= bounded.validation)).all()
    assert done.chosen.bound.notna().sum() == 2
    row = bounded.iloc[0]
    chosen = done.trials[done.trials.trial == row.trial].iloc[0]
    front = done.trials[done.trials.front]
    assert chosen["self_information@5"] <= front["self_information@5"].max()
    none = sweep("search.toml", accuracy_budget="0.0001%", out="runs", quiet=True)
    if none.chosen.empty:
        assert "nothing is bought" in none.lines[0]
        assert not none.winner.blends


def test_accuracy_can_be_one_metric(home):
    (home / "one.toml").write_text(SWEEP.replace("trials = 6", 'trials = 6\naccuracy = "ndcg"'))
    done = sweep("one.toml", out="runs", quiet=True)
    assert done.plan.metrics == ["ndcg@5", "self_information@5"] and len(done.plan.front_goals) == 2
    matched = pd.read_csv(done.folder / "gain_at_loss.csv")
    assert [name for name in matched if name.startswith("loss ") and "ci_" not in name] == ["loss ndcg@5"]
    assert "stratified" not in done.lines[0] and "of each" not in done.lines[0]


@pytest.mark.parametrize(
    ("second", "chosen"),
    [((-0.005, -0.03), "mild"), ((-0.005, -0.01), "strong"), ((-0.03, -0.03), None)],
)
def test_a_point_is_chosen_only_if_no_accuracy_may_be_lost_beyond_the_budget(home, monkeypatch, second, chosen):
    plan = read_sweep("search.toml", accuracy_budget="2%")
    points = [
        TrialResult(i, {}, {"self_information@5": gain}, {}, True, 0.0) for i, gain in enumerate((1.0, 2.0))
    ]  # the second gains more
    first = np.array([-0.001, -0.001])
    lower = np.stack([first, second], axis=1)
    monkeypatch.setattr(selection, "_bound_accuracy_changes", lambda *_: (lower + 0.01, lower))
    (found,) = selection.choose_points(plan, {"novel": points}, None)
    number = None if found.trial is None else found.trial.number
    assert number == {"mild": 0, "strong": 1, None: None}[chosen]
    at = 0 if number is None else number
    assert found.lower_bounds == {"ndcg@5": -0.001, "stratified_recall@5": second[at]}
    assert found.accuracy_changes == pytest.approx({"ndcg@5": 0.009, "stratified_recall@5": second[at] + 0.01})


def test_several_blends_get_as_many_trials_each_over_one_pool(home):
    text = (
        SWEEP.replace("trials = 6", "trials = 3")
        + "\n[blends.noise]\nrelevance = 1.0\nnoise = { float = [0.0, 1.0] }\n"
    )
    (home / "two.toml").write_text(text)
    done = sweep("two.toml", out="runs", quiet=True)
    assert done.trials.groupby("method").size().to_dict() == {"novel": 3, "noise": 3}
    assert done.trials["base ndcg@5"].nunique() == 1
    assert {"novel", "noise"} >= set(done.chosen.method)


def test_a_goal_beside_accuracy_is_bought_from_a_front_of_both(home):
    (home / "one.toml").write_text(SWEEP.replace('["ndcg@5", "self_information@5"]', '["self_information@5"]'))
    done = sweep("one.toml", out="runs", quiet=True)
    assert done.trials.front.sum() > 1
    assert not done.chosen.empty


def test_goals_that_the_config_does_not_judge_are_judged_on_test(home):
    goals = '["ndcg@4", "hit_rate@3"]'
    (home / "other.toml").write_text(SWEEP.replace('["ndcg@5", "self_information@5"]', goals))
    done = sweep("other.toml", out="runs", quiet=True)
    assert done.front[["test ndcg@4", "test hit_rate@3"]].notna().all().all()


def test_other_data_is_another_search(home):
    one = sweep("search.toml", trials=2, out="runs", quiet=True)
    frame = pd.read_csv("ratings.csv")
    frame[frame.user_id != "u0"].to_csv("ratings.csv", index=False)
    two = sweep("search.toml", trials=2, out="runs", quiet=True)
    assert one.folder != two.folder
    assert one.trials["base ndcg@5"].iloc[0] != two.trials["base ndcg@5"].iloc[0]


def test_every_look_at_test_is_counted(home):
    assert sweep("search.toml", trials=2, out="runs", quiet=True).lines[-1] == "test was judged once"
    again = sweep("search.toml", trials=2, accuracy_budget="70%", out="runs", quiet=True)
    assert "test was judged 2 times" in again.lines[-1]
    assert pd.read_csv(again.folder / "judgements.csv").accuracy_budget.tolist() == [0.6, 0.7]


@pytest.mark.parametrize("sampler", get_args(SweepSection.model_fields["sampler"].annotation))
def test_an_interrupted_trial_does_not_change_the_others(home, sampler, monkeypatch):
    text = SWEEP.replace("trials = 6", f'trials = 6\nsampler = "{sampler}"')
    (home / "search.toml").write_text(text, encoding="utf-8")
    whole = sweep("search.toml", out="whole", quiet=True)
    plain, calls = trial_search.build_trial_function, []

    def interrupted(method, shop):
        judge = plain(method, shop)
        return lambda values: judge(values) if calls.append(1) or len(calls) != 4 else sys.exit(130)

    monkeypatch.setattr(trial_search, "build_trial_function", interrupted)
    with pytest.raises(SystemExit):
        sweep("search.toml", out="runs", quiet=True)
    done = sweep("search.toml", out="runs", quiet=True)
    same = [name for name in whole.trials if name not in ("seconds", "trial")]
    pd.testing.assert_frame_equal(done.trials[same], whole.trials[same])


def looks(done):
    return pd.read_csv(done.folder / "judgements.csv").chosen.tolist()


def written(folder):
    """What a sweep says, as bytes."""
    names = (
        "winner.toml",
        "report.html",
        "judgements.csv",
        "front.csv",
        "chosen.csv",
        "gain_at_loss.csv",
        "trials.parquet",
    )
    return {name: (folder / name).read_bytes() for name in names}


def test_a_finished_sweep_that_is_started_again_is_no_other_look_at_test(home):
    one = sweep("search.toml", trials=3, out="runs", quiet=True)
    before = written(one.folder)
    again = sweep("search.toml", trials=3, out="runs", quiet=True)
    assert again.lines == one.lines
    assert written(one.folder) == before
    assert one.lines[-1] == "test was judged once"
    assert len(looks(one)) == 1


def test_the_judgement_of_each_choice_is_kept_with_it(home):
    lines = {}
    for spend in ("60%", "70%", "60%", "70%"):
        done = sweep("search.toml", trials=3, accuracy_budget=spend, out="runs", quiet=True)
        lines.setdefault(spend, []).append(done.lines)
    assert len(looks(done)) == 2
    assert lines["60%"][0][-1] == "test was judged once"
    assert lines["60%"][1][:-1] == lines["60%"][0][:-1]
    assert lines["60%"][1][-1].startswith("test was judged 2 times: this was chosen before the first look")
    assert {said[-1] for said in lines["70%"]} == {
        "test was judged 2 times: what was chosen after the first look at it is no fair test"
    }
    assert len(looks(sweep("search.toml", trials=4, out="runs", quiet=True))) == 3


def test_another_study_of_the_same_length_is_another_look(home):
    one = sweep("search.toml", trials=2, out="runs", quiet=True)
    (one.folder / "study.journal").unlink()
    assert len(looks(sweep("search.toml", trials=2, out="runs", quiet=True))) == 1  # the same seed, the same trials
    text = (one.folder / "judgements.csv").read_text()
    (one.folder / "judgements.csv").write_text(text.replace(text.split(",")[-1], "0123456789\n"))
    assert len(looks(sweep("search.toml", trials=2, out="runs", quiet=True))) == 2


def test_looks_that_an_older_version_counted_are_known(home):
    one = sweep("search.toml", trials=2, out="runs", quiet=True)
    table = pd.read_csv(one.folder / "judgements.csv")
    table.drop(columns="digest").to_csv(one.folder / "judgements.csv", index=False)
    assert sweep("search.toml", trials=2, out="runs", quiet=True).lines == one.lines
    assert sweep("search.toml", trials=3, out="runs", quiet=True).lines[-1].startswith("test was judged 2 times")
    for damage in (b"\xff\xfe\0", b"a,b\n1,2\n", b""):
        (one.folder / "judgements.csv").write_bytes(damage)
        with pytest.raises(RecsysError, match=r"judgements.csv: .*expected the columns when, trials"):
            sweep("search.toml", trials=2, out="runs", quiet=True)


def test_trials_that_fail_are_kept_and_the_search_goes_on(home, capsys):
    text = SWEEP.replace('["max", "mean"]', '["max", "least"]')
    (home / "fails.toml").write_text(text)
    main(["sweep", "fails.toml", "--out", "runs", "--quiet"])
    out = capsys.readouterr().out
    (folder,) = (home / "runs").glob("fails-*")
    failed, trials = pd.read_csv(folder / "failed.csv"), pd.read_parquet(folder / "trials.parquet")
    assert len(trials) == 6
    assert set(trials["blends.novel.mmr.agg"]) == {"max"}
    assert set(failed["blends.novel.mmr.agg"]) == {"least"}
    assert failed.reason.str.contains("unknown agg 'least'").all()
    assert not set(failed.trial) & set(trials.trial)
    line = f"novel: {len(failed)} failed trials do not count: {len(failed)} x '"
    assert line in out
    assert line in html.unescape((folder / "report.html").read_text())
    assert line in (folder / "winner.toml").read_text()


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ('kind = "ease"\nl2 = { float = [-400, 500] }', lambda t: t["model.l2"] > 0),
        ('kind = "ials"\nfactors = { choice = [4, 2.5] }', lambda t: t["model.factors"] == 4),
        ('kind = "ease"\n[pool]\nn = { int = [20, 60] }', lambda t: t["pool.n"] <= 40),
    ],
)
def test_settings_that_a_model_or_a_pool_refuses_are_failed_trials(home, model, kept):
    (home / "model.toml").write_text(
        f'extends = "small.toml"\n[sweep]\nmaximize = ["ndcg@5"]\ntrials = 4\n[model]\n{model}\n'
    )
    done = sweep("model.toml", out="runs", quiet=True)
    assert len(done.trials) == 4
    assert kept(done.trials).all()
    assert len(done.failed)
    assert not kept(done.failed).any()
    assert (done.failed.reason.str.len() > 10).all()


class Judging:
    """A judge that counts how often it is asked, and fails where it is told to."""

    def __init__(self, monkeypatch, fails, error=lambda: ValueError("no\nuse")):
        self.asked, self.fails, self.error = [], fails, error
        plain = trial_search.build_trial_function
        monkeypatch.setattr(
            trial_search, "build_trial_function", lambda method, shop: partial(self.judge, plain(method, shop))
        )

    def judge(self, judge, values):
        self.asked.append(dict(values))
        if self.fails(len(self.asked), values):
            raise self.error()
        return judge(values)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda: ValueError("no\nuse\x1b[31m"), "ValueError: no use\\x1b[31m"),
        (MemoryError, "MemoryError"),
        (lambda: np.linalg.LinAlgError("singular"), "LinAlgError: singular"),
        (lambda: RecsysError("bpr: learning_rate is 9"), "bpr: learning_rate is 9"),
        (lambda: OSError("cannot reach postgresql://me:s3cret@host"), "OSError: cannot reach postgresql://me:***@host"),
        (AssertionError, "AssertionError"),
        (lambda: RuntimeError("long " * 1000), "RuntimeError: long long"),
    ],
)
def test_whatever_is_raised_in_a_trial_is_its_reason_in_one_line(home, monkeypatch, error, reason):
    judging = Judging(monkeypatch, lambda asked, values: asked in (2, 3), error)
    done = sweep("search.toml", trials=3, out="runs", quiet=True)
    assert done.failed.trial.tolist() == [1, 2]
    assert done.failed.reason.str.startswith(reason).all()
    assert done.failed.reason.str.len().max() <= 500
    assert len(judging.asked) == 5
    drawn = [one["blends.novel.novelty"] for one in judging.asked]
    assert len({*drawn}) == 5
    tomllib.loads((done.folder / "winner.toml").read_text())


def test_the_next_start_after_a_failure_draws_other_settings(home, monkeypatch):
    judging = Judging(monkeypatch, lambda asked, values: True)
    (home / "search.toml").write_text(SWEEP.replace("trials = 6", "trials = 6\nmax_failures = 0"))
    for count in (1, 2, 3):
        with pytest.raises(
            RecsysError, match="novel: no trial succeeds, 1 failed, the last because: ValueError: no use"
        ):
            sweep("search.toml", out="runs", quiet=True)
        assert len({one["blends.novel.novelty"] for one in judging.asked}) == count
    judging.fails = lambda asked, values: False
    assert len(sweep("search.toml", out="runs", quiet=True).trials) == 6


def test_a_search_in_which_nothing_succeeds_ends_after_ten_trials(home, monkeypatch, capsys):
    judging = Judging(monkeypatch, lambda asked, values: True)
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "search.toml", "--out", "runs", "--quiet"])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.count("\n") == 1
    assert "novel: no trial succeeds, 10 failed, the last because: ValueError: no use; expected ranges" in said
    assert len(judging.asked) == 10


def test_more_failures_than_allowed_end_a_search(home, monkeypatch):
    judging = Judging(monkeypatch, lambda asked, values: asked > 1)
    (home / "search.toml").write_text(SWEEP.replace("trials = 6", "trials = 6\nmax_failures = 3"))
    with pytest.raises(RecsysError, match=r"novel: 4 trials failed, .*expected at most \[sweep\] max_failures = 3"):
        sweep("search.toml", out="runs", quiet=True)
    assert len(judging.asked) == 5
    judging.fails = lambda asked, values: False
    done = sweep("search.toml", out="runs", quiet=True)
    assert (len(done.trials), len(done.failed)) == (6, 4)


def test_a_choice_that_failed_is_not_tried_again_in_the_same_start(home, monkeypatch):
    text = SWEEP.replace("novelty = { float = [0.01, 1.0], log = true }", "novelty = { choice = [0.1, 0.2, 0.3] }")
    text = text.replace('mmr = { weight = { float = [0.0, 0.5] }, agg = { choice = ["max", "mean"] } }', "")
    (home / "few.toml").write_text(text.replace("trials = 6", 'trials = 12\nsampler = "random"'))
    judging = Judging(monkeypatch, lambda asked, values: values["blends.novel.novelty"] == 0.2)
    done = sweep("few.toml", out="runs", quiet=True)
    assert len(done.trials) == 12
    assert len(done.failed) > 1
    assert sum(one["blends.novel.novelty"] == 0.2 for one in judging.asked) == 1


def test_stopping_by_hand_stops(home, monkeypatch):
    Judging(monkeypatch, lambda asked, values: asked == 2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep("search.toml", trials=3, out="runs", quiet=True)
    assert sweep("search.toml", trials=3, out="runs", quiet=True).failed.empty


def test_a_point_that_cannot_be_judged_on_test_is_left_out_and_named(home, monkeypatch):
    from recsys.experiments import rerankings

    plain = rerankings._build_or_load_slates

    def refusing(preparation, spec, base, k):
        if spec.name.startswith("novel-") and preparation.config.evaluation.split == "test":
            raise MemoryError
        return plain(preparation, spec, base, k)

    monkeypatch.setattr(rerankings, "_build_or_load_slates", refusing)
    done = sweep("search.toml", trials=3, out="runs", quiet=True)
    assert "on test it cannot be judged" in done.lines[0]
    assert any(note.endswith("is not judged on test: MemoryError") for note in done.notes)
    assert "novel-0" not in set(done.test_bench.summary.run)
    assert "ease" in set(done.test_bench.summary.run)


def test_constraints_that_nothing_keeps_are_said(home):
    text = SWEEP.replace("trials = 6", 'trials = 3\nconstraints = ["ndcg@5 >= 500 % of base"]')
    (home / "none.toml").write_text(text)
    done = sweep("none.toml", out="runs", quiet=True)
    assert done.lines[0] == "novel: no trial keeps the constraints: nothing is bought"
    assert not done.winner.blends


def test_the_best_on_validation_is_held_against_all_others_on_test():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.1, 0.05, (3, 1000))

    def reading(name, chosen_on, value, drawn, told=True):
        return GainAtLoss(name, "discovery@10", 0.01, chosen_on, value, drawn, 1.0, 5, told)

    found = [
        reading("lucky on test", 0.1, 0.9, draws[0] + 0.8),
        reading("best", 0.3, 0.2, draws[1] + 0.1),
        reading("like the best", 0.2, 0.2, draws[1] + 0.1),
        reading("few users", 0.2, 0.1, draws[2], told=False),
    ]
    rows = {row["rival"]: row for row in tabulate_best_vs_rest(found)}
    assert {row["method"] for row in rows.values()} == {"best"}
    assert [*rows] == ["like the best", "few users", "lucky on test"]
    assert rows["lucky on test"]["difference"] == pytest.approx(-0.7)
    assert (
        rows["like the best"]["difference"] == rows["like the best"]["ci_low"] == rows["like the best"]["ci_high"] == 0
    )
    assert rows["few users"]["difference"] == pytest.approx(0.1)
    assert np.isnan(rows["few users"]["ci_low"])
    row = rows["lucky on test"]
    error = (draws[1] - draws[0]).std(ddof=1)
    assert (row["ci_high"] - row["ci_low"]) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_bounds_hold_for_all_points_together():
    rng = np.random.default_rng(0)
    truth, held = np.linspace(-0.03, 0.0, 25), []
    for _ in range(400):
        common = rng.normal(0, 0.01)
        values = truth + common + rng.normal(0, 0.01, 25)
        draws = values[:, None] + rng.normal(0, 0.01, 500) + rng.normal(0, 0.01, (25, 500))
        held.append((compute_simultaneous_limits(values, draws, sides=1)[0] <= truth).all())
    assert 0.92 < np.mean(held) < 0.98


def test_models_are_searched_against_the_model_that_is_extended(home):
    (home / "models.toml").write_text(
        'extends = "small.toml"\n[sweep]\nmaximize = ["ndcg@5"]\ntrials = 3\n[model]\nl2 = { float = [1, 500], log = true }\n'
        "[pool]\nn = { int = [10, 20] }\n"
    )
    done = sweep("models.toml", out="runs", quiet=True)
    assert done.trials["base ndcg@5"].nunique() == 1
    judged = done.test_bench.summary.set_index(["run", "metric", "k"]).value
    assert judged["ease", "ndcg", 5] == pytest.approx(first_of("small.toml"))
    best = done.trials.loc[done.trials["ndcg@5"].idxmax()]
    assert done.winner.model.model_extra["l2"] == best["model.l2"]
    assert done.winner.pool.n == best["pool.n"]
    assert f"ease-{best.trial}" in set(done.test_bench.summary.run)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('extends = "small.toml"', "", "extends is missing"),
        ('extends = "small.toml"', 'extends = "smal.toml"', "smal.toml"),
        ("[sweep]", "[sweeps]", "sweep is missing"),
        ("trials = 6", "trails = 6", "[sweep]: unknown key 'trails': did you mean 'trials'?"),
        ("trials = 6", "trials = 0", "[sweep] trials is 0"),
        ('"60%"', '"much"', "accuracy_budget is 'much', expected a share such as 0.02 or 2%"),
        ("trials = 6", 'constraints = ["ndcg@5 about 3"]', "[sweep] constraints: found 'ndcg@5 about 3'"),
        ("trials = 6", 'storage = "study.pickle"', "storage is 'study.pickle', expected a .journal, .log or .db file"),
        ("relevance = 1.0", "relevance = [1.0, 2.0]", "has a list of weights, expected a number or a range"),
        ('["ndcg@5",', '["ndcg@5", "recall@5", "precision@5", "hit_rate@5", "mrr@5",', "found 7 goals with accuracy, expected at most 5"),
        ("trials = 6", "trials = 6\naccuracy = []", "[sweep] accuracy is empty, expected at least one metric such as 'ndcg'"),
        ("trials = 6", 'trials = 6\naccuracy = ["ndcg", "ndcg@5"]', "[sweep] accuracy names ndcg@5 twice, expected it once"),
        ("trials = 6", 'trials = 6\naccuracy = ["ndcg", "stratified_recal"]', "did you mean 'stratified_recall'?"),
        ("trials = 6", "trials = 6\naccuracy = 3", "[sweep] accuracy"),
        ("trials = 6", "trials = 6\nmax_failures = -1", "[sweep] max_failures is -1"),
        ("[blends.novel]", "[evaluation]\nn_bootstrap = 1000000000\n[blends.novel]", "[evaluation] n_bootstrap is 1000000000"),
        ('"ndcg@5"', '"ndgc@5"', "did you mean 'ndcg'?"),
        ('"ndcg@5"', '"ndcg@50"', "a metric at k = 50, expected at most [pool] n = 15"),
        ("novelty =", "novelti =", "did you mean 'novelty'?"),
        ("[0.01, 1.0], log", "[1.0, 0.01], log", "expected two numbers, the smaller first"),
        ("[0.01, 1.0], log", "[0.0, 1.0], log", "the first above 0"),
        ('choice = ["max", "mean"]', 'choice = ["max"]', "a list of at least two different values"),
        ("{ float = [0.01, 1.0], log = true }", "{ float = [0.01, 1.0], logs = true }", "expected one of int, float and choice"),
        ("[blends.novel]", "[split]\ntest = { float = [0.1, 0.3] }\n[blends.novel]", "would change what is measured"),
        ("{ float = [0.01, 1.0], log = true }", "{ flaot = [0.01, 1.0] }", "unknown kind of range 'flaot': did you mean 'float'?"),
        ("[blends.novel]", "[model]\nl2 = { float = [-9, -1] }\n[blends.novel]", "ease: l2 is -9, expected a number above 0"),
        ("[blends.novel]", "[slate]\nk = { int = [5, 10] }\n[blends.novel]", "would change what is measured"),
        ("trials = 6", "trials = 6\nseed = -1", "[sweep] seed is -1"),
        ("[blends.novel]", "[split]\nvalidation = 0\n[blends.novel]", "[split] validation is 0, expected a share"),
        ('maximize = ["ndcg@5", "self', 'minimize = ["ndcg@5", "self', "accuracy ndcg@5 is minimized"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_is_one_line(home, capsys, old, new, line):
    assert old in SWEEP
    (home / "bad.toml").write_text(SWEEP.replace(old, new, 1))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "bad.toml", "--out", "runs", "--quiet"])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert line in said
    assert said.count("\n") == 1


def test_points_of_a_sobol_sequence_are_spread_evenly(home):
    text = SWEEP.replace("trials = 6", 'trials = 9\nsampler = "qmc"')
    (home / "search.toml").write_text(text, encoding="utf-8")
    trials = sweep(home / "search.toml", out=home / "runs", quiet=True).trials
    places = np.log(trials["blends.novel.novelty"].to_numpy() / 0.01) / np.log(100)
    assert sorted(np.floor(places[:8] * 8).astype(int)) == list(range(8))


def test_the_scale_of_gains_can_be_searched(home):
    file = home / "scales.toml"
    one = SWEEP[: SWEEP.index("[blends.")] + '[slate]\nk = [5, 8]\nscale = { choice = ["none", "fitted"] }\n'
    file.write_text(one + "[blends.novel]\nrelevance = 1.0\nnovelty = { float = [0.1, 1.0] }\n")
    plan = read_sweep(file)
    (method,) = plan.methods
    assert [found.name for found in method.ranges] == ["slate.scale", "blends.novel.novelty"]
    assert method.trial_config({"slate.scale": "none", "blends.novel.novelty": 0.2}).slate.scale == "none"
    assert (plan.base_config().slate.k, plan.base_config().slate.scale) == ([5, 8], "fitted")


def test_every_shipped_sweep_is_one():
    from recsys.support.resources import find_shipped_folder

    names = [path.stem for path in (find_shipped_folder("configs") / "sweeps").glob("*.toml")]
    assert "ml-100k" in names
    for name in names:
        read = read_simulation_sweep if is_simulation_sweep(name) else read_sweep
        assert read(name).methods


@pytest.mark.parametrize("name", ["damaged.journal", "damaged.db", "folder.journal", "folder.db"])
def test_a_storage_that_is_none_is_one_line(home, name):
    (home / name).write_text("no study\n" * 3) if name.startswith("damaged") else (home / name).mkdir()
    (home / "search.toml").write_text(SWEEP.replace("trials = 6", f'trials = 6\nstorage = "{name}"'))
    with pytest.raises(RecsysError, match=f"storage {name}: ") as caught:
        sweep("search.toml", out="runs", quiet=True)
    assert "\n" not in str(caught.value)


def first_of(config):
    """The nDCG@5 of the base of a config, on test."""
    found = bench(config, out="runs", quiet=True).summary
    return found[(found.run == "ease") & (found.metric == "ndcg")].value.item()


def test_ranges_are_found_and_filled():
    tables = {"a": {"b": {"int": [1, 9]}, "c": 3}, "d": {"choice": [1, "x"]}}
    found = list(find_ranges(tables))
    assert [one.name for one in found] == ["a.b", "d"]
    assert fill_ranges(tables, {"a.b": 4, "d": "x"}) == {"a": {"b": 4, "c": 3}, "d": "x"}


def test_bounds_and_shares():
    assert parse_constraint("ndcg >= 98 % of base", 10).violation({"ndcg@10": 0.2}, {"ndcg@10": 0.2}) == pytest.approx(
        -0.004
    )
    assert parse_constraint("coverage@5 <= 0.5", 10).violation(
        {"coverage@5": 0.6}, {"coverage@5": 0.1}
    ) == pytest.approx(0.1)
    assert parse_share("accuracy_budget", "1%") == 0.01
    with pytest.raises(RecsysError, match="accuracy_budget"):
        parse_share("accuracy_budget", "1.2.3")


def test_the_digest_names_the_search_and_not_its_length(home):
    plan = read_sweep("search.toml")
    assert read_sweep("search.toml", trials=99, accuracy_budget="5%").digest() == plan.digest()
    (home / "search.toml").write_text(SWEEP.replace("0.01, 1.0", "0.02, 1.0"))
    assert read_sweep("search.toml").digest() != plan.digest()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.001, 0.2))
def test_curves_are_read_where_they_first_lose_as_much(seed, points, loss):
    rng = np.random.default_rng(seed)
    losses = np.c_[np.zeros(20), rng.normal(0.05, 0.1, (20, points))]
    gains = np.c_[np.zeros(20), rng.normal(0.3, 0.3, (20, points))]
    found, reached = interpolate_curves(losses, gains, loss)
    for d in range(20):
        steps = [(losses[d, p], losses[d, p + 1], gains[d, p], gains[d, p + 1]) for p in range(points)]
        crossed = [(a, b, x, y) for a, b, x, y in steps if a < loss <= b]
        assert reached[d] == bool(crossed)
        a, b, x, y = crossed[0] if crossed else (0.0, 1.0, gains[d, -1], gains[d, -1])
        assert found[d] == pytest.approx(x + (loss - a) / (b - a) * (y - x))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.001, 0.2))
def test_curves_of_several_losses_are_read_where_the_first_of_them_is_as_large(seed, points, loss):
    rng = np.random.default_rng(seed)
    losses = np.concatenate([np.zeros((3, 20, 1)), rng.normal(0.05, 0.1, (3, 20, points))], axis=2)
    gains = np.c_[np.zeros(20), rng.normal(0.3, 0.3, (20, points))]
    found, reached = interpolate_curves(losses, gains, loss)
    along = np.linspace(0, points, 20_001)
    for d in range(20):
        fine = np.array([np.interp(along, range(points + 1), losses[a, d]) for a in range(3)]).max(axis=0)
        past = np.flatnonzero(fine >= loss)
        assert reached[d] == bool(len(past)) or abs(fine.max() - loss) < 1e-3
        if reached[d] == bool(len(past)):
            at = along[past[0]] if len(past) else points
            steepest = np.abs(np.diff(gains[d])).max()
            assert found[d] == pytest.approx(np.interp(at, range(points + 1), gains[d]), abs=1e-3 * steepest + 1e-9)


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(points)
def test_hypervolume_is_the_number_of_cells_that_are_dominated(found):
    table = np.array(found, dtype=float)
    cells = itertools.product(range(7), repeat=3)
    expected = sum(any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in found) for cell in cells)
    kept = table[find_undominated(table)]
    assert compute_hypervolume(kept, np.full(3, 7.0)) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(points)
def test_the_front_is_what_no_other_beats(found):
    goals = (Goal("a"), Goal("b", maximize=False))
    trials = [TrialResult(i, {}, {"a": float(a), "b": float(b)}, {}, c > 0, 0.0) for i, (a, b, c) in enumerate(found)]
    kept = [one for one in trials if one.feasible]
    best = {
        (o.values["a"], o.values["b"])
        for o in kept
        if not any(
            p.values["a"] >= o.values["a"] and p.values["b"] <= o.values["b"] and p.values != o.values for p in kept
        )
    }
    answer = find_pareto_front(trials, goals)
    assert {(one.values["a"], one.values["b"]) for one in answer} == best
    assert len(answer) == len(best)
    few = thin_front(answer, goals, 3)
    assert len(few) == min(3, len(answer))
    assert set(map(id, few)) <= set(map(id, answer))
    volumes = trace_hypervolume(trials, goals, np.array([1.0, 7.0]))
    assert (np.diff(volumes) >= 0).all()


@given(
    kind=st.sampled_from(["int", "float"]),
    ends=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    log=st.booleans(),
    n=st.integers(2, 40),
)
def test_places_of_a_range_rise_from_its_first_value_to_its_last(kind, ends, log, n):
    low, high = min(ends), max(ends) + 1
    one = Range(("depth",), kind, (low, high), log)
    found = [one.place(share) for share in np.linspace(0, np.nextafter(1, 0), n)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (low, pytest.approx(high))


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_of_a_range_have_their_shares(log):
    one = Range(("depth",), "int", (1, 4), log)
    found = np.bincount([one.place(share) for share in (np.arange(9000) + 0.5) / 9000])[1:] / 9000
    edges = np.array([0.5, 1.5, 2.5, 3.5, 4.5])
    assert found == pytest.approx(np.diff(np.log(edges)) / np.log(9) if log else np.full(4, 0.25), abs=2e-3)
