"""Numbers that do not depend on how many cores there are."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from searches import CONFIG, SWEEP
from threadpoolctl import threadpool_info

import recsys as rs
from recsys import configs
from recsys.scores import compute_metrics, evaluate, tabulate_differences
from recsys.scores.replicates import pool_replicates
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import GroundTruth, PerUser

SEEN = []


def watched(evaluation, k):
    """A metric that notes how many threads each BLAS has."""
    SEEN.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
    return PerUser(np.arange(evaluation.items.shape[0]) % 3 / 2.0, "noted", 1)


@pytest.fixture
def several():
    """Let BLAS have two threads, whatever the machine."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        yield


def test_scoring_runs_on_one_blas_thread(split, several, monkeypatch):
    monkeypatch.setitem(sys.modules, "watching", sys.modules[__name__])
    runs = {name: np.tile(np.arange(i, i + 3), (len(split.user_ids), 1)) for i, name in enumerate("ab")}
    SEEN.clear()
    found = evaluate(runs, GroundTruth(split), ["watching:watched"], [3], n_bootstrap=100)
    compute_metrics(runs["a"], GroundTruth(split), ["watching:watched@3"])
    rs.compare(runs, split, metrics=["watching:watched"], against="a", ks=[3], n_bootstrap=100)
    assert SEEN
    assert set().union(*SEEN) == {1}
    threads = []
    for made in (lambda: tabulate_differences(found, "a"), lambda: pool_replicates([found, found])):
        with monkeypatch.context() as patch:
            patch.setattr("recsys.scores.intervals.rng.draw_uniforms", _noting(threads))
            made()
    assert threads
    assert set().union(*threads) == {1}


def _noting(threads):
    from recsys.support.rng import draw_uniforms

    def noting(*given):
        threads.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
        return draw_uniforms(*given)

    return noting


def test_a_blas_that_is_loaded_later_is_limited_too():
    code = (
        "from recsys.support.threads import limit_to_one_blas_thread\n"
        "from threadpoolctl import threadpool_info\n"
        "with limit_to_one_blas_thread():\n"
        "    import scipy.linalg, scipy.stats\n"
        "    print([pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OPENBLAS_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert set(json.loads(run.stdout)) == {1}, run.stderr


def test_the_threads_of_before_come_back(several):
    with limit_to_one_blas_thread():
        pass
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}


COMMANDS = (
    ["bench", "large.toml"],
    ["sweep", "search.toml"],
    ["evaluate", "lists.csv", "--config", "large.toml"],
    ["recommend", "large.toml", "--blend", "novel"],
)


def write_log(folder):
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", int(item), int(rng.integers(2, 6)), 1000 * t + user)
        for user in range(500)
        for t, item in enumerate(rng.choice(300, 30, replace=False, p=np.arange(300, 0, -1) / 45150))
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"])
    frame.to_csv(folder / "ratings.csv", index=False)
    lists = frame.groupby("user_id").head(5).assign(rank=lambda one: one.groupby("user_id").cumcount() + 1)
    lists[["user_id", "item_id", "rank"]].to_csv(folder / "lists.csv", index=False)
    blend = "\n[blends.novel]\nrelevance = 1.0\nnovelty = 0.2\n"
    text = CONFIG.replace("n_bootstrap = 100", "n_bootstrap = 1000").replace('"coverage"', '"coverage", "discovery"')
    (folder / "large.toml").write_text(text + blend)
    (folder / "search.toml").write_text(SWEEP.replace("small.toml", "large.toml").replace("trials = 6", "trials = 3"))


RUN = """
import json, pathlib, sys
import vl_convert
from recsys.cli import main
vl_convert.vegalite_to_svg = lambda spec, **_: "<svg/>"  # pictures are not compared
for command in json.loads(sys.argv[1]):
    main(command)
judged = min(path.parent for path in pathlib.Path().glob("runs/**/scores.npz"))
main(["compare", str(judged), "--explore", "--out", "runs/compared"])
"""


def results(folder, threads, cpus):
    """Run every command on so many BLAS threads and cores; return each table that it wrote, without its times."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    pin = ["taskset", "-c", cpus] if shutil.which("taskset") else []
    around = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "RECSYS_CACHE": str(folder / f"cells-{threads}-{cpus}")}
    outs = ["runs/slates.csv" if command[0] == "recommend" else "runs" for command in COMMANDS]
    commands = [[*command, "--out", out, "--quiet"] for command, out in zip(COMMANDS, outs, strict=True)]
    whole = [*pin, sys.executable, "-c", RUN, json.dumps(commands)]
    subprocess.run(whole, cwd=folder, env=around, check=True, capture_output=True)
    tables = {path.relative_to(folder): pd.read_csv(path, dtype=str) for path in sorted(folder.glob("runs/**/*.csv"))}
    untimed = {}
    for name, table in tables.items():
        untimed[name] = table.drop(columns=[column for column in table if column in ("seconds", "when")]).to_csv()
    return untimed


@pytest.mark.slow
def test_every_table_is_the_same_on_any_number_of_threads_and_cores(tmp_path):
    write_log(tmp_path)
    one = results(tmp_path, "1", "0")
    assert {path.name for path in one} >= {"summary.csv", "differences.csv", "front.csv", "chosen.csv", "slates.csv"}
    other = results(tmp_path, "2", "0-1" if os.cpu_count() > 1 else "0")
    assert [str(name) for name in one if one[name] != other.get(name)] == []


@pytest.mark.parametrize("draws", [10**9, 100_001, 10**30])
def test_too_many_draws_are_refused_at_the_door(split, draws):
    runs = {"a": np.zeros((len(split.user_ids), 1), dtype=int)}
    for call in (
        lambda: evaluate(runs, GroundTruth(split), ["ndcg"], [1], n_bootstrap=draws),
        lambda: rs.compare({**runs, "b": runs["a"]}, split, metrics=["ndcg"], against="a", ks=[1], n_bootstrap=draws),
        lambda: configs.parse_config({"data": {"path": "x.csv"}, "evaluation": {"n_bootstrap": draws}}),
    ):
        with pytest.raises(rs.RecsysError, match=rf"n_bootstrap is {draws}.*100000") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_draws_that_memory_cannot_hold_are_refused_when_the_config_is_read(monkeypatch):
    monkeypatch.setattr("recsys.scores.intervals.read_available_memory", lambda: 10**6)
    with pytest.raises(rs.RecsysError, match=r"\[evaluation\] n_bootstrap is 100000: for .* expected at most \d+"):
        configs.parse_config({"data": {"path": "x.csv"}, "evaluation": {"n_bootstrap": 100_000}})


def test_many_draws_are_made_in_blocks_that_do_not_matter(monkeypatch):
    from recsys.scores import intervals

    tables, users = [np.random.default_rng(0).random((2, 50))], np.arange(50, dtype=np.int32)
    (whole,) = intervals.bootstrap_means(tables, users, 1, 300)
    monkeypatch.setattr(intervals, "DRAW_BLOCK", 64)
    (parts,) = intervals.bootstrap_means(tables, users, 1, 300)
    np.testing.assert_allclose(parts, whole, rtol=1e-14)
